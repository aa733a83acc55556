//! Rounds of cells, every one with every engine in turn, each in a process of its own; what they measured, in files.

mod child;
mod csv;
mod facts;
mod listing;
pub(crate) mod one;
pub(crate) mod plan;
mod progress;
mod results;
mod rounds;
pub(crate) mod syncs;
mod text;
mod trace;

pub(crate) use listing::listing;
pub(crate) use rounds::{Arguments, run};
