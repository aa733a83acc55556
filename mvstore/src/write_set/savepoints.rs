//! Savepoints: a journal of what rows were before they were changed.
//!
//! ```text
//! open      mark of the 1st                mark of the 2nd
//!           │                              │
//! journal   a was absent   b was "x"       c was deleted   a was "y"
//!           └─ a change of the 1st alone ─┘└─ changes since both ────┘
//! ```
//!
//! Invariants
//! 1. Every value of the write set bears as its stamp the serial of the newest savepoint that was open when it was
//!    written, or 0. Serials only rise: one that was released or rolled past is never given out again.
//! 2. For each open savepoint and each row changed since, the first entry for that row behind the savepoint's mark says
//!    what the row was at the savepoint. Undone from the end to the mark, that entry comes last.
//!
//! A value that bears the serial of the newest open savepoint or a later one was written since, so the journal says
//! already what the row was: another write of the row adds nothing to it. A release drops the entries whose value was
//! written since the savepoint around it, which knows better. So the journal holds a row at most once for each open
//! savepoint, however often it is written. It is empty as long as none is open.

use std::num::NonZeroU64;

use braid_vfs::planted;

use super::NoSuchSavepoint;
use super::late::Late;
use crate::chain::Pending;
use crate::key::RowKey;
use crate::{TableId, Timestamp};

/// What an open savepoint costs in memory.
pub(super) const MARK_BYTES: usize = size_of::<Mark>();

/// What an entry of the journal costs in memory beside the bytes of its key and value.
pub(super) const ENTRY_OVERHEAD: usize = 96;

/// A journal that has grown beyond this gives its memory back when it is emptied.
const KEPT_ENTRIES: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Mark {
    serial: Timestamp,
    /// How many entries the journal had.
    entries: usize,
}

/// What a row was.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: RowKey,
    pub(super) before: Before,
}

/// `None`: the write set did not have it.
#[derive(Debug)]
pub(super) enum Before {
    /// A write of the row.
    Write(Option<Pending>),
    /// An update of it.
    Update(Option<Box<Late>>),
}

impl Entry {
    fn bytes(&self) -> usize {
        let value = match &self.before {
            Before::Write(before) => before.as_ref().map_or(0, super::value_len_of),
            Before::Update(before) => before.as_ref().map_or(0, |before| before.bytes()),
        };
        ENTRY_OVERHEAD + self.key.bytes().len() + value
    }

    fn stamp(&self) -> Option<Timestamp> {
        match &self.before {
            Before::Write(before) => before.as_ref().map(Pending::stamp),
            Before::Update(before) => before.as_ref().map(|before| before.stamp),
        }
    }
}

/// A savepoint of a write set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SavepointId {
    owner: NonZeroU64,
    serial: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Savepoints {
    /// The write set's number, once there was one.
    owner: Option<NonZeroU64>,
    /// By ascending serial.
    open: Vec<Mark>,
    journal: Vec<Entry>,
    last_serial: u64,
    bytes: usize,
}

impl Savepoints {
    /// Opens one.
    pub(super) fn open(&mut self, owner: impl FnOnce() -> NonZeroU64) -> SavepointId {
        self.last_serial += 1;
        let serial = Timestamp::from_stored(self.last_serial);
        self.open.push(Mark { serial, entries: self.journal.len() });
        self.bytes += MARK_BYTES;
        SavepointId { owner: *self.owner.get_or_insert_with(owner), serial: self.last_serial }
    }

    /// What values that are written now bear.
    #[inline]
    pub(super) fn stamp(&self) -> Timestamp {
        self.open.last().map_or(Timestamp::ZERO, |mark| mark.serial)
    }

    /// About how much memory the marks and the journal take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a change of a row whose value bears `stamp`, or which the write set does not have, goes into the journal.
    #[inline]
    pub(super) fn wants(&self, stamp: Option<Timestamp>) -> bool {
        !self.open.is_empty() && stamp.is_none_or(|stamp| stamp < self.stamp())
    }

    /// A row was written: this is what was written before.
    pub(super) fn record(&mut self, table: TableId, key: &[u8], before: Option<Pending>) {
        if self.wants(before.as_ref().map(Pending::stamp)) {
            self.push(Entry { key: RowKey::new(table, key), before: Before::Write(before) });
        }
    }

    /// A row was updated, or is so no longer: this is how it was updated before.
    pub(super) fn record_update(&mut self, table: TableId, key: &[u8], before: Option<Late>) {
        if self.wants(before.as_ref().map(|before| before.stamp)) && !planted!(UpdateNotUndone) {
            let before = Before::Update(before.map(Box::new));
            self.push(Entry { key: RowKey::new(table, key), before });
        }
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.journal.push(entry);
    }

    /// Closes the savepoints behind one that is open, and says how many entries are to be undone.
    pub(super) fn rewind(&mut self, savepoint: SavepointId) -> Result<usize, NoSuchSavepoint> {
        let place = self.place_of(savepoint)?;
        self.close_from(place + 1);
        let entries = self.open.get(place).map_or(0, |mark| mark.entries);
        Ok(self.journal.len() - entries)
    }

    /// The last entry, to be undone.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.journal.pop()?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Closes one and those behind it; what was changed since stays.
    pub(super) fn release(&mut self, savepoint: SavepointId) -> Result<(), NoSuchSavepoint> {
        let place = self.place_of(savepoint)?;
        let Some(&Mark { entries, .. }) = self.open.get(place) else { return Err(NoSuchSavepoint) };
        self.close_from(place);
        match self.open.last() {
            None => {
                self.bytes = 0;
                self.journal.clear();
                if self.journal.capacity() > KEPT_ENTRIES {
                    self.journal = Vec::new();
                }
            }
            Some(&Mark { serial: around, .. }) => {
                let mut kept = entries;
                for at in entries..self.journal.len() {
                    let Some(entry) = self.journal.get(at) else { break };
                    if entry.stamp().is_some_and(|stamp| stamp >= around) || planted!(InnerUndoForgotten) {
                        self.bytes -= entry.bytes();
                    } else {
                        self.journal.swap(kept, at);
                        kept += 1;
                    }
                }
                self.journal.truncate(kept);
            }
        }
        Ok(())
    }

    fn place_of(&self, SavepointId { owner, serial }: SavepointId) -> Result<usize, NoSuchSavepoint> {
        if self.owner != Some(owner) {
            return Err(NoSuchSavepoint);
        }
        self.open.binary_search_by_key(&serial, |mark| mark.serial.get()).map_err(|_| NoSuchSavepoint)
    }

    fn close_from(&mut self, place: usize) {
        self.bytes -= (self.open.len() - place) * MARK_BYTES;
        self.open.truncate(place);
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    #[test]
    fn a_short_journal_keeps_its_memory_and_a_long_one_does_not() {
        for (rows, kept) in [(KEPT_ENTRIES / 2, true), (4 * KEPT_ENTRIES, false)] {
            let mut savepoints = Savepoints::default();
            let savepoint = savepoints.open(|| NonZeroU64::MIN);
            for row in 0..rows {
                savepoints.record(TableId(1), &row.to_be_bytes(), None);
            }
            assert_eq!(savepoints.journal.len(), rows);
            assert_eq!(savepoints.release(savepoint), Ok(()));
            assert_eq!((savepoints.journal.len(), savepoints.bytes()), (0, 0));
            assert_eq!(savepoints.journal.capacity() >= rows, kept, "after {rows} rows");
        }
    }
}
