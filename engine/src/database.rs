//! The database handle.

use std::path::Path;

use braid_vfs::Env;
use braid_vfs::sync::Arc;

use crate::core::{CheckpointReport, Commit, Core};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::load::Loader;
use crate::maintenance::{BackupReport, CheckReport, CompactReport};
use crate::options::{JournalMode, Options, SnapshotOptions, TransactionOptions};
use crate::retry::{Outcome, RetryPolicy, transact};
use crate::statistics::Stats;
use crate::table::Table;
use crate::transaction::{self, Snapshot, Transaction};
use crate::{opening, schema};

/// A handle of an open database. Cheap to clone, and safe to use from any number of threads.
///
/// All handles of one file in a process share one core, however they were opened. The last one to go, together with the
/// last transaction, snapshot and cursor, closes the file.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Database, JournalMode, RetryPolicy};
///
/// let db = Database::in_memory()?; // or Database::open("bank.braid")?
/// db.set_journal_mode(JournalMode::Mvcc)?;
/// let accounts = db.table("accounts")?;
/// db.put(&accounts, "alice", 100_u64.to_le_bytes())?;
///
/// let outcome = db.transact(RetryPolicy::default(), |tx| {
///     let balance = tx.get(&accounts, "alice")?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
///     tx.put(&accounts, "alice", (balance + 1).to_le_bytes())?;
///     Ok(balance + 1)
/// })?;
/// assert_eq!((outcome.value, outcome.attempts), (101, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    handle: Arc<Handle>,
    /// The handle does not write, though its siblings may.
    read_only: bool,
}

impl Database {
    /// Opens a database with the default options, making it if there is none; or another handle of it, if it is open in
    /// this process under whatever name.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, [`Error::NotABraidDatabase`], [`Error::NewerFormat`],
    /// [`Error::Corrupt`], [`Error::Mismatch`], or what the system says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        opening::open(Env::real(), path.as_ref(), None)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`Error::OptionsConflict`] when it is open in this process with others, and
    /// [`Error::Limit`] for an option outside its range.
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        opening::open(Env::real(), path.as_ref(), Some(&options))
    }

    /// Opens a database that exists, for reading. Not a byte is written: what the log holds is replayed in memory.
    ///
    /// # Errors
    /// [`Error::NotFound`], and as for [`open`](Self::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        opening::open_read_only(Env::real(), path.as_ref())
    }

    /// A database in memory, of its own: nothing is shared with any other, and nothing is left of it.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn in_memory() -> Result<Self> {
        Self::in_memory_with(Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`in_memory`](Self::in_memory), and [`Error::Limit`] for an option outside its range.
    pub fn in_memory_with(options: Options) -> Result<Self> {
        opening::in_memory(options)
    }

    /// Opens a database on any file layer, for tests and for hosts that bring their own.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with).
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn open_in(env: Env, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        opening::open(env, path.as_ref(), Some(&options))
    }

    /// Opens a database on any file layer, for reading.
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_in(env: Env, path: impl AsRef<Path>) -> Result<Self> {
        opening::open_read_only(env, path.as_ref())
    }

    pub(crate) fn new(handle: Arc<Handle>, read_only: bool) -> Self {
        Self { handle, read_only }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        self.handle.core()
    }

    /// The core, for a call that writes.
    fn writable(&self) -> Result<&Arc<Core>> {
        let core = self.core();
        core.check_process()?;
        if self.read_only { Err(Error::ReadOnly) } else { Ok(core) }
    }

    /// Gives this handle up. If it is the last, everything committed is folded into the database file first, so that the
    /// next open has no log to replay, and what goes wrong on the way is reported. Dropping a handle does neither.
    ///
    /// # Errors
    /// What the last checkpoint or the close met. Commits that were acknowledged are in the log all the same.
    pub fn close(self) -> Result<()> {
        self.core().check_process()?;
        let is_last = Arc::strong_count(&self.handle) == 1;
        let folds = is_last && !self.read_only && self.core().writer().is_ok();
        let folded = if folds { self.core().checkpoint().map(drop) } else { Ok(()) };
        folded.and(self.handle.close())
    }

    /// The file, with symbolic links resolved; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.core().path.as_deref()
    }

    /// Whether this handle only reads.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Who may write.
    #[must_use]
    pub fn journal_mode(&self) -> JournalMode {
        self.core().journal_mode()
    }

    /// Changes who may write: at once, for all handles, and kept in the file.
    ///
    /// # Errors
    /// [`Error::WriteTransactionsOpen`], or [`Error::Busy`] when an exclusive transaction does not end within
    /// `busy_timeout`.
    pub fn set_journal_mode(&self, mode: JournalMode) -> Result<()> {
        self.writable()?.set_journal_mode(mode)
    }

    /// Opens a table, making it if there is none. Making one is a transaction of its own: do not do it while the same
    /// thread has an exclusive transaction open.
    ///
    /// # Errors
    /// [`Error::Limit`] for a name longer than 120 bytes or empty, [`Error::NoSuchTable`] on a read-only handle.
    pub fn table(&self, name: &str) -> Result<Table> {
        match (self.existing_table(name)?, self.read_only) {
            (Some(table), _) => Ok(table),
            (None, true) => Err(Error::NoSuchTable(name.to_owned())),
            (None, false) => schema::create_table(&self.handle, name),
        }
    }

    /// Begins to make a table of many rows at once, much faster than by transactions: see [`Loader`].
    ///
    /// # Errors
    /// [`Error::TableExists`]; [`Error::Limit`] for a name longer than 120 bytes or empty; [`Error::ReadOnly`].
    pub fn load_table(&self, name: &str) -> Result<Loader> {
        self.writable()?;
        Loader::new(&self.handle, name)
    }

    /// The table of that name, if there is one.
    ///
    /// # Errors
    /// When the handle is of no use any more.
    pub fn existing_table(&self, name: &str) -> Result<Option<Table>> {
        self.core().check_process()?;
        let table = self.core().tables.by_name(name).map(Table::new);
        self.core().acknowledge_tables()?;
        Ok(table)
    }

    /// The names of all tables, in order.
    ///
    /// # Errors
    /// When the handle is of no use any more.
    pub fn tables(&self) -> Result<Vec<String>> {
        self.core().check_process()?;
        let names = self.core().tables.names();
        self.core().acknowledge_tables()?;
        Ok(names)
    }

    /// Drops a table with all its rows; whether there was one. Snapshots that began before still see it. A transaction
    /// that wrote to it and has not committed yet will be `Busy` with [`ConflictKind::Schema`](crate::ConflictKind::Schema).
    ///
    /// # Errors
    /// As for a commit.
    pub fn drop_table(&self, name: &str) -> Result<bool> {
        self.writable()?;
        schema::drop_table(&self.handle, name)
    }

    /// Begins an optimistic write transaction, beside any number of others.
    ///
    /// # Errors
    /// [`Error::JournalMode`] unless the mode is [`JournalMode::Mvcc`].
    pub fn begin_concurrent(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions {
            admission: crate::Admission::Concurrent,
            ..TransactionOptions::default()
        })
    }

    /// Begins an exclusive write transaction: it waits for its turn, up to `busy_timeout`, and then cannot lose. In
    /// [`JournalMode::Mvcc`] concurrent transactions go on beside it, and their commits wait until it has ended.
    ///
    /// # Errors
    /// [`Error::Busy`] with [`ConflictKind::Locked`](crate::ConflictKind::Locked) when the turn does not come in time.
    pub fn begin_immediate(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions {
            admission: crate::Admission::Immediate,
            ..TransactionOptions::default()
        })
    }

    /// Begins a write transaction as told.
    ///
    /// # Errors
    /// As for [`begin_concurrent`](Self::begin_concurrent) and [`begin_immediate`](Self::begin_immediate).
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        self.writable()?;
        transaction::begin(&self.handle, &options)
    }

    /// The database as it stands now: every acknowledged commit and no other. Never waits, never `Busy`.
    ///
    /// # Errors
    /// [`Error::Limit`] when `Options::max_snapshots` are open.
    pub fn snapshot(&self) -> Result<Snapshot> {
        transaction::begin_snapshot(&self.handle, None, None)
    }

    /// The same with a name, by which statistics tell who holds what.
    ///
    /// # Errors
    /// As for [`snapshot`](Self::snapshot).
    pub fn snapshot_named(&self, name: &str) -> Result<Snapshot> {
        transaction::begin_snapshot(&self.handle, Some(name), None)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`snapshot`](Self::snapshot).
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn snapshot_with(&self, options: SnapshotOptions) -> Result<Snapshot> {
        transaction::begin_snapshot(&self.handle, options.name.as_deref(), options.max_age)
    }

    /// The value of a row now.
    ///
    /// # Errors
    /// As for [`Snapshot::get`].
    pub fn get(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        transaction::begin_own_snapshot(&self.handle, None)?.get(table, key)
    }

    /// Writes one row, in a transaction of its own.
    ///
    /// # Errors
    /// As for [`Transaction::put`] and [`Transaction::commit`]. A lost race is tried again.
    pub fn put(&self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.put(table, key.as_ref(), value.as_ref()))
    }

    /// Deletes one row, whether it exists or not, in a transaction of its own.
    ///
    /// # Errors
    /// As for [`Transaction::delete`] and [`Transaction::commit`]. A lost race is tried again.
    pub fn delete(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.delete(table, key.as_ref()))
    }

    fn one_statement(&self, statement: impl FnMut(&mut Transaction) -> Result<()>) -> Result<Commit> {
        self.transact(RetryPolicy::default(), statement).map(|outcome| outcome.commit)
    }

    /// Runs `body` in a transaction and commits it, again and again while it loses, as the policy says. It cannot starve:
    /// after [`RetryPolicy::exclusive_after`] losses it is admitted exclusively.
    ///
    /// An error that `body` returns ends it, with a rollback, unless the error
    /// [is retryable](Error::is_retryable). A panic in `body` rolls back and leaves nothing locked.
    ///
    /// # Errors
    /// What `body` returned, or what the last attempt met.
    #[expect(clippy::needless_pass_by_value, reason = "a policy is written where it is used")]
    pub fn transact<T>(
        &self,
        policy: RetryPolicy,
        body: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<Outcome<T>> {
        self.writable()?;
        transact(&self.handle, &policy, body)
    }

    /// Waits until everything acknowledged so far is on the disk, `Deferred` commits too.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when the disk does not take it.
    pub fn sync(&self) -> Result<()> {
        self.writable()?.sync()
    }

    /// Folds everything committed so far into the database file and lets the log go. Readers and writers go on. The
    /// engine does this by itself when the row store or the log has grown.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Poisoned`], or what the system says; nothing is lost by it.
    pub fn checkpoint(&self) -> Result<CheckpointReport> {
        self.writable()?.checkpoint()
    }

    /// Gives freed space back to the file system, while readers and writers go on; says what is held back, and by which
    /// snapshot.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub fn compact(&self) -> Result<CompactReport> {
        self.writable()?.compact()
    }

    /// Walks the whole file: checksums, key order, reachability, free space, no page used twice.
    ///
    /// # Errors
    /// When the file cannot be read at all; damage is in the report.
    pub fn check(&self) -> Result<CheckReport> {
        self.check_with(&mut |_, _| {})
    }

    /// The same; `progress` is told the pages done and the pages there are.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn check_with(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport> {
        crate::maintenance::check(&self.handle, progress)
    }

    /// Copies the database as it stands now into a new file, compact and complete, while readers and writers go on.
    ///
    /// # Errors
    /// When the file exists, or cannot be written, or this database cannot be read.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport> {
        crate::maintenance::backup(&self.handle, path.as_ref())
    }

    /// What the core says about itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        crate::statistics::of(self.core())
    }
}
