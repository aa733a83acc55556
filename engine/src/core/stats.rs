//! Counters that a core keeps about itself. Relaxed: each is right, their sum at one moment is not promised.

use std::time::Duration;

use braid_vfs::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

use super::retention::ConsumerInfo;
use super::shared::Core;
use super::updates::Made;
use braid_mvstore::Timestamp;
use braid_vfs::planted;

use crate::conflicts::{ConflictReport, Loss, PastConflicts};
use crate::error::{ConflictKind, Error, Result};
use crate::statistics::{
    ConflictStats, FeedStats, FutureStats, GateStats, LogStats, SavepointStats, UpdateStats, ValidationStats,
    Waits,
};
use crate::transaction::ReadSet;

/// A number that only grows, or is set.
#[derive(Debug, Default)]
pub(crate) struct Counter(CachePadded<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn raise(&self, value: u64) {
        // Mostly it is not the most: no write then.
        if self.get() < value {
            self.0.fetch_max(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many have waited for something, and how long.
#[derive(Debug, Default)]
pub(crate) struct WaitCounter {
    count: Counter,
    nanos: Counter,
}

impl WaitCounter {
    /// One has waited.
    pub(crate) fn add(&self, time: Duration) {
        self.count.add(1);
        self.nanos.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn get(&self) -> Waits {
        Waits { count: self.count.get(), time: Duration::from_nanos(self.nanos.get()) }
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
    pub(crate) timeout: Counter,
    pub(crate) snapshot: Counter,
    /// Further attempts made by `transact`.
    pub(crate) retries: Counter,
    /// Transactions that `transact` admitted exclusively after their losses.
    pub(crate) escalations: Counter,
    /// The most attempts that one `transact` took.
    pub(crate) max_attempts: Counter,
    /// Updates that were made at a commit.
    pub(crate) updates: Counter,
    /// Of these, the ones that would have been conflicts had they been writes.
    pub(crate) absorbed: Counter,
    /// Of these, the ones that were made anew in the commit section.
    pub(crate) remade: Counter,
    /// Transactions that made a savepoint.
    pub(crate) savepoints: Counter,
    pub(crate) savepoint_rollbacks: Counter,
    /// Transactions whose token another one had committed.
    pub(crate) tokens_refused: Counter,
    /// Looks through what a transaction has read, and what they looked at.
    looks: Counter,
    looked_at_keys: Counter,
    looked_at_ranges: Counter,
    /// Futures that wait for something before their commit, and for the disk after it.
    pub(crate) futures_to_commit: Counter,
    pub(crate) futures_for_sync: Counter,
    /// Commits that were held back at the gate. Those who wait for the gate itself it counts.
    pub(crate) held_back: WaitCounter,
    /// Snapshots that were revoked.
    pub(crate) revoked: Counter,
    /// Writers that had to wait for the checkpoint.
    pub(crate) stalls: Counter,
    /// Panics that a background thread has gone on after.
    pub(crate) background_panics: Counter,
    /// Blocks that sequences reserved.
    pub(crate) sequence_blocks: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) last_checkpoint_micros: Counter,
}

impl Counters {
    /// Counts the updates of a commit.
    pub(super) fn made(&self, made: Made) {
        if made.updates > 0 {
            self.updates.add(made.updates as u64);
            self.absorbed.add(made.absorbed as u64);
            self.remade.add(made.remade as u64);
        }
    }

    /// Counts a look through what a transaction has read.
    pub(super) fn looks_through(&self, reads: &ReadSet) {
        let (keys, spans) = reads.counts();
        self.looks.add(1);
        self.looked_at_keys.add(keys as u64);
        self.looked_at_ranges.add(spans as u64);
    }

    /// The looks through what transactions have read.
    pub(crate) fn validation_stats(&self) -> ValidationStats {
        ValidationStats {
            looks: self.looks.get(),
            keys: self.looked_at_keys.get(),
            ranges: self.looked_at_ranges.get(),
        }
    }

    /// Savepoints.
    pub(crate) fn savepoint_stats(&self) -> SavepointStats {
        SavepointStats { transactions: self.savepoints.get(), rollbacks: self.savepoint_rollbacks.get() }
    }

    /// Futures that wait.
    pub(crate) fn future_stats(&self) -> FutureStats {
        FutureStats { to_commit: self.futures_to_commit.get(), for_sync: self.futures_for_sync.get() }
    }

    /// The updates that commits have made.
    pub(crate) fn update_stats(&self) -> UpdateStats {
        UpdateStats { made: self.updates.get(), absorbed: self.absorbed.get(), remade: self.remade.get() }
    }

    /// Lost transactions.
    pub(crate) fn conflicts(&self) -> ConflictStats {
        ConflictStats {
            write_write: self.write_write.get(),
            read_write: self.read_write.get(),
            range: self.range.get(),
            schema: self.schema.get(),
            timeout: self.timeout.get(),
            snapshot: self.snapshot.get(),
        }
    }

    /// Conflicts, and updates that would have been some.
    fn contended(&self) -> u64 {
        self.conflicts().total() + self.absorbed.get()
    }

    /// Counts an error that a transaction ended with, if it is one of the retryable ones.
    fn lost(&self, error: &Error) {
        let counter = match error {
            Error::BusySnapshot { .. } => &self.snapshot,
            Error::Busy(conflict) => match conflict.kind {
                ConflictKind::WriteWrite => &self.write_write,
                ConflictKind::ReadWrite => &self.read_write,
                ConflictKind::Range => &self.range,
                ConflictKind::Schema => &self.schema,
                ConflictKind::Timeout => &self.timeout,
            },
            _ => return,
        };
        counter.add(1);
    }
}

impl Core {
    /// The named consumers of the change feed.
    pub(crate) fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        match &self.writer {
            Some(writer) => Ok(writer.retention.consumers(&writer.log, self.acked_ts())),
            None => self.stored_consumers(),
        }
    }

    /// The change feed's figures.
    pub(crate) fn feed_stats(&self) -> FeedStats {
        let Some(writer) = &self.writer else { return FeedStats::default() };
        let folded = self.view.load().base.state().checkpoint_lsn;
        let kept = writer.log.spans().into_iter().filter(|span| span.end.get() <= folded);
        FeedStats {
            open: writer.retention.pins() as u64,
            retained_bytes: kept.map(|span| span.bytes).sum(),
            consumers: writer.retention.consumers(&writer.log, self.acked_ts()),
        }
    }

    /// Waits at the gate.
    pub(crate) fn gate_stats(&self) -> GateStats {
        let turns = self.writer.as_ref().map(|writer| writer.gate.turns.get());
        GateStats { commits: self.counters.held_back.get(), turns: turns.unwrap_or_default() }
    }

    /// Who has lost what to whom.
    pub(crate) fn conflict_report(&self) -> ConflictReport {
        self.conflicts.report(self.counters.conflicts())
    }

    /// Has the next meta block tell of this session, if there is something to tell.
    pub(super) fn tell_of_session(&self, until: Timestamp) {
        if self.counters.contended() == 0 && !planted!(QuietSessionTells) {
            return;
        }
        let session = PastConflicts {
            until,
            commits: self.counters.commits.get(),
            updates: self.counters.update_stats(),
            report: self.conflict_report(),
        };
        self.base.keep_memo(session.encode().into());
    }

    /// Counts and records an error that a transaction ended with, if it is one of the retryable ones.
    pub(crate) fn lost(&self, error: &Error, loss: &Loss<'_>) {
        self.counters.lost(error);
        self.conflicts.record(error, loss);
    }

    /// The log's figures; all zero for a core that only reads.
    pub(crate) fn log_stats(&self, commits: u64) -> LogStats {
        let Some(writer) = &self.writer else { return LogStats::default() };
        let stats = writer.log.stats();
        #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
        let commits_per_sync = if stats.syncs == 0 { 0.0 } else { commits as f64 / stats.syncs as f64 };
        LogStats {
            bytes_appended: stats.bytes,
            retained_bytes: writer.log.retained_bytes(),
            spare_bytes: stats.spare_bytes,
            syncs: stats.syncs,
            commits_per_sync,
            poisoned: writer.log.is_poisoned(),
        }
    }
}
