//! Iterating over a key range, from both ends.

use std::iter::FusedIterator;
use std::ops::Bound;

use braid_mvstore::Direction;

use super::cursor::Cursor;
use super::snapshot::Snapshot;
use crate::error::Result;
use crate::table::Table;

/// Rows of a key range in key order, as owned keys and values; see [`Snapshot::range`](crate::Snapshot::range).
///
/// It borrows nothing, and reads as it goes: rows that were not asked for were not read. After an error it is at its end. As
/// long as it lives it holds its snapshot. Of bounds that lie the wrong way round it is empty.
#[derive(Debug)]
#[must_use = "it reads nothing before it is iterated"]
pub struct Range {
    front: End,
    back: End,
    over: bool,
}

/// One end of a range: the bound it starts from, and the cursor once it has.
#[derive(Debug)]
struct End {
    bound: Bound<Vec<u8>>,
    direction: Direction,
    cursor: Cursor,
    begun: bool,
}

impl End {
    /// Goes one row on; whether that lies before `limit`.
    fn advance(&mut self, limit: Bound<&[u8]>) -> Result<bool> {
        if std::mem::replace(&mut self.begun, true) {
            self.cursor.step_within(self.direction, limit)
        } else {
            self.cursor.seek_within(self.bound.as_ref().map(Vec::as_slice), self.direction, limit)
        }
    }

    /// How far the other end may come: to where this one stands.
    fn limit(&self) -> Bound<&[u8]> {
        match self.cursor.key() {
            Some(key) => Bound::Excluded(key),
            None => self.bound.as_ref().map(Vec::as_slice),
        }
    }
}

impl Range {
    pub(super) fn new(
        snapshot: &Snapshot,
        table: &Table,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
    ) -> Result<Self> {
        let end = |bound, direction| -> Result<End> {
            let cursor = Cursor::new(snapshot, table)?;
            Ok(End { bound, direction, cursor, begun: false })
        };
        Ok(Self { front: end(from, Direction::Forward)?, back: end(to, Direction::Backward)?, over: false })
    }

    /// Moves one end; the row there, unless the ends have met.
    fn pull(&mut self, direction: Direction) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        if self.over {
            return None;
        }
        let (moving, other) = match direction {
            Direction::Forward => (&mut self.front, &self.back),
            Direction::Backward => (&mut self.back, &self.front),
        };
        let row = moving.advance(other.limit()).and_then(|found| {
            let row = if found { moving.cursor.row()? } else { None };
            Ok(row.map(|(key, value)| (key.to_vec(), value.to_vec())))
        });
        self.over = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

impl Iterator for Range {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pull(Direction::Forward)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.pull(Direction::Backward)
    }
}

impl FusedIterator for Range {}

#[cfg(all(test, not(any(shuttle, loom))))]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::options::JournalMode;
    use crate::{Database, Transaction};

    const ROWS: u32 = 2000;

    /// Rows a, b, and 2000 from c0000 on, in the file, and a transaction that has done something with each of these.
    fn with_many(act: impl Fn(&mut Transaction, &Table, &str)) -> (Database, Table, Transaction) {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let many = || (0..ROWS).map(|row| format!("c{row:04}"));
        let mut filler = db.begin_concurrent().unwrap();
        for key in ["a".to_owned(), "b".to_owned()].into_iter().chain(many()) {
            filler.put(&table, key, 7_i64.to_le_bytes()).unwrap();
        }
        filler.commit().unwrap();
        db.checkpoint().unwrap();
        let mut tx = db.begin_concurrent().unwrap();
        many().for_each(|key| act(&mut tx, &table, &key));
        (db, table, tx)
    }

    fn add(tx: &mut Transaction, table: &Table, key: &str) {
        tx.add(table, key, 1).unwrap();
    }

    fn delete(tx: &mut Transaction, table: &Table, key: &str) {
        tx.delete(table, key).unwrap();
    }

    #[test]
    fn what_lies_beyond_the_bounds_is_not_walked_through() {
        for act in [add, delete] {
            let (db, table, tx) = with_many(act);
            let looked_up = || {
                let cache = db.stats().cache;
                cache.hits + cache.misses
            };
            let before = looked_up();
            let found: Vec<_> = tx.range(&table, ..="b").unwrap().map(|row| row.unwrap().0).collect();
            assert_eq!(found, [b"a", b"b"]);
            let backward: Vec<_> = tx.range(&table, "d"..).unwrap().rev().collect();
            assert!(backward.is_empty(), "{backward:?}");
            let lookups = looked_up() - before;
            assert!(lookups < 20, "{lookups} pages for two rows");
        }
    }

    #[test]
    fn a_move_ends_at_the_first_key_beyond_its_limit() {
        for act in [add, delete] {
            let (_db, table, tx) = with_many(act);
            let inner = &tx.snapshot.inner;
            let view = inner.plain_view().unwrap();
            let mut layers =
                super::super::Layers::over(&inner.core().base, view, table.info().id, inner.begin_ts);
            let (limit, own) = (Bound::Included(&b"b"[..]), Some(&**inner));
            let (from, forward) = (Bound::Unbounded, Direction::Forward);
            assert!(layers.seek_within(view, own, from, forward, limit).unwrap());
            assert!(layers.step_within(view, own, forward, limit).unwrap());
            assert_eq!(layers.key(), Some(&b"b"[..]));
            assert!(layers.step_within(view, own, forward, limit).unwrap());
            assert_eq!(layers.key(), Some(&b"c0000"[..]));
            // And back from there.
            assert!(layers.step(view, own, Direction::Backward).unwrap());
            assert_eq!(layers.key(), Some(&b"b"[..]));
        }
    }
}
