//! Iterating over a key range, from both ends.

use std::iter::FusedIterator;
use std::ops::Bound;

use braid_mvstore::Direction;
use braid_vfs::sync::Arc;

use super::cursor::Cursor;
use super::inner::Inner;
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
    fn advance(&mut self) -> Result<bool> {
        if std::mem::replace(&mut self.begun, true) {
            self.cursor.step(self.direction)
        } else {
            self.cursor.seek(self.bound.as_ref().map(Vec::as_slice), self.direction)
        }
    }
}

impl Range {
    pub(super) fn new(
        inner: &Arc<Inner>,
        table: &Table,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
    ) -> Result<Self> {
        let end = |bound, direction| -> Result<End> {
            let cursor = Cursor::new(Arc::clone(inner), table)?;
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
        let row = moving.advance().and_then(|found| {
            let Some((key, value)) = (if found { moving.cursor.row()? } else { None }) else {
                return Ok(None);
            };
            Ok(is_before(key, direction, other).then(|| (key.to_vec(), value.to_vec())))
        });
        self.over = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

/// Whether a key that one end came to lies before the other end.
fn is_before(key: &[u8], direction: Direction, other: &End) -> bool {
    let limit = match (other.begun, other.cursor.key()) {
        (true, Some(key)) => Bound::Excluded(key),
        (true, None) => return false,
        (false, _) => other.bound.as_ref().map(Vec::as_slice),
    };
    match (limit, direction) {
        (Bound::Unbounded, _) => true,
        (Bound::Included(limit), Direction::Forward) => key <= limit,
        (Bound::Excluded(limit), Direction::Forward) => key < limit,
        (Bound::Included(limit), Direction::Backward) => key >= limit,
        (Bound::Excluded(limit), Direction::Backward) => key > limit,
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
