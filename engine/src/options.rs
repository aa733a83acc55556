//! What a database and a transaction can be told. Defaults are safe.

mod names;
mod setters;

use std::sync::Arc;
use std::time::Duration;

use braid_vfs::planted;

use crate::base::PageCache;
use crate::error::{Error, Result};
use crate::limits::{
    MAX_LOG_SEGMENT_BYTES, MAX_PAGE_BYTES, MAX_SNAPSHOTS, MAX_TRANSACTION_BYTES, MIN_LOG_SEGMENT_BYTES,
    MIN_PAGE_BYTES, MIN_ROW_STORE_BYTES,
};

pub use names::ParseNameError;

/// Who may write. Kept in the file, shared by every handle, switchable at any time while no write transaction is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalMode {
    /// One writer at a time, which waits for its turn and never conflicts.
    #[default]
    Wal,
    /// Any number of concurrent writers; the commit finds conflicts row by row.
    Mvcc,
}

/// What a successful commit promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The commit is on the disk when it returns: it survives a power cut.
    #[default]
    Sync,
    /// The commit is in the log when it returns: it survives the death of the process. A background sync bounds what a
    /// power cut can take to [`Options::deferred_sync_interval`]; what it takes is always a suffix of the history. It waits
    /// for the disk only behind a `Sync` commit that does.
    Deferred,
}

/// Which anomalies a transaction is protected from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isolation {
    /// Snapshot isolation, first committer wins: no lost update, no dirty read, no read skew; write skew may happen.
    #[default]
    Snapshot,
    /// What the transaction read is validated too, key by key and range by range as far as it was really consumed:
    /// histories are serializable among the writers that ask for it.
    Serializable,
}

/// How a database is opened.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Database, Durability, Options};
///
/// let options = Options::default().durability(Durability::Deferred).cache_bytes(16 << 20);
/// let db = Database::in_memory_with(options)?;
/// # drop(db); Ok(()) }
/// ```
///
/// `Options { cache_bytes: 16 << 20, ..Options::default() }` says the same; without the `..`, a line breaks with the next option.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a database is made where there is none: of a missing file, and of an empty one. Without it the one is
    /// [`Error::NotFound`] and the other [`Error::NotABraidDatabase`], and nothing is made: neither the file nor its log.
    /// Of this call alone: handles of one file need not agree on it. One in memory is made in any case. Default: true.
    pub create: bool,
    /// What commits promise unless a transaction says otherwise. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// How long a call waits for its turn before `Busy(Timeout)`: a transaction that begins or commits, and a `put` or a
    /// [`transact`](crate::Database::transact) in all its attempts together. Default: 5 seconds. A commit that waits for room in
    /// the row store is not bounded by it: it goes on at the speed of the checkpoint, or fails as that does. But whoever waits
    /// behind such a commit is. So this has to outlast all exclusive transactions that may stand in the queue, which in
    /// [`JournalMode::Wal`] all that write are, and the checkpoint that one of them waits for where the row store is full: on a
    /// slow disk, many seconds.
    pub busy_timeout: Duration,
    /// Who may write a database that this call makes; one that is there already keeps its mode, as it keeps what
    /// [`set_journal_mode`](crate::Database::set_journal_mode) sets. Default: `None`, which is [`JournalMode::Wal`].
    pub journal_mode: Option<JournalMode>,
    /// Bytes of tree pages kept in memory, shared by all handles of the file. Default: 64 MiB.
    pub cache_bytes: usize,
    /// Bytes of recent row versions kept in memory; when they are used up writers are slowed down to the speed of
    /// the checkpoint. Default: 64 MiB; at least 64 KiB.
    pub row_store_bytes: usize,
    /// Bytes of log files after which a checkpoint starts even if the row store has room: those that only a checkpoint lets go,
    /// the one in use by what is in it. An open for writing that finds more checkpoints before it returns. Files that a
    /// checkpoint lets go are kept for use again, no more bytes than this: see
    /// [`LogStats::spare_bytes`](crate::LogStats::spare_bytes). Default: 256 MiB.
    pub log_bytes: u64,
    /// The most bytes of log that are kept for change feeds and named consumers beyond what the next checkpoint needs.
    /// When they are used up the oldest goes, and whoever needed it gets
    /// [`Error::HistoryGone`](crate::Error::HistoryGone): a consumer that never comes back does not fill the disk. Log
    /// files count as a whole, at least 1 MiB for each time the database was opened: see
    /// [`ConsumerInfo::held_bytes`](crate::ConsumerInfo::held_bytes). Default: 1 GiB.
    pub max_retained_log_bytes: u64,
    /// The largest log segment. Default: 32 MiB; from 64 KiB to 1 TiB.
    pub log_segment_bytes: u64,
    /// The most that one transaction may hold: for each row that it writes, the key, the value and 72 bytes, with what its
    /// open savepoints keep; and as much again for what a `Serializable` one notes of its reads. Default: 1 GiB; at most
    /// [`MAX_TRANSACTION_BYTES`](crate::limits::MAX_TRANSACTION_BYTES).
    pub max_transaction_bytes: usize,
    /// The most transactions and snapshots open at once. Default: 65,536; at most 4,194,240.
    pub max_snapshots: usize,
    /// How long a snapshot or a concurrent transaction may be open before it is revoked: its memory and pages are let
    /// go, and its next call is [`BusySnapshot`](crate::Error::BusySnapshot). Default: `None`, no limit.
    pub snapshot_max_age: Option<Duration>,
    /// What open snapshots and concurrent transactions together may keep from being freed, in bytes of rows that are
    /// folded already and of pages of the file. Above it the oldest of them are revoked. Default: `None`, no limit.
    pub snapshot_max_pinned_bytes: Option<u64>,
    /// How often commits with [`Durability::Deferred`] are synced in the background. Default: 100 ms.
    pub deferred_sync_interval: Duration,
    /// How long an idempotency token is remembered at least. Default: 24 hours.
    pub token_retention: Duration,
    /// Bytes of a tree page, a power of two from 512 to 65,536; fixed when the file is created: of a file
    /// that exists it says nothing, and is passed over. Default: 4,096.
    pub page_bytes: usize,
    /// Whether the log is appended through a memory map on the file systems that are known to allow it (on Linux ext4, XFS and
    /// tmpfs; not overlayfs). Default: true.
    pub map_log: bool,
    /// A page cache to use instead of the built-in one; it then decides its own size. One for each file: given to two, it
    /// serves neither well, as pages of the one put those of the other out, but no page is taken for the other file's.
    pub page_cache: Option<Arc<dyn PageCache>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            durability: Durability::Sync,
            busy_timeout: Duration::from_secs(5),
            journal_mode: None,
            cache_bytes: 64 << 20,
            row_store_bytes: 64 << 20,
            log_bytes: 256 << 20,
            max_retained_log_bytes: 1 << 30,
            log_segment_bytes: 32 << 20,
            max_transaction_bytes: 1 << 30,
            max_snapshots: 1 << 16,
            snapshot_max_age: None,
            snapshot_max_pinned_bytes: None,
            deferred_sync_interval: Duration::from_millis(100),
            token_retention: Duration::from_secs(24 * 60 * 60),
            page_bytes: 4096,
            map_log: true,
            page_cache: None,
        }
    }
}

impl Options {
    /// Refuses what is outside its documented range. It names every option, so that one that is added is not forgotten.
    pub(crate) fn validate(&self) -> Result<()> {
        let Self {
            row_store_bytes,
            log_segment_bytes,
            max_transaction_bytes,
            max_snapshots,
            page_bytes,
            // Any value will do.
            create: _,
            durability: _,
            busy_timeout: _,
            cache_bytes: _,
            log_bytes: _,
            max_retained_log_bytes: _,
            snapshot_max_age: _,
            snapshot_max_pinned_bytes: _,
            deferred_sync_interval: _,
            token_retention: _,
            map_log: _,
            page_cache: _,
            journal_mode: _,
        } = self;
        let at_least = |what, actual: u64, limit: u64| {
            if actual < limit { Err(Error::Limit { what, actual, limit }) } else { Ok(()) }
        };
        let at_most = |what, actual: u64, limit: u64| {
            if actual > limit { Err(Error::Limit { what, actual, limit }) } else { Ok(()) }
        };
        at_least("Options::row_store_bytes", *row_store_bytes as u64, MIN_ROW_STORE_BYTES as u64)?;
        at_least("Options::log_segment_bytes", *log_segment_bytes, MIN_LOG_SEGMENT_BYTES)?;
        at_most("Options::log_segment_bytes", *log_segment_bytes, MAX_LOG_SEGMENT_BYTES)?;
        at_least("Options::max_snapshots", *max_snapshots as u64, 1)?;
        at_most("Options::max_snapshots", *max_snapshots as u64, MAX_SNAPSHOTS as u64)?;
        at_most("Options::max_transaction_bytes", *max_transaction_bytes as u64, MAX_TRANSACTION_BYTES)?;
        let pages = MIN_PAGE_BYTES..=MAX_PAGE_BYTES;
        if !page_bytes.is_power_of_two() || !pages.contains(page_bytes) {
            let next = page_bytes.checked_next_power_of_two().unwrap_or(MAX_PAGE_BYTES);
            return Err(Error::Limit {
                what: crate::error::PAGE_BYTES,
                actual: *page_bytes as u64,
                limit: next.clamp(MIN_PAGE_BYTES, MAX_PAGE_BYTES) as u64,
            });
        }
        Ok(())
    }

    /// The first option in which these differ from others: handles of one file share all of them but `page_bytes` and
    /// `journal_mode`, which are of the file, and `create`, which is of the call.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let same_cache = match (&self.page_cache, &other.page_cache) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        [
            ("durability", self.durability == other.durability),
            ("busy_timeout", self.busy_timeout == other.busy_timeout),
            ("cache_bytes", self.cache_bytes == other.cache_bytes),
            ("row_store_bytes", self.row_store_bytes == other.row_store_bytes),
            ("log_bytes", self.log_bytes == other.log_bytes),
            ("max_retained_log_bytes", self.max_retained_log_bytes == other.max_retained_log_bytes),
            ("log_segment_bytes", self.log_segment_bytes == other.log_segment_bytes),
            ("max_transaction_bytes", self.max_transaction_bytes == other.max_transaction_bytes),
            ("max_snapshots", self.max_snapshots == other.max_snapshots),
            ("snapshot_max_age", self.snapshot_max_age == other.snapshot_max_age),
            ("snapshot_max_pinned_bytes", self.snapshot_max_pinned_bytes == other.snapshot_max_pinned_bytes),
            ("deferred_sync_interval", self.deferred_sync_interval == other.deferred_sync_interval),
            (
                "token_retention",
                self.token_retention == other.token_retention || planted!(TokenRetentionNotCompared),
            ),
            ("map_log", self.map_log == other.map_log),
            ("page_cache", same_cache),
        ]
        .into_iter()
        .find_map(|(name, same)| (!same).then_some(name))
    }
}

/// How a write transaction is admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// Optimistic, beside any number of others; needs [`JournalMode::Mvcc`].
    Concurrent,
    /// Exclusive: waits for its turn, then cannot lose.
    Immediate,
    /// `Concurrent` in [`JournalMode::Mvcc`], `Immediate` in [`JournalMode::Wal`].
    #[default]
    ByMode,
}

/// What one write transaction is told.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Database, Durability, TransactionOptions};
///
/// let db = Database::in_memory()?;
/// let tx = db.begin_with(TransactionOptions::default().durability(Durability::Deferred))?;
/// # tx.rollback(); Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// How it is admitted. Default: [`Admission::ByMode`].
    pub admission: Admission,
    /// Its isolation. Default: [`Isolation::Snapshot`].
    pub isolation: Isolation,
    /// What its commit promises; `None`: what the database was opened with.
    pub durability: Option<Durability>,
    /// How long it waits for its turn; `None`: what the database was opened with.
    pub busy_timeout: Option<Duration>,
    /// A name, for statistics, traces and [`Stats::conflicts`](crate::Stats::conflicts).
    pub name: Option<Arc<str>>,
    /// How long it may be open before it is revoked, unless it is admitted exclusively; `None`: what the database was
    /// opened with. See [`Options::snapshot_max_age`].
    pub max_age: Option<Duration>,
    /// An idempotency token; see [`token`](Self::token).
    pub token: Option<Arc<[u8]>>,
}

impl TransactionOptions {
    /// Gives the transaction a token of 1 to [`MAX_TOKEN_BYTES`](crate::limits::MAX_TOKEN_BYTES) bytes, by which
    /// [`Database::was_committed`](crate::Database::was_committed) tells afterwards, also after a crash, whether it was
    /// committed. A second transaction with the same token gets [`Error::AlreadyCommitted`], as it begins or as it
    /// commits. Tokens are remembered for [`Options::token_retention`].
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// use braid::{Database, Error, TransactionOptions};
    ///
    /// let db = Database::in_memory()?;
    /// let orders = db.table("orders")?;
    /// let once = || TransactionOptions::default().token("order 4711");
    /// let mut tx = db.begin_with(once())?;
    /// tx.put(&orders, "4711", "three apples")?;
    /// let commit = tx.commit()?;
    /// assert_eq!(db.was_committed("order 4711")?, Some(commit.timestamp));
    /// assert!(matches!(db.begin_with(once()), Err(Error::AlreadyCommitted { timestamp, .. }) if timestamp == commit.timestamp));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn token(mut self, token: impl AsRef<[u8]>) -> Self {
        self.token = Some(token.as_ref().into());
        self
    }
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            admission: Admission::ByMode,
            isolation: Isolation::Snapshot,
            durability: None,
            busy_timeout: None,
            name: None,
            token: None,
            max_age: None,
        }
    }
}

/// What one snapshot is told.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use std::time::Duration;
///
/// use braid::{Database, SnapshotOptions};
///
/// let db = Database::in_memory()?;
/// let options = SnapshotOptions::default().name("report").max_age(Duration::from_secs(600));
/// let snapshot = db.snapshot_with(options)?;
/// # drop(snapshot); Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// A name, for statistics.
    pub name: Option<Arc<str>>,
    /// How long it may be open before it is revoked; `None`: what the database was opened with. See
    /// [`Options::snapshot_max_age`].
    pub max_age: Option<Duration>,
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
