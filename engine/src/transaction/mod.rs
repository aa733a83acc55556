//! Transactions and snapshots: what a program reads and writes through.

mod begin;
mod catalog;
mod commit_future;
mod count;
mod cursor;
mod inner;
mod layers;
mod looks;
mod lookup;
mod overlay;
mod own_writes;
mod prefix;
mod range;
mod read_set;
mod savepoint;
mod shared;
mod snapshot;
mod update;
mod write;

pub use commit_future::CommitFuture;
pub use cursor::Cursor;
pub use range::Range;
pub use savepoint::Savepoint;
pub use snapshot::Snapshot;
pub use write::Transaction;

pub(crate) use begin::{begin, begin_by, begin_own_snapshot, begin_snapshot};
pub(crate) use layers::Layers;
pub(crate) use looks::Looks;
#[cfg(all(test, not(any(shuttle, loom))))]
pub(crate) use read_set::LastSpan;
pub(crate) use read_set::ReadSet;
