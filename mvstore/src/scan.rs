//! Range reads, a batch at a time.
//!
//! A batch copies rows into one buffer, so a cursor holds no guard between batches and its rows live as long as it
//! wants. That is sound because what a snapshot sees of a generation never changes: new versions are later, and a trim
//! keeps what a registered snapshot reads. A cursor goes on behind the last key of its batch.

use std::borrow::Borrow as _;
use std::ops::Bound;

use braid_vfs::planted;

use crate::chain::Version;
use crate::epoch::Guard;
use crate::index::{Backward, Forward, Rest, Row, Start};
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

/// Where a scan of a generation begins: found ahead, for whoever has something else to do while the processor loads
/// what is there.
#[derive(Debug, Default)]
pub struct ScanStart(Start);

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
    /// Where in an index the call stopped, if it is at the key.
    rest: Rest,
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

    /// Adds the rows that a snapshot sees, as long as they are `inside`. Says whether it took no row beyond the one that it
    /// stopped at.
    fn fill<'g>(
        &mut self,
        rows: &mut impl Iterator<Item = &'g Row>,
        inside: impl Fn(&RowKey) -> bool,
        at: Timestamp,
        limit: ScanLimit,
        guard: &'g Guard,
    ) -> bool {
        let mut to_pass = limit.rows.saturating_mul(PASS_PER_ROW).max(PASS_AT_LEAST);
        loop {
            let wanted = limit.rows.saturating_sub(self.rows.len()).clamp(1, AHEAD);
            let mut ahead: [Option<&Row>; AHEAD] = [None; AHEAD];
            let mut taken = 0;
            for (place, row) in ahead[..wanted].iter_mut().zip(&mut *rows) {
                if !inside(&row.key) {
                    break;
                }
                row.chain.prefetch(guard);
                *place = Some(row);
                taken += 1;
            }
            for (place, row) in ahead[..taken].iter().flatten().enumerate() {
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
                    return place + 1 == taken;
                }
            }
            if taken < wanted {
                return false;
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
        self.scan_from(&self.find_start(scan), scan, batch, guard);
    }

    /// Finds where a scan begins, without a wait for what is there.
    #[must_use]
    pub fn find_start(&self, scan: &Scan<'_>) -> ScanStart {
        if !self.may_hold(scan.at) {
            return ScanStart::default();
        }
        let (from, to) = table_bounds(scan.table, scan.from, scan.to);
        ScanStart(match scan.direction {
            Direction::Forward => self.index.start_forward(from.as_ref()),
            Direction::Backward => self.index.start_backward(to.as_ref()),
        })
    }

    /// Has the processor load the rows where a scan begins.
    pub fn prefetch_start(&self, start: &ScanStart) {
        self.index.prefetch_start(&start.0);
    }

    /// [`scan`](Self::scan) from where [`find_start`](Self::find_start) has found it to begin.
    pub fn scan_from(&self, start: &ScanStart, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) {
        batch.clear();
        if !self.may_hold(scan.at) {
            return;
        }
        let (from, to) = table_bounds(scan.table, scan.from, scan.to);
        match scan.direction {
            Direction::Forward => {
                let rows = self.index.forward_from(&start.0, from.as_ref());
                self.fill_forward(rows, scan, &to, batch, guard);
            }
            Direction::Backward => {
                let rows = self.index.backward_from(&start.0, to.as_ref());
                self.fill_backward(rows, scan, &from, batch, guard);
            }
        }
    }

    /// Replaces the batch by the rows that follow it in the same scan, or says `false`: there are none.
    ///
    /// What the scan's snapshot sees was installed before the first call: rows that came since are not looked for.
    pub fn scan_more(&self, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) -> bool {
        if batch.stopped_at.is_none() {
            return false;
        }
        let rest = std::mem::take(&mut batch.rest);
        match scan.direction {
            Direction::Forward => {
                if let Some(rows) = rest.forward(&self.index) {
                    batch.clear();
                    let (_, to) = table_bounds(scan.table, Bound::Unbounded, scan.to);
                    self.fill_forward(rows, scan, &to, batch, guard);
                    return true;
                }
            }
            Direction::Backward => {
                if let Some(rows) = rest.backward(&self.index) {
                    batch.clear();
                    let (from, _) = table_bounds(scan.table, scan.from, Bound::Unbounded);
                    self.fill_backward(rows, scan, &from, batch, guard);
                    return true;
                }
            }
        }
        self.scan_behind_stop(scan, batch, guard);
        true
    }

    /// Goes on behind the key where the batch stopped.
    #[inline(never)]
    fn scan_behind_stop(&self, scan: &Scan<'_>, batch: &mut ScanBatch, guard: &Guard) {
        std::mem::swap(&mut batch.stop_key, &mut batch.last_key);
        let last = std::mem::take(&mut batch.last_key);
        let mut rest = *scan;
        match scan.direction {
            Direction::Forward => rest.from = Bound::Excluded(&last),
            Direction::Backward => rest.to = Bound::Excluded(&last),
        }
        self.scan(&rest, batch, guard);
        batch.last_key = last;
    }

    fn fill_forward<'g>(
        &self,
        mut rows: Forward<'g>,
        scan: &Scan<'_>,
        to: &Bound<Probe<'_>>,
        batch: &mut ScanBatch,
        guard: &'g Guard,
    ) {
        let at_stop = batch.fill(&mut rows, |key| is_below(key, to), scan.at, scan.limit, guard);
        if at_stop {
            // Whoever looks at this batch will want the next one, and not wait for it.
            rows.upcoming(AHEAD).for_each(|row| row.chain.prefetch(guard));
        }
        batch.rest = if at_stop { rows.rest() } else { Rest::default() };
    }

    fn fill_backward<'g>(
        &self,
        mut rows: Backward<'g>,
        scan: &Scan<'_>,
        from: &Bound<Probe<'_>>,
        batch: &mut ScanBatch,
        guard: &'g Guard,
    ) {
        let at_stop = batch.fill(&mut rows, |key| is_above(key, from), scan.at, scan.limit, guard);
        batch.rest = if at_stop { rows.rest() } else { Rest::default() };
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
        batch.rest = Rest::default();
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
