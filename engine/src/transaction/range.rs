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
/// It borrows nothing, and reads as it goes: rows that were not asked for were not read. After an error it is at its end.
#[derive(Debug)]
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
