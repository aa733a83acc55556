//! A lock with one writer or many readers.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::simulation::{Place, current};

/// A lock with one writer or many readers.
#[derive(Debug, Default)]
pub struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self(parking_lot::RwLock::new(value))
    }

    /// Waits to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let held = match current() {
            None => self.0.read(),
            Some(task) => {
                task.point();
                loop {
                    match self.0.try_read() {
                        Some(held) => break held,
                        None => task.wait(Place::of(self)),
                    }
                }
            }
        };
        RwLockReadGuard { held: Some(held), lock: self }
    }

    /// Waits to write.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let held = match current() {
            None => self.0.write(),
            Some(task) => {
                task.point();
                loop {
                    match self.0.try_write() {
                        Some(held) => break held,
                        None => task.wait(Place::of(self)),
                    }
                }
            }
        };
        RwLockWriteGuard { held: Some(held), lock: self }
    }

    /// Reads if nobody writes.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        super::schedule_point();
        self.0.try_read().map(|held| RwLockReadGuard { held: Some(held), lock: self })
    }

    /// Writes if nobody else holds the lock.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        super::schedule_point();
        self.0.try_write().map(|held| RwLockWriteGuard { held: Some(held), lock: self })
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }

    fn released(&self) {
        if let Some(task) = current() {
            task.wake_all(Place::of(self));
        }
    }
}

/// Why a guard always holds its lock when it is used.
const HELD: &str = "a guard gives its lock away only when it is dropped";

/// A [`RwLock`] held for reading.
pub struct RwLockReadGuard<'a, T> {
    held: Option<parking_lot::RwLockReadGuard<'a, T>>,
    lock: &'a RwLock<T>,
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_deref().expect(HELD)
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        self.lock.released();
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A [`RwLock`] held for writing.
pub struct RwLockWriteGuard<'a, T> {
    held: Option<parking_lot::RwLockWriteGuard<'a, T>>,
    lock: &'a RwLock<T>,
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_deref_mut().expect(HELD)
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        self.lock.released();
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
