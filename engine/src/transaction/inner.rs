//! What a snapshot or transaction shares with the cursors that were opened on it.

use std::fmt;

use braid_mvstore::{LeasedRegistration, Rare, Registration, TableId, Timestamp, WriteSet};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex, MutexGuard};

use super::looks::Looks;
use super::own_writes::{Own, OwnWrites, WritesGuard};
use super::read_set::ReadSet;
use crate::core::{Core, TABLES, TableInfo, View};
use crate::error::{Error, Result};
use crate::handle::Handle;

/// A row of a system table, to be written or deleted.
pub(super) type SystemRow<'a> = (TableId, &'a [u8], Option<&'a [u8]>);

/// How the snapshot is held.
#[derive(Debug)]
pub(super) enum Hold {
    /// By its owner alone.
    Plain(Registration<View>),
    /// Through a lease, which may be revoked at any time.
    Leased(LeasedRegistration<View>),
    /// Given back.
    Over,
}

/// What is kept of reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracking {
    /// Nothing: nobody commits beside the reader, the reader commits nothing, or it was asked for.
    Nothing,
    /// Which rows were looked at, as an update of such a row is a write.
    Looks,
    /// What the commit answers for, at `Serializable`.
    Reads,
}

/// Why calls are not let in without a further look; bits.
mod state {
    /// For no reason.
    pub(super) const OPEN: u8 = 0;
    /// It may have been revoked.
    pub(super) const LEASED: u8 = 1;
    /// It has changed the catalog: each use of a table asks its own rows first.
    pub(super) const SCHEMA: u8 = 2;
    /// It is committed or rolled back.
    pub(super) const OVER: u8 = 4;
    /// A call was told that it was revoked.
    pub(super) const REVOKED: u8 = 8;
    /// It has lost, and that was counted.
    pub(super) const LOST: u8 = 16;
    /// It is being committed: its writes and what it read are the commit's from here on.
    pub(super) const COMMITS: u8 = 32;
}

/// See the module. The last holder lets the snapshot go.
pub(crate) struct Inner {
    /// `None` once nobody has it any more, and its memory waits for the next one.
    handle: Option<Arc<Handle>>,
    pub(super) begin_ts: Timestamp,
    /// Given back at the end.
    pub(super) hold: Hold,
    /// Private writes, and what was looked at; unused by a snapshot.
    writes: OwnWrites,
    /// [`WriteSet::version`], readable without the lock, as the last try to write left it; 0 before the first. A set with
    /// memory of an earlier transaction goes on from that one's version.
    writes_version: AtomicU64,
    pub(super) tracking: Tracking,
    /// What was read, for `Serializable`.
    reads: Rare<Mutex<ReadSet>>,
    /// See [`state`].
    state: AtomicU8,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("begin_ts", &self.begin_ts).finish_non_exhaustive()
    }
}

impl Inner {
    /// One that is over: memory for a snapshot.
    pub(super) fn over() -> Self {
        Self {
            handle: None,
            begin_ts: Timestamp::ZERO,
            hold: Hold::Over,
            writes: OwnWrites::new(),
            writes_version: AtomicU64::new(0),
            tracking: Tracking::Nothing,
            reads: Rare::default(),
            state: AtomicU8::new(state::OVER),
        }
    }

    /// Begins in the memory of one that is over.
    #[inline]
    pub(super) fn begin(&mut self, handle: &Arc<Handle>, hold: Hold, tracking: Tracking) {
        let (begin_ts, state) = match &hold {
            Hold::Plain(registration) => (registration.begin_ts(), state::OPEN),
            Hold::Leased(leased) => (leased.begin_ts(), state::LEASED),
            Hold::Over => (Timestamp::ZERO, state::OVER),
        };
        self.handle = Some(Arc::clone(handle));
        self.begin_ts = begin_ts;
        self.hold = hold;
        self.writes_version.store(0, Ordering::Relaxed);
        self.tracking = tracking;
        if tracking == Tracking::Reads {
            *self.reads = Some(Box::default());
        }
        self.state.store(state, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn handle(&self) -> &Arc<Handle> {
        match &self.handle {
            Some(handle) => handle,
            None => unreachable!("it goes when nobody has this any more"),
        }
    }

    #[inline]
    pub(super) fn core(&self) -> &Arc<Core> {
        self.handle().core()
    }

    /// The view of one without a lease, which is there until the snapshot is let go.
    pub(super) fn plain_view(&self) -> Result<&Arc<View>> {
        // An error made ahead, by `ok_or`, would have to be dropped by everybody who has no use for it.
        match self.held_view() {
            Some(view) => Ok(view),
            None => Err(Error::TransactionClosed),
        }
    }

    /// The same; `None` for one with a lease.
    pub(super) fn held_view(&self) -> Option<&Arc<View>> {
        match &self.hold {
            Hold::Plain(registration) => Some(registration.view()),
            Hold::Leased(_) | Hold::Over => None,
        }
    }

    /// Reads in the view. What was read while the snapshot was being revoked is not passed back, nor what went wrong:
    /// a trim may have come in between (see `braid_mvstore::Lease`).
    #[inline]
    pub(super) fn in_view<R>(&self, read: impl FnOnce(&View) -> Result<R>) -> Result<R> {
        match &self.hold {
            Hold::Plain(registration) => read(registration.view()),
            Hold::Leased(leased) => self.in_leased_view(leased, read),
            Hold::Over => Err(Error::TransactionClosed),
        }
    }

    #[cold]
    fn in_leased_view<R>(
        &self,
        leased: &LeasedRegistration<View>,
        read: impl FnOnce(&View) -> Result<R>,
    ) -> Result<R> {
        let held = leased.lease().hold();
        let Some(view) = &*held else { return Err(self.revoked(leased)) };
        let answer = read(view);
        if leased.lease().revoked().is_some() && !planted!(RevokedDuringRead) {
            return Err(self.revoked(leased));
        }
        answer
    }

    /// Whether it has no lease.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.hold, Hold::Plain(_))
    }

    /// Refuses use of a snapshot that was revoked.
    pub(super) fn check_lease(&self) -> Result<()> {
        match &self.hold {
            Hold::Leased(leased) if leased.lease().revoked().is_some() => Err(self.revoked(leased)),
            _ => Ok(()),
        }
    }

    #[cold]
    fn revoked(&self, leased: &LeasedRegistration<View>) -> Error {
        match leased.lease().revoked() {
            Some(why) => {
                self.state.fetch_or(state::REVOKED, Ordering::AcqRel);
                Error::revoked(self.begin_ts, why)
            }
            None => Error::TransactionClosed,
        }
    }

    /// Whether it has lost, as far as anybody was told.
    pub(super) fn has_lost(&self) -> bool {
        self.state.load(Ordering::Acquire) & (state::REVOKED | state::LOST) != 0
    }

    /// The loss of which somebody was told and which is not counted yet.
    #[cold]
    fn uncounted_loss(&self) -> Option<Error> {
        match &self.hold {
            Hold::Leased(leased) => leased.lease().revoked().map(|why| Error::revoked(self.begin_ts, why)),
            Hold::Plain(_) | Hold::Over => None,
        }
    }

    /// Its loss is counted from now on.
    pub(super) fn count_loss(&self) {
        self.state.fetch_or(state::LOST, Ordering::AcqRel);
    }

    /// Refuses use after the end, in a forked process, and of a table that is not of this database or not of this time.
    #[inline]
    pub(super) fn check(&self, table: &TableInfo) -> Result<()> {
        if self.is_sound(table) { Ok(()) } else { self.refuse(table) }
    }

    /// Whether [`check`](Self::check) lets it pass.
    #[inline]
    pub(super) fn is_sound(&self, table: &TableInfo) -> bool {
        self.is_live() && table.core == self.core().id && !table.is_missing_at(self.begin_ts)
    }

    /// Whether it has not ended, was not revoked and has not changed the catalog, and this is the process that began it.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        (self.is_simply_open() || self.is_leased()) && self.core().is_own_process()
    }

    /// Whether it has not ended, has no lease and has not changed the catalog.
    #[inline(always)]
    pub(super) fn is_simply_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == state::OPEN
    }

    /// Whether there is nothing but a lease that was not revoked.
    #[cold]
    fn is_leased(&self) -> bool {
        self.state.load(Ordering::Acquire) == state::LEASED && self.check_lease().is_ok()
    }

    /// Refuses use after the end, in a forked process, and once it was revoked.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::TransactionClosed);
        }
        self.core().check_process()?;
        self.check_lease()
    }

    /// Whatever [`is_sound`](Self::is_sound) does not let pass at once.
    #[cold]
    fn refuse(&self, table: &TableInfo) -> Result<()> {
        self.check_open()?;
        if table.core != self.core().id {
            return Err(Error::ForeignTable(table.name().to_string()));
        }
        match self.own_table(table.id)? {
            Some(true) => Ok(()),
            None if !table.is_missing_at(self.begin_ts) => Ok(()),
            None if table.is_made_by_another(self.as_maker()) => {
                Err(Error::UncommittedTable(table.name().to_string()))
            }
            Some(false) | None => Err(Error::NoSuchTable(table.name().to_string())),
        }
    }

    /// When it began, by the coarse clock.
    pub(super) fn started_at(&self) -> u64 {
        let registry = &self.core().registry;
        match &self.hold {
            Hold::Plain(registration) => registry.started_at(registration),
            Hold::Leased(leased) => registry.leased_started_at(leased),
            Hold::Over => u64::MAX,
        }
    }

    /// No call is let in from now on: who holds others back may call while the commit waits for just that one.
    #[cold]
    pub(super) fn begin_commit(&self) {
        self.state.fetch_or(state::COMMITS, Ordering::AcqRel);
    }

    /// Whether no call is let in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & (state::OVER | state::COMMITS) != 0
    }

    /// Whether it was [closed](Self::close).
    pub(super) fn is_over(&self) -> bool {
        self.state.load(Ordering::Acquire) & state::OVER != 0
    }

    /// It is over, and no call is let in any more. A call was told that the transaction was revoked, and that is not counted as a loss: then it
    /// is passed back, once.
    #[inline]
    pub(super) fn close(&self) -> Option<Error> {
        let before = self.state.fetch_or(state::OVER, Ordering::AcqRel);
        let uncounted = before & (state::REVOKED | state::LOST | state::OVER) == state::REVOKED;
        if uncounted { self.uncounted_loss() } else { None }
    }

    /// From here on its own rows are asked for tables.
    pub(super) fn begin_schema_change(&self) {
        self.state.fetch_or(state::SCHEMA, Ordering::AcqRel);
    }

    /// What tells it from every other transaction that is open: where it is.
    pub(super) fn as_maker(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether its own rows say that a table is there; `None` where they do not speak of it.
    fn own_table(&self, id: TableId) -> Result<Option<bool>> {
        if self.state.load(Ordering::Acquire) & state::SCHEMA == 0 {
            return Ok(None);
        }
        Ok(self.writes()?.get(TABLES, &id.0.to_be_bytes()).map(|found| found.value().is_some()))
    }

    /// Lets the snapshot go.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        match self.hold {
            Hold::Plain(_) => {}
            Hold::Leased(_) => return self.end_leased(),
            Hold::Over => return,
        }
        if let Hold::Plain(registration) = std::mem::replace(&mut self.hold, Hold::Over) {
            let core = self.core();
            drop(core.registry.end(registration, &**core));
        }
    }

    /// The same, and forgets everything: it is [`over`](Self::over) again.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.end();
        self.writes.leave();
        self.reads.clear();
        self.handle = None;
    }

    #[cold]
    fn end_leased(&mut self) {
        if let Hold::Leased(leased) = std::mem::replace(&mut self.hold, Hold::Over) {
            let core = self.core();
            drop(core.registry.end_leased(leased, &**core));
        }
    }

    /// The writes of one that is open. A commit may have come between the look when the call was let in and this one.
    #[inline]
    pub(super) fn writes(&self) -> Result<WritesGuard<'_>> {
        match self.writes.lock_while(|| !self.is_closed() || planted!(ClosedNotLookedAtAgain)) {
            Some(writes) => Ok(writes),
            None => Err(Error::TransactionClosed),
        }
    }

    /// The same for the transaction itself, which knows whether it is open.
    #[inline]
    pub(super) fn writes_of_owner(&self) -> WritesGuard<'_> {
        self.writes.lock()
    }

    /// Takes the writes out of one that is closed, or that nobody shares: a commit waits for its turn without a lock that
    /// others, who may hold it up, would wait for.
    #[inline]
    pub(super) fn take_writes(&self) -> Box<Own> {
        self.writes.take()
    }

    /// The same of what was read.
    #[inline]
    pub(super) fn take_reads(&self) -> Option<ReadSet> {
        self.reads.as_ref().map(|reads| std::mem::take(&mut *reads.lock()))
    }

    /// The transaction is over, and a cursor still holds its snapshot: that counts as a reader's from now on.
    pub(super) fn stop_writing(&self) {
        match &self.hold {
            Hold::Plain(registration) => self.core().registry.stop_writing(registration),
            Hold::Leased(leased) => self.core().registry.stop_writing_leased(leased),
            Hold::Over => {}
        }
    }

    /// Writes a row, or its deletion, for the transaction itself; one that is too much for the transaction changes nothing.
    pub(super) fn write(&self, table: TableId, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let value_len = value.map_or(0, <[u8]>::len);
        let mut writes = self.writes.lock();
        // Near the limit it matters whether the row is there already.
        let most = writes.held_bytes().saturating_add(WriteSet::most_bytes(key.len(), value_len));
        if self.check_size(most).is_err() {
            self.check_size(writes.bytes_after(writes.held_bytes(), table, key, value_len))?;
        }
        match value {
            Some(value) => writes.put(table, key, value),
            None => writes.delete(table, key),
        }
        self.writes_version.store(writes.version(), Ordering::Release);
        Ok(())
    }

    /// Writes rows of the system's, all or none.
    pub(super) fn write_catalog(&self, rows: &[SystemRow<'_>]) -> Result<()> {
        self.begin_schema_change();
        let mut writes = self.writes.lock();
        let bytes = rows.iter().fold(writes.held_bytes(), |bytes, (table, key, value)| {
            writes.bytes_after(bytes, *table, key, value.map_or(0, <[u8]>::len))
        });
        self.check_size(bytes)?;
        for (table, key, value) in rows {
            match value {
                Some(value) => writes.put(*table, key, value),
                None => writes.delete(*table, key),
            }
        }
        self.writes_version.store(writes.version(), Ordering::Release);
        Ok(())
    }

    /// Changes the write set; the caller has seen to its size.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut WriteSet) -> R) -> Result<R> {
        let mut writes = self.writes()?;
        let changed = change(&mut writes);
        self.writes_version.store(writes.version(), Ordering::Release);
        Ok(changed)
    }

    /// Refuses what is more than one transaction may hold.
    pub(super) fn check_size(&self, bytes: usize) -> Result<()> {
        let limit = self.core().options.max_transaction_bytes;
        if bytes > limit {
            return Err(Error::TransactionTooLarge { bytes: bytes as u64, limit: limit as u64 });
        }
        Ok(())
    }

    /// Changes with every write. 0: nothing was written; of another one it does not follow that something was.
    pub(super) fn writes_version(&self) -> u64 {
        self.writes_version.load(Ordering::Acquire)
    }

    /// What was read, of one that is open: see [`writes`](Self::writes). Behind the commit nobody answers for it.
    pub(super) fn reads(&self) -> Result<Option<MutexGuard<'_, ReadSet>>> {
        let Some(reads) = self.reads_of_owner() else { return Ok(None) };
        if self.is_closed() { Err(Error::TransactionClosed) } else { Ok(Some(reads)) }
    }

    /// The same for the transaction itself.
    pub(super) fn reads_of_owner(&self) -> Option<MutexGuard<'_, ReadSet>> {
        self.reads.as_ref().map(|reads| reads.lock())
    }

    /// For notes of what was looked at. Not for long.
    #[inline]
    pub(super) fn with_looks<R>(&self, with: impl FnOnce(&mut Looks) -> R) -> Result<R> {
        Ok(with(self.writes()?.looks()))
    }

    /// The same where it needs no wait: not once the transaction is over, nor while it commits.
    pub(super) fn try_with_looks(&self, with: impl FnOnce(&mut Looks)) {
        if self.is_closed() {
            return;
        }
        if let Some(mut writes) = self.writes.try_lock() {
            with(writes.looks());
        }
    }

    /// Only for a planted defect.
    pub(super) fn forget_look(&self, table: TableId, key: &[u8]) {
        self.writes_of_owner().looks().forget(Some((table, key)));
        if let Some(mut reads) = self.reads_of_owner() {
            reads.forget(Some((table, key)));
        }
    }

    /// Only for a planted defect.
    pub(super) fn forget_reads(&self) {
        self.writes_of_owner().looks().forget(None);
        if let Some(mut reads) = self.reads_of_owner() {
            reads.forget(None);
        }
    }

    /// Refuses a move when too much is noted already.
    pub(super) fn check_notes(&self) -> Result<()> {
        let Some(mut reads) = self.reads()? else { return Ok(()) };
        if self.check_size(reads.bytes()).is_err() && reads.may_be_tidied() {
            reads.tidy();
        }
        self.check_size(reads.bytes())
    }

    /// Notes that a key is looked up.
    #[cold]
    pub(super) fn note_key(&self, table: TableId, key: &[u8]) -> Result<()> {
        let Some(mut reads) = self.reads()? else { return Ok(()) };
        if self.check_size(reads.bytes_with(key.len())).is_err() && reads.may_be_tidied() {
            reads.tidy();
        }
        self.check_size(reads.bytes_with(key.len()))?;
        reads.key(table, key);
        Ok(())
    }
}

impl Drop for Inner {
    #[inline(always)]
    fn drop(&mut self) {
        self.end();
        self.writes.leave();
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::ops::Bound;
    use std::task::Waker;

    use braid_vfs::sync::thread;

    use super::Tracking;
    use crate::core::{Attempt, CommitWait};
    use crate::error::Result;
    use crate::options::{JournalMode, Options};
    use crate::{Database, Error, Isolation, TransactionOptions};

    #[test]
    fn what_is_read_while_it_is_revoked_is_not_passed_back() {
        let options = Options { snapshot_max_pinned_bytes: Some(0), ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "old").unwrap();
        let snapshot = db.snapshot().unwrap();
        let read = snapshot.inner.in_view(|view| {
            db.put(&table, "key", "new")?;
            db.checkpoint()?;
            assert_eq!(db.stats().open_snapshots, 0, "it was revoked");
            // What it reads is held all the same.
            assert!(view.generations().any(|generation| generation.rows() > 0));
            Ok(())
        });
        assert!(matches!(read, Err(Error::BusySnapshot { .. })), "{read:?}");
    }

    /// Each way to read, as it goes on behind the look whether the transaction is over.
    #[test]
    fn what_was_let_in_before_the_commit_is_told_behind_it() {
        for isolation in [Isolation::Snapshot, Isolation::Serializable] {
            for by_future in [false, true] {
                let db = Database::in_memory().unwrap();
                db.set_journal_mode(JournalMode::Mvcc).unwrap();
                let table = db.table("t").unwrap();
                db.put(&table, "key", "old").unwrap();
                let options = TransactionOptions { isolation, ..TransactionOptions::default() };
                let mut tx = db.begin_with(options).unwrap();
                tx.put(&table, "key", "new").unwrap();
                let made = tx.create_table("made").unwrap();
                let beside = tx.clone();
                if by_future {
                    let installed = tx.attempt(&mut CommitWait::default(), Waker::noop());
                    assert!(matches!(installed, Ok(Some(Attempt::Installed(_)))));
                    assert!(matches!(beside.get(&table, "key"), Err(Error::TransactionClosed)));
                } else {
                    tx.commit().unwrap();
                }
                let (inner, id) = (&*beside.inner, table.info().id);
                let closed = |answer: Result<()>| assert!(matches!(answer, Err(Error::TransactionClosed)));
                closed(inner.get(Tracking::Nothing, id, b"key", |_| ()).map(drop));
                closed(inner.get_committed(inner.tracking, id, b"key", |_| ()).map(drop));
                closed(inner.count(id, Bound::Unbounded, Bound::Unbounded).map(drop));
                closed(inner.settle(id, b"key").map(drop));
                closed(inner.own_table(made.info().id).map(drop));
                closed(inner.with_looks(|_| ()));
                if isolation == Isolation::Serializable {
                    closed(inner.reads().map(drop));
                }
            }
        }
    }

    /// A read that was under way as the commit began is told, and the commit passes: that is no loss.
    #[test]
    fn a_commit_passes_that_was_revoked_as_it_waited_for_its_turn() {
        let options = Options { snapshot_max_pinned_bytes: Some(0), ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "old").unwrap();
        let mut tx = db.begin_concurrent().unwrap();
        tx.put(&table, "key", "new").unwrap();
        let beside = tx.untracked();
        let holder = db.begin_immediate().unwrap();
        let mut held_back = None;
        let read = beside.inner.in_view(|_| {
            held_back = Some(thread::spawn(move || tx.commit()));
            while db.core().commits_held_back() == 0 {
                thread::yield_now();
            }
            db.checkpoint()
        });
        assert!(matches!(read, Err(Error::BusySnapshot { .. })), "{read:?}");
        assert!(beside.inner.has_lost(), "as far as it was told");
        drop(holder);
        held_back.unwrap().join().unwrap().unwrap();
        let stats = db.stats();
        assert_eq!((stats.conflicts.kinds.total(), stats.conflicts.escaped), (0, 0));
        drop(beside);
        assert_eq!((db.stats().conflicts.kinds.total(), db.stats().open_snapshots), (0, 0));
        assert_eq!(db.get(&table, "key").unwrap().unwrap(), b"new");
    }
}
