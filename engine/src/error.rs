//! What can go wrong, in the words of the caller: each variant is something that callers branch on.

mod other;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use braid_mvstore::{Refusal, Revoked, Timestamp};
use braid_wal::{AppendError, LOG_FORMAT_VERSION, LogError, ReadError, RecoveryError, SyncError};

use crate::base::BaseError;
use crate::limits::MAX_TRANSACTION_BYTES;

pub use other::CallerError;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a transaction lost, or could not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Another transaction committed a change of a row that this one also changed.
    WriteWrite,
    /// Another transaction committed a change of a row that this `Serializable` one read.
    ReadWrite,
    /// Another transaction committed a row inside a key range that this `Serializable` one read.
    Range,
    /// Another transaction dropped or renamed a table that this one wrote to or read; or it made,
    /// dropped or renamed one of a name that this one works on, or as a `Serializable` one looked for.
    Schema,
    /// The turn of this transaction did not come within its `busy_timeout`.
    Timeout,
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteWrite => "write-write",
            Self::ReadWrite => "read-write",
            Self::Range => "range",
            Self::Schema => "schema",
            Self::Timeout => "timeout",
        })
    }
}

/// The conflict that a transaction lost: which row, against whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// Why.
    pub kind: ConflictKind,
    /// The table's name; `None` for [`ConflictKind::Timeout`].
    pub table: Option<String>,
    /// The key of the row, or of the first changed row of the range; `None` where no row is to blame.
    pub key: Option<Vec<u8>>,
    /// The snapshot that the loser read at.
    pub begin_ts: Timestamp,
    /// The commit that won; `None` for [`ConflictKind::Timeout`].
    pub winner_ts: Option<Timestamp>,
    /// For [`ConflictKind::Timeout`]: the transaction that held the database when the time was over was begun on the thread that
    /// waited for it, or on one that has ended. A hint: where it was not sent to another thread, nobody can end it while this
    /// one waits.
    pub holder_begun_here: bool,
    /// What the loser's `busy_timeout` still has for further waits of the same call.
    pub(crate) turn_left: Option<Duration>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.table, &self.key, self.winner_ts) {
            (ConflictKind::Timeout, ..) if self.holder_begun_here => f.write_str(
                "a write transaction that was begun on this thread holds the database and busy_timeout has passed; end it first, or work through it",
            ),
            (ConflictKind::Timeout, ..) => {
                f.write_str("another writer holds the database and busy_timeout has passed; try again")
            }
            (ConflictKind::Schema, Some(table), ..) => {
                write!(
                    f,
                    "table `{table}` was made, dropped or renamed by another transaction; begin a new transaction"
                )
            }
            (kind, table, key, winner) => {
                write!(f, "{kind} conflict")?;
                if let Some(table) = table {
                    write!(f, " in table `{table}`")?;
                }
                if let Some(key) = key {
                    write!(f, " on key {}", DisplayKey(key))?;
                }
                if let Some(winner) = winner {
                    write!(
                        f,
                        ": changed at {winner}, after this transaction's snapshot at {}",
                        self.begin_ts
                    )?;
                }
                f.write_str("; begin a new transaction")
            }
        }
    }
}

/// A key as a person can read it: text where it is printable, else hexadecimal; cut after 64 bytes.
struct DisplayKey<'a>(&'a [u8]);

impl fmt::Display for DisplayKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..64).unwrap_or(self.0);
        match std::str::from_utf8(shown) {
            Ok(text) if !text.chars().any(char::is_control) => write!(f, "`{text}`")?,
            _ => {
                f.write_str("0x")?;
                for byte in shown {
                    write!(f, "{byte:02x}")?;
                }
            }
        }
        if shown.len() < self.0.len() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

/// Everything that can go wrong.
///
/// [`is_retryable`](Error::is_retryable) answers the retry loop. Only [`Error::CommitUnknown`] leaves a commit's
/// outcome open; after every other error of a commit nothing of the transaction was applied.
///
/// What an error was caused by is its [`source`](std::error::Error::source) and not a part of its text: a reporter that
/// prints the chain says everything once, and [`in_full`](Error::in_full) is such a one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The transaction lost a conflict, or did not get its turn in time. Begin a new one; [`crate::Database::transact`]
    /// does so by itself.
    #[error("busy: {0}")]
    Busy(Box<Conflict>),

    /// The snapshot is no longer held: the history that its transaction would have to be validated against was given up
    /// under memory pressure, or it was revoked as a limit of [`Options`](crate::Options) says. What was read in it until
    /// now was right. Begin a new one.
    #[error("busy: the snapshot at {begin_ts} is no longer held: {why}; begin a new one")]
    #[non_exhaustive]
    BusySnapshot {
        /// The snapshot.
        begin_ts: Timestamp,
        /// Why it was not held for longer.
        why: SnapshotLoss,
    },

    /// A transaction with this token has been committed; this one was not applied. What was asked for is done.
    #[error("a transaction with this token was committed at {timestamp}; there is nothing left to do")]
    #[non_exhaustive]
    AlreadyCommitted {
        /// The place of the other one in the history.
        timestamp: Timestamp,
    },

    /// The log could not be synced, or the write of this commit failed half way, so it is not known whether the commit
    /// is there after a power cut or the next open. The core is poisoned: reads go on, writes are refused. Drop every
    /// handle of it and everything that was made with them (a snapshot or a cursor keeps the core, too), open the database
    /// again, and look whether the commit is there: [`Database::was_committed`](crate::Database::was_committed) tells that of
    /// one with a token.
    #[error(
        "it is not known whether commit {commit_ts} was kept; drop every handle, transaction, snapshot and cursor of this database, open it again and look"
    )]
    #[non_exhaustive]
    CommitUnknown {
        /// Its place in the history, if it is there. No other commit will ever have it.
        commit_ts: Timestamp,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// A sync failed, or a write of the log did half way; this core takes no more writes. Drop every handle of it and
    /// everything that was made with them, and open the database again.
    #[error(
        "the database takes no more writes, as a file of it could not be written or synced; drop every handle, transaction, snapshot and cursor of it, and open it again"
    )]
    #[non_exhaustive]
    Poisoned {
        /// What the system said then.
        source: Arc<io::Error>,
    },

    /// The journal mode does not allow this call.
    #[error(
        "begin_concurrent needs journal mode Mvcc and the database is in Wal; call set_journal_mode(JournalMode::Mvcc), or begin_immediate()"
    )]
    JournalMode,

    /// The journal mode cannot change while a write transaction is open.
    #[error(
        "the journal mode cannot change while {open} write transaction(s) are open; finish them and call again"
    )]
    #[non_exhaustive]
    WriteTransactionsOpen {
        /// How many there are.
        open: usize,
    },

    /// Another process, or an incompatible handle in this one, holds the file.
    #[error("{} is locked{}; close it there first", path.display(), Holder(*holder))]
    #[non_exhaustive]
    Locked {
        /// The file.
        path: PathBuf,
        /// The process that holds it, where the system tells.
        holder: Option<u32>,
    },

    /// The file is open in this process with other options.
    #[error("{} is already open in this process with another {option}; use the same, or drop those handles first", path.display())]
    #[non_exhaustive]
    OptionsConflict {
        /// The file.
        path: PathBuf,
        /// The option that differs.
        option: &'static str,
    },

    /// The handle is read-only.
    #[error("the database was opened read-only; open it with Database::open to write")]
    ReadOnly,

    /// There is no such file, and the call does not create one: see [`Options::create`](crate::Options::create).
    #[error("there is no database at {}; check the path, or make one with Database::open", .0.display())]
    NotFound(PathBuf),

    /// The file is something else.
    #[error("{} is not a Braid database: {reason}; nothing was changed: give another path", path.display())]
    #[non_exhaustive]
    NotABraidDatabase {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },

    /// The file was written by a newer version.
    #[error("{} has format version {found}, newer than {supported}; open it with a newer version of braid", path.display())]
    #[non_exhaustive]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that this build reads.
        supported: u32,
    },

    /// Damage was found. Nothing was changed. The text says where: the number of the page of the database file, of which page 0
    /// begins at byte 8192, or the file and position of the log. What was damaged is not cached: every read looks again.
    #[error("corrupt: {0}; restore a backup, or save what is readable with `braid salvage`")]
    Corrupt(String),

    /// The files do not belong together: the log is missing, foreign, or of another age than the database file. The text says
    /// what to do.
    #[error("mismatch: {0}")]
    Mismatch(String),

    /// The disk, or a quota, is full. Nothing of the failed call was applied.
    #[error("no space left; free space and call again")]
    NoSpace(#[source] Arc<io::Error>),

    /// The system refused something else.
    #[error("I/O error: {context}")]
    #[non_exhaustive]
    Io {
        /// What was being done.
        context: String,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// Something stands where the database keeps its log that another user may have put there.
    #[error("{} is not used: {reason}; look who made it, and remove it or move the database", path.display())]
    #[non_exhaustive]
    Untrusted {
        /// What is there.
        path: PathBuf,
        /// Why it is not used.
        reason: &'static str,
    },

    /// `insert` found the key.
    #[error("key {} already exists in table `{table}`; use put to overwrite", DisplayKey(key))]
    #[non_exhaustive]
    KeyExists {
        /// The table.
        table: String,
        /// The key.
        key: Vec<u8>,
    },

    /// The table was dropped, or never existed, or the transaction that made it was rolled back; or it was loaded after the
    /// snapshot that was to read it.
    #[error(
        "there is no table `{0}` here: it was never made, was dropped, or was loaded after this snapshot; make it with Database::table, or begin anew"
    )]
    NoSuchTable(String),

    /// A table is to be made, and there is one of that name.
    #[error("there is a table `{0}` already; give the new one another name, or drop the old one first")]
    TableExists(String),

    /// The load has made its table already.
    #[error("the load of table `{0}` is finished; write further rows to the table, or begin another load")]
    LoadFinished(String),

    /// The table was made by a transaction that is still open, and this is another one.
    #[error(
        "table `{0}` was made by a transaction that has not committed; use it there, or after its commit"
    )]
    UncommittedTable(String),

    /// The sequence was dropped.
    #[error("there is no sequence `{0}`; make one with Database::sequence")]
    NoSuchSequence(String),

    /// The sequence has given out its last id.
    #[error("sequence `{0}` has given out its last id; use another, or drop it and begin anew")]
    SequenceExhausted(String),

    /// The table handle belongs to another database.
    #[error("table `{0}` belongs to another database; open it through this one")]
    ForeignTable(String),

    /// A name, key, value or option is outside its documented limits.
    #[error("{what} is {actual}{}", must_be(what, *actual, *limit))]
    #[non_exhaustive]
    Limit {
        /// What is too large, small or many.
        what: &'static str,
        /// What it is.
        actual: u64,
        /// What it may be.
        limit: u64,
    },

    /// As many transactions and snapshots are open as [`Options::max_snapshots`](crate::Options::max_snapshots) allows. It
    /// passes when some have ended.
    #[error(
        "{limit} transactions and snapshots are open, which is the limit; end some of them, or raise Options::max_snapshots"
    )]
    #[non_exhaustive]
    TooManySnapshots {
        /// The limit.
        limit: usize,
    },

    /// The transaction would not fit. What asked for it changed nothing: the transaction is as it was.
    #[error(
        "the transaction would hold {bytes} bytes and the limit is {limit}; split it{}",
        if *limit < MAX_TRANSACTION_BYTES { ", or raise Options::max_transaction_bytes" } else { "" }
    )]
    #[non_exhaustive]
    TransactionTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// An update (`add`, `max`, `min`, `append`) cannot be made of what the row holds. Nothing of the transaction was
    /// applied if its commit says so, and nothing was changed in it if another call does.
    #[error("key {} in table `{table}` cannot be updated: {refusal}", DisplayKey(key))]
    #[non_exhaustive]
    UpdateRefused {
        /// The table.
        table: String,
        /// The key.
        key: Vec<u8>,
        /// Why.
        refusal: Refusal,
    },

    /// The savepoint is not open in this transaction.
    #[error(
        "the savepoint is not open in this transaction: it was released, or an earlier one was released or rolled back to, or it is another transaction's; make a new one"
    )]
    NoSuchSavepoint,

    /// The transaction this belongs to is committed or rolled back.
    #[error("the transaction is over; begin a new one")]
    TransactionClosed,

    /// A counter that is never turned back has run out: a new database has all of them anew.
    #[error("the {0} counter is exhausted; load the rows into a new database")]
    Exhausted(&'static str),

    /// The log no longer holds the changes after a timestamp: they were folded into the database file and let go. Take a
    /// snapshot (or a backup) and go on from its timestamp; a named consumer has the log kept from then on.
    #[error(
        "the changes after {wanted} are no longer in the log, which reaches back to {oldest}; read a snapshot and follow the changes from its timestamp on"
    )]
    #[non_exhaustive]
    HistoryGone {
        /// The timestamp after which the changes were asked for.
        wanted: Timestamp,
        /// The oldest timestamp after which they can be had.
        oldest: Timestamp,
    },

    /// The changes after a timestamp were asked for that no commit has yet, or it was acknowledged: whatever is
    /// committed up to it would be missed. The timestamp is of another database, or of this one before an older copy
    /// was restored: it says nothing of what that copy holds. Take a snapshot and go on from its timestamp.
    #[error(
        "there is no commit at {wanted} yet, the newest is at {newest}; the position belongs to another copy of the database: read a snapshot and follow the changes from its timestamp on"
    )]
    #[non_exhaustive]
    FutureTimestamp {
        /// The timestamp that was given.
        wanted: Timestamp,
        /// That of the newest commit.
        newest: Timestamp,
    },

    /// The database was closed: its last handle is gone.
    #[error("the database was closed; open it again")]
    Closed,

    /// The call would wait for the exclusive transaction in whose closure it is made, on the same thread, and so for itself: a
    /// `put` of the database, say, inside of [`transact`](crate::Database::transact). It was not made, and would fail again.
    #[error(
        "the call would wait for the exclusive transaction in whose closure it is made; work through the transaction that the closure was given"
    )]
    WaitsForItself,

    /// There is no consumer of that name.
    #[error("there is no consumer `{0}`; register it with Database::consumer")]
    NoSuchConsumer(String),

    /// The process is a fork of the one that opened the database.
    #[error(
        "the database was opened before a fork; open it anew in the child, once the parent has closed it"
    )]
    Forked,

    /// An error of the caller's own, or a text, in a closure that returns this type: see [`Error::other`].
    #[error(transparent)]
    Other(CallerError),
}

/// Why a snapshot is no longer held; see [`Error::BusySnapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotLoss {
    /// The memory for history was used up: a commit that began so early can no longer be validated.
    #[error("history before {oldest_ts} is gone")]
    #[non_exhaustive]
    HistoryGivenUp {
        /// The oldest snapshot that can still be validated.
        oldest_ts: Timestamp,
    },
    /// It was open for longer than `max_age` allows.
    #[error("it was open for {age:?}, and may be for {limit:?} (`max_age`)")]
    #[non_exhaustive]
    TooOld {
        /// For how long it was open.
        age: Duration,
        /// For how long it might be.
        limit: Duration,
    },
    /// Old snapshots kept more from being freed than
    /// [`snapshot_max_pinned_bytes`](crate::Options::snapshot_max_pinned_bytes) allows, and it was the oldest that did.
    #[error(
        "after {age:?} it was the oldest of those that kept {pinned_bytes} bytes from being freed, where {limit} may be \
         (`snapshot_max_pinned_bytes`)"
    )]
    #[non_exhaustive]
    PinsTooMuch {
        /// For how long it was open.
        age: Duration,
        /// What all of them kept.
        pinned_bytes: u64,
        /// What they may keep.
        limit: u64,
    },
}

/// What the system said, and while what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
struct While {
    doing: String,
    source: io::Error,
}

/// "by process 17", where it is known.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) if pid == std::process::id() => f.write_str(" by this process"),
            Some(pid) => write!(f, " by process {pid}"),
            None => f.write_str(" by another process"),
        }
    }
}

/// What a value must be instead. Where no bound says it, its description does.
fn must_be(what: &str, actual: u64, limit: u64) -> String {
    match actual < limit {
        _ if what == PAGE_BYTES => String::new(),
        true => format!(", and must be at least {limit}"),
        false => format!(", and must be at most {limit}"),
    }
}

/// The option of which powers of two are allowed and nothing in between.
pub(crate) const PAGE_BYTES: &str = "Options::page_bytes (a power of two from 512 to 65536)";

impl Error {
    /// Whether the same work in a new transaction may succeed: exactly [`Error::Busy`] and [`Error::BusySnapshot`], and an
    /// [error of the caller's](Self::other) that was caused by one of these.
    ///
    /// One that a call of [`transact`](crate::Database::transact) ends with is retryable, too: it has used up its attempts or
    /// its time. Where its own turn did not come within `busy_timeout`, it has waited for as long as it may and makes no
    /// further attempt: see [`is_timeout`](Self::is_timeout).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.braids(), Self::Busy(_) | Self::BusySnapshot { .. })
    }

    /// Whether a turn did not come within `busy_timeout`: [`Error::Busy`] with [`ConflictKind::Timeout`], or an
    /// [error of the caller's](Self::other) that was caused by it. Nobody has changed what the transaction works on; another
    /// try waits as long again.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.conflict().is_some_and(|conflict| conflict.kind == ConflictKind::Timeout)
    }

    /// The conflict that this transaction lost, if that is what happened.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        match self.braids() {
            Self::Busy(conflict) => Some(conflict),
            _ => None,
        }
    }

    /// Wraps what the system said while `context` was being done; a full disk becomes [`Error::NoSpace`].
    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                let kind = source.kind();
                Self::NoSpace(Arc::new(io::Error::new(kind, While { doing: context.into(), source })))
            }
            _ => Self::Io { context: context.into(), source: Arc::new(source) },
        }
    }

    /// Code of the user's has panicked while `context` was being done: a file, a page cache, a subscriber of traces.
    pub(crate) fn panicked(context: &'static str) -> Self {
        Self::io(context, io::Error::other("a panic ended it, which was reported when it happened"))
    }

    /// Wraps what the base met while `context` was being done.
    pub(crate) fn from_base(error: BaseError, context: &'static str) -> Self {
        let sentence = error.to_string();
        match error {
            BaseError::Io { doing, source } => Self::io(format!("{context}: {doing}"), source),
            BaseError::NoSpace { source } => Self::io(context, source),
            BaseError::SyncFailed { source } | BaseError::Poisoned { source } => Self::Poisoned { source },
            BaseError::ReadOnly => Self::ReadOnly,
            BaseError::Exhausted { what } => Self::Exhausted(what),
            BaseError::OutOfMemory { .. } => {
                Self::io(context, io::Error::new(io::ErrorKind::OutOfMemory, sentence))
            }
            BaseError::Caller(source) => match source.downcast::<Self>() {
                Ok(error) => *error,
                Err(source) => Self::io(context, io::Error::other(source)),
            },
            error if error.is_corruption() => Self::Corrupt(sentence),
            _ => Self::io(context, io::Error::other(sentence)),
        }
    }

    /// Wraps what the base met while the file at `path` was being opened.
    pub(crate) fn from_opening(error: BaseError, path: &Path) -> Self {
        match error {
            BaseError::NewerFormat { found, supported } => {
                Self::NewerFormat { path: path.to_owned(), found, supported }
            }
            BaseError::NotABraidFile => Self::NotABraidDatabase {
                path: path.to_owned(),
                reason: "its first bytes are something else".to_owned(),
            },
            error if error.is_corruption() => Self::Corrupt(format!("{}: {error}", path.display())),
            other => Self::from_base(other, "opening the database file"),
        }
    }

    /// Wraps what the log met while `context` was being done.
    pub(crate) fn from_log(error: LogError, context: &'static str) -> Self {
        match error {
            LogError::Io { action, path, source } => {
                Self::io(format!("{context}: could not {action} {}", path.display()), source)
            }
            LogError::Append(error) => Self::from_append(error),
            LogError::Sync(error) => Self::from_sync(error),
            LogError::Poisoned(source) => Self::Poisoned { source },
            LogError::Exhausted => Self::Exhausted("log position"),
            LogError::AlreadyExists { .. } | LogError::Changed { .. } => Self::Mismatch(error.to_string()),
            other => Self::io(context, io::Error::other(other)),
        }
    }

    /// Wraps why something is not durable, and never will be.
    pub(crate) fn from_sync(error: SyncError) -> Self {
        Self::Poisoned { source: error.into_cause() }
    }

    /// Wraps why a record was not appended.
    pub(crate) fn from_append(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { bytes, limit } => Self::TransactionTooLarge { bytes, limit },
            AppendError::Io(source) => Self::io("appending to the log", source),
            AppendError::Exhausted => Self::Exhausted("log position"),
            AppendError::InDoubt(source) | AppendError::Poisoned(source) => Self::Poisoned { source },
            other => Self::Poisoned { source: Arc::new(io::Error::other(other)) },
        }
    }

    /// Wraps why the history in the log cannot be read on after `wanted`.
    pub(crate) fn from_history(error: ReadError, wanted: Timestamp, oldest: Timestamp) -> Self {
        match error {
            ReadError::Gone { .. } => Self::HistoryGone { wanted, oldest },
            ReadError::Corrupt { .. } => Self::Corrupt(error.to_string()),
            ReadError::Io { action, path, source } => {
                Self::io(format!("could not {action} {}", path.display()), source)
            }
            other => Self::io("reading the log", io::Error::other(other)),
        }
    }

    /// Wraps why the log of the database at `path` cannot be replayed.
    pub(crate) fn from_recovery(error: RecoveryError, path: &Path) -> Self {
        match error {
            RecoveryError::Corrupt { .. } => Self::Corrupt(error.to_string()),
            RecoveryError::Missing { .. } | RecoveryError::Mismatch { .. } => Self::parted(error),
            RecoveryError::NewerFormat { version, .. } => {
                Self::NewerFormat { path: path.to_owned(), found: version, supported: LOG_FORMAT_VERSION }
            }
            RecoveryError::Io { action, path, source } => {
                Self::io(format!("could not {action} {}", path.display()), source)
            }
            other => Self::io("replaying the log", io::Error::other(other)),
        }
    }

    /// A database file and a log that do not belong together.
    pub(crate) fn parted(what: impl fmt::Display) -> Self {
        Self::Mismatch(format!(
            "{what}; put back the files that belong together, or save what they hold with `braid salvage`"
        ))
    }

    /// The lease of the snapshot was revoked.
    pub(crate) fn revoked(begin_ts: Timestamp, why: Revoked) -> Self {
        let why = match why {
            Revoked::TooOld { age, limit } => {
                SnapshotLoss::TooOld { age: Duration::from_nanos(age), limit: Duration::from_nanos(limit) }
            }
            Revoked::PinsTooMuch { age, pinned, limit } => {
                SnapshotLoss::PinsTooMuch { age: Duration::from_nanos(age), pinned_bytes: pinned, limit }
            }
        };
        Self::BusySnapshot { begin_ts, why }
    }

    /// The turn did not come in time.
    pub(crate) fn locked_out(begin_ts: Timestamp, holder_begun_here: bool) -> Self {
        Self::Busy(Box::new(Conflict {
            kind: ConflictKind::Timeout,
            table: None,
            key: None,
            begin_ts,
            winner_ts: None,
            holder_begun_here,
            turn_left: Some(Duration::ZERO),
        }))
    }

    /// Notes what is left of the loser's `busy_timeout`.
    pub(crate) fn with_turn_left(mut self, left: Duration) -> Self {
        if let Self::Busy(conflict) = &mut self {
            conflict.turn_left = Some(left);
        }
        self
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_raise_the_highest_limit() {
        let told = |limit| Error::TransactionTooLarge { bytes: u64::MAX, limit }.to_string();
        assert!(!told(MAX_TRANSACTION_BYTES).contains("raise"));
        assert!(told(MAX_TRANSACTION_BYTES - 1).contains("raise Options::max_transaction_bytes"));
    }

    #[test]
    fn nothing_else_is_retryable() {
        let source = || Arc::new(io::Error::other("the test says so"));
        let others = [
            Error::CommitUnknown { commit_ts: Timestamp::ZERO, source: source() },
            Error::Poisoned { source: source() },
            Error::JournalMode,
            Error::WriteTransactionsOpen { open: 1 },
            Error::Locked { path: "p".into(), holder: Some(1) },
            Error::ReadOnly,
            Error::NotFound("p".into()),
            Error::Corrupt("page 1".into()),
            Error::Mismatch("log".into()),
            Error::NoSpace(source()),
            Error::Io { context: "reading".into(), source: source() },
            Error::KeyExists { table: "t".into(), key: b"k".to_vec() },
            Error::NoSuchTable("t".into()),
            Error::TransactionTooLarge { bytes: 2, limit: 1 },
            Error::TransactionClosed,
            Error::Exhausted("timestamp"),
            Error::other("enough"),
        ];
        for error in others {
            assert!(!error.is_retryable(), "{error}");
            assert!(error.conflict().is_none(), "{error}");
            assert!(error.to_string().len() > 3, "{error:?} says something");
        }
    }
}
