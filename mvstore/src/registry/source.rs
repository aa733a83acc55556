//! What a begin asks of the engine.

use braid_vfs::sync::Arc;

use crate::Timestamp;

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// Read what has been acknowledged.
    ReadOnly,
    /// Read what has been installed, and write.
    ReadWrite,
}

/// The current view and the horizons, as a begin reads them.
///
/// Obligations of the implementor
/// 1. The horizons and the view's id are read with `SeqCst`. The horizons only rise, the id changes with every
///    publication and never comes back.
/// 2. A publisher stores the view first and its id second. (A begin that meets the old id with the new view is none the
///    worse; the new id with the old view would pass for current.)
/// 3. A view with a new active generation is published, id included, before a commit goes into that generation; one with
///    a new base only once both horizons have passed everything in the base.
pub trait SnapshotSource<V> {
    /// A timestamp that no snapshot of this kind that begins from now on precedes: the horizon it reads, at present.
    fn lower_bound(&self, kind: SnapshotKind) -> Timestamp {
        self.read_point(kind)
    }

    /// The current view's id.
    fn view_id(&self) -> u64;

    /// The current view.
    fn view(&self) -> Arc<V>;

    /// Where a snapshot of this kind begins now: acked_ts for one that only reads, installed_ts for one that writes.
    fn read_point(&self, kind: SnapshotKind) -> Timestamp;
}
