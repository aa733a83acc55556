//! The locks, atomics and threads that every crate of the workspace uses.
//!
//! The same names stand for four things, chosen at compile time: `parking_lot` and the standard library normally,
//! `shuttle` under `--cfg shuttle`, `loom` under `--cfg loom`, and with the feature `simulation` what is native or
//! belongs to a simulated run, as the calling thread does. Code written against the common subset below needs no
//! `cfg` of its own:
//!
//! | type | what may be used |
//! | --- | --- |
//! | [`Mutex`] | `new`, `lock`, `try_lock` (an `Option`), `get_mut`, `into_inner` |
//! | [`RwLock`] | `new`, `read`, `write`, `try_read`, `try_write`, `get_mut`, `into_inner` |
//! | [`Condvar`] | `new`, `wait(&mut guard)`, `wait_for(&mut guard, timeout) -> timed out`, `notify_one`, `notify_all` |
//! | [`Event`] | `new`, `set`, `wait`, `wait_for(timeout) -> what happened, if it did` |
//! | [`Wakers`] | everything; plain data under somebody's lock |
//! | [`OnceLock`] | `new`, `get`, `set`, `get_or_init` |
//! | [`Arc`], [`Weak`] | everything; they are the standard ones always, so `Arc<dyn Trait>` works |
//! | [`atomic`] | the types, `Ordering` and `fence` |
//! | [`tracked`] | `AtomicBool`, `AtomicU64`, `AtomicUsize` of [`atomic`], of which `loom` tries more |
//! | [`thread`], [`hint`] | what these modules name |
//! | [`lazy_static!`] | `static ref NAME: Type = value;`, one at a time |
//!
//! No lock poisons. A checker's lock or atomic lives for one run of it, so a static one is a `lazy_static!`, which a
//! checker makes anew for each run. A number that is counted up for all runs of a process, and that no schedule can turn
//! on, is an atomic of the standard library.

#[cfg(any(shuttle, loom))]
mod checked;
mod event;
#[cfg(all(shuttle, not(loom)))]
pub mod explore;
#[cfg(not(any(shuttle, loom)))]
mod lazy;
#[cfg(not(any(shuttle, loom, feature = "simulation")))]
mod native;
#[cfg(any(shuttle, loom, feature = "simulation"))]
mod once;
#[cfg(not(any(shuttle, loom)))]
#[cfg(feature = "simulation")]
mod simulated;
#[cfg(loom)]
pub mod tracked;
mod wakers;

pub use std::sync::{Arc, Weak};

#[cfg(not(loom))]
pub use self::atomic as tracked;
#[cfg(loom)]
#[doc(hidden)]
pub use self::checked::checker_thread_local;
pub use self::event::Event;
#[cfg(not(any(shuttle, loom, feature = "simulation")))]
pub use self::native::{
    Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, hint,
    lazy_static, schedule_point, thread, thread_local,
};
pub use self::wakers::{WakerPlace, Wakers, wake_all};
#[cfg(any(shuttle, loom))]
pub use self::{
    checked::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, hint, lazy_static,
        schedule_point, thread, thread_local,
    },
    once::OnceLock,
};
#[cfg(not(any(shuttle, loom)))]
#[cfg(feature = "simulation")]
pub use self::{
    once::OnceLock,
    simulated::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, hint, lazy_static,
        schedule_point, thread, thread_local,
    },
};

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(all(shuttle, not(loom)))]
mod shuttle_tests;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
