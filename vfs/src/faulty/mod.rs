//! Files that fail on purpose.
//!
//! [`FaultyFileSystem`] stands before any other file system; through its [`Faults`] a test fails chosen calls, cuts
//! writes short, bounds the space, and counts what was asked. [`CrashFileSystem`] keeps what a power cut would leave
//! apart from what a running process sees, and yields the state after a cut or a kill.

mod counters;
mod crash;
mod fault;
mod faults;
mod file;
mod filesystem;
mod operation;
mod quota;

pub use self::{
    counters::Counters,
    crash::{CrashChoice, CrashFile, CrashFileSystem},
    fault::Fault,
    faults::Faults,
    file::FaultyFile,
    filesystem::FaultyFileSystem,
    operation::Operation,
};

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
