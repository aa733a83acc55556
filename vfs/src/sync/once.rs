//! A cell that is set once, under a checker: the standard one blocks the whole checker when two threads meet in it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::thread;

/// A cell that is set once.
#[derive(Debug, Default)]
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    /// Somebody is computing the value.
    busy: AtomicBool,
}

impl<T> OnceLock<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), busy: AtomicBool::new(false) }
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Sets the value, or gives it back where one is set already.
    ///
    /// # Errors
    /// The given value, when it was not needed.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)
    }

    /// The value, computed by the first caller.
    pub fn get_or_init(&self, compute: impl FnOnce() -> T) -> &T {
        loop {
            if let Some(value) = self.value.get() {
                return value;
            }
            if !self.busy.swap(true, Ordering::AcqRel) {
                let _busy = Busy(&self.busy);
                // Another thread may have finished between the look and the swap.
                if self.value.get().is_none() {
                    let value = compute();
                    return self.value.get_or_init(|| value);
                }
            }
            thread::yield_now();
        }
    }
}

/// Ends the computation, by a panic too.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
