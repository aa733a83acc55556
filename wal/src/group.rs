//! Group commit: one sync for all that wait.
//!
//! Whoever waits for a position and finds nobody syncing becomes the *leader*: it takes the log's end, syncs up to
//! there, and publishes that as durable. Whoever comes while it does so becomes a *follower* and sleeps: together with all
//! others that the present sync covers, or with those that wait for the next one. The first of the latter is the
//! *successor*. When the leader is done it hands the lead to the successor, waking that one first so that the disk
//! is busy again, and then wakes all those that it did cover by one call. It leads once and returns, so nobody works for
//! others longer than one sync.
//!
//! ```text
//!           ┌── sync 1 ──┐┌── sync 2 ──┐┌── sync 3
//! leader A  ████████████▌ wakes B, then C and D
//!        B      (waits)  ▐█████████████▌ wakes E, then nobody
//!     C, D      (wait: were appended before sync 1 began, so B's is not needed)
//!     E, F                (wait)        ▐██████
//! ```
//!
//! That is so among those who come now and then. Where committers come again and again the next sync is put off for a moment,
//! so that it serves all those who were just woken and are on their way back; see [`gathering`]. The first of them *holds*
//! it, or the successor where there is one, and the last one leads:
//!
//! ```text
//!           ┌── sync 1 ──┐     ┌── sync 2 ──┐
//! leader A  ████████████▌ wakes B, C and D · appends, waits: the last one to come, C, leads
//!        B      (waits)       (holds it)
//!        C      (waits)        ▐█████████████▌ wakes A, B and D
//!        D      (waits)       (waits)
//! ```
//!
//! # Invariants
//!
//! 1. `durable` only grows, is only stored by a leader after its sync succeeded, and never after a failure.
//! 2. `lead` is `Taken` exactly while one thread leads or has been told to, and `Held` while one sleeps in
//!    `waiting.present`, or has been told to, that will take the lead at a certain time if nobody does before. A follower
//!    is in `waiting` only while it is `Taken` or `Held`, a waker only while it is not `Free`, so there is always somebody
//!    who will wake it. While it is `Called` or `Kept` that is the server: it has been notified, or looks by itself.
//! 3. A leader takes the log's end after it became leader, under the mutex, so it covers its own position and those of all
//!    that wait in `waiting.present` by then. From then on, only those whose position is covered join there.
//! 4. A failure is final: `poisoned` is set and `waiting` emptied under the mutex; nothing is ever synced again.
//! 5. An event is set once, by whoever took it out of `waiting`.
//! 6. Every sync covers something that none before it did: who is told to lead or takes the lead is not covered yet.
//! 7. Only a committer is awaited, and only a committer waits for others to come: threads for threads, futures for
//!    futures. Whoever else wants something durable leads at once unless somebody does, or has the server do so; but no
//!    future ends the hold of a thread, which would have that thread wait for the server.
//! 8. Whoever takes the lead awaits nobody any more.
//!
//! Looking for a leader and joining the queue happen under one hold of the mutex, and so do emptying the queue and
//! giving up the lead. Were the leader to look at the queue in one hold and give up the lead in another:
//!
//! ```text
//! leader:   lock, queue is empty, unlock ·                       · lock, lead = Free, unlock
//! follower:                              · lock, is it taken? yes:
//!                                          join, unlock, sleep   ·  ... for ever
//! ```
//!
//! The wake-ups are made outside the mutex, and whoever is covered takes no lock.
//!
//! # Futures
//!
//! A future waits by leaving a waker with the crowd of its sync, and nobody can tell it to lead. For futures there is
//! the *server*, one thread that its owner gives to [`GroupCommit::serve`]: it leads where somebody waits and no
//! thread does, and it alone calls wakers, as they are code of the user's that may do anything, drop the last handle of
//! a database say, and whoever else leads may hold locks of the engine's.
//!
//! * `lead` is `Called` or `Kept` from when a future waits and nobody leads or holds a sync until somebody leads: the
//!   server, or a thread that comes first. A thread never waits for the server: it takes a lead itself that no thread has or
//!   holds. So the server may call code that waits for a sync.
//! * Whoever ends a turn hands the lead to the successor; if there is none and futures wait, to the server. Either way the
//!   next sync covers all that wait, threads and futures, and no one waits for more than two. A future that comes while a
//!   sync is held waits for the rest of that as well: it is short, and has a limit (see [`gathering`]).
//! * The server calls wakers before it leads: those that are covered do not wait for a sync that they do not need.
//! * Futures whose commits a sync covered, and no thread's, are awaited as threads are: the first one to come has the
//!   server *keep* the next sync, the last one has it lead. A thread does not wait for them: the server may be in code of
//!   the user's, which waits for that thread.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use braid_vfs::events::later;
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Condvar, Event, Mutex};

use self::queue::{Lead, Place, Queue};
use self::waiting::{COVERED, FAILED, HOLD, LEAD};
use crate::{Lsn, SyncError};

mod futures;
mod gathering;
mod queue;
mod waiting;
mod watchers;

pub(crate) use self::waiting::Who;

/// What the leader syncs.
pub(crate) trait SyncTarget {
    /// The end, exclusive, of what has been appended.
    fn appended(&self) -> Lsn;

    /// Makes everything before `through` durable.
    fn sync(&self, through: Lsn) -> io::Result<()>;

    /// The time, to tell how long a sync takes.
    fn now(&self) -> Duration;
}

/// The queue of one log.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    durable: AtomicU64,
    poisoned: AtomicBool,
    queue: Mutex<Queue>,
    /// Where the server sleeps.
    server: Condvar,
}

impl GroupCommit {
    pub(crate) fn new(durable: Lsn) -> Self {
        Self {
            durable: AtomicU64::new(durable.get()),
            poisoned: AtomicBool::new(false),
            queue: Mutex::new(Queue::default()),
            server: Condvar::new(),
        }
    }

    /// The end, exclusive, of what is known to be on the disk.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Returns once everything before `lsn` is durable.
    pub(crate) fn sync_through(&self, target: &impl SyncTarget, lsn: Lsn) -> Result<(), SyncError> {
        self.wait_through(target, Who::Visitor, lsn)
    }

    /// The same for a commit: the sync may be put off for others who commit, and later ones for this thread.
    pub(crate) fn commit_through(&self, target: &impl SyncTarget, lsn: Lsn) -> Result<(), SyncError> {
        self.wait_through(target, Who::Committer, lsn)
    }

    fn wait_through(&self, target: &impl SyncTarget, who: Who, lsn: Lsn) -> Result<(), SyncError> {
        if self.durable() >= lsn {
            return Ok(());
        }
        if lsn > target.appended() {
            return Err(SyncError::BeyondEnd { lsn });
        }
        let place = {
            let mut queue = self.queue.lock();
            if self.durable() >= lsn {
                return Ok(());
            }
            if self.is_poisoned() {
                return Err(queue.poisoned());
            }
            queue.come(who, lsn, target)
        };
        let verdict = match place {
            Place::Leads => LEAD,
            Place::Sleeps(event) => match event.wait() {
                HOLD => self.hold_as_successor(target, lsn),
                verdict => verdict,
            },
            Place::Holds(event, time) => self.hold(target, &event, time, lsn),
        };
        match verdict {
            COVERED => Ok(()),
            LEAD => self.lead(target, who),
            _ => Err(self.queue.lock().failed()),
        }
    }

    /// Holds the sync while others come: for a committer whose place is `event`.
    fn hold(&self, target: &impl SyncTarget, event: &Event, mut time: Duration, lsn: Lsn) -> u32 {
        loop {
            if let Some(verdict) = event.wait_for(time) {
                return verdict;
            }
            let mut queue = self.queue.lock();
            // One that is held after ours follows a sync that covers us.
            let is_ours = queue.lead == Lead::Held && self.durable() < lsn;
            if !is_ours || self.is_poisoned() || planted!(HolderNeverLeads) {
                drop(queue);
                return event.wait();
            }
            match queue.gathering.hold_on(target.now()) {
                Some(longer) => time = longer,
                None => {
                    queue.lead_for_all();
                    return LEAD;
                }
            }
        }
    }

    /// The same for the successor, which has a place among the others since it was told to.
    fn hold_as_successor(&self, target: &impl SyncTarget, lsn: Lsn) -> u32 {
        let (event, time) = {
            let mut queue = self.queue.lock();
            if self.durable() >= lsn {
                return COVERED;
            }
            if self.is_poisoned() {
                return FAILED;
            }
            let event = queue.waiting.present.event();
            if queue.lead == Lead::Held {
                let Some(time) = queue.gathering.hold(target.now()) else {
                    queue.lead_for_all();
                    return LEAD;
                };
                (event, time)
            } else {
                drop(queue);
                return event.wait();
            }
        };
        self.hold(target, &event, time, lsn)
    }

    /// Fails once the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), SyncError> {
        if self.is_poisoned() { Err(self.queue.lock().poisoned()) } else { Ok(()) }
    }

    /// Ends the log: nobody is told of durability any more, whoever waits fails. True the first time.
    pub(crate) fn poison(&self, cause: Arc<io::Error>) -> bool {
        self.fail(SyncError::Poisoned(cause))
    }

    /// One turn as the leader. What the sync tells is told after it: a subscriber may wait for this very turn.
    fn lead(&self, target: &impl SyncTarget, who: Who) -> Result<(), SyncError> {
        later(|| self.lead_now(target, who))
    }

    fn lead_now(&self, target: &impl SyncTarget, who: Who) -> Result<(), SyncError> {
        let through = {
            let mut queue = self.queue.lock();
            if self.is_poisoned() {
                return Err(queue.poisoned());
            }
            *queue.through.insert(target.appended())
        };
        let turn = Turn { group: self };
        let began = target.now();
        let outcome = target.sync(through);
        std::mem::forget(turn);
        match outcome {
            Ok(()) if planted!(EndTakenAfterSync) => self.succeed(target, target.appended(), who, began),
            Ok(()) => self.succeed(target, through, who, began),
            Err(error) => {
                let failure = SyncError::Failed(Arc::new(error));
                self.fail(failure.clone());
                Err(failure)
            }
        }
    }

    /// After a sync that `began` then: publishes `through`, hands the lead on, wakes who is covered.
    fn succeed(
        &self,
        target: &impl SyncTarget,
        through: Lsn,
        leader: Who,
        began: Duration,
    ) -> Result<(), SyncError> {
        let (successor, verdict, covered) = {
            let mut queue = self.queue.lock();
            if self.is_poisoned() {
                return Err(queue.poisoned());
            }
            self.durable.store(through.get(), Ordering::Release);
            let (mut covered, successor) = queue.waiting.advance();
            queue.through = None;
            let verdict = queue.hand_on(successor.as_ref(), &covered, leader, || began..target.now());
            if planted!(FollowerWokenEarly) {
                queue.waiting.present.wake(COVERED);
                queue.waiting.present.event = None;
            }
            queue.dismiss_watchers();
            self.hand_to_server(&mut queue, &mut covered);
            (successor, verdict, covered)
        };
        if let Some(successor) = successor {
            successor.event.set(if planted!(FollowerWokenEarly) { COVERED } else { verdict });
        }
        covered.wake(COVERED);
        Ok(())
    }

    fn fail(&self, failure: SyncError) -> bool {
        let (first, present, successor, next) = {
            let mut queue = self.queue.lock();
            let first = !self.poisoned.swap(true, Ordering::AcqRel);
            if first {
                queue.failure = Some(failure);
            }
            let (mut present, successor) = queue.waiting.advance();
            let (mut next, _) = queue.waiting.advance();
            queue.dismiss_watchers();
            self.hand_to_server(&mut queue, &mut present);
            self.hand_to_server(&mut queue, &mut next);
            (first, present, successor, next)
        };
        present.wake(FAILED);
        next.wake(FAILED);
        if let Some(successor) = successor {
            successor.event.set(FAILED);
        }
        first
    }
}

/// Held while a leader syncs; dropped only if the sync panics, which must not leave the followers asleep.
struct Turn<'a> {
    group: &'a GroupCommit,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.group.poison(Arc::new(io::Error::other("a sync of the log ended in a panic")));
    }
}

#[cfg(test)]
mod tests;
