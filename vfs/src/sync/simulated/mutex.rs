//! A lock with one holder.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::simulation::{Place, current};

/// A lock with one holder.
#[derive(Debug, Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if let Some(task) = current() {
            task.point();
        }
        self.lock_here()
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        if let Some(task) = current() {
            task.point();
        }
        self.0.try_lock().map(|held| MutexGuard { held: Some(held), mutex: self })
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }

    pub(super) fn lock_here(&self) -> MutexGuard<'_, T> {
        MutexGuard { held: Some(self.acquire()), mutex: self }
    }

    fn acquire(&self) -> parking_lot::MutexGuard<'_, T> {
        let Some(task) = current() else { return self.0.lock() };
        loop {
            match self.0.try_lock() {
                Some(held) => return held,
                None => task.wait(Place::of(self)),
            }
        }
    }
}

/// A held [`Mutex`].
pub struct MutexGuard<'a, T> {
    /// `None` only while a condition variable has given the lock away.
    held: Option<parking_lot::MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
}

/// Why a guard always holds its lock when it is used.
const HELD: &str = "a guard gives its lock away only inside of Condvar::wait";

impl<'a, T> MutexGuard<'a, T> {
    /// Gives the lock away, and wakes those who wait for it.
    pub(super) fn release(&mut self) {
        if self.held.take().is_some()
            && let Some(task) = current()
        {
            task.wake_all(Place::of(self.mutex));
        }
    }

    /// Takes the lock again.
    pub(super) fn retake(&mut self) {
        self.held = Some(self.mutex.acquire());
    }

    /// The native guard, for a native wait.
    pub(super) fn native(&mut self) -> &mut parking_lot::MutexGuard<'a, T> {
        self.held.as_mut().expect(HELD)
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.release();
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
