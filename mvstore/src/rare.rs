//! What there mostly is none of.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// An `Option<Box<T>>` that costs its owner one look when it is dropped empty: the end of a `T`, which is mostly not there, does
/// not become part of the owner's, so that the compiler may still inline that.
#[derive(Debug)]
pub struct Rare<T>(
    // Dropped by our own `Drop`, which leaves nothing behind.
    ManuallyDrop<Option<Box<T>>>,
);

impl<T> Rare<T> {
    /// Drops what is there.
    #[inline]
    pub fn clear(&mut self) {
        if self.0.is_some() {
            clear_out(&mut self.0);
        }
    }
}

#[cold]
#[inline(never)]
fn clear_out<T>(full: &mut Option<Box<T>>) {
    *full = None;
}

impl<T> Drop for Rare<T> {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> Default for Rare<T> {
    #[inline]
    fn default() -> Self {
        Self(ManuallyDrop::new(None))
    }
}

impl<T> Deref for Rare<T> {
    type Target = Option<Box<T>>;

    #[inline]
    fn deref(&self) -> &Option<Box<T>> {
        &self.0
    }
}

impl<T> DerefMut for Rare<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Option<Box<T>> {
        &mut self.0
    }
}
