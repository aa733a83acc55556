//! Whether this is still the process that opened a database.
//!
//! A fork copies the memory of a process but neither its threads nor its right to the files: what the child finds
//! there must not be used. [`ProcessMark`] tells, for one relaxed load.

#[cfg(unix)]
mod fork_hook;
mod mark;

pub use mark::ProcessMark;
