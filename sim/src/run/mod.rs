//! The whole engine on a simulated machine: files, clock, randomness and scheduling come from one seed.
//!
//! A run is a number of *lives* of the process. In each, sessions on threads of their own do what the dice say through
//! the public API, under faults drawn for that life; then the life ends: by a power cut at any step, a kill, a clean
//! close. The next life opens what is left, and the oracle compares.
//!
//! | module | is |
//! | --- | --- |
//! | [`streams`], [`swarm`] | what a seed decides: dice, features, sizes |
//! | [`operations`] | all that a session can do: one list |
//! | [`session`] | one thread of the workload |
//! | [`faults`], [`disk`] | what goes wrong |
//! | [`world`] | lives: open, work, end, judge |
//! | [`salvage`] | what can be saved of what a life has left |
//! | [`oracle`] | what must hold |
//! | [`trace`] | what happened, as lines and as a fingerprint |
//! | [`children`], [`shrink`] | seeds in child processes, one run at a time each; failing ones made small |

pub mod children;
pub mod disk;
pub mod faults;
pub mod operations;
pub mod oracle;
pub mod panics;
pub mod report;
pub mod rows;
pub mod salvage;
pub mod session;
pub mod show;
pub mod shrink;
pub mod streams;
pub mod swarm;
pub mod trace;
pub mod world;

#[cfg(test)]
mod tests;
