//! The shim as it is in production: `parking_lot` and the standard library.

use std::time::Duration;

pub use crate::lazy_static;
pub use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::{OnceLock, atomic};
pub use std::thread_local;

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
        self.0.wait(guard);
    }

    /// [`wait`](Condvar::wait) for at most `timeout`; answers whether it timed out.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        self.0.wait_for(guard, timeout).timed_out()
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A place where a checker may switch threads; nothing in production.
#[inline]
pub fn schedule_point() {}

/// Spinning.
pub mod hint {
    pub use std::hint::spin_loop;
}

/// Threads. A library starts its own through [`Spawn`](crate::Spawn); `spawn` and `Builder` are for tests and for
/// that trait's implementation.
pub mod thread {
    pub use std::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, park_timeout, yield_now};

    /// Starts a thread.
    ///
    /// # Panics
    /// When the system has none to give.
    #[expect(clippy::disallowed_methods, reason = "this is where the workspace starts threads")]
    pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        std::thread::spawn(work)
    }

    /// Blocks the thread for `duration`.
    #[expect(clippy::disallowed_methods, reason = "this is where the workspace sleeps")]
    pub fn sleep(duration: std::time::Duration) {
        std::thread::sleep(duration);
    }
}
