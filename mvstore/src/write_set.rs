//! A transaction's private writes: what it has changed and nobody else sees yet.
//!
//! One value per row, the last one written, in key order. Each is kept as the version that the commit will push into
//! the row's chain, so that installing copies nothing and allocates nothing.
//!
//! A savepoint remembers nothing itself; from then on the set keeps what each row was before it was changed, and
//! [`WriteSet::rollback_to`] puts that back.

mod late;
mod rows;
mod savepoints;

use std::num::NonZeroU64;
use std::ops::Bound;

use braid_vfs::planted;
use smallvec::SmallVec;

use self::late::LateRows;
pub use self::late::{NotUpdated, UpdateLimits};
pub(crate) use self::rows::Row;
use self::rows::Rows;
pub use self::savepoints::SavepointId;
use self::savepoints::{Before, ENTRY_OVERHEAD, Entry, MARK_BYTES, Savepoints};
use crate::chain::Pending;
use crate::key::Probe;
use crate::{Direction, Found, Rare, TableId, Timestamp};

/// What a row costs in memory beside the bytes of its key and value.
const ROW_OVERHEAD: usize = 72;

/// A set that has written to more tables gives that memory back when it is cleared.
const TABLES_KEPT: usize = 64;

/// The writes of one transaction.
#[derive(Debug, Default)]
pub struct WriteSet {
    rows: Rows<Pending>,
    /// Sorted.
    tables: SmallVec<[TableId; 2]>,
    bytes: usize,
    version: u64,
    /// What most transactions have none of.
    aside: Rare<Aside>,
}

#[derive(Debug, Default)]
struct Aside {
    savepoints: Savepoints,
    /// Rows that are updated and not looked at.
    late: LateRows,
}

/// The savepoint is not open: it was released or rolled past, or it is another set's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchSavepoint;

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
        let before = self.rows.replace(table, key, Pending::stamped(value, self.stamp()));
        match &before {
            Some(old) => self.bytes -= value_len_of(old),
            None => {
                self.bytes += key.len() + ROW_OVERHEAD;
                self.note_table(table);
            }
        }
        if self.aside.is_some() {
            self.written_beside(table, key, before, value.is_none());
        }
        self.bytes += value.map_or(0, <[u8]>::len);
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

    /// A row was written, and there are savepoints or updates: this is what was written before.
    #[cold]
    fn written_beside(&mut self, table: TableId, key: &[u8], before: Option<Pending>, deleted: bool) {
        if before.is_none() {
            self.forget_update(table, key);
        }
        if let Some(aside) = &mut *self.aside
            && !(planted!(DeleteNotUndone) && deleted)
        {
            aside.savepoints.record(table, key, before);
        }
    }

    fn savepoint_bytes(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.savepoints.bytes())
    }

    /// What values that are written now bear.
    #[inline]
    fn stamp(&self) -> Timestamp {
        self.aside.as_ref().map_or(Timestamp::ZERO, |aside| aside.savepoints.stamp())
    }

    /// Whether a savepoint wants to know of a change of a row that bears `stamp`.
    fn wants(&self, stamp: Option<Timestamp>) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.savepoints.wants(stamp))
    }

    #[inline]
    fn note_table(&mut self, table: TableId) {
        // Most transactions go on writing to the table that they wrote to last.
        if self.tables.last() != Some(&table)
            && let Err(place) = self.tables.binary_search(&table)
        {
            self.tables.insert(place, table);
        }
    }

    /// Marks what the set is now, inside of what was marked before. The first one of a set asks for a number that no other
    /// set has.
    pub fn savepoint(&mut self, owner: impl FnOnce() -> NonZeroU64) -> SavepointId {
        self.aside.get_or_insert_default().savepoints.open(owner)
    }

    /// Makes the set what it was at a savepoint, which stays open; those after it are gone. Costs what was changed since.
    ///
    /// # Errors
    /// When it is not open. Nothing is changed then.
    pub fn rollback_to(&mut self, savepoint: SavepointId) -> Result<(), NoSuchSavepoint> {
        let mut aside = self.aside.take().ok_or(NoSuchSavepoint)?;
        let Aside { savepoints, late } = &mut *aside;
        let mut emptied: SmallVec<[TableId; 2]> = SmallVec::new();
        let undone = savepoints.rewind(savepoint);
        for _ in 0..undone.unwrap_or_default() {
            let Some(Entry { key, before }) = savepoints.pop() else { break };
            let (table, key) = (key.table(), key.bytes());
            match before {
                Before::Write(Some(before)) => {
                    self.bytes += value_len_of(&before);
                    if let Some(undone) = self.rows.replace(table, key, before) {
                        self.bytes -= value_len_of(&undone);
                    }
                    continue;
                }
                Before::Write(None) => {
                    if let Some(undone) = self.rows.remove(&Probe::new(table, key)) {
                        self.bytes -= value_len_of(&undone) + key.len() + ROW_OVERHEAD;
                    }
                }
                Before::Update(before) => {
                    let row = key.len() + ROW_OVERHEAD;
                    self.bytes += before.as_ref().map_or(0, |before| before.bytes() + row);
                    let undone = match before {
                        Some(before) => late.replace(table, key, *before),
                        None => late.remove(&Probe::new(table, key)),
                    };
                    self.bytes -= undone.map_or(0, |undone| undone.bytes() + row);
                }
            }
            if emptied.last() != Some(&table) {
                emptied.push(table);
            }
        }
        *self.aside = Some(aside);
        self.version += u64::from(!planted!(RollbackUnnoticed));
        let has_rows = |table: &TableId| {
            let (from, to) = table_bounds(*table, Bound::Unbounded, Bound::Unbounded);
            self.rows.range(from, to).next().is_some()
                || self.first_updated(*table, Bound::Unbounded, Direction::Forward).is_some()
        };
        emptied.retain(|table| !has_rows(table));
        self.tables.retain(|table| !emptied.contains(table));
        undone.map(drop)
    }

    /// Forgets a savepoint and those after it; what was changed since stays.
    ///
    /// # Errors
    /// When it is not open.
    pub fn release(&mut self, savepoint: SavepointId) -> Result<(), NoSuchSavepoint> {
        self.aside.as_mut().ok_or(NoSuchSavepoint)?.savepoints.release(savepoint)
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

    /// The rows from a key on, ordered by table and key.
    pub fn iter_from(&self, table: TableId, key: &[u8]) -> impl Iterator<Item = WriteRow<'_>> {
        self.rows.range(Bound::Included(Probe::new(table, key)), Bound::Unbounded).filter_map(Row::public)
    }

    /// How many rows it writes; those that have an update are not among them.
    #[must_use]
    #[inline]
    pub fn written(&self) -> usize {
        self.rows.len()
    }

    /// Whether it changes nothing.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0 && self.updates() == 0
    }

    /// About how much memory its rows occupy, and will in a generation: keys, values and what surrounds them.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same with what its savepoints keep.
    #[must_use]
    #[inline]
    pub fn held_bytes(&self) -> usize {
        if self.aside.is_none() { self.bytes } else { self.bytes + self.savepoint_bytes() }
    }

    /// What [`held_bytes`](WriteSet::held_bytes) would be after a write of a value of `value_len` bytes, or of a tombstone
    /// (0), if it were `bytes` now: so that a write which is too large can be refused before it changes anything.
    #[must_use]
    pub fn bytes_after(&self, bytes: usize, table: TableId, key: &[u8], value_len: usize) -> usize {
        let old = self.rows.get(&Probe::new(table, key)).map(|row| row.value);
        let goes_on = self.wants(old.map(Pending::stamp));
        let undo = if goes_on { key.len() + ENTRY_OVERHEAD } else { 0 };
        let grown = match old {
            // The journal keeps the old value.
            Some(_) if goes_on => bytes,
            Some(old) => bytes.saturating_sub(value_len_of(old)),
            None => {
                let (freed, kept) = self.update_bytes(table, key);
                bytes.saturating_sub(freed).saturating_add(kept).saturating_add(key.len() + ROW_OVERHEAD)
            }
        };
        grown.saturating_add(undo).saturating_add(value_len)
    }

    /// What a savepoint adds to [`held_bytes`](WriteSet::held_bytes).
    pub const SAVEPOINT_BYTES: usize = MARK_BYTES;

    /// What a new row adds to [`bytes`](WriteSet::bytes).
    #[must_use]
    pub const fn row_bytes(key_len: usize, value_len: usize) -> usize {
        key_len.saturating_add(value_len).saturating_add(ROW_OVERHEAD)
    }

    /// The most that a write of such a row can add to [`held_bytes`](WriteSet::held_bytes).
    #[must_use]
    pub const fn most_bytes(key_len: usize, value_len: usize) -> usize {
        // A write that replaces an update may leave two entries.
        Self::row_bytes(key_len, value_len).saturating_add(2 * (key_len + ENTRY_OVERHEAD))
    }

    /// Changes with every write, with [`rollback_to`](WriteSet::rollback_to), and with [`clear`](WriteSet::clear).
    #[must_use]
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The tables that it has written to, ascending.
    #[must_use]
    #[inline]
    pub fn tables(&self) -> &[TableId] {
        &self.tables
    }

    /// Forgets every write and every savepoint. A small set keeps its memory for the next transaction.
    pub fn clear(&mut self) {
        self.rows.clear();
        if self.tables.capacity() > TABLES_KEPT {
            self.tables = SmallVec::new();
        }
        self.tables.clear();
        self.bytes = 0;
        self.version += 1;
        self.aside.clear();
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
