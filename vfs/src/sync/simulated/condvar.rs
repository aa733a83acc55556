//! A condition variable.

use std::time::Duration;

use super::MutexGuard;
use crate::simulation::{Place, current};

/// A condition variable for [`MutexGuard`]s.
#[derive(Debug, Default)]
pub struct Condvar(parking_lot::Condvar);

impl Condvar {
    /// One that nobody waits on.
    #[must_use]
    pub const fn new() -> Self {
        Self(parking_lot::Condvar::new())
    }

    /// Releases the lock, waits for a notification, takes the lock again. May return without a notification.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match current() {
            None => self.0.wait(guard.native()),
            Some(task) => {
                guard.release();
                task.wait(Place::of(self));
                guard.retake();
            }
        }
    }

    /// [`wait`](Condvar::wait) for at most `timeout`; answers whether it timed out.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        match current() {
            None => self.0.wait_for(guard.native(), timeout).timed_out(),
            Some(task) => {
                guard.release();
                let timed_out = task.wait_for(Place::of(self), timeout);
                guard.retake();
                timed_out
            }
        }
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        match current() {
            None => {
                self.0.notify_one();
            }
            Some(task) => task.wake_one(Place::of(self)),
        }
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        match current() {
            None => {
                self.0.notify_all();
            }
            Some(task) => task.wake_all(Place::of(self)),
        }
    }
}
