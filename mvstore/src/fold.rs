//! What a checkpoint folds: the newest version of every key of several generations, in key order.

use std::fmt;
use std::ops::Bound;

use braid_vfs::sync::Arc;

use crate::epoch::pin;
use crate::key::Probe;
use crate::scan::{ScanBatch, ScanLimit, ScanRow};
use crate::{Generation, TableId, Timestamp};

/// A batch is large enough to pay for its search, small enough to stay in the cache.
const LIMIT: ScanLimit = ScanLimit { rows: 1024, bytes: 256 << 10 };

/// Merges generations into one ascending run of rows, each with what it was at one timestamp.
///
/// Holds one batch of rows per generation, and no guard between two calls: the generations may still be written to.
pub struct FoldIter {
    /// Newest first.
    sources: Vec<Source>,
    at: Timestamp,
    /// Tables to pass over, ascending.
    without: Vec<TableId>,
}

struct Source {
    generation: Arc<Generation>,
    batch: ScanBatch,
    position: usize,
    /// Nothing was read yet.
    fresh: bool,
}

impl FoldIter {
    /// Folds `generations`, given newest first, as of `at`.
    #[must_use]
    pub fn new(generations: &[Arc<Generation>], at: Timestamp) -> Self {
        let source = |generation| Source {
            generation: Arc::clone(generation),
            batch: ScanBatch::new(),
            position: 0,
            fresh: true,
        };
        let sources = generations.iter().filter(|generation| generation.may_hold(at)).map(source).collect();
        Self { sources, at, without: Vec::new() }
    }

    /// The same without the rows of some tables.
    #[must_use]
    pub fn without(mut self, mut tables: Vec<TableId>) -> Self {
        tables.sort_unstable();
        self.without = tables;
        self
    }

    /// The next row, ascending by table and key. A tombstone says that the row is to be removed.
    #[expect(clippy::should_implement_trait, reason = "the row borrows from the iterator")]
    pub fn next(&mut self) -> Option<ScanRow<'_>> {
        for source in &mut self.sources {
            source.refill(self.at, &self.without);
        }
        let mut first: Option<(usize, ScanRow<'_>)> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let Some(row) = source.row() else { continue };
            // Of equal keys, the one in the newer generation, met first, has the newer version.
            if first.is_none_or(|(_, first)| (row.table, row.key) < (first.table, first.key)) {
                first = Some((index, row));
            }
        }
        let (winner, _) = first?;
        let (upto_winner, older) = self.sources.split_at_mut(winner + 1);
        let winner = upto_winner.last_mut()?;
        let row = winner.batch.row(winner.position)?;
        winner.position += 1;
        for source in older {
            let same = source.row().is_some_and(|old| (old.table, old.key) == (row.table, row.key));
            source.position += usize::from(same);
        }
        Some(row)
    }
}

impl Source {
    fn row(&self) -> Option<ScanRow<'_>> {
        self.batch.row(self.position)
    }

    /// Makes sure that a row is at `position`, unless there is none left.
    fn refill(&mut self, at: Timestamp, without: &[TableId]) {
        self.read_on(at);
        while let Some(row) = self.row()
            && without.binary_search(&row.table).is_ok()
        {
            self.position += 1;
            self.read_on(at);
        }
    }

    fn read_on(&mut self, at: Timestamp) {
        while self.position >= self.batch.len() {
            let last = self.batch.take_stop();
            let behind = match &last {
                Some((table, key)) => Bound::Excluded(Probe::new(*table, key)),
                None if self.fresh => Bound::Unbounded,
                None => return,
            };
            self.fresh = false;
            self.position = 0;
            self.generation.scan_tables(behind.as_ref(), at, LIMIT, &mut self.batch, &pin());
        }
    }
}

impl fmt::Debug for FoldIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldIter").field("at", &self.at).field("generations", &self.sources.len()).finish()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
