//! Rounds of cells, every one with every engine in turn, each in a process of its own; what they measured, in files.

mod child;
mod csv;
mod plan;
mod progress;
mod rounds;

pub(crate) use child::peak_line;
pub(crate) use plan::{cell, engine};
pub(crate) use rounds::{Arguments, run};
