//! What one run is made of. Each seed leaves features out and picks sizes of its own: a bug that needs much of one thing
//! is found where the others do not get in its way.

use std::collections::BTreeSet;
use std::time::Duration;

use braid::{Durability, JournalMode, Options};
use fastrand::Rng;

use super::faults;
use super::operations;
use super::streams::Streams;

/// What a person, or the shrinker, takes away from a seed's plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many operations of each session in each life.
    pub operations: Option<u32>,
    /// At most so many sessions.
    pub sessions: Option<u32>,
    /// At most so many lives of the process.
    pub lives: Option<u32>,
    /// Features left out: operations, faults and traits, by their names.
    pub without: BTreeSet<String>,
}

/// Traits of a workload that are neither an operation nor a fault.
pub const TRAITS: &[&str] = &[
    "serializable",
    "deferred",
    "tokens",
    "large-values",
    "tiny-budgets",
    "named-tables",
    "mvcc-first",
    "leases",
    "read-only-first",
    "short-retention",
    "scarce-history",
    "chosen-mode",
    "salvage",
    "own-cache",
    "named-transactions",
    "deadlines",
    "delays",
];

/// More log than any run writes.
const AMPLE_LOG: u64 = 1 << 30;
/// Longer than any run.
const LONG_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Every name that [`Limits::without`] understands.
pub fn feature_names() -> impl Iterator<Item = &'static str> {
    operations::ALL
        .iter()
        .map(|operation| operation.name)
        .chain(faults::CLASSES.iter().map(|class| class.name))
        .chain(TRAITS.iter().copied())
}

/// Which features are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    on: BTreeSet<&'static str>,
}

impl Features {
    /// Draws for every feature, left out or not, so that leaving one out changes none of the others.
    fn drawn(rng: &mut Rng, without: &BTreeSet<String>) -> Self {
        // Some seeds have nearly everything, some nearly nothing.
        let share = [50, 75, 95][rng.usize(0..3)];
        let on = feature_names().filter(|_| rng.u32(0..100) < share).collect::<BTreeSet<_>>();
        Self { on: on.into_iter().filter(|name| !without.contains(*name)).collect() }
    }

    /// Whether a feature is on.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(feature_names().any(|known| known == name), "`{name}` is no feature");
        self.on.contains(name)
    }
}

/// One seed's run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The streams.
    pub streams: Streams,
    /// What is on.
    pub features: Features,
    /// How the database is opened.
    pub options: Options,
    /// Threads of the workload.
    pub sessions: u32,
    /// Operations of each of them in each life.
    pub operations: u32,
    /// How often the process lives.
    pub lives: u32,
    /// Keys of each table.
    pub keys: u32,
    /// Names of tables.
    pub tables: u32,
    /// The longest value.
    pub value_bytes: usize,
    /// Threads are switched at one in so many points.
    pub switch_in: u32,
}

impl Plan {
    /// Whether a token may be forgotten by `now` that was committed at `then`, or later.
    #[must_use]
    pub fn may_forget(&self, then: Duration, now: Duration) -> bool {
        then.saturating_add(self.options.token_retention) <= now
    }

    /// Whether the log that is kept for feeds and consumers may not suffice.
    #[must_use]
    pub fn history_is_scarce(&self) -> bool {
        self.options.max_retained_log_bytes < AMPLE_LOG
    }

    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64, limits: &Limits) -> Self {
        let streams = Streams::of(seed);
        let mut rng = Rng::with_seed(streams.workload);
        let features = Features::drawn(&mut rng.fork(), &limits.without);
        let options = options(&mut rng.fork(), &features);
        let sessions = rng.u32(1..6);
        let operations = [4, 8, 15, 30][rng.usize(0..4)];
        let lives = rng.u32(1..5);
        let large = [400, 3_000, 20_000][rng.usize(0..3)];
        Self {
            streams,
            options,
            sessions: sessions.min(limits.sessions.unwrap_or(u32::MAX)).max(1),
            operations: operations.min(limits.operations.unwrap_or(u32::MAX)),
            lives: lives.min(limits.lives.unwrap_or(u32::MAX)).max(1),
            keys: [4, 12, 40, 150][rng.usize(0..4)],
            tables: if features.has("named-tables") { rng.u32(1..5) } else { 1 },
            value_bytes: if features.has("large-values") { large } else { 60 },
            switch_in: [1, 2, 5, 20, 100][rng.usize(0..5)],
            features,
        }
    }
}

fn options(rng: &mut Rng, features: &Features) -> Options {
    let tiny = features.has("tiny-budgets");
    let deferred = rng.u8(0..4) == 0 && features.has("deferred");
    // Drawn in any case, so that leaving them out moves nothing else.
    let leases = features.has("leases") && rng.bool();
    let max_age = [None, None, Some(0), Some(1), Some(30)][rng.usize(0..5)];
    let max_pinned = [None, Some(0), Some(0), Some(20 << 10)][rng.usize(0..4)];
    let short = Some(Duration::from_millis([0, 1000, 1500, 3000][rng.usize(0..4)]));
    let short = short.filter(|_| features.has("short-retention"));
    let scarce = Some([0, 64 << 10, 200 << 10][rng.usize(0..3)]);
    let scarce = scarce.filter(|_| features.has("scarce-history"));
    let mode = [None, Some(JournalMode::Wal), Some(JournalMode::Mvcc)][rng.usize(0..3)];
    let pick = |rng: &mut Rng, small: usize, large: usize| if tiny && rng.bool() { small } else { large };
    Options {
        create: true,
        // The operations change it.
        journal_mode: mode.filter(|_| features.has("chosen-mode")),
        durability: if deferred { Durability::Deferred } else { Durability::Sync },
        busy_timeout: Duration::from_millis([1, 20, 1000][rng.usize(0..3)]),
        cache_bytes: pick(rng, 16 << 10, 1 << 20),
        row_store_bytes: pick(rng, 64 << 10, 1 << 20),
        log_bytes: pick(rng, 64 << 10, 512 << 10) as u64,
        log_segment_bytes: pick(rng, 64 << 10, 128 << 10) as u64,
        max_transaction_bytes: pick(rng, 24 << 10, 1 << 20),
        max_snapshots: pick(rng, 8, 1000),
        deferred_sync_interval: Duration::from_millis([0, 5, 100][rng.usize(0..3)]),
        page_bytes: [512, 512, 1024, 4096][rng.usize(0..4)],
        map_log: rng.bool(),
        token_retention: short.unwrap_or(LONG_RETENTION),
        max_retained_log_bytes: scarce.unwrap_or(AMPLE_LOG),
        page_cache: None,
        snapshot_max_age: max_age.filter(|_| leases).map(Duration::from_millis),
        snapshot_max_pinned_bytes: max_pinned.filter(|_| leases),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        let names: Vec<_> = feature_names().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    #[test]
    fn leaving_a_feature_out_leaves_the_rest_as_it_was() {
        for seed in 0..50 {
            let all = Plan::of(seed, &Limits::default());
            let Some(out) = all.features.on.first().copied() else { continue };
            let less = Plan::of(seed, &Limits { without: [out.to_owned()].into(), ..Limits::default() });
            let mut expected = all.features.clone();
            expected.on.remove(out);
            assert_eq!(less.features, expected);
            assert_eq!((less.sessions, less.lives, less.keys), (all.sessions, all.lives, all.keys));
        }
    }
}
