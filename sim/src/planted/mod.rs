//! Planted bugs: the proof of the tests themselves.
//!
//! The engine is built with `--cfg braid_planted` ([`Build`]), and for each bug that it then holds, everything that
//! tests it ([`Arm`]) is run with that bug switched on until something fails. A bug that nothing finds is a hole in
//! the tests. What is known to find a bug ([`known`]) is tried first, so that the proof takes minutes; and the same
//! runs without a bug must pass, or they would prove nothing.

mod arm;
mod build;
mod hunt;
mod known;

pub use arm::{Arm, Verdict};
pub use build::{Bug, Build, Program};
pub use hunt::{Caught, Hunt};
pub use known::{all_known, known};
