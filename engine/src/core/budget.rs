//! The row-store budget: writers are slowed down to the speed of the checkpoint before memory runs out.
//!
//! What counts is what the checkpoint can free: rows of the current view that are not in the base yet. A generation that
//! only an old snapshot still holds is reported with that snapshot and does not hold writers back, since waiting would
//! not free it.
//!
//! A commit that is let through *reserves* its bytes until its versions are installed, and counted there: what is on its
//! way cannot be overlooked by whoever asks next.
//!
//! A transaction larger than the whole budget is admitted alone: it waits until nothing is unfolded and nothing is
//! reserved, and holds back whoever comes meanwhile.
//!
//! A future that finds no room leaves its waker and reserves nothing while it waits: it may not be polled for long. One that is
//! large waits like a thread, as it holds back everybody else.
//!
//! Nothing waits for ever: who holds a reservation waits for nothing but the disk. Before it waits for the gate it gives
//! the reservation back (the holder of the gate may be waiting for exactly that), and asks again afterwards.

use std::task::Waker;
use std::time::Duration;

use braid_mvstore::UnusedGeneration;
use braid_vfs::events::keep;
use braid_vfs::sync::atomic::{AtomicUsize, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex, MutexGuard, WakerPlace, Wakers};
use braid_wal::Log;
use crossbeam_utils::CachePadded;

use super::shared::{Core, Writer};
use super::view::View;
use crate::error::{Error, Result};

/// How long a stalled writer sleeps before it looks again by itself.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The active generation is sealed at this size, so that the rest of the budget takes the writes made meanwhile.
pub(super) const fn seal_bytes(row_store_bytes: usize) -> usize {
    row_store_bytes / 2
}

/// What rows may take of the budget: the active generation and the one that is being folded have their filters, whatever is
/// in them.
pub(super) fn rows_bytes(row_store_bytes: usize) -> usize {
    row_store_bytes.saturating_sub(2 * UnusedGeneration::bytes(seal_bytes(row_store_bytes)))
}

#[derive(Debug, Default)]
struct Checkpoints {
    ended: u64,
    /// Why the last one failed, and which it was.
    failure: Option<(u64, Error)>,
    futures: Wakers,
    /// The futures count as one in `Budget::waiting`.
    counted: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What rows may take.
    bytes: usize,
    seal_bytes: usize,
    /// Of commits that were let through and are not installed yet.
    reserved: CachePadded<AtomicUsize>,
    /// Commits that are stalled.
    waiting: AtomicUsize,
    /// Of these, the ones that wait to be admitted alone.
    large_waiting: AtomicUsize,
    checkpoints: Mutex<Checkpoints>,
    ended: Condvar,
    /// Whose server wakes futures.
    log: Arc<Log>,
}

/// The right of a commit to install so many bytes; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// A future that waits for room.
#[derive(Debug)]
pub(crate) struct RoomWait {
    /// The checkpoints that had ended when it began to.
    since: u64,
    pub(super) place: Option<WakerPlace>,
}

impl Budget {
    pub(super) fn new(bytes: usize, log: Arc<Log>) -> Self {
        Self {
            bytes: rows_bytes(bytes),
            seal_bytes: seal_bytes(bytes),
            reserved: CachePadded::new(AtomicUsize::new(0)),
            waiting: AtomicUsize::new(0),
            large_waiting: AtomicUsize::new(0),
            checkpoints: Mutex::new(Checkpoints::default()),
            ended: Condvar::new(),
            log,
        }
    }

    pub(super) const fn seal_bytes(&self) -> usize {
        self.seal_bytes
    }

    /// A checkpoint ended: whoever is stalled looks again.
    pub(super) fn checkpoint_ended(&self, result: Result<()>) {
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.ended += 1;
        checkpoints.failure = result.err().map(|error| (checkpoints.ended, error));
        self.wake(checkpoints);
    }

    /// Wakes everybody who is stalled.
    fn wake(&self, mut checkpoints: MutexGuard<'_, Checkpoints>) {
        if std::mem::take(&mut checkpoints.counted) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        let futures = checkpoints.futures.take();
        drop(checkpoints);
        self.ended.notify_all();
        self.log.wake_soon(futures);
    }

    /// Has everybody who is stalled look again.
    pub(super) fn look_again(&self) {
        self.wake(self.checkpoints.lock());
    }

    /// A future waits no more. Should it have to again, it is another wait: what failed before that is none of its business.
    fn waited(&self, wait: &mut Option<RoomWait>) {
        if let Some(place) = wait.take().and_then(|wait| wait.place) {
            self.leave(place);
        }
    }

    /// Gives up the place of a future.
    pub(super) fn leave(&self, place: WakerPlace) {
        let left = self.checkpoints.lock().futures.leave(place);
        drop(left);
    }

    /// Reserves `bytes`, if there is room for them beside what is used and reserved; a large commit wants to be alone.
    ///
    /// The reservation comes first and the look at what is used second: of two that come at the same time, one at least
    /// sees the other.
    fn reserve(&self, bytes: usize, used: impl FnOnce() -> usize) -> Option<Reservation<'_>> {
        let others = self.reserved.fetch_add(bytes, Ordering::SeqCst);
        let taken = others.saturating_add(used());
        let fits = if bytes > self.bytes { taken == 0 } else { taken.saturating_add(bytes) <= self.bytes };
        if fits {
            return Some(Reservation { budget: self, bytes });
        }
        self.reserved.fetch_sub(bytes, Ordering::SeqCst);
        None
    }

    fn give_back(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Under the lock: whoever has looked before this and found no room is asleep by now.
            self.look_again();
        }
    }
}

impl Core {
    /// Lets a commit of `bytes` through when there is room for it, and waits for that.
    /// `held` is the view of its snapshot, if that is at hand.
    pub(super) fn admit<'a>(
        &self,
        writer: &'a Writer,
        bytes: usize,
        held: Option<&View>,
    ) -> Result<Reservation<'a>> {
        match self.try_admit(writer, bytes, held)? {
            Some(reservation) => Ok(reservation),
            None => self.stall(writer, bytes),
        }
    }

    /// The same for a future, whose waker is called when it may look again.
    pub(super) fn poll_admit<'a>(
        &self,
        writer: &'a Writer,
        bytes: usize,
        wait: &mut Option<RoomWait>,
        waker: &Waker,
    ) -> Result<Option<Reservation<'a>>> {
        let budget = &writer.budget;
        if let Some(reservation) = self.try_admit(writer, bytes, None)? {
            budget.waited(wait);
            return Ok(Some(reservation));
        }
        if bytes > budget.bytes {
            budget.waited(wait);
            return self.stall(writer, bytes).map(Some);
        }
        let waker = waker.clone();
        let mut checkpoints = budget.checkpoints.lock();
        if wait.is_none() {
            self.counters.stalls.add(1);
        }
        let waiting = wait.get_or_insert(RoomWait { since: checkpoints.ended, place: None });
        if !std::mem::replace(&mut checkpoints.counted, true) {
            budget.waiting.fetch_add(1, Ordering::SeqCst);
        }
        if let Some((when, error)) = &checkpoints.failure
            && *when > waiting.since
        {
            return Err(error.clone());
        }
        writer.check()?;
        if budget.large_waiting.load(Ordering::Relaxed) == 0
            && let Some(reservation) = budget.reserve(bytes, || self.unfolded_bytes())
        {
            drop(checkpoints);
            budget.waited(wait);
            return Ok(Some(reservation));
        }
        let replaced = checkpoints.futures.wait(&mut waiting.place, waker);
        drop(checkpoints);
        drop(replaced);
        if self.unfolded_bytes() > 0 {
            writer.background.request_checkpoint();
        }
        writer.background.look_at_room(self.env.clock.now().saturating_add(LOOK_AGAIN));
        Ok(None)
    }

    /// Lets a commit of `bytes` through if there is room for it; starts a checkpoint before there is none.
    #[inline]
    fn try_admit<'a>(
        &self,
        writer: &'a Writer,
        bytes: usize,
        held: Option<&View>,
    ) -> Result<Option<Reservation<'a>>> {
        let limit = self.options.max_transaction_bytes;
        if bytes > limit {
            return Err(Error::TransactionTooLarge { bytes: bytes as u64, limit: limit as u64 });
        }
        let budget = &writer.budget;
        let look = || {
            self.unfolded(held, |view, bytes| {
                let log_bytes = unfolded_log(writer, view);
                if view.active.bytes() >= budget.seal_bytes() || log_bytes > self.options.log_bytes {
                    writer.background.request_checkpoint();
                }
                bytes
            })
        };
        if budget.large_waiting.load(Ordering::Relaxed) == 0
            && let Some(reservation) = budget.reserve(bytes, look)
        {
            return Ok(Some(reservation));
        }
        Ok(None)
    }

    /// Bytes of rows that are not in the base yet.
    pub(crate) fn unfolded_bytes(&self) -> usize {
        self.unfolded(None, |_, bytes| bytes)
    }

    /// Passes on the current view, and the bytes of rows in it that are not in the base yet. It is `held`, if that is
    /// current.
    fn unfolded<R>(&self, held: Option<&View>, then: impl FnOnce(&View, usize) -> R) -> R {
        if let Some(view) = held
            && let Some(bytes) = self.unfolded_in(view)
        {
            return then(view, bytes);
        }
        loop {
            let view = self.view.load();
            if let Some(bytes) = self.unfolded_in(&view) {
                return then(&view, bytes);
            }
        }
    }

    /// The bytes of rows that are not in the base yet; `None` where the view is not current any more.
    fn unfolded_in(&self, view: &View) -> Option<usize> {
        let bytes = view.unfolded_bytes();
        // Looked at afterwards: else a fold may have ended meanwhile, and what was let through for it been counted beside
        // it. The id is published after the view: where it is behind, nothing has been let through yet, and nobody is
        // waited for.
        self.is_current(view).then_some(bytes)
    }

    fn stall<'a>(&self, writer: &'a Writer, bytes: usize) -> Result<Reservation<'a>> {
        let budget = &writer.budget;
        let large = bytes > budget.bytes;
        self.counters.stalls.add(1);
        if tracing::enabled!(tracing::Level::DEBUG) {
            // By now it may hold the gate, or a pass, which a subscriber may wait for.
            keep(move || tracing::debug!(bytes, "a writer has waited for the checkpoint"));
        }
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        if large {
            budget.large_waiting.fetch_add(1, Ordering::Relaxed);
        }
        let mut checkpoints = budget.checkpoints.lock();
        let began = checkpoints.ended;
        let admitted = loop {
            if let Some((when, error)) = &checkpoints.failure
                && *when > began
            {
                break Err(error.clone());
            }
            if let Err(error) = writer.check() {
                break Err(error);
            }
            if (large || budget.large_waiting.load(Ordering::Relaxed) == 0)
                && let Some(reservation) = budget.reserve(bytes, || self.unfolded_bytes())
            {
                break Ok(reservation);
            }
            if self.unfolded_bytes() > 0 {
                writer.background.request_checkpoint();
            }
            budget.ended.wait_for(&mut checkpoints, LOOK_AGAIN);
        };
        budget.waiting.fetch_sub(1, Ordering::SeqCst);
        if large {
            // Under the lock: whoever has looked before this and held back for it is asleep by now.
            budget.large_waiting.fetch_sub(1, Ordering::Relaxed);
            budget.wake(checkpoints);
        }
        admitted
    }
}

/// Bytes of log that the next checkpoint lets go, with what of their files is not used: the segment that takes the appends
/// counts by what is in it.
pub(super) fn unfolded_log(writer: &Writer, view: &View) -> u64 {
    let positions = writer.log.appended().get().saturating_sub(view.base.state().checkpoint_lsn);
    positions.saturating_add(writer.log.slack())
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use braid_vfs::sync::thread;

    use super::*;
    use crate::{Database, JournalMode, Options, SnapshotLoss};

    #[test]
    fn who_waits_again_is_not_told_of_what_failed_before() {
        let db = Database::in_memory().unwrap();
        let core = db.core();
        let writer = core.writer().unwrap();
        let budget = &writer.budget;
        let mut wait = None;
        let mut poll = || core.poll_admit(writer, 1000, &mut wait, Waker::noop());
        let all = core.admit(writer, budget.bytes, None).unwrap();
        assert!(poll().unwrap().is_none(), "there is no room");
        drop(all);
        drop(poll().unwrap().unwrap());
        budget.checkpoint_ended(Err(Error::Closed));
        let _all = core.admit(writer, budget.bytes, None).unwrap();
        assert!(poll().unwrap().is_none(), "it waits for the next checkpoint");
        budget.checkpoint_ended(Err(Error::Closed));
        assert!(matches!(poll(), Err(Error::Closed)), "which has failed");
    }

    /// It is no open write transaction to a change of the mode, and so must not commit behind it.
    #[test]
    fn one_that_is_revoked_as_it_waits_for_room_commits_in_no_other_mode() {
        for changes in [false, true] {
            let options = Options { snapshot_max_pinned_bytes: Some(0), ..Options::default() };
            let db = Database::in_memory_with(options).unwrap();
            db.set_journal_mode(JournalMode::Mvcc).unwrap();
            let table = db.table("t").unwrap();
            db.put(&table, "key", "old").unwrap();
            let core = db.core();
            let writer = core.writer().unwrap();
            let mut tx = db.begin_concurrent().unwrap();
            // More than a checkpoint makes room for.
            let new = vec![1; 64 << 10];
            assert!(core.unfolded_bytes() < new.len());
            tx.put(&table, "key", &new).unwrap();
            let all = core.admit(writer, writer.budget.bytes - core.unfolded_bytes(), None).unwrap();
            let waits = thread::spawn(move || tx.commit());
            while db.stats().stalls == 0 {
                thread::yield_now();
            }
            db.checkpoint().unwrap();
            assert_eq!(db.stats().revoked_snapshots, 1);
            if changes {
                db.set_journal_mode(JournalMode::Wal).unwrap();
            }
            drop(all);
            let commit = waits.join().unwrap();
            let losses = db.stats().conflicts.kinds.total();
            if changes {
                let why = commit.unwrap_err();
                let is_told =
                    matches!(why, Error::BusySnapshot { why: SnapshotLoss::PinsTooMuch { .. }, .. });
                assert!(is_told, "{why}");
                assert_eq!((db.get(&table, "key").unwrap().unwrap(), losses), (b"old".to_vec(), 1));
            } else {
                commit.unwrap();
                assert_eq!((db.get(&table, "key").unwrap().unwrap(), losses), (new, 0));
            }
            assert_eq!(db.stats().open_snapshots, 0);
        }
    }
}
