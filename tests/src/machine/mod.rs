//! The real machine: children that are killed, disks that are full, calls of the system that fail.
//!
//! What is tried here is shared by the scenarios in `tests/machine/`, which take a small share, and by the long runs of
//! `braid-sim machine`. Where the system does not allow something, it says [`Tried::Skipped`] and why; nobody takes that
//! for a success.

mod faults;
mod kill;
mod limits;
mod preload;
mod steps;
mod tried;

pub use faults::{FAULTS, FaultFigures, FaultPlan, try_fault};
pub use kill::{KillFigures, KillLoop};
pub use limits::{FullDisk, try_descriptors, try_file_size, try_full_disk, try_memory};
pub use preload::{Again, Call, Effect, Preload};
pub use steps::{StepFigures, judge_steps};
pub use tried::Tried;
