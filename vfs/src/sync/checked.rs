//! The shim under a checker: the API of [`native`](super) over the standard-library-shaped types of `shuttle` or
//! `loom`.
//!
//! Neither checker knows time. Under `shuttle` a timed wait gives up the processor once and then says, by the
//! checker's own dice, that it timed out or that it woke for no reason: both are allowed at any moment, so a scenario
//! sees its timeouts, and no timed wait counts as a deadlock. Under `loom`, which has no dice, a timed wait never
//! times out.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

pub use checker::hint;
pub use checker::lazy_static;
pub use checker::sync::atomic;
#[cfg(all(shuttle, not(loom)))]
pub use checker::thread_local;

#[cfg(loom)]
pub use crate::thread_local_in_a_model as thread_local;

/// `loom`'s macro, for a value that is written as a constant too.
#[cfg(loom)]
#[macro_export]
#[doc(hidden)]
macro_rules! thread_local_in_a_model {
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = const { $value:expr };) => {
        $crate::sync::checker_thread_local! { $(#[$attribute])* $vis static $name: $type = $value; }
    };
}

#[cfg(loom)]
#[doc(hidden)]
pub use checker::thread_local as checker_thread_local;

/// Why a guard always holds its lock when it is used.
const HELD: &str = "a guard gives its lock away only inside of Condvar::wait";

/// A lock with one holder.
#[derive(Default)]
pub struct Mutex<T>(checker::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked one.
    pub fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(self, self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        unpoisoned(self.0.try_lock()).map(|guard| MutexGuard::new(self, guard))
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Looking inside would be a step of the schedule.
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// A held [`Mutex`].
pub struct MutexGuard<'a, T> {
    /// `None` only while [`Condvar::wait`] and its like have given the lock away.
    held: Option<checker::sync::MutexGuard<'a, T>>,
    #[cfg(all(shuttle, not(loom)))]
    mutex: &'a Mutex<T>,
}

impl<'a, T> MutexGuard<'a, T> {
    fn new(_mutex: &'a Mutex<T>, held: checker::sync::MutexGuard<'a, T>) -> Self {
        Self {
            held: Some(held),
            #[cfg(all(shuttle, not(loom)))]
            mutex: _mutex,
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_deref_mut().expect(HELD)
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A lock with one writer or many readers.
#[derive(Default)]
pub struct RwLock<T>(checker::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked one.
    pub fn new(value: T) -> Self {
        Self(checker::sync::RwLock::new(value))
    }

    /// Waits to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits to write.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard(self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads if nobody writes.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        unpoisoned(self.0.try_read()).map(RwLockReadGuard)
    }

    /// Writes if nobody else holds the lock.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        unpoisoned(self.0.try_write()).map(RwLockWriteGuard)
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").finish_non_exhaustive()
    }
}

/// A [`RwLock`] held for reading.
pub struct RwLockReadGuard<'a, T>(checker::sync::RwLockReadGuard<'a, T>);

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A [`RwLock`] held for writing.
pub struct RwLockWriteGuard<'a, T>(checker::sync::RwLockWriteGuard<'a, T>);

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A condition variable for [`MutexGuard`]s.
#[derive(Default)]
pub struct Condvar(checker::sync::Condvar);

impl Condvar {
    /// One that nobody waits on.
    #[must_use]
    pub fn new() -> Self {
        Self(checker::sync::Condvar::new())
    }

    /// Releases the lock, waits for a notification, takes the lock again. May return without a notification.
    ///
    /// # Panics
    /// Never: a guard holds its lock whenever a caller has it.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect(HELD);
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// [`wait`](Condvar::wait) for at most `timeout`; answers whether it timed out.
    #[cfg(all(shuttle, not(loom)))]
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> bool {
        use shuttle::rand::Rng as _;

        guard.held = None;
        shuttle::thread::yield_now();
        guard.held = Some(guard.mutex.0.lock().unwrap_or_else(PoisonError::into_inner));
        shuttle::rand::thread_rng().gen_ratio(1, 4)
    }

    /// [`wait`](Condvar::wait); `loom` has no time that could run out.
    #[cfg(loom)]
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> bool {
        self.wait(guard);
        false
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

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// A place where the checker may switch threads. Not a yield where there is another way: one who yields is put behind all
/// others by a checker that gives threads ranks, and a schedule in which one of them is stopped just here would never come.
#[cfg(all(shuttle, not(loom)))]
pub fn schedule_point() {
    let anything = atomic::AtomicBool::new(false);
    anything.load(atomic::Ordering::SeqCst);
}

/// Nothing: `loom` tries a switch before whatever it sees, and what it does not see has a stand-in. A yield would forbid every
/// schedule in which the thread goes on.
#[cfg(loom)]
pub fn schedule_point() {}

fn unpoisoned<G>(attempt: Result<G, TryLockError<G>>) -> Option<G> {
    match attempt {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Threads. A library starts its own through [`Spawn`](crate::Spawn); `spawn` and `Builder` are for tests and for
/// that trait's implementation.
pub mod thread {
    use std::time::Duration;

    pub use super::checker::thread::{
        Builder, JoinHandle, Thread, ThreadId, current, park, spawn, yield_now,
    };

    /// [`park`] that also wakes after `timeout`: here, at the checker's choice.
    pub fn park_timeout(_timeout: Duration) {
        #[cfg(loom)]
        park();
        #[cfg(all(shuttle, not(loom)))]
        yield_now();
    }

    /// Lets other threads run.
    pub fn sleep(_duration: Duration) {
        yield_now();
    }
}
