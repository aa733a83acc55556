//! What a transaction at `Snapshot` has looked at: so that a row which it looked at is not updated blindly, and a table that it
//! used is known.
//!
//! Most transactions update nothing, so that it costs little to keep: eight bytes for each row that is looked up, the hash that
//! the lookup finds the row by; and two ends for each way of a cursor, however many rows it passes. It is asked at the commit, for
//! each row that is updated by then.
//!
//! Invariants
//! 1. What was looked at is in it. More may be: a row whose hash is another's; what lies ahead of a cursor that has made a step and
//!    is still open; and, after more than [`POINTS`] rows or [`SPANS`] ways, all rows of the tables that these were in.
//! 2. Nothing is taken out but what an open cursor turned out not to have passed. A rollback to a savepoint takes nothing out: the
//!    program saw it.

use std::ops::Bound;

use braid_mvstore::{Direction, TableId, Wanted};
use braid_vfs::planted;
use smallvec::SmallVec;

use super::layers::is_beyond;
use super::read_set::is_empty;

/// The most rows that are kept one by one.
const POINTS: usize = 4096;

/// The most ways of cursors that are kept one by one.
const SPANS: usize = 256;

/// The most bytes of their ends.
const SPAN_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    points: Vec<u64>,
    spans: Vec<Way>,
    /// Of the ends of the ways.
    bytes: Vec<u8>,
    /// Sorted by their ids.
    tables: SmallVec<[Used; 2]>,
    /// The place of the one that was looked at last.
    last: usize,
    /// How often the ways were given up.
    moves: u32,
}

/// A table that was looked at.
#[derive(Clone, Copy, Debug)]
struct Used {
    id: TableId,
    /// All its rows count as looked at.
    whole: bool,
}

/// The keys that a cursor passed.
#[derive(Debug)]
struct Way {
    table: TableId,
    from: Bound<Place>,
    to: Bound<Place>,
}

/// Where in the bytes a key is.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
}

/// A way, for the cursor that makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayId {
    moves: u32,
    index: usize,
}

impl Looks {
    /// One key was looked up, whether it was there or not.
    #[inline]
    pub(super) fn point(&mut self, wanted: &Wanted<'_>) {
        if self.table(wanted.table()) || planted!(LookForgotten) {
            return;
        }
        if self.points.len() >= POINTS {
            self.thin_out();
        }
        self.points.push(wanted.hash());
    }

    /// A look at a table; whether all of it counts as looked at.
    #[inline]
    fn table(&mut self, table: TableId) -> bool {
        match self.tables.get(self.last) {
            Some(used) if used.id == table => used.whole,
            _ => self.other_table(table),
        }
    }

    #[inline(never)]
    fn other_table(&mut self, table: TableId) -> bool {
        let found = self.tables.binary_search_by_key(&table, |used| used.id);
        self.last = found.unwrap_or_else(|place| place);
        if found.is_err() {
            self.tables.insert(self.last, Used { id: table, whole: false });
        }
        self.tables.get(self.last).is_some_and(|used| used.whole)
    }

    /// Repetitions go first; where there are few, whole tables take the place of their rows.
    #[cold]
    fn thin_out(&mut self) {
        self.points.sort_unstable();
        self.points.dedup();
        if self.points.len() > POINTS / 2 {
            self.give_up();
        }
    }

    #[cold]
    fn give_up(&mut self) {
        self.points.clear();
        self.spans.clear();
        self.bytes.clear();
        self.moves += 1;
        self.tables.iter_mut().for_each(|used| used.whole = true);
    }

    /// Everything between two ends was passed.
    pub(super) fn span(&mut self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<WayId> {
        if is_empty(from, to) || self.table(table) || planted!(PassedForgotten) {
            return None;
        }
        if self.spans.len() >= SPANS || self.bytes.len() >= SPAN_BYTES {
            self.give_up();
            return None;
        }
        let (from, to) = (self.place(from), self.place(to));
        self.spans.push(Way { table, from, to });
        Some(WayId { moves: self.moves, index: self.spans.len() - 1 })
    }

    /// A way goes on: to `limit`, until it is known better.
    pub(super) fn goes_on(&mut self, way: WayId, direction: Direction, limit: Bound<&[u8]>) {
        let limit = self.place(limit);
        if let Some(end) = self.end_of(way, direction) {
            *end = limit;
        }
    }

    /// A way has come to `key` and no further, unless it has come to its limit.
    pub(super) fn ends_at(&mut self, way: WayId, direction: Direction, key: &[u8]) {
        let Some(end) = self.end_of(way, direction).copied() else { return };
        if is_beyond(Some(key), direction, self.key(end)) {
            return;
        }
        let place = self.place(Bound::Included(key));
        if let Some(end) = self.end_of(way, direction) {
            *end = place;
        }
    }

    fn end_of(&mut self, way: WayId, direction: Direction) -> Option<&mut Bound<Place>> {
        let span = self.spans.get_mut(way.index).filter(|_| way.moves == self.moves)?;
        Some(match direction {
            Direction::Forward => &mut span.to,
            Direction::Backward => &mut span.from,
        })
    }

    fn place(&mut self, end: Bound<&[u8]>) -> Bound<Place> {
        end.map(|key| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(key);
            Place { start, end: self.bytes.len() }
        })
    }

    fn key(&self, end: Bound<Place>) -> Bound<&[u8]> {
        end.map(|place| self.bytes.get(place.start..place.end).unwrap_or_default())
    }

    /// Whether a row was looked at, or counts as if it had been.
    pub(super) fn has(&self, table: TableId, key: &[u8]) -> bool {
        let Ok(place) = self.tables.binary_search_by_key(&table, |used| used.id) else { return false };
        if self.tables.get(place).is_some_and(|used| used.whole) {
            return true;
        }
        let is_in = |way: &Way| {
            way.table == table
                && !is_beyond(Some(key), Direction::Backward, self.key(way.from))
                && !is_beyond(Some(key), Direction::Forward, self.key(way.to))
        };
        self.points.contains(&Wanted::new(table, key).hash()) || self.spans.iter().any(is_in)
    }

    /// The tables that were looked at.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().map(|used| used.id)
    }

    /// Forgets everything, at the end, and keeps the memory.
    #[inline]
    pub(super) fn clear(&mut self) {
        if !self.tables.is_empty() {
            self.clear_out();
        }
    }

    fn clear_out(&mut self) {
        self.points.clear();
        self.spans.clear();
        self.bytes.clear();
        self.tables.clear();
        self.last = 0;
        self.moves = 0;
    }

    /// Only for a defect that is planted: what is forgotten that must not be.
    pub(super) fn forget(&mut self, row: Option<(TableId, &[u8])>) {
        match row {
            None => self.clear(),
            Some((table, key)) => {
                let hash = Wanted::new(table, key).hash();
                self.points.retain(|point| *point != hash);
            }
        }
    }
}
