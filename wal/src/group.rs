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
//! # Invariants
//!
//! 1. `durable` only grows, is only stored by a leader after its sync succeeded, and never after a failure.
//! 2. `leading` is true exactly while one thread leads or has been told to. A follower is in `waiting` only while
//!    `leading` is true, so there is always somebody who will wake it.
//! 3. A leader takes the log's end after it became leader, under the mutex, so it covers its own position and those of all
//!    that wait in `waiting.present` by then. From then on, only those whose position is covered join there.
//! 4. A failure is final: `poisoned` is set and `waiting` emptied under the mutex; nothing is ever synced again.
//! 5. An event is set once, by whoever took it out of `waiting`.
//!
//! Looking for a leader and joining the queue happen under one hold of the mutex, and so do emptying the queue and
//! giving up the lead. Were the leader to look at the queue in one hold and give up the lead in another:
//!
//! ```text
//! leader:   lock, queue is empty, unlock ·                       · lock, leading = false, unlock
//! follower:                              · lock, leading? yes:
//!                                          join, unlock, sleep   ·  ... for ever
//! ```
//!
//! The wake-ups are made outside the mutex, and whoever is woken takes no lock.
//!
//! *Watchers* wait for nothing in particular: readers of the log that have read all that is durable. They leave a waker in
//! the queue, under the mutex under which `durable` is stored, so that none sleeps over a sync; and they are woken last.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Event, Mutex};

use crate::{Lsn, SyncError};

/// What the leader syncs.
pub(crate) trait SyncTarget {
    /// The end, exclusive, of what has been appended.
    fn appended(&self) -> Lsn;

    /// Makes everything before `through` durable.
    fn sync(&self, through: Lsn) -> io::Result<()>;
}

/// The queue of one log.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    durable: AtomicU64,
    poisoned: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    leading: bool,
    /// What the present sync covers; `None` before its leader has taken the log's end.
    through: Option<Lsn>,
    waiting: Waiting,
    failure: Option<Arc<io::Error>>,
    /// Who wants to know when more is durable, or nothing more will be. Empty unless somebody reads the live log.
    watchers: Watchers,
}

/// Wakers by the number of their watcher.
pub(crate) type Watchers = Vec<(u64, Waker)>;

/// Those who sleep.
#[derive(Debug, Default)]
struct Waiting {
    /// Whom the present sync covers.
    present: Crowd,
    /// Who comes after it: the successor, and the others.
    successor: Option<Arc<Event>>,
    next: Crowd,
}

/// Threads that are woken together.
#[derive(Debug, Default)]
struct Crowd {
    event: Option<Arc<Event>>,
    threads: usize,
}

const COVERED: u32 = 1;
const LEAD: u32 = 2;
const FAILED: u32 = 3;

impl Crowd {
    fn join(&mut self) -> Arc<Event> {
        self.threads += 1;
        Arc::clone(self.event.get_or_insert_default())
    }

    fn wake(self, verdict: u32) {
        if let Some(event) = self.event {
            event.set(verdict);
        }
    }
}

impl Queue {
    /// A place to sleep for one who waits for `lsn` while somebody leads.
    fn join(&mut self, lsn: Lsn) -> Arc<Event> {
        if self.through.is_none_or(|through| lsn <= through) {
            self.waiting.present.join()
        } else if self.waiting.successor.is_some() {
            self.waiting.next.join()
        } else {
            Arc::clone(self.waiting.successor.insert(Arc::default()))
        }
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
impl Waiting {
    fn len(&self) -> usize {
        self.present.threads + self.next.threads + usize::from(self.successor.is_some())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl GroupCommit {
    pub(crate) fn new(durable: Lsn) -> Self {
        Self {
            durable: AtomicU64::new(durable.get()),
            poisoned: AtomicBool::new(false),
            queue: Mutex::new(Queue::default()),
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
                return Err(SyncError::Poisoned);
            }
            if queue.leading {
                Some(queue.join(lsn))
            } else {
                queue.leading = true;
                queue.through = None;
                None
            }
        };
        match place.map_or(LEAD, |event| event.wait()) {
            COVERED => Ok(()),
            LEAD => self.lead(target),
            _ => Err(self.queue.lock().failure.clone().map_or(SyncError::Poisoned, SyncError::Failed)),
        }
    }

    /// Ends the log: nobody is told of durability any more, whoever waits fails. True the first time.
    pub(crate) fn poison(&self) -> bool {
        self.fail(None)
    }

    /// One turn as the leader.
    fn lead(&self, target: &impl SyncTarget) -> Result<(), SyncError> {
        let through = {
            let mut queue = self.queue.lock();
            if self.is_poisoned() {
                return Err(SyncError::Poisoned);
            }
            *queue.through.insert(target.appended())
        };
        let turn = Turn { group: self };
        let outcome = target.sync(through);
        std::mem::forget(turn);
        match outcome {
            Ok(()) if planted!(EndTakenAfterSync) => self.succeed(target.appended()),
            Ok(()) => self.succeed(through),
            Err(error) => {
                let error = Arc::new(error);
                self.fail(Some(Arc::clone(&error)));
                Err(SyncError::Failed(error))
            }
        }
    }

    /// Publishes `through`, hands the lead on, wakes who is covered.
    fn succeed(&self, through: Lsn) -> Result<(), SyncError> {
        let (successor, covered, watchers) = {
            let mut queue = self.queue.lock();
            if self.is_poisoned() {
                return Err(SyncError::Poisoned);
            }
            self.durable.store(through.get(), Ordering::Release);
            let Waiting { present, successor, next } = std::mem::take(&mut queue.waiting);
            queue.through = None;
            queue.leading = successor.is_some() && !planted!(FollowerWokenEarly);
            if queue.leading {
                queue.waiting.present = next;
            } else {
                next.wake(COVERED);
            }
            (successor, present, std::mem::take(&mut queue.watchers))
        };
        if let Some(successor) = successor {
            successor.set(if planted!(FollowerWokenEarly) { COVERED } else { LEAD });
        }
        covered.wake(COVERED);
        wake_all(watchers);
        Ok(())
    }

    /// Has `waker` woken once more than `known` is durable or the log has failed, in place of the one that `watcher` left
    /// before. False where that is so already.
    pub(crate) fn watch(&self, watcher: u64, known: Lsn, waker: &Waker) -> bool {
        // Cloned and dropped outside the mutex: it is the watcher's code.
        let mut waker = waker.clone();
        let mut queue = self.queue.lock();
        if self.durable() > known || self.is_poisoned() {
            return false;
        }
        match queue.watchers.iter_mut().find(|(number, _)| *number == watcher) {
            Some((_, old)) => std::mem::swap(old, &mut waker),
            None => {
                queue.watchers.push((watcher, waker));
                return true;
            }
        }
        drop(queue);
        drop(waker);
        true
    }

    /// Forgets what `watcher` left.
    pub(crate) fn unwatch(&self, watcher: u64) {
        let mut queue = self.queue.lock();
        let place = queue.watchers.iter().position(|(number, _)| *number == watcher);
        let left = place.map(|place| queue.watchers.swap_remove(place));
        drop(queue);
        drop(left);
    }

    /// Wakes all watchers, whatever is durable.
    pub(crate) fn wake_watchers(&self) {
        let watchers = std::mem::take(&mut self.queue.lock().watchers);
        wake_all(watchers);
    }

    fn fail(&self, cause: Option<Arc<io::Error>>) -> bool {
        let (first, watchers, Waiting { present, successor, next }) = {
            let mut queue = self.queue.lock();
            let first = !self.poisoned.swap(true, Ordering::AcqRel);
            if first {
                queue.failure = cause;
            }
            (first, std::mem::take(&mut queue.watchers), std::mem::take(&mut queue.waiting))
        };
        present.wake(FAILED);
        next.wake(FAILED);
        if let Some(successor) = successor {
            successor.set(FAILED);
        }
        wake_all(watchers);
        first
    }
}

fn wake_all(watchers: Watchers) {
    for (_, waker) in watchers {
        waker.wake();
    }
}

/// Held while a leader syncs; dropped only if the sync panics, which must not leave the followers asleep.
struct Turn<'a> {
    group: &'a GroupCommit,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.group.fail(None);
    }
}

#[cfg(test)]
mod tests;
