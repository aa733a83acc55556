//! A transaction's private writes: what it has changed and nobody else sees yet.
//!
//! One value per row, the last one written, in key order. Each is kept as the version that the commit will push into
//! the row's chain, so that installing copies nothing and allocates nothing.

mod rows;

use std::ops::Bound;

use smallvec::SmallVec;

pub(crate) use self::rows::Row;
use self::rows::Rows;
use crate::chain::Pending;
use crate::key::Probe;
use crate::{Found, TableId};

/// What a row costs in memory beside the bytes of its key and value.
const ROW_OVERHEAD: usize = 72;

/// The writes of one transaction.
#[derive(Debug, Default)]
pub struct WriteSet {
    rows: Rows,
    /// Sorted.
    tables: SmallVec<[TableId; 2]>,
    bytes: usize,
    version: u64,
}

/// One row of a [`WriteSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRow<'a> {
    /// The row's table.
    pub table: TableId,
    /// The row's key.
    pub key: &'a [u8],
    /// Its new value, or its deletion.
    pub value: Found<'a>,
}

impl WriteSet {
    /// An empty set. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row.
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8]) {
        self.write(table, key, Some(value));
    }

    /// Deletes a row: writes a tombstone, whether the row exists or not.
    pub fn delete(&mut self, table: TableId, key: &[u8]) {
        self.write(table, key, None);
    }

    fn write(&mut self, table: TableId, key: &[u8], value: Option<&[u8]>) {
        let added = value.map_or(0, <[u8]>::len);
        match self.rows.replace(table, key, Pending::new(value)) {
            Some(old) => self.bytes -= value_len_of(&old),
            None => {
                self.bytes += key.len() + ROW_OVERHEAD;
                // Most transactions go on writing to the table that they wrote to last.
                if self.tables.last() != Some(&table)
                    && let Err(place) = self.tables.binary_search(&table)
                {
                    self.tables.insert(place, table);
                }
            }
        }
        self.bytes += added;
        self.version += 1;
    }

    /// Puts another value of the same length in the place of one that was written, between
    /// [`Generation::prepare`](crate::Generation::prepare) and the installation: for what is known only there. Nothing
    /// happens where there is no such value.
    pub fn complete(&mut self, table: TableId, key: &[u8], value: &[u8]) {
        if self.get(table, key).and_then(Found::value).is_some_and(|old| old.len() == value.len()) {
            self.rows.replace(table, key, Pending::new(Some(value)));
        }
    }

    /// What this transaction wrote to a row, if it did.
    #[must_use]
    pub fn get(&self, table: TableId, key: &[u8]) -> Option<Found<'_>> {
        if self.rows.len() == 0 {
            return None;
        }
        self.rows.get(&Probe::new(table, key))?.found()
    }

    /// The rows within bounds, in key order and from either end. Empty for bounds that cross.
    ///
    /// A cursor that outlives a write compares [`version`](WriteSet::version) and asks again from where it stands.
    pub fn range<'a>(
        &'a self,
        table: TableId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = WriteRow<'a>> + use<'a> {
        let (from, to) = table_bounds(table, from, to);
        self.rows.range(from, to).filter_map(Row::public)
    }

    /// Every row, ordered by table and key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = WriteRow<'_>> {
        self.rows.iter().filter_map(Row::public)
    }

    /// How many rows it writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// About how much memory its rows occupy, and will in a generation: keys, values and what surrounds them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What [`bytes`](WriteSet::bytes) would be after a write of a value of `value_len` bytes, or of a tombstone (0), if it
    /// were `bytes` now: so that a write which is too large can be refused before it changes anything.
    #[must_use]
    pub fn bytes_after(&self, bytes: usize, table: TableId, key: &[u8], value_len: usize) -> usize {
        let grown = match self.rows.get(&Probe::new(table, key)) {
            Some(old) => bytes.saturating_sub(value_len_of(old.value)),
            None => bytes.saturating_add(key.len() + ROW_OVERHEAD),
        };
        grown.saturating_add(value_len)
    }

    /// The most that a write of such a row can add to [`bytes`](WriteSet::bytes).
    #[must_use]
    pub const fn row_bytes(key_len: usize, value_len: usize) -> usize {
        key_len.saturating_add(value_len).saturating_add(ROW_OVERHEAD)
    }

    /// Changes with every write, and with [`clear`](WriteSet::clear).
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The tables that it has written to, ascending.
    #[must_use]
    pub fn tables(&self) -> &[TableId] {
        &self.tables
    }

    /// Forgets every write. A small set keeps its memory for the next transaction.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.tables.clear();
        self.bytes = 0;
        self.version += 1;
    }

    /// The keys as they are stored, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter()
    }

    /// Every value in key order, to be taken.
    pub(crate) fn for_each_value(&mut self, take: impl FnMut(&mut Pending)) {
        self.rows.for_each_value(take);
    }
}

fn value_len_of(pending: &Pending) -> usize {
    pending.version().and_then(|version| version.found().value()).map_or(0, <[u8]>::len)
}

/// Bounds within one table, as bounds on row keys. The upper one is `None` for the end of the last table.
pub(crate) fn table_bounds<'a>(
    table: TableId,
    from: Bound<&'a [u8]>,
    to: Bound<&'a [u8]>,
) -> (Bound<Probe<'a>>, Bound<Probe<'a>>) {
    let from = match from {
        Bound::Unbounded => Bound::Included(Probe::new(table, &[])),
        bound => bound.map(|key| Probe::new(table, key)),
    };
    let to = match to {
        Bound::Unbounded => table
            .0
            .checked_add(1)
            .map_or(Bound::Unbounded, |next| Bound::Excluded(Probe::new(TableId(next), &[]))),
        bound => bound.map(|key| Probe::new(table, key)),
    };
    (from, to)
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
