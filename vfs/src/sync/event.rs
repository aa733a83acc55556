//! Something that happens once, and that many threads wait for.

use std::time::Duration;

#[cfg(all(target_os = "linux", not(any(shuttle, loom, feature = "simulation"))))]
mod system {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::{Acquire, Release};
    use std::time::Duration;

    use rustix::thread::futex;

    /// The outcome, 0 before it is there. Threads sleep on the number itself: one call of the system wakes all of them, and
    /// none takes a lock.
    #[derive(Debug, Default)]
    pub(super) struct Outcome(AtomicU32);

    impl Outcome {
        pub(super) fn set(&self, outcome: u32) {
            self.0.store(outcome, Release);
            // It fails for an address that is none.
            let _ = futex::wake(&self.0, futex::Flags::PRIVATE, i32::MAX as u32);
        }

        pub(super) fn wait(&self) -> u32 {
            loop {
                match self.0.load(Acquire) {
                    // Returns at once where it is not 0 any more; whatever else it returns for, we look again.
                    0 => drop(futex::wait(&self.0, futex::Flags::PRIVATE, 0, None)),
                    outcome => return outcome,
                }
            }
        }

        pub(super) fn wait_for(&self, timeout: Duration) -> u32 {
            let outcome = self.0.load(Acquire);
            if outcome != 0 {
                return outcome;
            }
            // One that the system cannot count, and a signal, end it early, as they may.
            if let Ok(timeout) = futex::Timespec::try_from(timeout) {
                let _ = futex::wait(&self.0, futex::Flags::PRIVATE, 0, Some(&timeout));
            }
            self.0.load(Acquire)
        }
    }
}

#[cfg(not(all(target_os = "linux", not(any(shuttle, loom, feature = "simulation")))))]
mod system {
    use std::time::Duration;

    use crate::sync::{Condvar, Mutex};

    #[derive(Debug)]
    pub(super) struct Outcome {
        outcome: Mutex<u32>,
        there: Condvar,
    }

    impl Default for Outcome {
        fn default() -> Self {
            Self { outcome: Mutex::new(0), there: Condvar::new() }
        }
    }

    impl Outcome {
        pub(super) fn set(&self, outcome: u32) {
            *self.outcome.lock() = outcome;
            self.there.notify_all();
        }

        pub(super) fn wait(&self) -> u32 {
            let mut outcome = self.outcome.lock();
            while *outcome == 0 {
                self.there.wait(&mut outcome);
            }
            *outcome
        }

        pub(super) fn wait_for(&self, timeout: Duration) -> u32 {
            let mut outcome = self.outcome.lock();
            // `loom` has no time: it is always up.
            if *outcome == 0 && !cfg!(loom) {
                self.there.wait_for(&mut outcome, timeout);
            }
            *outcome
        }
    }
}

/// Something that happens once, with a number that says how it went. What its setter did before, those who waited see.
#[derive(Debug, Default)]
pub struct Event(system::Outcome);

impl Event {
    /// One that has not happened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It has happened: wakes everybody who waits, and whoever waits from now on does not. `outcome` is not 0; it is set
    /// once.
    pub fn set(&self, outcome: u32) {
        debug_assert!(outcome != 0, "0 stands for what has not happened");
        self.0.set(outcome);
    }

    /// Waits until it has happened, and says how it went.
    pub fn wait(&self) -> u32 {
        self.0.wait()
    }

    /// [`wait`](Self::wait) for at most `timeout`; `None` when it has not happened. May give up early.
    pub fn wait_for(&self, timeout: Duration) -> Option<u32> {
        Some(self.0.wait_for(timeout)).filter(|&outcome| outcome != 0)
    }
}
