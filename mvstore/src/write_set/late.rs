//! Rows that a transaction updates without having looked at them: what they become is settled at the commit.
//!
//! Invariant: a row is written or updated, never both. An update of a row that was written is made at once; a write of a
//! row that was updated replaces the update; a read of it settles it, and makes it a write.

use std::ops::Bound;

use super::rows::Rows;
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
const UPDATE_OVERHEAD: usize = size_of::<Late>();

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
        let before = self.late.as_ref().and_then(|late| late.get(&probe));
        let joined = match before.as_ref() {
            Some(before) => before.value.update.then(update).ok_or(NotUpdated::OtherShape)?,
            None => update.clone(),
        };
        let goes_on =
            self.savepoints.as_ref().is_some_and(|all| all.wants(before.as_ref().map(|b| b.value.stamp)));
        let undo = if goes_on { key.len() + ENTRY_OVERHEAD } else { 0 };
        let grown = match before {
            Some(_) if goes_on => bytes_of(&joined),
            Some(before) => bytes_of(&joined).saturating_sub(before.value.bytes()),
            None => bytes_of(&joined).saturating_add(key.len() + ROW_OVERHEAD),
        };
        self.check(self.held_bytes().saturating_add(undo).saturating_add(grown), limits)?;

        let late = Late { update: joined, stamp: self.stamp() };
        self.bytes += late.bytes();
        match self.late.get_or_insert_default().replace(table, key, late) {
            Some(before) => {
                self.bytes -= before.bytes();
                self.note_update(table, key, Some(before));
            }
            None => {
                self.bytes += key.len() + ROW_OVERHEAD;
                self.note_table(table);
                self.note_update(table, key, None);
            }
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
        let Some(late) = self.late.as_ref().and_then(|late| late.get(&Probe::new(table, key))) else {
            return Ok(());
        };
        let value = late.value.update.apply(row, limits.value_bytes).map_err(NotUpdated::Refused)?;
        self.write_within(table, key, &value, limits)
    }

    /// What [`settle`](Self::settle) would make of a row.
    #[must_use]
    pub fn guess(&self, table: TableId, key: &[u8], row: Option<&[u8]>) -> Option<Vec<u8>> {
        let late = self.late.as_ref()?.get(&Probe::new(table, key))?;
        Some(late.value.update.apply(row, usize::MAX).ok()?.as_ref().to_vec())
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
        self.late.as_ref().is_some_and(|late| late.get(&Probe::new(table, key)).is_some())
    }

    /// The first updated row from `from` on in `direction`.
    #[must_use]
    pub fn first_updated(&self, table: TableId, from: Bound<&[u8]>, direction: Direction) -> Option<&[u8]> {
        let late = self.late.as_ref()?;
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
    pub fn updates(&self) -> usize {
        self.late.as_ref().map_or(0, |late| late.len())
    }

    /// These rows, ordered by table and key.
    pub fn updated(&self) -> impl Iterator<Item = (TableId, &[u8])> {
        self.late_rows().map(|(key, _)| (key.table(), key.bytes()))
    }

    pub(crate) fn late_rows(&self) -> impl Iterator<Item = (&RowKey, &Update)> {
        self.late.iter().flat_map(|late| late.iter()).map(|row| (row.key, &row.value.update))
    }

    /// Takes the update of a row that is written: the write replaces it.
    pub(super) fn forget_update(&mut self, table: TableId, key: &[u8]) {
        let Some(late) = &mut self.late else { return };
        if let Some(before) = late.remove(&Probe::new(table, key)) {
            self.bytes -= before.bytes() + key.len() + ROW_OVERHEAD;
            self.note_update(table, key, Some(before));
        }
    }

    /// Makes an update what it was, when changes are undone.
    pub(super) fn restore_update(&mut self, table: TableId, key: &[u8], before: Option<Late>) {
        let late = self.late.get_or_insert_default();
        let undone = match before {
            Some(before) => {
                self.bytes += before.bytes() + key.len() + ROW_OVERHEAD;
                late.replace(table, key, before)
            }
            None => late.remove(&Probe::new(table, key)),
        };
        if let Some(undone) = undone {
            self.bytes -= undone.bytes() + key.len() + ROW_OVERHEAD;
        }
    }

    fn note_update(&mut self, table: TableId, key: &[u8], before: Option<Late>) {
        if let Some(savepoints) = &mut self.savepoints {
            savepoints.record_update(table, key, before);
            self.undo_bytes = savepoints.bytes();
        }
    }

    /// What a write of a row takes back and keeps of its update: how much smaller the set becomes by it, but for what a
    /// savepoint keeps.
    pub(super) fn update_bytes(&self, table: TableId, key: &[u8]) -> (usize, usize) {
        let Some(row) = self.late.as_ref().and_then(|late| late.get(&Probe::new(table, key))) else {
            return (0, 0);
        };
        let bytes = row.value.bytes() + key.len() + ROW_OVERHEAD;
        let kept = self.savepoints.as_ref().is_some_and(|all| all.wants(Some(row.value.stamp)));
        (bytes, if kept { ENTRY_OVERHEAD + key.len() + row.value.bytes() } else { 0 })
    }
}
