//! The world as the operating system has it.

mod clock;
#[cfg(target_os = "linux")]
mod coarse;
mod env;
mod file;
mod filesystem;
#[cfg(target_os = "linux")]
mod lock_holder;
mod mapping;
#[cfg(target_os = "linux")]
mod mapping_support;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "other.rs"]
mod platform;
mod random;
mod resolve;
mod spawn;
#[cfg(target_os = "linux")]
mod writeback;

pub use self::{clock::RealClock, filesystem::RealFileSystem, random::OsRandom, spawn::ThreadSpawn};

#[cfg(test)]
#[cfg(not(any(shuttle, loom, miri)))]
mod tests;
