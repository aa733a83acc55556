//! Futures that wait for a time: a runner that backs off between two attempts, or whoever waits for the gate until its
//! `busy_timeout` is over.
//!
//! They leave a waker, and the log keeper looks when the next time has come. It may be late by a sync or by the making
//! of a segment.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::Duration;

use braid_vfs::planted;

use super::shared::Core;
use crate::error::Result;

/// The place of one future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerPlace {
    at: Duration,
    number: u64,
}

/// See the module. A waker is a user's code, to clone and to drop: all of that is done outside, without the lock.
#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: BTreeMap<TimerPlace, Waker>,
    numbers: u64,
}

impl Timers {
    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|(place, _)| place.at)
    }

    /// Keeps the place of a future, or finds it one; returns a waker to drop.
    pub(super) fn wait(
        &mut self,
        place: &mut Option<TimerPlace>,
        at: Duration,
        waker: Waker,
    ) -> Option<Waker> {
        let place = place.get_or_insert_with(|| {
            self.numbers += 1;
            TimerPlace { at, number: self.numbers }
        });
        self.waiting.insert(*place, waker)
    }

    /// Gives up a place; returns a waker to drop.
    fn leave(&mut self, place: TimerPlace) -> Option<Waker> {
        self.waiting.remove(&place)
    }

    /// Takes out those whose time has come, to be called.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().at <= now) {
            let waker = first.remove();
            if !planted!(TimerLost) {
                due.push(waker);
            }
        }
        due
    }
}

impl Core {
    /// Whether a time has come, or will not matter any more since the log is poisoned; else `waker` is called then.
    pub(crate) fn poll_time(
        &self,
        at: Duration,
        place: &mut Option<TimerPlace>,
        waker: &Waker,
    ) -> Result<Poll<()>> {
        let writer = self.writer()?;
        if self.env.clock.now() >= at || writer.log.is_poisoned() {
            return Ok(Poll::Ready(()));
        }
        let waker = waker.clone();
        let replaced = writer.background.with_timers(|timers| timers.wait(place, at, waker));
        drop(replaced);
        // After the waker is in its place: the log keeper ends with the log.
        Ok(if writer.log.is_poisoned() { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Gives up the place of a future that waits for a time.
    pub(crate) fn stop_sleeping(&self, place: &mut Option<TimerPlace>) {
        if let (Ok(writer), Some(place), true) = (self.writer(), place.take(), self.is_own_process()) {
            let left = writer.background.with_timers(|timers| timers.leave(place));
            drop(left);
        }
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn they_are_due_in_order_and_each_once() {
        let mut timers = Timers::default();
        let (mut late, mut early, mut same) = (None, None, None);
        assert!(timers.wait(&mut late, ms(30), Waker::noop().clone()).is_none());
        assert!(timers.wait(&mut early, ms(10), Waker::noop().clone()).is_none());
        assert!(timers.wait(&mut same, ms(10), Waker::noop().clone()).is_none());
        assert!(timers.wait(&mut same, ms(10), Waker::noop().clone()).is_some(), "it keeps its place");
        assert_eq!(timers.next(), Some(ms(10)));
        assert_eq!(timers.due(ms(9)).len(), 0);
        assert!(early.and_then(|place| timers.leave(place)).is_some());
        assert_eq!(timers.due(ms(10)).len(), 1);
        assert!(same.and_then(|place| timers.leave(place)).is_none(), "it was called");
        assert_eq!(timers.next(), Some(ms(30)));
        assert_eq!(timers.due(Duration::MAX).len(), 1);
        assert_eq!(timers.next(), None);
    }
}
