//! Counts for whoever watches the log.

use braid_vfs::sync::atomic::{AtomicU64, Ordering};

/// What the log has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Records appended by the caller.
    pub records: u64,
    /// Bytes appended, headers and the log's own records included.
    pub bytes: u64,
    /// Syncs of segment files on behalf of waiters.
    pub syncs: u64,
    /// Times that the log went on in another segment.
    pub rotations: u64,
    /// Segment files created.
    pub created: u64,
    /// Segment files made ready again after their release.
    pub recycled: u64,
    /// Segment files removed.
    pub removed: u64,
    /// Segments that hold what is not yet released.
    pub live_segments: u64,
    /// Segments that are ready for use.
    pub spare_segments: u64,
    /// Bytes of their files.
    pub spare_bytes: u64,
    /// Bytes of the files of both.
    pub file_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds from any thread.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds from the only thread that does, without an interlocked operation.
    pub(crate) fn add_alone(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) rotations: Counter,
    pub(crate) created: Counter,
    pub(crate) recycled: Counter,
    pub(crate) removed: Counter,
}
