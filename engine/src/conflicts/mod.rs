//! What transactions lose, against whom, and what it costs: recorded by those who lose, and by nobody else.
//!
//! * A transaction that wins pays nothing: nothing here is looked at in the commit section, or by a commit that
//!   succeeds at its first attempt.
//! * Losers do not queue up: each thread records in one of a few shards, and a report adds them up.
//! * Memory is bounded, whatever the keys, tables and names are: see the limits in [`recorder`].

mod past;
mod recorder;
mod report;
mod shard;
mod sketch;

pub use past::PastConflicts;
pub(crate) use recorder::{Loss, Recorder, between};
pub use report::{AttemptsBucket, ConflictReport, HotKey, NamedConflicts, TableConflicts, WastedWork};
