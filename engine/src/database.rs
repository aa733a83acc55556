//! The database handle.

use std::path::{Path, PathBuf};

use braid_mvstore::Timestamp;
use braid_vfs::planted;

use braid_vfs::Env;
use braid_vfs::sync::Arc;

use crate::core::{CheckpointReport, Commit, ConsumerInfo, Core};
use crate::error::{Error, Result};
use crate::feed::{Changes, Consumer};
use crate::handle::{Closed, Handle};
use crate::load::Loader;
use crate::maintenance::{BackupReport, CheckReport, CompactReport};
use crate::options::{JournalMode, Options, SnapshotOptions, TransactionOptions};
use crate::retry::{Outcome, RetryPolicy, TransactFuture, transact};
use crate::sequence::{Sequence, SequenceOptions};
use crate::statistics::Stats;
use crate::table::Table;
use crate::transaction::{self, Snapshot, Transaction};
use crate::{feed, opening, schema};

/// A handle of an open database. Cheap to clone, and safe to use from any number of threads.
///
/// All handles of one file in a process share one core, however they were opened. The last one to go, together with the
/// last of what was made with them (transactions, snapshots, cursors, ranges, sequences, loads, each
/// [`CommitFuture`](crate::CommitFuture) and [`TransactFuture`]), closes the file. A feed ends with it, and a [`Consumer`] is of no
/// more use: neither keeps it open.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Database, JournalMode};
///
/// let db = Database::in_memory()?; // or Database::open("bank.braid")?
/// db.set_journal_mode(JournalMode::Mvcc)?;
/// let accounts = db.table("accounts")?;
/// db.put(&accounts, "alice", 100_u64.to_le_bytes())?;
///
/// let outcome = db.transact(|tx| {
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
    /// A new database is in [`JournalMode::Wal`]: one writer at a time. For many at once, see [`Options::journal_mode`] and
    /// [`set_journal_mode`](Self::set_journal_mode). Its folder must exist. To make none by a mistyped path, see
    /// [`Options::create`].
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, [`Error::NotABraidDatabase`], [`Error::NewerFormat`],
    /// [`Error::Corrupt`], [`Error::Mismatch`], [`Error::Untrusted`], [`Error::OptionsConflict`] when it is open in this
    /// process for reading only, or what the system says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        opening::open(Env::real(), path.as_ref(), None)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`Error::OptionsConflict`] when it is open in this process with others,
    /// [`Error::Limit`] for an option outside its range, and without [`Options::create`] [`Error::NotFound`].
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        opening::open(Env::real(), path.as_ref(), Some(&options))
    }

    /// Opens a database that exists, for reading. Not a byte is written: what the log holds is replayed in memory.
    ///
    /// It shows the database as it was at the moment of this open, however long it is open, and keeps every writer out for
    /// as long: it has a shared lock of the file and of the directory of its log, until the last of its handles goes, and of
    /// what was made with them. Any number of processes may read at once, but one that wants to write gets
    /// [`Error::Locked`], and an [`open`](Self::open) for writing in this process [`Error::OptionsConflict`]. To let others
    /// write, and see what they have written, close it and open it again.
    ///
    /// Where this process has it open for writing already, this is another handle of the same: it sees every commit, and
    /// only refuses to write itself.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it open for writing, [`Error::NotFound`], and as for [`open`](Self::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        opening::open_read_only(Env::real(), path.as_ref(), None)
    }

    /// The same with options: the size of its cache, say. Where the file is open in this process already, for reading or
    /// for writing, they must be the same, as for [`open_with`](Self::open_with);
    /// [`open_read_only`](Self::open_read_only) takes those that are there. Nothing is made, whatever
    /// [`Options::create`] says.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let folder = tempfile::tempdir().map_err(braid::Error::other)?;
    /// # let path = folder.path().join("shop.braid");
    /// # braid::Database::open(&path)?.close()?;
    /// use braid::{Database, Options};
    ///
    /// let db = Database::open_read_only_with(&path, Options::default().cache_bytes(1 << 30))?;
    /// # drop(db); Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only); [`Error::OptionsConflict`] when it is open in this process with
    /// others, and [`Error::Limit`] for an option outside its range.
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn open_read_only_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        opening::open_read_only(Env::real(), path.as_ref(), Some(&options))
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
    /// As for [`open_read_only_with`](Self::open_read_only_with).
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn open_read_only_in(env: Env, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        opening::open_read_only(env, path.as_ref(), Some(&options))
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

    /// Gives this handle up, and says whether that closed the file. If it is the last when this is called, everything
    /// committed is folded into the database file first, so that the next open has no log to replay, and what goes wrong on
    /// the way is reported. Dropping a handle does neither: the last one syncs the log, so that `Deferred` commits stand,
    /// and what goes wrong is only traced.
    ///
    /// While something of the database lives, be it another handle, a transaction, a snapshot, a cursor, a
    /// [`Sequence`], a [`CommitFuture`](crate::CommitFuture) or a [`TransactFuture`], this returns at once with
    /// [`Closed::StillInUse`], folds nothing, and the file stays open and locked. Of handles that are closed at one moment
    /// none may be the last at its call: then the file is closed with its log as it is, for the next open to replay.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// use braid::{Closed, Database};
    ///
    /// let db = Database::in_memory()?;
    /// let snapshot = db.snapshot()?;
    /// let other = db.clone();
    /// assert_eq!(other.close()?, Closed::StillInUse);
    /// drop(snapshot);
    /// assert_eq!(db.close()?, Closed::Now);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the last checkpoint or the close met. Commits that were acknowledged are in the log all the same.
    pub fn close(self) -> Result<Closed> {
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

    /// The directory of the log, [`log_dir`](crate::log_dir) of [`path`](Self::path); `None` in memory. It belongs to the
    /// file: they are moved, copied and deleted together, and only while nobody has them open.
    #[must_use]
    pub fn log_dir(&self) -> Option<PathBuf> {
        self.path().map(crate::log_dir)
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
    /// [`Error::ReadOnly`] and [`Error::Poisoned`]; and unless that is the mode already, [`Error::WriteTransactionsOpen`],
    /// or [`Error::Busy`] when an exclusive transaction does not end within `busy_timeout`.
    pub fn set_journal_mode(&self, mode: JournalMode) -> Result<()> {
        self.writable()?.set_journal_mode(mode)
    }

    /// Opens a table, making it if there is none. Making one is a transaction of its own: while the same thread has an
    /// exclusive one open, use [`Transaction::table`] of that. [`put`](Self::put) and whatever else here is a transaction
    /// of its own waits behind it too, for `busy_timeout`.
    ///
    /// # Errors
    /// [`Error::Limit`] for a name longer than 120 bytes or empty, [`Error::NoSuchTable`] on a read-only handle; as for a
    /// commit where it is made.
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
    /// What is told is durable: where a table was made or dropped just now, it waits for the sync of that.
    ///
    /// # Errors
    /// When the handle is of no use any more, and [`Error::Poisoned`] where that sync fails.
    pub fn existing_table(&self, name: &str) -> Result<Option<Table>> {
        self.core().check_process()?;
        let table = self.core().tables.by_name(name).map(|info| Table::new(info, name));
        self.core().acknowledge_tables()?;
        Ok(table)
    }

    /// The names of all tables, in order.
    ///
    /// What is told is durable: where a table was made or dropped just now, it waits for the sync of that.
    ///
    /// # Errors
    /// When the handle is of no use any more, and [`Error::Poisoned`] where that sync fails.
    pub fn tables(&self) -> Result<Vec<String>> {
        self.core().check_process()?;
        let names = self.core().tables.names();
        self.core().acknowledge_tables()?;
        Ok(names)
    }

    /// Drops a table with all its rows, in a transaction of its own; whether there was one. Snapshots that began before
    /// still see it. A transaction that wrote to it, or read it and writes anything, and has not
    /// committed yet will be `Busy` with [`ConflictKind::Schema`](crate::ConflictKind::Schema).
    ///
    /// # Errors
    /// As for a commit.
    pub fn drop_table(&self, name: &str) -> Result<bool> {
        self.writable()?;
        schema::drop_table(&self.handle, name)
    }

    /// Gives a table another name, in a transaction of its own: see [`Transaction::rename_table`]. Snapshots from its timestamp
    /// on find it by the new name.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`]; [`Error::TableExists`]; [`Error::Limit`] for a name longer than 120 bytes or empty; and as
    /// for a commit.
    pub fn rename_table(&self, from: &str, to: &str) -> Result<Commit> {
        self.writable()?;
        schema::rename_table(&self.handle, from, to)
    }

    /// A handle of a sequence, which is made if there is none: it gives out unique increasing ids.
    ///
    /// Making one is a commit of its own that waits for nobody's turn; it belongs to no transaction.
    ///
    /// # Errors
    /// [`Error::Limit`] for a name longer than 120 bytes or empty; [`Error::ReadOnly`]; and as for a commit.
    pub fn sequence(&self, name: &str) -> Result<Sequence> {
        self.sequence_with(name, SequenceOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`sequence`](Self::sequence); [`Error::Limit`] for a block outside its range.
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn sequence_with(&self, name: &str, options: SequenceOptions) -> Result<Sequence> {
        self.writable()?;
        Sequence::open(&self.handle, name, &options)
    }

    /// The names of all sequences, in order.
    ///
    /// # Errors
    /// When the handle is of no use any more.
    pub fn sequences(&self) -> Result<Vec<String>> {
        self.core().check_process()?;
        self.core().sequence_names()
    }

    /// The first id of a sequence that nobody has reserved, if there is such a sequence: neither it nor any above was
    /// given out by it. What to [raise](Sequence::raise_to) the sequence to where the rows with its ids are copied.
    ///
    /// It is to be asked *after* the snapshot was taken whose rows are copied, or while nobody draws ids: rows of a later
    /// snapshot may hold ids that were reserved since.
    ///
    /// It knows of this sequence since it was made: nothing of one that was dropped and had the same name, nor of ids that
    /// were reserved in a part of the log that a salvage could not read.
    ///
    /// It may wait for one who reserves ids, or raises, makes or drops a sequence, at this moment: for the disk, and while
    /// the row store is full for a checkpoint.
    ///
    /// # Errors
    /// When the handle is of no use any more.
    pub fn unreserved_id(&self, sequence: &str) -> Result<Option<u64>> {
        self.core().check_process()?;
        self.core().unreserved_id(sequence)
    }

    /// Drops a sequence; whether there was one. Handles of it give out nothing more. One that is made anew under this name
    /// begins anew.
    ///
    /// # Errors
    /// As for a commit.
    pub fn drop_sequence(&self, name: &str) -> Result<bool> {
        self.writable()?.drop_sequence(name)
    }

    /// Begins an optimistic write transaction, beside any number of others.
    ///
    /// # Errors
    /// [`Error::JournalMode`] unless the mode is [`JournalMode::Mvcc`]; [`Error::ReadOnly`], [`Error::Poisoned`], and
    /// [`Error::TooManySnapshots`] when `Options::max_snapshots` are open.
    pub fn begin_concurrent(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions {
            admission: crate::Admission::Concurrent,
            ..TransactionOptions::default()
        })
    }

    /// Begins an exclusive write transaction: it waits for its turn, up to `busy_timeout`, and then cannot lose. In
    /// [`JournalMode::Mvcc`] concurrent transactions go on beside it, and their commits wait until it has ended.
    ///
    /// The wait holds the thread, also that of an asynchronous runtime: there [`transact_async`](Self::transact_async) waits for a
    /// turn as a future, and [concurrent](Self::begin_concurrent) transactions wait for none.
    ///
    /// # Errors
    /// [`Error::Busy`] with [`ConflictKind::Timeout`](crate::ConflictKind::Timeout) when the turn does not come in time;
    /// [`Error::ReadOnly`], [`Error::Poisoned`], and [`Error::TooManySnapshots`].
    pub fn begin_immediate(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions {
            admission: crate::Admission::Immediate,
            ..TransactionOptions::default()
        })
    }

    /// Begins a write transaction as the journal mode has it: like [`begin_immediate`](Self::begin_immediate) in
    /// [`JournalMode::Wal`], in which a new database is, and like [`begin_concurrent`](Self::begin_concurrent) in
    /// [`JournalMode::Mvcc`]. While an exclusive one is open, other calls that write wait for it, those of its own thread
    /// in vain. Where it waits it holds the thread, as `begin_immediate` does.
    ///
    /// # Errors
    /// As for the one of the two that it is.
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`begin_concurrent`](Self::begin_concurrent) and [`begin_immediate`](Self::begin_immediate);
    /// [`Error::AlreadyCommitted`] for a token whose work is done, [`Error::Limit`] for what cannot be a token.
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        self.writable()?;
        transaction::begin(&self.handle, &options)
    }

    /// The database as it stands now: every acknowledged commit and no other. Never waits, never `Busy`.
    ///
    /// # Errors
    /// [`Error::TooManySnapshots`] when `Options::max_snapshots` are open.
    pub fn snapshot(&self) -> Result<Snapshot> {
        transaction::begin_snapshot(&self.handle, None, None)
    }

    /// The same with options: a name, say, by which statistics tell who holds what.
    ///
    /// # Errors
    /// As for [`snapshot`](Self::snapshot).
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn snapshot_with(&self, options: SnapshotOptions) -> Result<Snapshot> {
        transaction::begin_snapshot(&self.handle, options.name.as_deref(), options.max_age)
    }

    /// The value of a row now: a snapshot of its own. Inside of [`transact`](Self::transact) it reads beside the transaction, does
    /// not see what that has written, and takes part in no validation; the transaction has a `get` of its own.
    ///
    /// # Errors
    /// As for [`Snapshot::get`].
    pub fn get(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        transaction::begin_own_snapshot(&self.handle, None)?.get(table, key)
    }

    /// Whether there is such a row now.
    ///
    /// # Errors
    /// As for [`Snapshot::contains`].
    pub fn contains(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<bool> {
        transaction::begin_own_snapshot(&self.handle, None)?.contains(table, key)
    }

    /// Writes one row, in a transaction of its own: while a transaction is open, use [`Transaction::put`] of that. An
    /// exclusive one of the same thread is waited for until `busy_timeout`.
    ///
    /// # Errors
    /// As for [`Transaction::put`] and [`Transaction::commit`]. A lost race is tried again. [`Error::WaitsForItself`]
    /// in the closure of an exclusive [`transact`](Self::transact).
    pub fn put(&self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.put(table, key.as_ref(), value.as_ref()))
    }

    /// Writes one row that must not exist yet, in a transaction of its own. Of two that do so at once one writes.
    ///
    /// # Errors
    /// [`Error::KeyExists`], and as for [`put`](Self::put).
    pub fn insert(&self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.insert(table, key.as_ref(), value.as_ref()))
    }

    /// Deletes one row, whether it exists or not, in a transaction of its own.
    ///
    /// # Errors
    /// As for [`Transaction::delete`] and [`Transaction::commit`]. A lost race is tried again.
    pub fn delete(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.delete(table, key.as_ref()))
    }

    /// Adds to a number, in a transaction of its own. No conflict with others that do so: see [`Transaction::add`].
    ///
    /// # Errors
    /// As for [`Transaction::add`] and [`Transaction::commit`].
    pub fn add(&self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<Commit> {
        self.one_statement(|tx| tx.add(table, key.as_ref(), number))
    }

    /// Raises a number to at least `number`, in a transaction of its own: see [`Transaction::max`].
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn max(&self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<Commit> {
        self.one_statement(|tx| tx.max(table, key.as_ref(), number))
    }

    /// Lowers a number to at most `number`, in a transaction of its own: see [`Transaction::min`].
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn min(&self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<Commit> {
        self.one_statement(|tx| tx.min(table, key.as_ref(), number))
    }

    /// Appends to a value, in a transaction of its own: see [`Transaction::append`].
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn append(&self, table: &Table, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<Commit> {
        self.one_statement(|tx| tx.append(table, key.as_ref(), bytes.as_ref()))
    }

    fn one_statement(&self, statement: impl FnMut(&mut Transaction) -> Result<()>) -> Result<Commit> {
        self.transact(statement).map(|outcome| outcome.commit)
    }

    /// Runs `body` in a transaction and commits it, again and again while it loses, as the [default policy](RetryPolicy) says.
    /// It cannot starve: after [`RetryPolicy::exclusive_after`] losses it is admitted exclusively.
    ///
    /// In [`JournalMode::Mvcc`] it runs beside others. In [`JournalMode::Wal`], in which a new database is unless
    /// [`Options::journal_mode`] says otherwise, one runs at a time.
    ///
    /// An error that `body` returns ends it, with a rollback, unless the error
    /// [is retryable](Error::is_retryable). A panic in `body` rolls back and leaves nothing locked.
    ///
    /// `body` may run many times, and whatever it does outside of the transaction (a message sent, a variable changed) is done
    /// as often. After [`Error::CommitUnknown`] it is not run again.
    ///
    /// `body` is to write through the transaction that it is given: the database's own [`put`](Self::put) and the like are
    /// transactions beside it, which wait for it where it is exclusive. The database's own [`get`](Self::get),
    /// [`contains`](Self::contains) and [`snapshot`](Self::snapshot) read beside it too: not what it wrote, and nothing that its commit validates.
    ///
    /// # Errors
    /// What `body` returned, or what the last attempt met. [`Error::Busy`] with
    /// [`ConflictKind::Timeout`](crate::ConflictKind::Timeout) when its turn has not come within `busy_timeout` in all.
    /// [`Error::WaitsForItself`] when `body` waits for its own transaction.
    pub fn transact<T>(&self, body: impl FnMut(&mut Transaction) -> Result<T>) -> Result<Outcome<T>> {
        self.transact_with(RetryPolicy::default(), body)
    }

    /// The same with a policy of one's own.
    ///
    /// # Errors
    /// As for [`transact`](Self::transact).
    #[expect(clippy::needless_pass_by_value, reason = "a policy is written where it is used")]
    pub fn transact_with<T>(
        &self,
        policy: RetryPolicy,
        body: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<Outcome<T>> {
        self.writable()?;
        transact(&self.handle, &policy, body)
    }

    /// [`transact`](Self::transact) for a closure that returns an error type of its own, which comes out as it is.
    ///
    /// It is tried again like an error of Braid's where it was caused by one, as its
    /// [`source`](std::error::Error::source), that [is retryable](Error::is_retryable); see [`Error::other`] for what a
    /// `transparent` variant hides.
    ///
    /// ```
    /// use braid::Database;
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum Refused {
    ///     #[error("{0} too few in stock")]
    ///     TooFew(u8),
    ///     #[error("the database says no")]
    ///     Database(#[from] braid::Error),
    /// }
    ///
    /// # fn main() -> Result<(), Refused> {
    /// let db = Database::in_memory()?;
    /// let stock = db.table("stock")?;
    /// db.put(&stock, "apple", [2])?;
    /// let sell = |number: u8| {
    ///     db.try_transact(|tx| {
    ///         let left = tx.get(&stock, "apple")?.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
    ///         let rest = left.checked_sub(number).ok_or_else(|| Refused::TooFew(number - left))?;
    ///         tx.put(&stock, "apple", [rest])?;
    ///         Ok::<_, Refused>(rest)
    ///     })
    /// };
    /// assert_eq!(sell(1)?.value, 1);
    /// assert!(matches!(sell(3), Err(Refused::TooFew(2))));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `body` returned. An error of Braid's that it did not is converted: as for [`transact`](Self::transact).
    pub fn try_transact<T, E>(
        &self,
        body: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<Outcome<T>, E>
    where
        E: From<Error> + std::error::Error + Send + Sync + 'static,
    {
        self.try_transact_with(RetryPolicy::default(), body)
    }

    /// The same with a policy of one's own.
    ///
    /// # Errors
    /// As for [`try_transact`](Self::try_transact).
    pub fn try_transact_with<T, E>(
        &self,
        policy: RetryPolicy,
        mut body: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<Outcome<T>, E>
    where
        E: From<Error> + std::error::Error + Send + Sync + 'static,
    {
        self.transact_with(policy, |tx| body(tx).map_err(Error::other))
            .map_err(|error| error.downcast().unwrap_or_else(E::from))
    }

    /// [`transact`](Self::transact) as a future, which holds no thread while it waits: for the disk, for its turn, or between
    /// attempts. The closure is run within a poll, and is to wait for nothing; policy, errors, statistics and what comes out
    /// are the same. It works in any runtime, and does nothing before it is polled; see [`TransactFuture`] for what dropping it
    /// means.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # fn block_on<F: std::future::Future>(future: F) -> F::Output {
    /// #     struct Unpark(std::thread::Thread);
    /// #     impl std::task::Wake for Unpark { fn wake(self: std::sync::Arc<Self>) { self.0.unpark() } }
    /// #     let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    /// #     let mut future = std::pin::pin!(future);
    /// #     loop {
    /// #         match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
    /// #             std::task::Poll::Ready(output) => return output,
    /// #             std::task::Poll::Pending => std::thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// use braid::JournalMode;
    ///
    /// let db = braid::Database::in_memory()?;
    /// db.set_journal_mode(JournalMode::Mvcc)?;
    /// let stock = db.table("stock")?;
    /// let sold = block_on(async {
    ///     db.transact_async(|tx| {
    ///         let left = tx.get(&stock, "apple")?.unwrap_or_else(|| b"3".to_vec());
    ///         tx.put(&stock, "apple", "2")?;
    ///         Ok(left)
    ///     })
    ///     .await
    /// })?;
    /// assert_eq!((sold.value, sold.attempts), (b"3".to_vec(), 1));
    /// # Ok(()) }
    /// ```
    pub fn transact_async<T, F>(&self, body: F) -> TransactFuture<T, F>
    where
        F: FnMut(&mut Transaction) -> Result<T>,
    {
        self.transact_async_with(RetryPolicy::default(), body)
    }

    /// The same with a policy of one's own.
    pub fn transact_async_with<T, F>(&self, policy: RetryPolicy, body: F) -> TransactFuture<T, F>
    where
        F: FnMut(&mut Transaction) -> Result<T>,
    {
        TransactFuture::new(self.writable().map(|_| Arc::clone(&self.handle)), policy, body)
    }

    /// Whether a transaction with this [token](TransactionOptions::token) was committed, and at which timestamp: what to ask
    /// after a crash or [`Error::CommitUnknown`], once the database is open again. The answer `None` is final for a
    /// transaction that is not under way any more, unless its token is older than
    /// [`Options::token_retention`](crate::Options::token_retention).
    ///
    /// # Errors
    /// [`Error::Limit`] for what cannot be a token; [`Error::Poisoned`] when the answer is known only after the next open;
    /// when the file cannot be read.
    pub fn was_committed(&self, token: impl AsRef<[u8]>) -> Result<Option<Timestamp>> {
        let snapshot = if planted!(TokenToldEarly) {
            transaction::begin(&self.handle, &TransactionOptions::default())?.untracked()
        } else {
            transaction::begin_own_snapshot(&self.handle, None)?
        };
        let found = crate::tokens::find(&snapshot, token.as_ref())?;
        if found.is_none() && !self.read_only && !planted!(DoubtDenied) {
            self.core().writer()?.check()?;
        }
        Ok(found)
    }

    /// How many [tokens](TransactionOptions::token) are remembered: those of
    /// [`Options::token_retention`](crate::Options::token_retention), and older ones that no transaction with a token
    /// has come by since. Costs a look at each one that is not in the database file yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn remembered_tokens(&self) -> Result<u64> {
        crate::tokens::count(&transaction::begin_own_snapshot(&self.handle, None)?)
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

    /// Walks the whole file: checksums, key order, reachability, free space, no page used twice. It reads every page, of the
    /// moment when it began; readers and writers go on.
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

    /// Copies the database as it stands now into a new file, compact and complete, while readers and writers go on. A database
    /// [in memory](Self::in_memory) is copied into a real file, too.
    ///
    /// # Errors
    /// When the file exists, or cannot be written, or this database cannot be read.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport> {
        crate::maintenance::backup(&self.handle, path.as_ref())
    }

    /// Everything that is committed after `after`, in commit order, each transaction once it is on the disk: what there is
    /// already, then what is to come. See [`Changes`].
    ///
    /// On a handle that only reads, of a file that nobody writes, the feed ends with what is proven to be on the disk.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] where the log does not reach back so far; [`Error::FutureTimestamp`] where it has not come so far;
    /// [`Error::Corrupt`]; or what the system says.
    pub fn changes(&self, after: Timestamp) -> Result<Changes> {
        Changes::new(self.core(), after, None)
    }

    /// The named consumer of the change feed. A new one begins after `start`, for which the timestamp of a snapshot is
    /// right that is read first; one that is known already stands where it stood, whatever `start` is.
    ///
    /// The log after its position is kept for it, over closes and crashes, until it has acknowledged it, it is removed, or
    /// `Options::max_retained_log_bytes` are used up. A backup has no log and knows no consumers.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] for a new one where the log does not reach back to `start`, [`Error::FutureTimestamp`] where it has
    /// not come so far; [`Error::Limit`] for a name that is empty or longer than 120 bytes; as for a commit, which
    /// registering one is.
    pub fn consumer(&self, name: &str, start: Timestamp) -> Result<Consumer> {
        self.writable()?;
        feed::register(&self.handle, name, start)
    }

    /// All named consumers, by name: how far each is, and how far behind. What one that is nearly there has not passed
    /// yet is read from the log.
    ///
    /// # Errors
    /// When the handle is of no use any more.
    pub fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        feed::consumers(&self.handle)
    }

    /// Forgets a consumer, and lets go of the log that was kept for it; whether there was one.
    ///
    /// # Errors
    /// As for a commit.
    pub fn remove_consumer(&self, name: &str) -> Result<bool> {
        self.writable()?;
        feed::remove(&self.handle, name)
    }

    /// What the core says about itself: who lost what to whom ([`Stats::conflicts`]), what it holds, what it has done.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// for row in db.stats().conflicts.hot_keys.iter().take(3) {
    ///     println!("{} {:?}: {} lost over it", row.table, row.key, row.count);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        crate::statistics::of(self.core())
    }
}
