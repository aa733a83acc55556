//! Braid: an embedded MVCC storage engine. Many writers, one history.
//!
//! Writers run optimistic transactions, each on its own snapshot; the commit checks for conflicts row by row, and the
//! loser gets a typed, retryable [`Error::Busy`]. Readers never wait and never block. It lives in one process, in one file
//! and its log.
//!
//! ```
//! # fn main() -> braid::Result<()> {
//! use braid::{Database, JournalMode};
//!
//! let db = Database::in_memory()?; // or Database::open("stock.braid")?
//! db.set_journal_mode(JournalMode::Mvcc)?;
//! let stock = db.table("stock")?;
//!
//! let mut first = db.begin_concurrent()?;
//! let mut second = db.begin_concurrent()?;
//! first.put(&stock, "apples", "3")?;
//! second.put(&stock, "apples", "5")?;
//!
//! first.commit()?;
//! let lost = second.commit().unwrap_err();
//! assert!(lost.is_retryable());
//! assert_eq!(lost.conflict().and_then(|conflict| conflict.key.as_deref()), Some(&b"apples"[..]));
//! # Ok(()) }
//! ```
//!
//! | you want to | look at |
//! | --- | --- |
//! | open a file | [`Database::open`], [`Options`]; without making one: [`Options::create`] |
//! | write beside others | [`Database::begin_concurrent`], [`Database::transact`] |
//! | write alone | [`Database::begin_immediate`] |
//! | make, drop and rename tables | [`Database::table`], [`Transaction::create_table`] |
//! | number rows | [`Database::sequence`], [`Sequence`] |
//! | count what everybody counts | [`Transaction::add`], and `max`, `min`, `append` beside it |
//! | take a part back | [`Transaction::savepoint`] |
//! | fill a table | [`Database::load_table`], [`Loader`] |
//! | read | [`Database::snapshot`], [`Snapshot`], [`Cursor`] |
//! | follow what others commit | [`Database::changes`], [`Database::consumer`] |
//! | know what went wrong | [`Error`], [`Conflict`] |
//! | look after a file | [`Database::check`], [`Database::backup`], [`Database::compact`], [`salvage`] |
//! | bring your own files, or test without any | [`Database::open_in`], [`vfs`] |
//!
//! What transactions see and when they lose, error by error, is in [`docs/isolation.md`](https://github.com/braid-db/braid/blob/main/docs/isolation.md); what survives what, in
//! [`docs/durability.md`](https://github.com/braid-db/braid/blob/main/docs/durability.md); how much there may be of everything, in [`docs/limits.md`](https://github.com/braid-db/braid/blob/main/docs/limits.md).
//!
//! The engine tells subscribers of `tracing` what it does. They may use the database: nothing is held while they are
//! told, on the thread that called it or, of work in the background, on one for which nobody waits. What they do is
//! told too. A subscriber that is set for one thread alone hears nothing of the background.

mod base;
mod conflicts;
mod core;
mod database;
mod error;
mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handle;
pub mod limits;
mod load;
mod maintenance;
mod note;
mod opening;
mod options;
mod record;
mod retry;
mod schema;
mod sequence;
mod statistics;
mod table;
mod tokens;
mod transaction;
mod unwind;
pub mod vfs;

pub use base::{CachedPage, ClockCache, FORMAT_VERSION, Page, PageCache, PageGeneration, PageId};
pub use braid_mvstore::{ParseTimestampError, Refusal, Timestamp};
pub use conflicts::{
    AttemptsBucket, ConflictReport, HotKey, NamedConflicts, PastConflicts, TableConflicts, WastedWork,
};
pub use core::{CheckpointReport, Commit, ConsumerInfo, log_dir};
pub use database::Database;
pub use error::{CallerError, Conflict, ConflictKind, Error, Result, SnapshotLoss};
pub use feed::{Change, ChangeSet, ChangedTable, Changes, Consumer, NextChanges};
pub use handle::Closed;
pub use load::{LoadReport, Loader};
pub use maintenance::{BackupReport, CheckReport, CompactReport, SalvageReport, salvage, salvage_in};
pub use options::{
    Admission, Durability, Isolation, JournalMode, Options, ParseNameError, SnapshotOptions,
    TransactionOptions,
};
pub use retry::{Outcome, RetryPolicy, TransactFuture};
pub use sequence::{Sequence, SequenceOptions};
pub use statistics::{
    CacheStats, CheckpointStats, ConflictStats, FeedStats, FileStats, FutureStats, GateStats, LogStats,
    OpenSnapshot, RowStoreStats, SavepointStats, Stats, TokenStats, UpdateStats, ValidationStats, Waits,
};
pub use table::Table;
pub use transaction::{CommitFuture, Cursor, Range, Savepoint, Snapshot, Transaction};

// Handles are for all threads, and what moves along goes to any one.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn sent<T: Send>() {}
    shared::<Database>();
    shared::<Snapshot>();
    shared::<Table>();
    shared::<Sequence>();
    shared::<Consumer>();
    shared::<Error>();
    sent::<Transaction>();
    sent::<Cursor>();
    sent::<Range>();
    sent::<Loader>();
    sent::<CommitFuture>();
    sent::<TransactFuture<(), fn(&mut Transaction) -> Result<()>>>();
    sent::<Changes>();
    sent::<ChangeSet>();
    sent::<NextChanges<'_>>();
};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// And those of the one that is in the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct PackageReadme;
