//! Bulk load: a table made of many rows at once, past the log.
//!
//! The rows are sorted and folded straight into a tree of the database file, which has a table's id but no name yet, so nobody
//! sees it. When all of it is durable, a transaction gives it its name: one record in the log, however many rows there
//! are. Rows that come in order are folded as they come; others are gathered in memory, sorted into runs in a file beside the
//! database, and merged at the end, so that the tree is written once and dense.

mod chunk;
mod loader;
mod merge;
mod run;

pub use loader::{LoadReport, Loader};
