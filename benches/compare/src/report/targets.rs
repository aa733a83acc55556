//! What Braid is to reach, cell by cell. Add a line here for another target; [`judge`](super::judge) does the rest.

use crate::cell::metrics;

/// One aim, for all cells that fit.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) aim: &'static str,
    /// Names of cells, where `*` stands for anything.
    pub(super) cells: &'static [&'static str],
    pub(super) metric: Metric,
    pub(super) against: Against,
    /// How many times better than that; 2 is half of it where less is better.
    pub(super) wanted: f64,
    /// It is of cells only in which ours leaves the processor a rest.
    pub(super) with_rest: bool,
}

/// The share of all cores from which on the processor counts as the limit of a cell, and not what it waits for: at the same
/// cost of each operation, the rest that it leaves would make 18 % more at most. It is not nearer to 1 because the kernel's own
/// work for the disk is not counted as the process's.
pub(super) const BUSY: f64 = 0.85;

#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    Primary,
    /// The first of these that the cell has.
    Named(&'static [&'static str]),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Against {
    /// Of all others.
    BestRival,
    /// Of all others in any of these cells, which do the same work in different ways.
    BestRivalIn(&'static [&'static str]),
    /// The best of these.
    BestOf(&'static [&'static str]),
    /// The best of those that have as much of this other metric as ours, or at least this share of it.
    BestWithAsMuch(&'static str, f64),
    /// In the unit of the metric.
    Number(f64),
    /// So many times another metric of ours in the same cell: the first of these that the cell has.
    Ours(&'static [&'static str], f64),
    /// So many times the same metric of ours in another cell.
    OursIn(&'static str, f64),
    /// So many times another metric of ours in the same cell, for each thread.
    OursPerThread(&'static [&'static str], f64),
    /// So many for each thread.
    PerThread(f64),
    /// What the cores allow: so many rows for each of so many microseconds of computing, on all cores at once.
    Cores { rows: f64, micros: f64 },
}

/// Engines whose write transactions run at once and may lose a conflict. Not canopydb's, which are exclusive where nothing is
/// computed in them.
const OPTIMISTIC: &[&str] = &["fjall", "rocksdb", "sqlrite", "surrealkv", "turso"];
/// Engines that keep rows in a B-tree on disk.
const B_TREES: &[&str] = &["canopydb", "lmdb", "redb", "sqlite", "turso"];
/// Who has half as many bytes of log to replay as ours replays as much: formats differ by as much as that in what they add to a
/// row, and ours is told at its most, with what a file that is used again still has of its last use.
const AS_MUCH_TO_REPLAY: Against = Against::BestWithAsMuch(metrics::LOG_AT_THE_KILL, 0.5);
/// Records stored and synced one by one without an engine, as often as the disk can.
const RAW: &[&str] = &["raw syncs"];
const ATTEMPTS: Metric = Metric::Named(&["attempts for each"]);
const P999: Metric = Metric::Named(&["latency p99.9"]);
const LONGEST: Metric = Metric::Named(&["latency max"]);

pub(super) const TARGETS: &[Target] = &[
    target(
        "95 % of the raw rate of syncs",
        &["commits-durable-1"],
        Metric::Primary,
        Against::Ours(RAW, 1.0),
        0.95,
    ),
    target("1.5 × the best rival", &["commits-durable-8"], Metric::Primary, Against::BestRival, 1.5),
    target(
        "2 × the best rival",
        &["commits-durable-32", "commits-durable-64"],
        Metric::Primary,
        Against::BestRival,
        2.0,
    ),
    target(
        "1.5 × the best rival, by threads or by tasks",
        &["commits-durable-tasks-8"],
        Metric::Primary,
        Against::BestRivalIn(&["commits-durable-8", "commits-durable-tasks-8"]),
        1.5,
    ),
    target(
        "2 × the best rival, by threads or by tasks",
        &["commits-durable-tasks-64"],
        Metric::Primary,
        Against::BestRivalIn(&["commits-durable-64", "commits-durable-tasks-64"]),
        2.0,
    ),
    target(
        "75 % of writers × raw rate ÷ 2, where the sync is the limit",
        &["commits-durable-8", "commits-durable-32", "commits-durable-64"],
        Metric::Primary,
        Against::OursPerThread(RAW, 0.5),
        0.75,
    )
    .where_the_processor_rests(),
    target(
        "2 × the best rival",
        &["commits-deferred-1", "commits-deferred-2"],
        Metric::Primary,
        Against::BestRival,
        2.0,
    ),
    target(
        "500,000 a second for each thread",
        &["commits-deferred-1", "commits-deferred-2"],
        Metric::Primary,
        Against::PerThread(500_000.0),
        1.0,
    ),
    target("2 × the best rival", &["bank-*"], Metric::Primary, Against::BestRival, 2.0),
    target(
        "no more attempts than the best optimistic rival",
        &["bank-*-durable-2", "bank-*-durable-8", "bank-*-durable-32"],
        ATTEMPTS,
        Against::BestOf(OPTIMISTIC),
        1.0,
    ),
    target(
        "no more attempts than the best optimistic rival",
        &["bank-*-deferred-2", "bank-*-deferred-8", "bank-*-deferred-32"],
        ATTEMPTS,
        Against::BestOf(OPTIMISTIC),
        1.0,
    ),
    target(
        "as fast as LMDB",
        &["point-reads-*", "scans-*"],
        Metric::Primary,
        Against::BestOf(&["lmdb"]),
        1.0,
    ),
    target("as fast as LMDB", &["load-sequential-1"], Metric::Primary, Against::BestOf(&["lmdb"]), 1.0),
    target(
        "as fast as fjall and RocksDB",
        &["load-random-1"],
        Metric::Primary,
        Against::BestOf(&["fjall", "rocksdb"]),
        1.0,
    ),
    target(
        "no more bytes than LMDB",
        &["load-*"],
        Metric::Named(&["bytes on disk"]),
        Against::BestOf(&["lmdb"]),
        1.0,
    ),
    target("the best", &["inserts-computing-0us-1"], Metric::Primary, Against::BestRival, 1.0),
    target("1.5 × the best rival", &["inserts-computing-0us-8"], Metric::Primary, Against::BestRival, 1.5),
    target(
        "90 % of what the cores allow",
        &["inserts-computing-500us-4", "inserts-computing-500us-8"],
        Metric::Primary,
        Against::Cores { rows: 100.0, micros: 500.0 },
        0.9,
    ),
    target(
        "90 % of what the cores allow",
        &["inserts-computing-1000us-4", "inserts-computing-1000us-8"],
        Metric::Primary,
        Against::Cores { rows: 100.0, micros: 1000.0 },
        0.9,
    ),
    target("the best", &["ycsb-*"], Metric::Primary, Against::BestRival, 1.0),
    target("the fastest that replays as much", &["reopen-1"], Metric::Primary, AS_MUCH_TO_REPLAY, 1.0),
    target("a second for a million commits", &["reopen-1"], Metric::Primary, Against::Number(1000.0), 1.0),
    target(
        "as fast as the best B-tree",
        &["larger-than-cache-reads-1"],
        Metric::Primary,
        Against::BestOf(B_TREES),
        1.0,
    ),
    target(
        "as fast as redb and canopydb",
        &["larger-than-cache-updates-1"],
        Metric::Primary,
        Against::BestOf(&["redb", "canopydb"]),
        1.0,
    ),
    target(
        "the cache and 20 % of memory",
        &["larger-than-cache-*"],
        // With all of it where the part was not told apart.
        Metric::Named(&[metrics::MEMORY_WITHOUT_PROGRAM, "memory, peak"]),
        Against::Number(64.0 * 1.2),
        1.0,
    ),
    target("3 × the best rival", &["counter-durable-*"], Metric::Primary, Against::BestRival, 3.0),
    target(
        "twice the p99.9 without checkpoints",
        &["checkpoint-stalls-settling-1m-1"],
        P999,
        Against::OursIn("checkpoint-stalls-1m-1", 2.0),
        1.0,
    ),
    target(
        "twice the p99.9 without checkpoints",
        &["checkpoint-stalls-settling-4m-1"],
        P999,
        Against::OursIn("checkpoint-stalls-4m-1", 2.0),
        1.0,
    ),
    target(
        "no stall twice as long with four times the rows",
        &["checkpoint-stalls-4m-1"],
        LONGEST,
        Against::OursIn("checkpoint-stalls-1m-1", 2.0),
        1.0,
    ),
    target(
        "no stall twice as long with four times the rows",
        &["checkpoint-stalls-settling-4m-1"],
        LONGEST,
        Against::OursIn("checkpoint-stalls-settling-1m-1", 2.0),
        1.0,
    ),
];

const fn target(
    aim: &'static str,
    cells: &'static [&'static str],
    metric: Metric,
    against: Against,
    wanted: f64,
) -> Target {
    Target { aim, cells, metric, against, wanted, with_rest: false }
}

impl Target {
    const fn where_the_processor_rests(self) -> Self {
        Self { with_rest: true, ..self }
    }
}
