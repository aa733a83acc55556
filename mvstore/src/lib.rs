//! Braid's versioned row store: timestamps, version chains, generations, write sets and the registry of snapshots.
//!
//! It is a part of the crate `braid`, and internal to it: its API promises no stability. `braid` depends on this very version.
//!
//! It does no I/O, and knows nothing of the log or of pages. The engine puts it together:
//!
//! - a transaction begins in the [`SnapshotRegistry`], which pins what it reads, and collects its changes in a
//!   [`WriteSet`];
//! - it reads [`Generation`]s with an epoch guard ([`pin`]) and without locks, by [`Generation::get`] and
//!   [`Generation::scan`];
//! - its commit finds the rows' chains ([`Generation::prepare`]), and in the commit section looks for conflicts and
//!   installs ([`Prepared`]), with the [`InstallRights`] that this section keeps;
//! - a checkpoint seals a generation and reads it with a [`FoldIter`];
//! - recovery fills one with [`ReplayBatch`]es.

mod chain;
mod commit;
mod epoch;
mod filter;
mod fold;
mod found;
mod generation;
mod index;
mod key;
mod rare;
mod registry;
mod replay;
mod resolve;
mod scan;
#[cfg(test)]
mod testing;
mod timestamp;
mod update;
mod write_set;

pub use epoch::{Guard, pin};

pub use commit::{Conflict, Prepared};
pub use fold::FoldIter;
pub use found::Found;
pub use generation::{Generation, InstallRights, UnusedGeneration, Wanted};
pub use key::{RowKey, TableId};
pub use rare::Rare;
pub use registry::{
    HeldView, Lease, LeasedRegistration, Registration, Revoked, SnapshotInfo, SnapshotKind, SnapshotRegistry,
    SnapshotSource, TooManySnapshots,
};
pub use replay::ReplayBatch;
pub use resolve::{Older, Resolved, Unresolved};
pub use scan::{Direction, Scan, ScanBatch, ScanLimit, ScanRow, ScanStart};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use update::{Refusal, Update};
pub use write_set::{NoSuchSavepoint, NotUpdated, SavepointId, UpdateLimits, WriteRow, WriteSet};
