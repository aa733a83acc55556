//! Every call to a file fails in every way, once and for good.
//!
//! Five scripts use everything of the engine that reaches the disk: three from the creation of a database to its close, two
//! from a machine on which the process was killed. Undisturbed they are counted; then each call of each kind, by its number,
//! meets each effect. Whoever runs the script goes on as far as the errors allow, and opens the database again
//! where it is told to. Errors must be of the kinds that a failing file explains. In the end the faults are gone, and what is
//! left after a kill and after power cuts is judged.

mod effect;
mod run;
mod script;
mod steps;

pub use run::{Figures, Run};
