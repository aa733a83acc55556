//! Write transactions.

use std::ops::{Bound, Deref, RangeBounds};
use std::task::Waker;
use std::time::Duration;

use braid_mvstore::{Direction, Rare, TableId, Timestamp, WriteSet};
use braid_vfs::events::tell_kept;
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::commit_future::CommitFuture;
use super::cursor::Cursor;
use super::inner::{Inner, Tracking};
use super::own_writes::{Own, keep};
use super::range::Range;
use super::read_set::ReadSet;
use super::snapshot::Snapshot;
use crate::conflicts::{Loss, WastedWork, between};
use crate::core::{
    Attempt, Commit, CommitRequest, CommitWait, Core, Exclusive, Installed, Made, SchemaChanges, TABLES,
    TableInfo,
};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::Durability;
use crate::table::Table;
use crate::tokens::{self, Token};

/// How a transaction was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The gate, if the transaction holds it.
    pub(super) exclusive: Option<Exclusive>,
    pub(super) durability: Durability,
    pub(super) busy_timeout: Duration,
    pub(super) extras: Rare<Extras>,
}

/// What most transactions have none of.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) token: Option<Token>,
    pub(super) name: Option<Arc<str>>,
    /// The tables that it made, those too that it has dropped again, in this order. Which of them are there its rows say; of
    /// one whose creation was taken back they say nothing, and it is not here.
    pub(super) created: Vec<Arc<TableInfo>>,
}

/// A write transaction: a [`Snapshot`] with private writes on top, which the commit makes everybody's, or nobody's.
///
/// Its reads, which it has from [`Snapshot`], see its own writes, and commits whose sync is still under way: what was read is to
/// be acted on once its own commit has returned, where a [`Snapshot`] by itself sees what stands. Dropping it rolls back. It
/// can be sent to another thread; it keeps the database open.
///
/// `clone()` is that of [`Snapshot`]: it gives no second transaction but another way to read in this one, which sees
/// what it writes later and is over when it is.
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
#[must_use = "it is rolled back when it is dropped"]
pub struct Transaction {
    pub(super) snapshot: Snapshot,
    admitted: Admitted,
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
        Self { snapshot, admitted, over: false }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.snapshot.inner
    }

    /// Whether it was admitted exclusively, and so cannot lose.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.admitted.exclusive.is_some()
    }

    /// Refuses to begin where another transaction with its token was committed.
    pub(super) fn look_for_token(&self) -> Result<()> {
        if let Some(token) = self.admitted.extras.as_ref().and_then(|extras| extras.token.as_ref())
            && let Some(timestamp) = tokens::find(&self.snapshot, token.bytes())?
            && !planted!(TokenTakenAgain)
        {
            self.core().counters.tokens_refused.add(1);
            return Err(Error::AlreadyCommitted { timestamp });
        }
        Ok(())
    }

    /// Nobody was given it: its end is no rollback.
    pub(super) fn never_begun(mut self) {
        self.let_go();
        self.over = true;
    }

    /// Whether it has lost, as far as anybody was told.
    pub(crate) fn has_lost(&self) -> bool {
        self.inner().has_lost()
    }

    /// It goes into a closure that this thread calls, or has come out of it.
    pub(crate) fn set_in_closure(&self, inside: bool) {
        if let Some(exclusive) = &self.admitted.exclusive {
            exclusive.set_in_closure(inside);
        }
    }

    /// The same reads for rows that may change before the commit without its being lost: under
    /// [`Isolation::Serializable`](crate::Isolation::Serializable) what is read through this is not validated, by
    /// lookups, ranges, cursors and counts, and by what tables are called, alike. At the default isolation no read is
    /// validated anyway; there it is for rows that are then updated blindly all the same ([`add`](Self::add)), and for
    /// tables that may be dropped or renamed.
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
        let (inner, id, key) = (&self.snapshot.inner, table.info().id, key.as_ref());
        if planted!(UntrackedForgets) {
            inner.forget_look(id, key);
        }
        inner.get(Tracking::Nothing, id, key, <[u8]>::to_vec)
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
    #[inline]
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

    /// Deletes a row, and gives the value that it had; nothing is written where there is none.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// let jobs = db.table("jobs")?;
    /// db.put(&jobs, "1", "sweep")?;
    /// let mut tx = db.begin_immediate()?;
    /// assert_eq!(tx.take(&jobs, "1")?.as_deref(), Some(&b"sweep"[..]));
    /// assert_eq!(tx.take(&jobs, "1")?, None);
    /// # tx.commit()?; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`get`](Snapshot::get) and [`delete`](Self::delete).
    pub fn take(&mut self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        let found = self.get(table, key)?;
        if found.is_some() {
            self.delete(table, key)?;
        }
        Ok(found)
    }

    /// Deletes every row of a key range that the transaction sees, and says how many. Rows that others insert into the
    /// range meanwhile stay. A `Serializable` transaction is `Busy` where such a row was committed before it; one that is
    /// committed after it comes after the deletion, and stays.
    /// For the keys with a prefix there is [`delete_prefix`](Self::delete_prefix), for all [`clear`](Self::clear).
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
        let mut bytes = inner.writes()?.held_bytes();
        let mut found = cursor.seek_within(from, Direction::Forward, to)?;
        while found && let Some(key) = cursor.key() {
            bytes = inner.writes()?.bytes_after(bytes, id, key, 0);
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
        })?;
        Ok(ends.len() as u64)
    }

    /// Validates, writes to the log, and returns when the commit has the durability that was asked for. Where nothing was
    /// written, it returns when everything stands that it could have read.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::BusySnapshot`] when the transaction lost: nothing was applied, begin anew.
    /// [`Error::AlreadyCommitted`] when another one with its token was committed: there is nothing left to do.
    /// [`Error::CommitUnknown`] when the log could not be written or synced. Every other error: nothing was applied.
    pub fn commit(mut self) -> Result<Commit> {
        self.over = true;
        self.snapshot.inner.core().check_process()?;
        if self.snapshot.inner.is_shared() {
            self.snapshot.inner.begin_commit();
        }
        let installed = self.install();
        self.let_go();
        tell_kept();
        let core = self.snapshot.inner.core();
        match installed {
            Err(error) => {
                if let Error::AlreadyCommitted { timestamp } = error {
                    // The other one may not stand yet.
                    core.acknowledge_reads(timestamp)?;
                }
                Err(error)
            }
            Ok(None) => core.acknowledge_reads(self.snapshot.inner.begin_ts),
            Ok(Some(installed)) => {
                let commit = core.acknowledge(installed)?;
                core.counters.commits.add(1);
                Ok(commit)
            }
        }
    }

    /// [`commit`](Self::commit) as a future, which holds no thread while it waits for the disk, or for its turn. It works in
    /// any runtime, and does nothing before it is polled; see there for what dropping it means.
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
    /// let db = braid::Database::in_memory()?;
    /// let stock = db.table("stock")?;
    /// let commit = block_on(async {
    ///     let mut tx = db.begin_immediate()?;
    ///     tx.put(&stock, "apple", "3")?;
    ///     tx.commit_async().await
    /// })?;
    /// assert_eq!(db.snapshot()?.timestamp(), commit.timestamp);
    /// # Ok(()) }
    /// ```
    pub fn commit_async(self) -> CommitFuture {
        CommitFuture::new(self)
    }

    /// One attempt of [`commit_async`](Self::commit_async); `None` when there are no writes.
    pub(super) fn attempt(&mut self, wait: &mut CommitWait, waker: &Waker) -> Result<Option<Attempt>> {
        let core = self.core();
        core.check_process()?;
        core.serve_futures()?;
        let inner = &self.snapshot.inner;
        let (mut own, mut reads) = (inner.writes_of_owner(), inner.reads_of_owner());
        // Gone before the locks are.
        let mut last = LastAttempt { inner, waits: false };
        let attempt =
            self.ask(own.own(), reads.as_deref_mut(), |core, request| core.attempt(request, wait, waker));
        last.waits = matches!(attempt, Ok(Some(Attempt::Waits)));
        attempt
    }

    /// Refuses to commit once it was revoked.
    fn check_lease(&self, writes: &WriteSet) -> Result<()> {
        if planted!(RevokedCommits) {
            return Ok(());
        }
        self.snapshot.inner.check_lease().inspect_err(|error| self.lost(error, writes))
    }

    /// Records that the transaction lost, if it did, with what it has written. Each transaction loses once: here, or when it
    /// ends without another try after a statement was told.
    #[cold]
    fn lost(&self, error: &Error, writes: &WriteSet) {
        let inner = &self.snapshot.inner;
        if error.is_retryable() {
            inner.count_loss();
        }
        let core = inner.core();
        let time = between(inner.started_at(), core.now_nanos());
        let wasted =
            WastedWork::new(time, (writes.written() + writes.updates()) as u64, writes.bytes() as u64);
        let name = self.admitted.extras.as_ref().and_then(|extras| extras.name.as_deref());
        core.lost(error, &Loss { name, wasted });
    }

    /// The end of the transaction, after its last attempt.
    pub(super) fn end(&mut self) -> Arc<Handle> {
        let handle = Arc::clone(self.snapshot.inner.handle());
        self.over = true;
        // Before the writes are gone: a read that is under way must not take none for an answer.
        drop(self.snapshot.inner.close());
        keep(self.snapshot.inner.take_writes());
        self.let_go();
        handle
    }

    /// Remembers a table that it made.
    pub(super) fn note_creation(&mut self, table: Arc<TableInfo>) {
        self.admitted.extras.get_or_insert_default().created.push(table);
    }

    /// Ends the creation of the tables that have no row any more. Those are the last ones: what is taken back is what was
    /// written last.
    pub(super) fn end_lost_creations(&mut self) {
        let Some(extras) = &mut *self.admitted.extras else { return };
        let inner = &self.snapshot.inner;
        while let Some(table) = extras
            .created
            .pop_if(|table| inner.writes_of_owner().get(TABLES, &table.id.0.to_be_bytes()).is_none())
        {
            inner.core().tables.end_creation(&table);
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        self.snapshot.inner.core()
    }

    pub(super) fn begin_ts(&self) -> Timestamp {
        self.snapshot.inner.begin_ts
    }

    /// Has the writes installed; `None` when there are none.
    fn install(&mut self) -> Result<Option<Installed>> {
        let (mut own, mut reads) = (self.snapshot.inner.take_writes(), self.snapshot.inner.take_reads());
        let installed = self.ask(&mut own, reads.as_mut(), Core::install);
        keep(own);
        installed
    }

    /// Puts what the transaction wants to commit before the core, whether a thread or a future does so; `None` when there
    /// are no writes.
    #[inline]
    fn ask<R>(
        &self,
        Own { writes, looks }: &mut Own,
        mut reads: Option<&mut ReadSet>,
        ask: impl FnOnce(&Core, &mut CommitRequest<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let inner = &self.snapshot.inner;
        self.check_lease(writes)?;
        let token = self.admitted.extras.as_ref().and_then(|extras| extras.token.as_ref());
        if let Some(token) = token {
            token.put(inner.core(), inner.begin_ts, writes)?;
        }
        if writes.is_empty() {
            return Ok(None);
        }
        let mut not_settled = None;
        if writes.updates() > 0 && inner.tracking == Tracking::Looks {
            not_settled = inner.settle_looked(writes, looks).inspect_err(|error| self.lost(error, writes))?;
        }
        if let Some(reads) = reads.as_mut().filter(|reads| !reads.is_small()) {
            reads.tidy();
        }
        let schema = SchemaChanges::of(writes);
        let mut request = CommitRequest {
            begin_ts: inner.begin_ts,
            view: inner.held_view().map(|view| &**view),
            exclusive: self.admitted.exclusive.is_some(),
            durability: self.admitted.durability,
            busy_timeout: self.admitted.busy_timeout,
            writes,
            reads: reads.as_deref(),
            looks: (inner.tracking == Tracking::Looks).then_some(&*looks),
            token,
            schema,
            reserved: 0,
            made: Made::default(),
        };
        let answer = match not_settled {
            None => ask(inner.core(), &mut request),
            Some(not_settled) => Err(not_settled.refuse(inner.core(), &request)),
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(self.refused(error, writes)),
        }
    }

    /// What a commit is told that was refused.
    #[cold]
    fn refused(&self, error: Error, writes: &WriteSet) -> Error {
        // The mode has changed, which it does under nobody but who was revoked.
        let error = match error {
            Error::JournalMode => self.snapshot.inner.check_lease().err().unwrap_or(error),
            _ => error,
        };
        self.lost(&error, writes);
        error
    }

    /// Ends the snapshot, unless a cursor holds it, and opens the gate: before the wait for the disk, so that the next
    /// writer shares the sync, and nobody takes a transaction that only waits for an open one.
    fn let_go(&mut self) {
        // A commit says itself what came of it. It may have passed before a cursor on another thread was told.
        if let Some(error) = self.snapshot.inner.close()
            && !self.over
            && !planted!(StatementLossForgotten)
        {
            self.lost(&error, &self.snapshot.inner.writes_of_owner());
        }
        if self.admitted.extras.is_some() {
            self.end_creations();
        }
        match self.snapshot.inner.get_mut() {
            Some(inner) => inner.end(),
            None => self.snapshot.inner.stop_writing(),
        }
        self.admitted.exclusive = None;
    }

    #[cold]
    fn end_creations(&mut self) {
        let created = self.admitted.extras.as_mut().map(|extras| std::mem::take(&mut extras.created));
        for table in created.into_iter().flatten() {
            self.core().tables.end_creation(&table);
        }
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
}

/// Closes a transaction behind the last attempt to commit it, be it a panic: what its writes are then nobody may read.
struct LastAttempt<'a> {
    inner: &'a Inner,
    /// It was not the last.
    waits: bool,
}

impl Drop for LastAttempt<'_> {
    fn drop(&mut self) {
        if !self.waits {
            self.inner.begin_commit();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.over {
            self.snapshot.inner.core().counters.rollbacks.add(1);
        }
        if planted!(PanicNotRolledBack) && std::thread::panicking() {
            std::mem::forget((self.snapshot.inner.clone(), self.admitted.exclusive.take()));
        }
        // Also after a commit that ended in a panic.
        if !self.snapshot.inner.is_over() {
            self.let_go();
        }
    }
}
