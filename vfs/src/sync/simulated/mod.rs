//! The shim where runs can be simulated: native outside of a [`simulation`](crate::simulation), and its scheduler's
//! inside.
//!
//! A lock is the native one in both cases; a task of a run only never blocks on it, but tries, and waits for the
//! scheduler to say when to try again. Nobody else runs between a failed try and the wait, so no wake is missed.

mod condvar;
mod mutex;
mod rwlock;
pub mod thread;

pub use crate::lazy_static;
pub use std::sync::atomic;
pub use std::thread_local;

pub use self::condvar::Condvar;
pub use self::mutex::{Mutex, MutexGuard};
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::simulation::current;

/// A place where the scheduler of a run may switch threads; nothing outside of one.
#[inline]
pub fn schedule_point() {
    if let Some(task) = current() {
        task.point();
    }
}

/// Spinning.
pub mod hint {
    /// Tells the processor, or the scheduler of a run, that nothing can be done but to wait.
    #[inline]
    pub fn spin_loop() {
        match crate::simulation::current() {
            Some(task) => task.give_way(),
            None => std::hint::spin_loop(),
        }
    }
}
