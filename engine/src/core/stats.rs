//! Counters that a core keeps about itself. Relaxed: each is right, their sum at one moment is not promised.

use braid_vfs::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

use super::shared::Core;
use crate::error::{ConflictKind, Error};
use crate::statistics::LogStats;

/// A number that only grows, or is set.
#[derive(Debug, Default)]
pub(crate) struct Counter(CachePadded<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Commits that changed something.
    pub(crate) commits: Counter,
    pub(crate) rollbacks: Counter,
    pub(crate) write_write: Counter,
    pub(crate) read_write: Counter,
    pub(crate) range: Counter,
    pub(crate) schema: Counter,
    pub(crate) locked: Counter,
    pub(crate) snapshot: Counter,
    /// Further attempts made by `transact`.
    pub(crate) retries: Counter,
    /// Transactions that `transact` admitted exclusively after their losses.
    pub(crate) escalations: Counter,
    /// The most attempts that one `transact` took.
    pub(crate) max_attempts: Counter,
    /// Snapshots that were revoked.
    pub(crate) revoked: Counter,
    /// Writers that had to wait for the checkpoint.
    pub(crate) stalls: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) last_checkpoint_micros: Counter,
}

impl Counters {
    /// Counts an error that a transaction ended with, if it is one of the retryable ones.
    pub(crate) fn lost(&self, error: &Error) {
        let counter = match error {
            Error::BusySnapshot { .. } => &self.snapshot,
            Error::Busy(conflict) => match conflict.kind {
                ConflictKind::WriteWrite => &self.write_write,
                ConflictKind::ReadWrite => &self.read_write,
                ConflictKind::Range => &self.range,
                ConflictKind::Schema => &self.schema,
                ConflictKind::Locked => &self.locked,
            },
            _ => return,
        };
        counter.add(1);
    }
}

impl Core {
    /// The log's figures; all zero for a core that only reads.
    pub(crate) fn log_stats(&self, commits: u64) -> LogStats {
        let Some(writer) = &self.writer else { return LogStats::default() };
        let stats = writer.log.stats();
        #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
        let commits_per_sync = if stats.syncs == 0 { 0.0 } else { commits as f64 / stats.syncs as f64 };
        LogStats {
            bytes_appended: stats.bytes,
            retained_bytes: writer.log.retained_bytes(),
            syncs: stats.syncs,
            commits_per_sync,
            poisoned: writer.log.is_poisoned(),
        }
    }
}
