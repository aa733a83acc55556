//! Replay: how recovery fills a generation.
//!
//! A search in a large index misses the cache at almost every step when keys come in random order, and hardly ever when
//! they ascend. So the rows of many log records are gathered, sorted, and put in together. Nobody reads meanwhile, so
//! only the newest version of each row is kept.

use std::{fmt, mem};

use braid_vfs::planted;
use smallvec::SmallVec;

use crate::chain::{Pending, Version};
use crate::epoch::Guard;
use crate::generation::{InstallRights, Tally};
use crate::key::RowKey;
use crate::{TableId, Timestamp};

/// How many rows are looked for before their versions are put in.
const TOGETHER: usize = 64;

struct Row {
    key: RowKey,
    commit_ts: Timestamp,
    value: Pending,
}

/// Rows of log records on their way into a generation.
#[derive(Default)]
pub struct ReplayBatch {
    /// In commit order.
    rows: Vec<Row>,
    bytes: usize,
}

impl ReplayBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one row of a record. Records must come in commit order.
    pub fn push(&mut self, table: TableId, key: &[u8], value: Option<&[u8]>, commit_ts: Timestamp) {
        debug_assert!(
            self.rows.last().is_none_or(|last| last.commit_ts <= commit_ts),
            "records come in order"
        );
        let row = Row { key: RowKey::new(table, key), commit_ts, value: Pending::new(value) };
        let version = row.value.version().map_or(0, Version::footprint);
        self.bytes += size_of::<Row>() + row.key.heap_bytes() + version;
        self.rows.push(row);
    }

    /// About how much memory its rows occupy.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl InstallRights {
    /// Puts the rows of a batch into the generation, each instead of what is there, and empties the batch. Batches must
    /// come in commit order, and nobody may read the generation yet.
    pub fn replay(&mut self, batch: &mut ReplayBatch, guard: &Guard) {
        let (Some(first), Some(last)) = (batch.rows.first(), batch.rows.last()) else { return };
        let (first_ts, last_ts) = (first.commit_ts, last.commit_ts);
        if planted!(OldestReplayed) {
            batch.rows.reverse();
        }
        // Stable: the versions of one row stay in commit order, and the last of them is kept.
        batch.rows.sort_by(|one, other| one.key.cmp(&other.key));
        batch.rows.dedup_by(|later, kept| {
            let is_same = later.key == kept.key;
            if is_same {
                mem::swap(later, kept);
            }
            is_same
        });
        batch.bytes = 0;
        let generation = &**self.generation();
        let mut tally = Tally::default();
        for some in batch.rows.chunks_mut(TOGETHER) {
            let mut rows = SmallVec::<[_; TOGETHER]>::new();
            generation.find_or_create_all(some.iter().map(|row| &row.key), |row| rows.push(row));
            for (row, new) in rows.iter().zip(some) {
                tally.push(&row.chain, &mut new.value, new.commit_ts, guard);
                tally.freed += row.chain.trim(new.commit_ts, guard).bytes;
            }
        }
        batch.rows.clear();
        generation.count(&tally, first_ts, last_ts, guard);
    }
}

impl fmt::Debug for ReplayBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBatch").field("rows", &self.rows.len()).field("bytes", &self.bytes).finish()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{Rng, ts};
    use crate::{Found, Generation, pin};

    const T: TableId = TableId(1);

    #[test]
    fn only_the_newest_version_of_each_row_is_kept() {
        let (generation, mut rights) = Generation::new(ts(5), 1 << 16);
        let guard = pin();
        let mut batch = ReplayBatch::new();
        for record in 6..100_u64 {
            batch.push(T, b"same", Some(&record.to_le_bytes()), ts(record));
            batch.push(T, &record.to_be_bytes(), (record % 2 == 0).then_some(b"x"), ts(record));
            if record % 40 == 0 {
                rights.replay(&mut batch, &guard);
                assert_eq!(batch.bytes(), 0);
            }
        }
        assert!(batch.bytes() > 0);
        rights.replay(&mut batch, &guard);
        rights.replay(&mut batch, &guard);
        assert_eq!((generation.rows(), generation.last_ts()), (95, ts(99)));
        assert_eq!(generation.get(T, b"same", ts(99), &guard), Some(Found::Value(&99_u64.to_le_bytes())));
        assert_eq!(generation.get(T, b"same", ts(98), &guard), None, "nobody reads the past of a recovery");
        assert_eq!(generation.get(T, &7_u64.to_be_bytes(), ts(99), &guard), Some(Found::Tombstone));
        assert!(generation.may_hold(ts(6)) && !generation.may_hold(ts(5)));
    }

    #[test]
    fn a_batch_knows_about_how_much_memory_it_takes() {
        let mut batch = ReplayBatch::new();
        batch.push(T, &[7; 1000], Some(&[8; 500]), ts(1));
        assert!((1500 + size_of::<Row>()..1700).contains(&batch.bytes()), "{} bytes", batch.bytes());
        let one = batch.bytes();
        batch.push(T, &[7; 1000], Some(&[8; 500]), ts(2));
        assert_eq!(batch.bytes(), 2 * one);
    }

    #[test]
    fn a_row_that_is_replayed_again_and_again_stays_small() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        let mut batch = ReplayBatch::new();
        for commit_ts in 1..=1000 {
            batch.push(T, b"hot", Some(&[0; 100]), ts(commit_ts));
            rights.replay(&mut batch, &guard);
            assert!(generation.bytes() < 400, "{} bytes after {commit_ts} batches", generation.bytes());
        }
        assert_eq!(generation.rows(), 1);
    }

    #[test]
    fn the_order_of_keys_makes_no_difference() {
        let mut rng = Rng::new(3);
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        let mut model = BTreeMap::new();
        let mut batch = ReplayBatch::new();
        for commit_ts in 1..=2000_u64 {
            let key = rng.below(300_u64).to_be_bytes();
            let value = (rng.below(4_u64) > 0).then(|| commit_ts.to_le_bytes());
            batch.push(T, &key, value.as_ref().map(<[u8; 8]>::as_slice), ts(commit_ts));
            model.insert(key, (commit_ts, value));
            if rng.below(100_u64) == 0 {
                rights.replay(&mut batch, &guard);
            }
        }
        rights.replay(&mut batch, &guard);
        assert_eq!(generation.rows(), model.len());
        for (key, (commit_ts, value)) in &model {
            let found = generation.get(T, key, Timestamp::MAX, &guard);
            assert_eq!(found.map(Found::value), Some(value.as_ref().map(<[u8; 8]>::as_slice)));
            assert_eq!(generation.newest(T, key, &guard), Some(ts(*commit_ts)));
        }
    }
}
