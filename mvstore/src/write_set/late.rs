//! Rows that a transaction updates without having looked at them: what they become is settled at the commit.
//!
//! Invariant: a row is written or updated, never both. An update of a row that was written is made at once; a write of a
//! row that was updated replaces the update; a read of it settles it, and makes it a write.

use std::ops::Bound;

use super::rows::{Iter, Rows};
use super::savepoints::ENTRY_OVERHEAD;
use super::{ROW_OVERHEAD, WriteSet, table_bounds};
use crate::key::Probe;
use crate::update::{Refusal, Value};
use crate::{Direction, RowKey, TableId, Timestamp, Update};

/// An update that is to be made.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) update: Update,
    /// As that of a written value: see `savepoints`.
    pub(super) stamp: Timestamp,
}

/// What an update costs in memory beside a written row.
const UPDATE_OVERHEAD: usize = 96;

const _: () = assert!(size_of::<Late>() <= UPDATE_OVERHEAD);

impl Late {
    /// What it counts beside its key.
    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.update)
    }
}

fn bytes_of(update: &Update) -> usize {
    UPDATE_OVERHEAD.saturating_add(update.least_len())
}

/// The updates of a write set.
pub(super) type LateRows = Rows<Late>;

/// Why an update was not taken. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUpdated {
    /// It cannot be made of what the transaction itself wrote.
    Refused(Refusal),
    /// The set would be larger than it may be.
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// The row has an update already that this one cannot be joined to: [`WriteSet::settle`] it first.
    OtherShape,
}

/// How large things may become.
#[derive(Clone, Copy, Debug)]
pub struct UpdateLimits {
    /// The longest value.
    pub value_bytes: usize,
    /// The largest write set, by [`WriteSet::held_bytes`].
    pub set_bytes: usize,
}

impl WriteSet {
    /// Updates a row: at once if it was written, else at the commit.
    ///
    /// # Errors
    /// See [`NotUpdated`].
    pub fn update(
        &mut self,
        table: TableId,
        key: &[u8],
        update: &Update,
        limits: UpdateLimits,
    ) -> Result<(), NotUpdated> {
        let probe = Probe::new(table, key);
        if let Some(row) = self.rows.get(&probe) {
            let is = row.found().and_then(crate::Found::value);
            let value = update.apply(is, limits.value_bytes).map_err(NotUpdated::Refused)?;
            return self.write_within(table, key, &value, limits);
        }
        let before = self.late_row(table, key);
        let joined = match before {
            Some(before) => before.update.then(update).ok_or(NotUpdated::OtherShape)?,
            None => update.clone(),
        };
        let goes_on = self.wants(before.map(|before| before.stamp));
        let undo = if goes_on { key.len() + ENTRY_OVERHEAD } else { 0 };
        let grown = match before {
            Some(_) if goes_on => bytes_of(&joined),
            Some(before) => bytes_of(&joined).saturating_sub(before.bytes()),
            None => bytes_of(&joined).saturating_add(key.len() + ROW_OVERHEAD),
        };
        self.check(self.held_bytes().saturating_add(undo).saturating_add(grown), limits)?;

        let late = Late { update: joined, stamp: self.stamp() };
        self.bytes += late.bytes();
        let aside = self.aside.get_or_insert_default();
        let before = aside.late.replace(table, key, late);
        self.bytes -= before.as_ref().map_or(0, Late::bytes);
        let is_new = before.is_none();
        aside.savepoints.record_update(table, key, before);
        if is_new {
            self.bytes += key.len() + ROW_OVERHEAD;
            self.note_table(table);
        }
        self.version += 1;
        Ok(())
    }

    /// Makes the update of a row, if it has one, of what the transaction's snapshot has there: from now on it is a write like
    /// any other.
    ///
    /// # Errors
    /// See [`NotUpdated`].
    pub fn settle(
        &mut self,
        table: TableId,
        key: &[u8],
        row: Option<&[u8]>,
        limits: UpdateLimits,
    ) -> Result<(), NotUpdated> {
        let Some(late) = self.late_row(table, key) else { return Ok(()) };
        let value = late.update.apply(row, limits.value_bytes).map_err(NotUpdated::Refused)?;
        self.write_within(table, key, &value, limits)
    }

    /// What [`settle`](Self::settle) would make of a row.
    #[must_use]
    pub fn guess(&self, table: TableId, key: &[u8], row: Option<&[u8]>) -> Option<Vec<u8>> {
        Some(self.late_row(table, key)?.update.apply(row, usize::MAX).ok()?.as_ref().to_vec())
    }

    fn write_within(
        &mut self,
        table: TableId,
        key: &[u8],
        value: &Value,
        limits: UpdateLimits,
    ) -> Result<(), NotUpdated> {
        let value = value.as_ref();
        self.check(self.bytes_after(self.held_bytes(), table, key, value.len()), limits)?;
        self.put(table, key, value);
        Ok(())
    }

    fn check(&self, bytes: usize, limits: UpdateLimits) -> Result<(), NotUpdated> {
        if bytes > limits.set_bytes { Err(NotUpdated::TooLarge { bytes }) } else { Ok(()) }
    }

    /// Whether the row has an update that is not settled.
    #[must_use]
    pub fn is_updated(&self, table: TableId, key: &[u8]) -> bool {
        self.late_row(table, key).is_some()
    }

    /// The first updated row from `from` on in `direction`.
    #[must_use]
    pub fn first_updated(&self, table: TableId, from: Bound<&[u8]>, direction: Direction) -> Option<&[u8]> {
        let late = self.late()?;
        let row = match direction {
            Direction::Forward => {
                let (from, to) = table_bounds(table, from, Bound::Unbounded);
                late.range(from, to).next()
            }
            Direction::Backward => {
                let (from, to) = table_bounds(table, Bound::Unbounded, from);
                late.range(from, to).next_back()
            }
        };
        Some(row?.key.bytes())
    }

    /// How many rows have an update that is not settled.
    #[must_use]
    #[inline]
    pub fn updates(&self) -> usize {
        if self.aside.is_none() { 0 } else { self.late().map_or(0, LateRows::len) }
    }

    /// These rows, ordered by table and key.
    pub fn updated(&self) -> impl Iterator<Item = (TableId, &[u8])> {
        self.late_rows().map(|(key, _)| (key.table(), key.bytes()))
    }

    #[inline]
    pub(crate) fn late_rows(&self) -> impl Iterator<Item = (&RowKey, &Update)> {
        let rows = self.late().map_or(Iter::Array([].iter()), LateRows::iter);
        rows.map(|row| (row.key, &row.value.update))
    }

    /// Takes the update of a row that is written: the write replaces it.
    pub(super) fn forget_update(&mut self, table: TableId, key: &[u8]) {
        let Some(aside) = &mut *self.aside else { return };
        if let Some(before) = aside.late.remove(&Probe::new(table, key)) {
            self.bytes -= before.bytes() + key.len() + ROW_OVERHEAD;
            aside.savepoints.record_update(table, key, Some(before));
        }
    }

    fn late(&self) -> Option<&LateRows> {
        self.aside.as_ref().map(|aside| &aside.late)
    }

    fn late_row(&self, table: TableId, key: &[u8]) -> Option<&Late> {
        Some(self.late()?.get(&Probe::new(table, key))?.value)
    }

    /// What a write of a row takes back and keeps of its update: how much smaller the set becomes by it, but for what a
    /// savepoint keeps.
    pub(super) fn update_bytes(&self, table: TableId, key: &[u8]) -> (usize, usize) {
        let Some(row) = self.late_row(table, key) else { return (0, 0) };
        let bytes = row.bytes() + key.len() + ROW_OVERHEAD;
        let kept = self.wants(Some(row.stamp));
        (bytes, if kept { ENTRY_OVERHEAD + key.len() + row.bytes() } else { 0 })
    }
}
