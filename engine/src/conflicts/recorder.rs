//! Where losses are recorded.
//!
//! | kept | at most |
//! | --- | --- |
//! | shards | 8, made at their first loss |
//! | keys in each | 32, of 128 bytes |
//! | tables, and names, in each | 65, of 128 bytes |

use std::collections::BTreeMap;
use std::time::Duration;

use braid_vfs::sync::atomic::{AtomicU64, Ordering};
use braid_vfs::sync::{Mutex, thread_local};
use std::cell::Cell;

use super::report::{AttemptsBucket, ConflictReport, HotKey, NamedConflicts, TableConflicts, WastedWork};
use super::shard::{Named, Shard};
use super::sketch::Sketch;
use crate::error::Error;
use crate::statistics::ConflictStats;

const SHARDS: usize = 8;
/// The hottest keys of a report.
const HOT_KEYS: usize = 32;
/// Attempts are told apart by powers of two: 1, 2, up to 4, up to 8, …, more than 64.
pub(super) const BUCKETS: usize = 8;

/// Numbers for threads, given out for as long as the process runs: no schedule turns on them.
static NEXT_THREAD: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a transaction that lost had done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loss<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) wasted: WastedWork,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    shards: [Mutex<Option<Box<Shard>>>; SHARDS],
    /// Losses of runners that won in the end.
    absorbed: AtomicU64,
    /// Losses of runners that are still at it.
    pending: AtomicU64,
    attempts: [AtomicU64; BUCKETS],
}

impl Recorder {
    /// Records a loss.
    pub(crate) fn record(&self, error: &Error, loss: &Loss<'_>) {
        if !error.is_retryable() {
            return;
        }
        let shard = SHARD.with(|shard| {
            shard.get().unwrap_or_else(|| {
                let number = NEXT_THREAD.fetch_add(1, Ordering::Relaxed) % SHARDS;
                shard.set(Some(number));
                number
            })
        });
        if let Some(shard) = self.shards.get(shard) {
            shard.lock().get_or_insert_default().record(error.conflict(), loss);
        }
    }

    /// A runner has lost an attempt, and goes on.
    pub(crate) fn runner_lost(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// A runner is done, after so many attempts of which it lost so many.
    pub(crate) fn runner_done(&self, attempts: u32, lost: u32, won: bool) {
        let lost = u64::from(lost);
        self.pending.fetch_sub(lost, Ordering::Relaxed);
        if won {
            self.absorbed.fetch_add(lost, Ordering::Relaxed);
        }
        if let Some(bucket) = self.attempts.get(bucket(attempts)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was recorded, with the counts by kind.
    pub(crate) fn report(&self, kinds: ConflictStats) -> ConflictReport {
        let mut tables: BTreeMap<String, ConflictStats> = BTreeMap::new();
        let mut names: BTreeMap<Option<String>, Named> = BTreeMap::new();
        let mut sketches = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let Some(shard) = shard.as_ref() else { continue };
            for (table, more) in &shard.tables {
                tables.entry(table.clone()).or_default().add(*more);
            }
            for (name, more) in &shard.names {
                names.entry(name.clone()).or_default().add(more);
            }
            sketches.push(shard.keys.clone());
        }
        let mut wasted = WastedWork::default();
        names.values().for_each(|named| wasted.add(named.wasted));
        let mut tables: Vec<_> =
            tables.into_iter().map(|(table, kinds)| TableConflicts { table, kinds }).collect();
        tables.sort_by_key(|table| std::cmp::Reverse(table.kinds.total()));
        let mut names: Vec<_> = names
            .into_iter()
            .map(|(name, Named { conflicts, wasted })| NamedConflicts { name, conflicts, wasted })
            .collect();
        names.sort_by_key(|named| std::cmp::Reverse(named.conflicts));
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let absorbed = load(&self.absorbed);
        ConflictReport {
            kinds,
            absorbed,
            escaped: kinds.total().saturating_sub(absorbed).saturating_sub(load(&self.pending)),
            hot_keys: Sketch::merged(&sketches)
                .into_iter()
                .take(HOT_KEYS)
                .map(|one| HotKey {
                    table: one.table,
                    key: one.key,
                    key_len: one.key_len,
                    count: one.count,
                    error: one.error,
                })
                .collect(),
            tables,
            names,
            wasted,
            attempts: (0..)
                .zip(&self.attempts)
                .map(|(at, transactions)| AttemptsBucket {
                    transactions: load(transactions),
                    ..empty_bucket(at)
                })
                .collect(),
        }
    }
}

/// What the bucket at a place counts.
pub(super) const fn empty_bucket(at: usize) -> AttemptsBucket {
    AttemptsBucket {
        from: if at == 0 { 1 } else { (1 << (at - 1)) + 1 },
        to: if at + 1 >= BUCKETS { u32::MAX } else { 1 << at },
        transactions: 0,
    }
}

/// Where a number of attempts is counted.
const fn bucket(attempts: u32) -> usize {
    let bucket = match attempts.saturating_sub(1).checked_ilog2() {
        Some(power) => 1 + power as usize,
        None => 0,
    };
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// Time from one reading of the coarse clock to another.
pub(crate) const fn between(began: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(began))
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;
    use crate::error::{Conflict, ConflictKind};
    use braid_mvstore::Timestamp;

    fn conflict(table: &str, key: &[u8]) -> Error {
        Error::Busy(Box::new(Conflict {
            kind: ConflictKind::WriteWrite,
            table: Some(table.to_owned()),
            key: Some(key.to_vec()),
            begin_ts: Timestamp::MAX,
            winner_ts: None,
            holder_begun_here: false,
            turn_left: None,
        }))
    }

    #[test]
    fn attempts_go_where_they_belong() {
        let recorder = Recorder::default();
        for attempts in [1, 2, 3, 4, 5, 8, 9, 64, 65, u32::MAX] {
            recorder.runner_done(attempts, 0, true);
        }
        let buckets: Vec<_> = recorder
            .report(ConflictStats::default())
            .attempts
            .iter()
            .map(|bucket| (bucket.from, bucket.to, bucket.transactions))
            .collect();
        assert_eq!(
            buckets,
            [
                (1, 1, 1),
                (2, 2, 1),
                (3, 4, 2),
                (5, 8, 2),
                (9, 16, 1),
                (17, 32, 0),
                (33, 64, 1),
                (65, u32::MAX, 2)
            ]
        );
    }

    #[test]
    fn memory_is_bounded_whatever_is_lost() {
        let recorder = Recorder::default();
        for number in 0..2000_u32 {
            let name = format!("name {number} {}", "é".repeat(500));
            let wasted = WastedWork::new(Duration::from_secs(1), 2, 3);
            recorder.record(
                &conflict(&format!("t{number}"), &number.to_be_bytes()),
                &Loss { name: Some(&name), wasted },
            );
        }
        let report = recorder.report(ConflictStats::default());
        assert_eq!((report.tables.len(), report.names.len(), report.hot_keys.len()), (65, 65, 32));
        assert!(report.names.iter().all(|named| named.name.as_ref().is_some_and(|name| name.len() <= 128)));
        assert_eq!(report.wasted, WastedWork::new(Duration::from_secs(2000), 4000, 6000));
        assert_eq!(report.tables.iter().map(|table| table.kinds.write_write).sum::<u64>(), 2000);
    }

    #[test]
    fn a_storm_of_losers_loses_no_count() {
        let recorder = Recorder::default();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        recorder.record(&conflict("t", b"hot"), &Loss::default());
                    }
                });
            }
        });
        let report = recorder.report(ConflictStats::default());
        let [hot] = &*report.hot_keys else { panic!("{:?}", report.hot_keys) };
        assert_eq!((hot.count, hot.error), (8000, 0));
    }
}
