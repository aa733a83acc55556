//! What proves Braid: runs of the whole engine on a simulated machine, the states that a crash may leave, the calls that
//! may fail, the bytes that may rot, and checkers of the histories that come out.
//!
//! Each command of `braid-sim` is a module of its own, ends with one line of figures, and fails if one of them is not
//! what it must be.

pub mod commands;
pub mod damage;
pub mod failures;
pub mod histories;
pub mod jobs;
pub mod machine;
pub mod outside;
pub mod planted;
pub mod progress;
pub mod prove;
pub mod run;
pub mod seeds;
pub mod states;
