//! Whole databases under many schedules of their threads, background threads included.
//!
//! Files are in memory, time goes on by being looked at, and randomness has a seed, so that a schedule can be run again.
//! What a thread has been told is noted beside the schedule, by the locks of the standard library, and compared with what
//! must hold when all are done.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test --release -p braid --test schedules`; `BRAID_SCHEDULES=10000` before it
//! runs as many schedules of each scenario. `.ci/schedules` runs them all and adds them up.
#![cfg(shuttle)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod kit;

mod closing;
mod commits;
mod conflicts;
mod exclusion;
mod failures;
mod feed;
mod folds;
mod futures;
mod leases;
mod modes;
mod power_cuts;
mod segments;
mod tables;
mod turns;
