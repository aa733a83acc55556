//! Everything that Braid asks of the world outside its process: files, time, randomness and threads.
//!
//! It is a part of the crate `braid`, and internal to it: its API promises no stability. `braid` depends on this very version.
//!
//! The engine sees these as traits only. Three families stand behind them: the real ones ([`Env::real`]), files
//! that live in memory ([`memory`]), and a layer that makes any of them fail on demand ([`faulty`]).
//!
//! [`sync`] holds the locks, atomics and threads that the other crates use, so that the same code runs under
//! `shuttle` and `loom`.

mod clock;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod conformance;
mod env;
pub mod events;
pub mod faulty;
mod file;
mod filesystem;
mod heap;
pub mod memory;
#[doc(hidden)]
pub mod planted;
mod prefetch;
mod process;
mod random;
mod real;
#[cfg(feature = "simulation")]
#[cfg(not(any(shuttle, loom)))]
pub mod simulation;
mod spawn;
pub mod sync;

pub use clock::Clock;
pub use env::Env;
pub use file::{File, LockAttempt, LockKind, LogMapping};
pub use filesystem::{FileIdentity, FileSystem, OpenMode, OpenOptions};
pub use heap::grow_ahead;
pub use prefetch::prefetch;
pub use process::ProcessMark;
pub use random::Random;
pub use real::{OsRandom, RealClock, RealFileSystem, ThreadSpawn};
pub use spawn::{Spawn, Task, survive};
