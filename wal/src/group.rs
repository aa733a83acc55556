//! Group commit: one sync for all that wait.
//!
//! Whoever waits for a position and finds nobody syncing becomes the *leader*: it takes the log's end, syncs up to
//! there, and publishes that as durable. Whoever comes while it does so becomes a *follower* and sleeps. When the
//! leader is done it hands the lead to one follower that it did not cover, waking that one first so that the disk
//! is busy again, and then wakes those that it did cover. It leads once and returns, so nobody works for others
//! longer than one sync.
//!
//! ```text
//!           ┌── sync 1 ──┐┌── sync 2 ──┐┌── sync 3
//! leader A  ████████████▌ wakes B, C, D
//!        B      (waits)  ▐█████████████▌ wakes E, F
//!     C, D      (wait: were appended before sync 1 began, so B's is not needed)
//!     E, F                (wait)        ▐██████
//! ```
//!
//! # Invariants
//!
//! 1. `durable` only grows, is only stored by a leader after its sync succeeded, and never after a failure.
//! 2. `leading` is true exactly while one thread leads or has been told to. A follower is in `waiting` only while
//!    `leading` is true, so there is always somebody who will wake it.
//! 3. A leader takes the log's end after it became leader, so it covers its own position.
//! 4. A failure is final: `poisoned` is set and `waiting` emptied under the mutex; nothing is ever synced again.
//! 5. A verdict is stored once, before the wake-up, by whoever took the waiter out of `waiting`.
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
//! The wake-ups are made outside the mutex, each to one thread, so that neither a woken thread meets a held lock nor
//! a crowd meets at one.

use std::io;
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use braid_vfs::sync::thread::{self, Thread};

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
    waiting: Vec<Arc<Waiter>>,
    failure: Option<Arc<io::Error>>,
}

#[derive(Debug)]
struct Waiter {
    lsn: Lsn,
    verdict: AtomicU8,
    thread: Thread,
}

const WAIT: u8 = 0;
const COVERED: u8 = 1;
const LEAD: u8 = 2;
const FAILED: u8 = 3;

impl Waiter {
    fn new(lsn: Lsn) -> Self {
        Self { lsn, verdict: AtomicU8::new(WAIT), thread: thread::current() }
    }

    fn wake(&self, verdict: u8) {
        self.verdict.store(verdict, Ordering::Release);
        self.thread.unpark();
    }

    fn sleep(&self) -> u8 {
        loop {
            match self.verdict.load(Ordering::Acquire) {
                WAIT => thread::park(),
                verdict => return verdict,
            }
        }
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
        let waiter = {
            let mut queue = self.queue.lock();
            if self.durable() >= lsn {
                return Ok(());
            }
            if self.is_poisoned() {
                return Err(SyncError::Poisoned);
            }
            if queue.leading {
                let waiter = Arc::new(Waiter::new(lsn));
                queue.waiting.push(Arc::clone(&waiter));
                Some(waiter)
            } else {
                queue.leading = true;
                None
            }
        };
        match waiter.map_or(LEAD, |waiter| waiter.sleep()) {
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
        if self.is_poisoned() {
            return Err(SyncError::Poisoned);
        }
        let turn = Turn { group: self };
        let through = target.appended();
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
        let mut covered = Vec::new();
        let next = {
            let mut queue = self.queue.lock();
            if self.is_poisoned() {
                return Err(SyncError::Poisoned);
            }
            self.durable.store(through.get(), Ordering::Release);
            let mut index = 0;
            while let Some(waiter) = queue.waiting.get(index) {
                if waiter.lsn <= through || planted!(FollowerWokenEarly) {
                    covered.push(queue.waiting.swap_remove(index));
                } else {
                    index += 1;
                }
            }
            let next = queue.waiting.pop();
            queue.leading = next.is_some();
            next
        };
        if let Some(next) = next {
            next.wake(LEAD);
        }
        for waiter in covered {
            waiter.wake(COVERED);
        }
        Ok(())
    }

    fn fail(&self, cause: Option<Arc<io::Error>>) -> bool {
        let (first, waiting) = {
            let mut queue = self.queue.lock();
            let first = !self.poisoned.swap(true, Ordering::AcqRel);
            if first {
                queue.failure = cause;
            }
            (first, std::mem::take(&mut queue.waiting))
        };
        for waiter in waiting {
            waiter.wake(FAILED);
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
        self.group.fail(None);
    }
}

#[cfg(test)]
mod tests;
