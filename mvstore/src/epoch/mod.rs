//! The epoch, through which what readers may still see is freed later: `crossbeam_epoch`'s, or under `loom`, which cannot
//! see into that, a stand-in that it can.

#[cfg(loom)]
mod stand_in;

#[cfg(not(loom))]
pub(crate) use crossbeam_epoch::{Atomic, Owned, Shared, unprotected};
#[cfg(loom)]
pub(crate) use stand_in::{Atomic, Owned, Shared, unprotected};
#[cfg(loom)]
pub use stand_in::{Guard, pin};

/// Keeps what a reader finds from being freed, as long as it lives.
///
/// Only [`pin`] makes one, so that it is always of the collector through which versions are freed.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct Guard(crossbeam_epoch::Guard);

/// Where a pointer leads to; not to be read from.
#[cfg(not(loom))]
#[inline]
pub(crate) fn address_of<T: crossbeam_epoch::Pointable + ?Sized>(pointer: Shared<'_, T>) -> *const u8 {
    std::ptr::without_provenance(crossbeam_epoch::Pointer::into_usize(pointer))
}

/// Pins the thread.
#[cfg(not(loom))]
#[must_use]
#[inline]
pub fn pin() -> Guard {
    Guard(crossbeam_epoch::pin())
}

#[cfg(not(loom))]
impl std::ops::Deref for Guard {
    type Target = crossbeam_epoch::Guard;

    #[inline]
    fn deref(&self) -> &crossbeam_epoch::Guard {
        &self.0
    }
}
