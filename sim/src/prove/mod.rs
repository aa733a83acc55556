//! All proofs, one after the other, and what they came to.
//!
//! Each proof is a program of its own, which ends with one line of figures (`states=500000 failures=0`). What is here
//! starts them, reads that line, and says in one table how much was asked, how much was done, and where it failed.

mod figures;
mod proofs;
mod step;

pub use self::figures::Figures;
pub use self::proofs::{Level, proofs};
pub use self::step::{Outcome, Proof, run};
