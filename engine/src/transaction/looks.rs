//! What a transaction at `Snapshot` has looked at: so that a row which it looked at is not updated blindly, and a table that it
//! used is known.
//!
//! Most transactions update nothing, so that it costs little to keep: sixteen bytes for each row that is looked up, its
//! table and the hash that the lookup finds it by; and two ends for each way of a cursor, however many rows it passes.
//! It is asked at the commit, for each row that is updated by then.
//!
//! Invariants
//! 1. What was looked at is in it. More may be: a row whose hash is another's; what lies ahead of a cursor that has
//!    made a step and is still open; and where there are more than [`POINTS`] rows or [`WAYS`] ways, all rows of the
//!    table that most of them are in.
//! 2. Nothing is taken out but what an open cursor turned out not to have passed. A rollback to a savepoint takes
//!    nothing out: the program saw it.

use std::collections::HashSet;
use std::ops::Bound;

use braid_mvstore::{Direction, TableId, Wanted};
use braid_vfs::planted;
use smallvec::SmallVec;

use super::layers::is_beyond;
use super::read_set::{as_slice, is_empty, len};

/// The most rows that are kept one by one.
const POINTS: usize = 4096;

/// The most ways of cursors that are kept one by one.
const WAYS: usize = 256;

/// The most bytes of their ends.
const WAY_BYTES: usize = 64 << 10;

/// What a full list is brought down to, so that it is not full again at once.
const fn room_left(most: usize) -> usize {
    most - most / 8
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Rows that were looked up, by table and hash, in the order in which they were or sorted.
    points: Vec<(TableId, u64)>,
    ways: Vec<Way>,
    /// Of the ends of the ways.
    bytes: Vec<u8>,
    /// Sorted by their ids.
    tables: SmallVec<[Used; 2]>,
    /// The place of the one that was looked at last.
    last: usize,
    /// How often the ways got other places.
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
            self.thin_out_points();
        }
        self.points.push((wanted.table(), wanted.hash()));
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

    /// Repetitions go first; where they are few, a whole table takes the place of its rows.
    #[cold]
    fn thin_out_points(&mut self) {
        self.points.sort_unstable();
        self.points.dedup();
        while self.points.len() > room_left(POINTS) {
            let Some(table) = most_of(self.points.iter().map(|(table, _)| *table)) else { return };
            self.points.retain(|(of, _)| *of != table);
            self.make_whole(table);
        }
    }

    /// The same for ways, so that `more` bytes have room.
    #[cold]
    fn thin_out_ways(&mut self, more: usize) {
        let owned = |end: Bound<Place>| self.key(end).map(<[u8]>::to_vec);
        let mut seen = HashSet::new();
        let mut ways: Vec<OwnWay> =
            self.ways.iter().map(|way| (way.table, owned(way.from), owned(way.to))).collect();
        ways.retain(|way| seen.insert(way.clone()));
        while ways.len() > room_left(WAYS) || bytes_of_all(&ways) + more > room_left(WAY_BYTES) {
            let Some(table) = most_of(ways.iter().map(|(table, ..)| *table)) else { break };
            ways.retain(|(of, ..)| *of != table);
            self.make_whole(table);
        }
        self.moves += 1;
        self.ways.clear();
        self.bytes.clear();
        for (table, from, to) in ways {
            let (from, to) = (self.place(as_slice(&from)), self.place(as_slice(&to)));
            self.ways.push(Way { table, from, to });
        }
    }

    fn make_whole(&mut self, table: TableId) {
        if let Some(used) = self.tables.iter_mut().find(|used| used.id == table) {
            used.whole = true;
        }
    }

    /// Everything between two ends was passed.
    pub(super) fn way(&mut self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<WayId> {
        if is_empty(from, to) || self.table(table) || planted!(PassedForgotten) {
            return None;
        }
        let more = len(from) + len(to);
        if more > WAY_BYTES / 2 {
            self.make_whole(table);
            return None;
        }
        if self.ways.len() >= WAYS || self.bytes.len() + more > WAY_BYTES {
            self.thin_out_ways(more);
            if self.table(table) {
                return None;
            }
        }
        let (from, to) = (self.place(from), self.place(to));
        self.ways.push(Way { table, from, to });
        Some(WayId { moves: self.moves, index: self.ways.len() - 1 })
    }

    /// A way goes on: to `limit`, until it is known better. False where its place is not known any more: then it is to be
    /// begun anew.
    #[must_use]
    pub(super) fn goes_on(&mut self, way: WayId, direction: Direction, limit: Bound<&[u8]>) -> bool {
        // Where there is no room for the limit, to the end of the table.
        let limit = if self.has_room(limit) { self.place(limit) } else { Bound::Unbounded };
        let end = self.end_of(way, direction);
        let is_known = end.is_some();
        if let Some(end) = end {
            *end = limit;
        }
        is_known
    }

    /// A way has come to `key` and no further, unless it has come to its limit.
    pub(super) fn ends_at(&mut self, way: WayId, direction: Direction, key: &[u8]) {
        let Some(end) = self.end_of(way, direction).copied() else { return };
        if is_beyond(Some(key), direction, self.key(end)) || !self.has_room(Bound::Included(key)) {
            return;
        }
        let place = self.place(Bound::Included(key));
        if let Some(end) = self.end_of(way, direction) {
            *end = place;
        }
    }

    fn has_room(&self, end: Bound<&[u8]>) -> bool {
        self.bytes.len() + len(end) <= WAY_BYTES
    }

    fn end_of(&mut self, way: WayId, direction: Direction) -> Option<&mut Bound<Place>> {
        let way = self.ways.get_mut(way.index).filter(|_| way.moves == self.moves)?;
        Some(match direction {
            Direction::Forward => &mut way.to,
            Direction::Backward => &mut way.from,
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

    /// Nothing was looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Before many rows are asked for.
    pub(super) fn sort(&mut self) {
        self.points.sort_unstable();
    }

    /// Whether a row was looked at, or counts as if it had been. After [`sort`](Self::sort).
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
        self.points.binary_search(&(table, Wanted::new(table, key).hash())).is_ok()
            || self.ways.iter().any(is_in)
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
        self.ways.clear();
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
                self.points.retain(|point| *point != (table, hash));
            }
        }
    }
}

/// A way apart from the others' bytes.
type OwnWay = (TableId, Bound<Vec<u8>>, Bound<Vec<u8>>);

fn bytes_of_all(ways: &[OwnWay]) -> usize {
    ways.iter().map(|(_, from, to)| len(as_slice(from)) + len(as_slice(to))).sum()
}

/// The table that most of these are.
fn most_of(tables: impl Iterator<Item = TableId>) -> Option<TableId> {
    let mut counts: SmallVec<[(TableId, usize); 4]> = SmallVec::new();
    for table in tables {
        match counts.iter_mut().find(|(of, _)| *of == table) {
            Some((_, count)) => *count += 1,
            None => counts.push((table, 1)),
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(table, _)| table)
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const ITEMS: TableId = TableId(100);
    const TOTALS: TableId = TableId(101);

    fn key(number: usize) -> [u8; 8] {
        (number as u64).to_be_bytes()
    }

    fn look(looks: &mut Looks, table: TableId, number: usize) {
        looks.point(&Wanted::new(table, &key(number)));
    }

    #[test]
    fn the_table_with_most_rows_is_whole_when_there_are_too_many() {
        let mut looks = Looks::default();
        look(&mut looks, TOTALS, 1);
        for number in 0..POINTS - 1 {
            look(&mut looks, ITEMS, number);
        }
        looks.sort();
        assert!(!looks.has(ITEMS, &key(POINTS)), "the last one that fits");
        look(&mut looks, ITEMS, POINTS);
        looks.sort();
        assert!(looks.has(ITEMS, &key(POINTS)) && looks.has(ITEMS, &key(2 * POINTS)));
        assert!(looks.has(TOTALS, &key(1)) && !looks.has(TOTALS, &key(2)), "the other one is exact still");
        assert_eq!(looks.tables().collect::<Vec<_>>(), [ITEMS, TOTALS]);
    }

    #[test]
    fn repetitions_take_no_room() {
        let mut looks = Looks::default();
        for number in 0..3 * POINTS {
            look(&mut looks, ITEMS, number % 100);
        }
        for _ in 0..3 * WAYS {
            looks.way(ITEMS, Bound::Included(&key(200)), Bound::Included(&key(300)));
        }
        looks.sort();
        for (number, is_in) in [(0, true), (99, true), (100, false), (200, true), (300, true), (301, false)] {
            assert_eq!(looks.has(ITEMS, &key(number)), is_in, "{number}");
        }
    }

    #[test]
    fn the_table_with_most_ways_is_whole_when_there_are_too_many() {
        let mut looks = Looks::default();
        look(&mut looks, TOTALS, 1);
        looks.way(TOTALS, Bound::Included(&key(10)), Bound::Excluded(&key(12)));
        for number in 0..2 * WAYS {
            looks.way(ITEMS, Bound::Included(&key(2 * number)), Bound::Included(&key(2 * number)));
        }
        looks.sort();
        assert!(looks.has(ITEMS, &key(1)));
        for (number, is_in) in [(1, true), (2, false), (10, true), (11, true), (12, false)] {
            assert_eq!(looks.has(TOTALS, &key(number)), is_in, "{number}");
        }
    }

    #[test]
    fn long_ends_are_not_kept() {
        let mut looks = Looks::default();
        let long = vec![1; WAY_BYTES];
        looks.way(ITEMS, Bound::Included(&long), Bound::Unbounded);
        assert!(looks.has(ITEMS, &key(1)) && looks.bytes.is_empty());
        let third = vec![1; WAY_BYTES / 3];
        for number in 0..20 {
            let way = looks.way(TOTALS, Bound::Excluded(&key(number)), Bound::Included(&third));
            if let Some(way) = way {
                assert!(looks.goes_on(way, Direction::Forward, Bound::Included(&long)));
                looks.ends_at(way, Direction::Forward, &third);
            }
            assert!(looks.bytes.len() <= WAY_BYTES, "{}", looks.bytes.len());
        }
        assert!(looks.has(TOTALS, &key(5)));
    }
}
