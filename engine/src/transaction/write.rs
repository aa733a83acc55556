//! Write transactions.

use std::ops::{Bound, Deref, RangeBounds};
use std::time::Duration;

use braid_mvstore::{Direction, TableId};
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::cursor::Cursor;
use super::range::Range;
use super::snapshot::Snapshot;
use crate::core::{Commit, CommitRequest, Exclusive, Installed, SchemaChange};
use crate::error::{Error, Result};
use crate::options::Durability;
use crate::table::Table;

/// How a transaction was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The gate, if the transaction holds it.
    pub(super) exclusive: Option<Exclusive>,
    pub(super) durability: Durability,
    pub(super) busy_timeout: Duration,
}

/// A write transaction: a [`Snapshot`] with private writes on top, which the commit makes everybody's, or nobody's.
///
/// Its reads, which it has from [`Snapshot`], see its own writes. Dropping it rolls back. It can be sent to another
/// thread; it keeps the database open.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// db.set_journal_mode(braid::JournalMode::Mvcc)?;
/// let stock = db.table("stock")?;
/// let mut tx = db.begin_concurrent()?;
/// tx.put(&stock, "apple", "3")?;
/// assert_eq!(tx.get(&stock, "apple")?.as_deref(), Some(&b"3"[..]));
/// match tx.commit() {
///     Ok(commit) => println!("committed at {}", commit.timestamp),
///     Err(error) if error.is_retryable() => println!("lost: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Transaction {
    snapshot: Snapshot,
    admitted: Admitted,
    schema: Option<SchemaChange>,
    over: bool,
}

impl Deref for Transaction {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Transaction {
    pub(super) fn new(snapshot: Snapshot, admitted: Admitted) -> Self {
        Self { snapshot, admitted, schema: None, over: false }
    }

    /// Whether it was admitted exclusively, and so cannot lose.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.admitted.exclusive.is_some()
    }

    /// The same reads for rows that may change before the commit without its being lost: under
    /// [`Isolation::Serializable`](crate::Isolation::Serializable) what is read through this is not validated, by
    /// lookups, ranges, cursors and counts alike. At the default isolation no read is validated anyway.
    ///
    /// It sees the same moment, and what the transaction has written, and ends with it. What the transaction writes is
    /// validated as ever.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// use braid::{Isolation, JournalMode, TransactionOptions};
    ///
    /// let db = braid::Database::in_memory()?;
    /// db.set_journal_mode(JournalMode::Mvcc)?;
    /// let (prices, orders) = (db.table("prices")?, db.table("orders")?);
    /// db.put(&prices, "apple", "3")?;
    ///
    /// let options = TransactionOptions { isolation: Isolation::Serializable, ..Default::default() };
    /// let mut tx = db.begin_with(options)?;
    /// let shown = tx.untracked().get(&prices, "apple")?;
    /// tx.put(&orders, "1", "apple")?;
    /// db.put(&prices, "apple", "4")?;
    /// tx.commit()?;
    /// # assert!(shown.is_some()); Ok(()) }
    /// ```
    #[must_use]
    pub fn untracked(&self) -> Snapshot {
        self.snapshot.untracked()
    }

    /// The value of a row, which the commit does not validate: see [`untracked`](Self::untracked).
    ///
    /// # Errors
    /// As for [`Snapshot::get`].
    pub fn get_untracked(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.snapshot.inner.check(table.info())?;
        self.snapshot.inner.get(false, table.info().id, key.as_ref(), <[u8]>::to_vec)
    }

    /// The rows of a key range, which the commit does not validate: see [`untracked`](Self::untracked).
    ///
    /// # Errors
    /// As for [`Snapshot::range`].
    pub fn range_untracked<K: AsRef<[u8]>>(&self, table: &Table, keys: impl RangeBounds<K>) -> Result<Range> {
        self.untracked().range(table, keys)
    }

    /// Writes a row, whether it exists or not.
    ///
    /// # Errors
    /// [`Error::Limit`] for a key or value that is too long, [`Error::TransactionTooLarge`], or a table that is not there.
    pub fn put(&mut self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.snapshot.inner.check(table.info())?;
        self.put_row(table.info().id, key.as_ref(), value.as_ref())
    }

    /// Writes a row that must not exist yet.
    ///
    /// # Errors
    /// [`Error::KeyExists`], and as for [`put`](Self::put).
    pub fn insert(&mut self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        if self.contains(table, key)? {
            return Err(Error::KeyExists { table: table.name().to_owned(), key: key.to_vec() });
        }
        self.put(table, key, value)
    }

    /// Deletes a row, whether it exists or not.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn delete(&mut self, table: &Table, key: impl AsRef<[u8]>) -> Result<()> {
        self.snapshot.inner.check(table.info())?;
        self.delete_row(table.info().id, key.as_ref())
    }

    /// Deletes every row of a key range that the transaction sees, and says how many. Rows that others insert into the
    /// range meanwhile stay, unless the transaction is `Serializable`: then one of the two commits is `Busy`.
    ///
    /// # Errors
    /// As for [`put`](Self::put), and when the file cannot be read. Then no row was deleted.
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, table: &Table, keys: impl RangeBounds<K>) -> Result<u64> {
        let as_bytes = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        let (from, to) = (as_bytes(keys.start_bound()), as_bytes(keys.end_bound()));
        let mut cursor = Cursor::new(&self.snapshot, table)?;
        let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let inner = &self.snapshot.inner;
        let id = table.info().id;
        // All that can fail comes first.
        let (mut keys, mut ends) = (Vec::new(), Vec::new());
        let mut bytes = inner.writes().bytes();
        let mut found = cursor.seek_within(from, Direction::Forward, to)?;
        while found && let Some(key) = cursor.key() {
            bytes = inner.writes().bytes_after(bytes, id, key, 0);
            inner.check_size(bytes)?;
            keys.extend_from_slice(key);
            ends.push(keys.len());
            found = cursor.step_within(Direction::Forward, to)?;
        }
        inner.change(|writes| {
            let mut start = 0;
            for end in &ends {
                writes.delete(id, keys.get(start..*end).unwrap_or_default());
                start = *end;
            }
        });
        Ok(ends.len() as u64)
    }

    /// Validates, writes to the log, and returns when the commit has the durability that was asked for.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::BusySnapshot`] when the transaction lost: nothing was applied, begin anew.
    /// [`Error::CommitUnknown`] when the log could not be written or synced. Every other error: nothing was applied.
    pub fn commit(mut self) -> Result<Commit> {
        self.over = true;
        self.snapshot.inner.core().check_process()?;
        let installed = if planted!(RevokedCommits) { Ok(()) } else { self.snapshot.inner.check_lease() };
        let installed = installed.and_then(|()| self.install());
        self.let_go();
        let core = self.snapshot.inner.core();
        match installed.inspect_err(|error| core.counters.lost(error))? {
            None => core.acknowledge_reads(self.snapshot.inner.begin_ts),
            Some(installed) => {
                let commit = core.acknowledge(installed)?;
                core.counters.commits.add(1);
                Ok(commit)
            }
        }
    }

    /// Has the writes installed; `None` when there are none.
    fn install(&mut self) -> Result<Option<Installed>> {
        let inner = &self.snapshot.inner;
        let mut writes = inner.writes();
        if writes.is_empty() {
            return Ok(None);
        }
        let mut reads = inner.reads();
        if let Some(reads) = reads.as_mut().filter(|reads| !reads.is_small()) {
            reads.tidy();
        }
        let installed = inner.core().install(&mut CommitRequest {
            begin_ts: inner.begin_ts,
            exclusive: self.admitted.exclusive.is_some(),
            durability: self.admitted.durability,
            busy_timeout: self.admitted.busy_timeout,
            writes: &mut writes,
            reads: reads.as_deref(),
            schema: self.schema.take(),
        });
        writes.clear();
        installed.map(Some)
    }

    /// Ends the snapshot, unless a cursor holds it, and opens the gate: before the wait for the disk, so that the next
    /// writer shares the sync, and nobody takes a transaction that only waits for an open one.
    fn let_go(&mut self) {
        self.snapshot.inner.close();
        match Arc::get_mut(&mut self.snapshot.inner) {
            Some(inner) => inner.end(),
            None => self.snapshot.inner.stop_writing(),
        }
        self.admitted.exclusive = None;
    }

    /// Ends the transaction; nothing of it was ever visible to others. The same as dropping it.
    pub fn rollback(self) {}

    pub(crate) fn put_row(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<()> {
        self.snapshot.inner.core().check_row(key, value)?;
        self.snapshot.inner.write(table, key, Some(value))
    }

    pub(crate) fn delete_row(&mut self, table: TableId, key: &[u8]) -> Result<()> {
        self.snapshot.inner.core().check_row(key, &[])?;
        self.snapshot.inner.write(table, key, None)
    }

    /// A row of a system table.
    pub(crate) fn get_row(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.snapshot.inner.get(self.snapshot.tracked, table, key, <[u8]>::to_vec)
    }

    /// What the commit does to the catalog beside its rows.
    pub(crate) fn set_schema_change(&mut self, change: SchemaChange) {
        self.schema = Some(change);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.over {
            self.snapshot.inner.core().counters.rollbacks.add(1);
        }
        // Also after a commit that ended in a panic.
        if !self.snapshot.inner.is_closed() {
            self.let_go();
        }
    }
}
