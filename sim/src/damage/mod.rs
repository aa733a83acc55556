//! Damage at rest: what rots, is lost, or is put where it does not belong while nobody has the database open.
//!
//! Small samples of databases, after a clean close and after kills, are copied and damaged: every bit of the
//! log and of the database flipped, sectors zeroed, lost and gone astray, files cut off at every length, missing, doubled,
//! renamed, of another age or of another database. Each copy is opened, read in full and checked; the
//! verdict must be that everything is there, or a typed error, or the one limit that the documents state.

mod copies;
mod mixed;
mod places;
mod run;
mod sample;
mod verdict;

pub use run::{Figures, Run};
