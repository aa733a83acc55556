//! The epoch, through which what readers may still see is freed later: `crossbeam_epoch`'s, or under `loom`, which cannot
//! see into that, a stand-in that it can.

#[cfg(loom)]
mod stand_in;

#[cfg(not(loom))]
pub(crate) use crossbeam_epoch::{Atomic, Owned, Shared, unprotected};
#[cfg(not(loom))]
pub use crossbeam_epoch::{Guard, pin};
#[cfg(loom)]
pub(crate) use stand_in::{Atomic, Owned, Shared, unprotected};
#[cfg(loom)]
pub use stand_in::{Guard, pin};
