//! Range reads, a batch at a time.
//!
//! A batch copies rows into one buffer, so a cursor holds no guard between batches and its rows live as long as it
//! wants. That is sound because what a snapshot sees of a generation never changes: new versions are later, and a trim
//! keeps what a registered snapshot reads. A cursor goes on behind the last key of its batch.

use std::borrow::Borrow as _;
use std::ops::Bound;

use braid_vfs::planted;
use smallvec::SmallVec;

use crate::chain::Version;
use crate::epoch::Guard;
use crate::index::{Near, Row};
use crate::key::{Probe, RowKey};
use crate::write_set::table_bounds;
use crate::{Found, Generation, TableId, Timestamp};

/// How many keys that a snapshot does not see a call passes over for each row it may deliver, and at least.
const PASS_PER_ROW: usize = 4;
const PASS_AT_LEAST: usize = 256;

/// Rows whose versions are asked for at once: what waits for memory waits for all of them together.
const AHEAD: usize = 8;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// How much one call may deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// Rows at most.
    pub rows: usize,
    /// Bytes of keys and values, after which it delivers no further row. The first row may exceed them.
    pub bytes: usize,
}

/// What to scan.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub table: TableId,
    /// The lower end, whatever the direction.
    pub from: Bound<&'a [u8]>,
    /// The upper end.
    pub to: Bound<&'a [u8]>,
    /// Where it starts, and where it goes.
    pub direction: Direction,
    /// The snapshot.
    pub at: Timestamp,
    /// How far one call goes.
    pub limit: ScanLimit,
}

/// One row of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanRow<'a> {
    /// The row's table.
    pub table: TableId,
    /// The row's key.
    pub key: &'a [u8],
    /// What the snapshot sees of it here. A tombstone hides what older layers hold of the row.
    pub value: Found<'a>,
}

/// Rows of a scan, in its order: a buffer to use again and again.
#[derive(Debug, Default)]
pub struct ScanBatch {
    /// Keys and values, end to end.
    bytes: Vec<u8>,
    rows: Vec<Span>,
    /// The key where the call stopped, when it did before the end.
    stopped_at: Option<TableId>,
    stop_key: Vec<u8>,
    /// Where the call before stopped: memory for the next such key.
    last_key: Vec<u8>,
    /// The node of an index that the call stopped at.
    near: Near,
}

/// Where a row lies in the buffer: its key from `start` to `key_end`, then its value to `end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    table: TableId,
    tombstone: bool,
    start: usize,
    key_end: usize,
    end: usize,
}

impl ScanBatch {
    /// An empty batch. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory that it keeps, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let keys = self.stop_key.capacity() + self.last_key.capacity();
        self.bytes.capacity() + self.rows.capacity() * size_of::<Span>() + keys
    }

    /// How many rows it holds.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds no row. There may be more behind it all the same: see [`resume_key`](Self::resume_key).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at a place in the scan's order.
    #[must_use]
    #[inline]
    pub fn row(&self, index: usize) -> Option<ScanRow<'_>> {
        self.rows.get(index).map(|span| self.row_at(span))
    }

    /// The key of the row at a place in the scan's order.
    #[must_use]
    #[inline]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let span = self.rows.get(index)?;
        self.bytes.get(span.start..span.key_end)
    }

    /// Whether there is a row with a value at a place in the scan's order.
    #[must_use]
    #[inline]
    pub fn has_value(&self, index: usize) -> bool {
        self.rows.get(index).is_some_and(|span| !span.tombstone)
    }

    #[inline]
    fn row_at(&self, span: &Span) -> ScanRow<'_> {
        let value = &self.bytes[span.key_end..span.end];
        ScanRow {
            table: span.table,
            key: &self.bytes[span.start..span.key_end],
            value: if span.tombstone { Found::Tombstone } else { Found::Value(value) },
        }
    }

    /// The rows in the scan's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ScanRow<'_>> {
        self.rows.iter().map(|span| self.row_at(span))
    }

    /// The last key that the call has dealt with, when it stopped before the end of the range: the scan goes on behind
    /// it, with [`Generation::scan_more`] or as the excluded lower end (upper, if backward) of another scan. `None` when
    /// the scan is complete.
    #[must_use]
    pub fn resume_key(&self) -> Option<&[u8]> {
        self.stopped_at.map(|_| &*self.stop_key)
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.stop_key.clear();
        self.stopped_at = None;
    }

    /// Takes the key where the call stopped.
    pub(crate) fn take_stop(&mut self) -> Option<(TableId, Vec<u8>)> {
        self.stopped_at.take().map(|table| (table, std::mem::take(&mut self.stop_key)))
    }

    /// Adds the rows that a snapshot sees, as long as they are `inside`.
    fn fill<'g>(
        &mut self,
        rows: &mut impl Iterator<Item = &'g Row>,
        inside: impl Fn(&RowKey) -> bool,
        at: Timestamp,
        limit: ScanLimit,
        guard: &'g Guard,
    ) {
        let mut to_pass = limit.rows.saturating_mul(PASS_PER_ROW).max(PASS_AT_LEAST);
        let mut rows = rows.take_while(|row| inside(&row.key));
        loop {
            let wanted = limit.rows.saturating_sub(self.rows.len()).clamp(1, AHEAD);
            let ahead: SmallVec<[&Row; AHEAD]> = rows.by_ref().take(wanted).collect();
            ahead.iter().for_each(|row| row.chain.prefetch(guard));
            for row in &ahead {
                let full = match row.chain.read(at, guard) {
                    Some(version) => {
                        self.push(&row.key, version);
                        self.rows.len() >= limit.rows || self.bytes.len() >= limit.bytes
                    }
                    None => {
                        to_pass -= 1;
                        to_pass == 0
                    }
                };
                if full {
                    self.stopped_at = Some(row.key.table());
                    self.stop_key.extend_from_slice(row.key.bytes());
                    return;
                }
            }
            if ahead.len() < wanted {
                return;
            }
        }
    }

    #[inline]
    fn push(&mut self, key: &RowKey, version: &Version) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.bytes());
        let key_end = self.bytes.len();
        let value = version.found().value();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.rows.push(Span {
            table: key.table(),
            tombstone: value.is_none(),
            start,
            key_end,
            end: self.bytes.len(),
        });
    }
}

impl Generation {
    /// Replaces the batch by the first rows of a scan, tombstones included.
    ///
    /// A call visits at most `limit.rows` + max(4 × `limit.rows`, 256) keys, for it may meet many that the snapshot does
    /// not see; so it may deliver few rows, or none, before the end of the range.
    pub fn scan(&self, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) {
        // It may be far from here.
        batch.near = Near::default();
        self.scan_near(scan, batch, guard);
    }

    /// The same from near the place where the batch's last scan stopped.
    fn scan_near(&self, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) {
        batch.clear();
        if !self.may_hold(scan.at) {
            return;
        }
        let (from, to) = table_bounds(scan.table, scan.from, scan.to);
        match scan.direction {
            Direction::Forward => {
                let mut rows = self.index.forward_near(&batch.near, from.as_ref());
                batch.fill(&mut rows, |key| is_below(key, &to), scan.at, scan.limit, guard);
                batch.near = rows.near();
            }
            Direction::Backward => {
                let mut rows = self.index.backward_near(&batch.near, to.as_ref());
                batch.fill(&mut rows, |key| is_above(key, &from), scan.at, scan.limit, guard);
                batch.near = rows.near();
            }
        }
    }

    /// Replaces the batch by the rows that follow it in the same scan, or says `false`: there are none.
    pub fn scan_more(&self, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) -> bool {
        if batch.stopped_at.is_none() {
            return false;
        }
        std::mem::swap(&mut batch.stop_key, &mut batch.last_key);
        let last = std::mem::take(&mut batch.last_key);
        let mut rest = *scan;
        match scan.direction {
            Direction::Forward => rest.from = Bound::Excluded(&last),
            Direction::Backward => rest.to = Bound::Excluded(&last),
        }
        self.scan_near(&rest, batch, guard);
        batch.last_key = last;
        true
    }

    /// Replaces the batch by the next rows of the whole generation behind a key, ascending by table and key.
    pub(crate) fn scan_tables(
        &self,
        behind: Bound<&Probe<'_>>,
        at: Timestamp,
        limit: ScanLimit,
        batch: &mut ScanBatch,
        guard: &Guard,
    ) {
        batch.clear();
        batch.fill(&mut self.index.forward(behind), |_| true, at, limit, guard);
    }

    /// The first row within bounds that was changed after `since`, and when: what the commit of a serializable
    /// transaction asks for each range that it has read. Visits every row of the range at worst.
    pub fn newest_in_range<'g>(
        &'g self,
        table: TableId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        since: Timestamp,
        guard: &'g Guard,
    ) -> Option<(&'g [u8], Timestamp)> {
        if self.last_ts() <= since {
            return None;
        }
        let to = match to {
            Bound::Included(last) if planted!(RangeEndUnchecked) => Bound::Excluded(last),
            to => to,
        };
        let (from, to) = table_bounds(table, from, to);
        for row in self.index.forward(from.as_ref()).take_while(|row| is_below(&row.key, &to)) {
            if let Some(version) = row.chain.newest(guard)
                && version.commit_ts() > since
                && !(planted!(PhantomUnseen) && row.chain.read(since, guard).is_none())
            {
                return Some((row.key.bytes(), version.commit_ts()));
            }
        }
        None
    }
}

fn is_below(key: &RowKey, to: &Bound<Probe<'_>>) -> bool {
    let key: &Probe<'_> = key.borrow();
    match to {
        Bound::Unbounded => true,
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
    }
}

fn is_above(key: &RowKey, from: &Bound<Probe<'_>>) -> bool {
    let key: &Probe<'_> = key.borrow();
    match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
