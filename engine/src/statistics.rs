//! What a core says about itself.

use std::time::Duration;

use braid_mvstore::Timestamp;

use crate::conflicts::{ConflictReport, PastConflicts};
use crate::core::{ConsumerInfo, Core};
use crate::limits::MAX_LISTED_SNAPSHOTS;

/// Figures of one open database, shared by its handles. Each is right; they are not taken at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Commits that changed something and were acknowledged: without those whose future was dropped before.
    pub commits: u64,
    /// Transactions that were rolled back by their owner.
    pub rollbacks: u64,
    /// Transactions that lost: what over, to whom, and what it cost.
    pub conflicts: ConflictReport,
    /// The same of the last session before this one that had conflicts, as far as its last checkpoint has written it down.
    pub past_conflicts: Option<PastConflicts>,
    /// Updates of rows that were not looked at.
    pub updates: UpdateStats,
    /// What commits of `Serializable` transactions looked at.
    pub validation: ValidationStats,
    /// Savepoints.
    pub savepoints: SavepointStats,
    /// Idempotency tokens.
    pub tokens: TokenStats,
    /// Who waited for exclusive transactions.
    pub gate: GateStats,
    /// Commits by futures that wait now.
    pub futures: FutureStats,
    /// Further attempts made by `transact`.
    pub retries: u64,
    /// Transactions that `transact` admitted exclusively after their losses.
    pub escalations: u64,
    /// The most attempts that one `transact` took.
    pub max_attempts: u64,
    /// Writers that had to wait for the checkpoint.
    pub stalls: u64,
    /// Panics in background threads, of a file, a page cache or a clock, after which these went on. What was under way failed.
    pub background_panics: u64,
    /// The log.
    pub log: LogStats,
    /// The change feed.
    pub feed: FeedStats,
    /// Recent row versions in memory.
    pub row_store: RowStoreStats,
    /// The page cache.
    pub cache: CacheStats,
    /// Checkpoints.
    pub checkpoints: CheckpointStats,
    /// The database file.
    pub file: FileStats,
    /// Open transactions and snapshots, without those that were revoked.
    pub open_snapshots: u64,
    /// The oldest of them.
    pub oldest_snapshot: Option<OpenSnapshot>,
    /// Those that keep most from being freed, and then the oldest:
    /// [`MAX_LISTED_SNAPSHOTS`](crate::limits::MAX_LISTED_SNAPSHOTS) at most, the oldest first.
    pub snapshots: Vec<OpenSnapshot>,
    /// What all open ones together keep from being freed, in bytes of folded rows and of pages.
    pub pinned_bytes: u64,
    /// Snapshots and transactions that were revoked: see [`Options::snapshot_max_age`](crate::Options::snapshot_max_age).
    pub revoked_snapshots: u64,
    /// Tables.
    pub tables: u64,
    /// Sequences.
    pub sequences: u64,
    /// Blocks of ids that sequences reserved, each with a commit of its own that `commits` does not count.
    pub sequence_blocks: u64,
}

/// Updates (`add`, `max`, `min`, `append`) that commits have made of rows as they were by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateStats {
    /// All of them; several of one row in one transaction are one.
    pub made: u64,
    /// Of these, the ones whose row somebody else changed since the transaction began: conflicts, had they been writes.
    pub absorbed: u64,
    /// Of these, the ones that were made anew in the commit section, since somebody was there between.
    pub remade: u64,
}

/// What was looked at to find out whether what [`Serializable`](crate::Isolation::Serializable) transactions have read
/// still held. It grows with what they read: where it is large,
/// [`Transaction::untracked`](crate::Transaction::untracked) is the remedy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidationStats {
    /// Looks through what a transaction had read: one for each that wrote something, whether it was committed or lost over that;
    /// and more where the commit had to be tried again, as too much was committed meanwhile or it was held back.
    pub looks: u64,
    /// Keys that they looked at.
    pub keys: u64,
    /// Ranges of keys that they looked at.
    pub ranges: u64,
}

/// Savepoints: see [`Transaction::savepoint`](crate::Transaction::savepoint).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavepointStats {
    /// Transactions that made one or more.
    pub transactions: u64,
    /// How often one was rolled back to.
    pub rollbacks: u64,
}

/// Idempotency tokens: see [`TransactionOptions::token`](crate::TransactionOptions::token). How many are remembered
/// [`Database::remembered_tokens`](crate::Database::remembered_tokens) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenStats {
    /// Transactions that were refused, as one with their token had been committed: work that came twice.
    pub refused: u64,
}

/// Waits for exclusive transactions, of threads and of futures. Those who gave up after `busy_timeout` are among them; how many
/// those were, [`ConflictStats::timeout`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateStats {
    /// Commits that an exclusive transaction held back.
    pub commits: Waits,
    /// Transactions that had to wait for their turn to be admitted exclusively.
    pub turns: Waits,
}

/// Waits that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// How long, all together.
    pub time: Duration,
}

/// Futures of `commit_async` and `transact_async` that were polled, and wait now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FutureStats {
    /// For an exclusive transaction, or for room in the row store: they are not committed yet.
    pub to_commit: u64,
    /// For a sync: they are installed, or follow what is, and nobody was told yet.
    pub for_sync: u64,
}

/// Lost transactions, by the kind of conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictStats {
    /// See [`ConflictKind::WriteWrite`](crate::ConflictKind::WriteWrite).
    pub write_write: u64,
    /// See [`ConflictKind::ReadWrite`](crate::ConflictKind::ReadWrite).
    pub read_write: u64,
    /// See [`ConflictKind::Range`](crate::ConflictKind::Range).
    pub range: u64,
    /// See [`ConflictKind::Schema`](crate::ConflictKind::Schema).
    pub schema: u64,
    /// See [`ConflictKind::Timeout`](crate::ConflictKind::Timeout).
    pub timeout: u64,
    /// See [`Error::BusySnapshot`](crate::Error::BusySnapshot).
    pub snapshot: u64,
}

impl ConflictStats {
    pub(crate) fn add(&mut self, more: Self) {
        self.write_write += more.write_write;
        self.read_write += more.read_write;
        self.range += more.range;
        self.schema += more.schema;
        self.timeout += more.timeout;
        self.snapshot += more.snapshot;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.write_write + self.read_write + self.range + self.schema + self.timeout + self.snapshot
    }
}

/// What the log did and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LogStats {
    /// Bytes appended.
    pub bytes_appended: u64,
    /// Bytes of the log's files that are in use: what a checkpoint may let go, what is kept for feeds and consumers
    /// ([`FeedStats::retained_bytes`]), and the one that takes the appends.
    pub retained_bytes: u64,
    /// Bytes of log files that hold nothing and are kept for use again: about as many as were lately filled from one
    /// checkpoint to the next, at most [`Options::log_bytes`](crate::Options::log_bytes) and a part of a file. A close
    /// removes them, and so does a full disk.
    pub spare_bytes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Commits for each sync; 0 before the first.
    pub commits_per_sync: f64,
    /// Whether a sync failed: see [`Error::Poisoned`](crate::Error::Poisoned).
    pub poisoned: bool,
}

/// The change feed: see [`Database::changes`](crate::Database::changes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedStats {
    /// Feeds that are open, and long transactions of theirs that are being gone through.
    pub open: u64,
    /// Bytes of log that are kept for feeds and consumers alone.
    pub retained_bytes: u64,
    /// The named consumers.
    pub consumers: Vec<ConsumerInfo>,
}

/// Recent row versions in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowStoreStats {
    /// Generations that new snapshots read: the active one and the sealed ones.
    pub generations: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// What they may grow to before writers wait.
    pub budget_bytes: u64,
    /// Generations kept for the validation of transactions that began before they were folded.
    pub history_generations: u64,
    /// Bytes of these.
    pub history_bytes: u64,
    /// Bytes of folded generations that only old snapshots and the validation history hold.
    pub pinned_bytes: u64,
}

/// The page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Pages found.
    pub hits: u64,
    /// Pages read from the file.
    pub misses: u64,
    /// Pages given up for others.
    pub evictions: u64,
    /// Bytes of the pages it holds.
    pub resident_bytes: u64,
    /// What it may hold.
    pub budget_bytes: u64,
}

/// Checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStats {
    /// How many have ended well since the open.
    pub count: u64,
    /// How long the last one took.
    pub last_duration: Duration,
    /// Everything up to here is in the database file.
    pub timestamp: Timestamp,
}

/// The database file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStats {
    /// Bytes of its head and its pages.
    pub bytes: u64,
    /// Of these, free for the next checkpoint.
    pub free_bytes: u64,
    /// Of these, freed but held for old snapshots.
    pub withheld_bytes: u64,
    /// Bytes of a page, as they were chosen when the file was made.
    pub page_bytes: u64,
}

/// An open transaction or snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenSnapshot {
    /// What it reads.
    pub begin_ts: Timestamp,
    /// How long it has been open.
    pub age: Duration,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Whether it may write.
    pub writes: bool,
    /// Bytes that are kept for it and for no older one: rows that are folded already, and freed pages.
    pub pinned_bytes: u64,
    /// How old it may become before it is revoked.
    pub max_age: Option<Duration>,
}

/// Asks a core.
pub(crate) fn of(core: &Core) -> Stats {
    let counters = &core.counters;
    let view = core.current_view();
    let bytes = |generations: &[std::sync::Arc<braid_mvstore::Generation>]| {
        generations.iter().map(|generation| generation.bytes() as u64).sum::<u64>()
    };
    let space = core.base.space_stats();
    let page_bytes = u64::from(space.page_bytes);
    let cache = core.base.cache_stats();
    let open = Open::of(core);
    let commits = counters.commits.get();
    Stats {
        commits,
        rollbacks: counters.rollbacks.get(),
        conflicts: core.conflict_report(),
        past_conflicts: core.past_conflicts.clone(),
        updates: counters.update_stats(),
        validation: counters.validation_stats(),
        savepoints: counters.savepoint_stats(),
        tokens: TokenStats { refused: counters.tokens_refused.get() },
        gate: core.gate_stats(),
        futures: counters.future_stats(),
        retries: counters.retries.get(),
        escalations: counters.escalations.get(),
        max_attempts: counters.max_attempts.get(),
        stalls: counters.stalls.get(),
        background_panics: counters.background_panics.get(),
        log: core.log_stats(commits),
        feed: core.feed_stats(),
        row_store: RowStoreStats {
            generations: 1 + view.sealed.len() as u64,
            bytes: core.unfolded_bytes() as u64,
            budget_bytes: core.options.row_store_bytes as u64,
            history_generations: view.retired.len() as u64,
            history_bytes: bytes(&view.retired),
            pinned_bytes: core.buried_bytes(),
        },
        cache: CacheStats {
            hits: cache.hits,
            misses: cache.misses,
            evictions: cache.evictions,
            resident_bytes: cache.resident_bytes,
            budget_bytes: cache.capacity_bytes,
        },
        checkpoints: CheckpointStats {
            count: counters.checkpoints.get(),
            last_duration: Duration::from_micros(counters.last_checkpoint_micros.get()),
            timestamp: crate::core::timestamp(view.base.state().checkpoint_ts),
        },
        file: FileStats {
            bytes: crate::base::HEAD_BYTES + u64::from(space.file_pages) * page_bytes,
            free_bytes: u64::from(space.free_pages) * page_bytes,
            withheld_bytes: u64::from(space.withheld_pages) * page_bytes,
            page_bytes,
        },
        open_snapshots: open.count,
        oldest_snapshot: open.listed.first().cloned(),
        snapshots: open.listed,
        pinned_bytes: open.pinned_bytes,
        revoked_snapshots: counters.revoked.get(),
        tables: core.tables.len() as u64,
        sequences: core.sequences.len() as u64,
        sequence_blocks: counters.sequence_blocks.get(),
    }
}

/// What is known of the open snapshots.
struct Open {
    count: u64,
    pinned_bytes: u64,
    listed: Vec<OpenSnapshot>,
}

impl Open {
    fn of(core: &Core) -> Self {
        let mut open = core.held_snapshots();
        let (count, pinned_bytes) = (open.len() as u64, open.iter().map(|one| one.pinned_bytes).sum());
        open.sort_by_key(|one| one.begin_ts);
        if open.len() > MAX_LISTED_SNAPSHOTS {
            // The oldest always, and of the others those that keep most.
            if let Some((_, others)) = open.split_first_mut() {
                others.sort_by_key(|one| (std::cmp::Reverse(one.pinned_bytes), one.begin_ts));
            }
            open.truncate(MAX_LISTED_SNAPSHOTS);
            open.sort_by_key(|one| one.begin_ts);
        }
        let listed = open.into_iter().map(|one| OpenSnapshot {
            begin_ts: one.begin_ts,
            age: one.age,
            name: one.name,
            writes: one.writes,
            pinned_bytes: one.pinned_bytes,
            max_age: one.max_age,
        });
        Self { count, pinned_bytes, listed: listed.collect() }
    }
}
