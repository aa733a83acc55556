//! Updates at the commit: from "add one" to the value that the log and the row store hold.
//!
//! ```text
//! outside the section                        inside it
//! fetch what sealed generations and the
//! tree have of the updated rows
//! make the updates of what is newest,
//! encode them among the writes
//!                                            (validated as ever: updates are not)
//!                                            make those anew whose row was changed since, and encode them again
//!                                            refuse what cannot be made
//!                                            append, install
//! ```
//!
//! Invariant: an update is made of the newest version of its row at the moment of its commit. What is fetched outside is
//! older than everything in the active generation, and does not change while the view is the same: the section, which
//! refuses a commit that was prepared in another view, need not read it again. Hence no I/O inside.
//!
//! The log holds values and no updates, as row store and tree do. So recovery replays them as writes, and a transaction
//! that wrote the row, or read it as `Serializable`, conflicts with them as with any other write.

use braid_mvstore::{Guard, Refusal, Resolved, TableId, Timestamp, WriteSet, pin};
use braid_vfs::planted;
use braid_wal::EncodedRecord;
use smallvec::SmallVec;

use super::append::Left;
use super::commit::CommitRequest;
use super::shared::{Core, Section};
use super::view::View;
use crate::error::{Error, Result};
use crate::limits::MAX_VALUE_BYTES;
use crate::record::{self, Change};

/// The updates of a commit on its way.
#[derive(Debug)]
pub(super) struct Updates<'g> {
    resolved: Resolved<'g>,
    older: Layer,
    /// How many were made anew in the section.
    remade: usize,
}

/// What updates a commit has made, for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(super) updates: usize,
    /// Of these, the ones whose row somebody changed since the snapshot: writes would have been conflicts.
    pub(super) absorbed: usize,
    /// Of these, the ones that were made anew in the section.
    pub(super) remade: usize,
}

/// Encodes the writes before the first updated row: they stay whatever the updates make.
pub(super) fn encode_before(record: &mut EncodedRecord, writes: &WriteSet) {
    let first = writes.updated().next();
    for row in writes.iter().take_while(|row| Some((row.table, row.key)) < first) {
        record::encode_change(record, Change::of(&row));
    }
    record.hold();
}

/// What older layers have of one row.
#[derive(Debug, Default)]
struct Older {
    value: Option<Vec<u8>>,
    /// Whether it was changed there after the transaction began.
    changed: bool,
}

/// For each updated row. Most transactions update one.
type Layer = SmallVec<[Older; 1]>;

impl Core {
    /// What the older layers of a view have of the updated rows. Reads the file, so that nothing should be held meanwhile.
    pub(super) fn fetch_updates(&self, view: &View, request: &CommitRequest<'_>) -> Result<Fetched> {
        let rows = request.writes.updated();
        rows.map(|(table, key)| self.fetch_older(view, request, table, key))
            .collect::<Result<_>>()
            .map(Fetched)
    }

    /// The room to reserve for a commit that needs so much by now: rivals may let its rows grow until it comes again.
    pub(super) fn room_for(&self, bytes: usize) -> usize {
        bytes.saturating_add(bytes / 2).min(self.options.max_transaction_bytes).max(bytes)
    }

    fn fetch_older(
        &self,
        view: &View,
        request: &CommitRequest<'_>,
        table: TableId,
        key: &[u8],
    ) -> Result<Older> {
        let changed = !request.exclusive && {
            let guard = pin();
            view.history_after(request.begin_ts).any(|generation| {
                generation.newest(table, key, &guard).is_some_and(|ts| ts > request.begin_ts)
            })
        };
        for generation in view.generations() {
            let guard = pin();
            if std::ptr::eq(&raw const **generation, &raw const *view.active) {
                // There it stays, and is looked at again.
                if generation.newest(table, key, &guard).is_some() {
                    return Ok(Older { value: None, changed });
                }
            } else if let Some(found) = generation.get(table, key, Timestamp::MAX, &guard)
                && !planted!(SealedNotUpdated)
            {
                return Ok(Older { value: found.value().map(<[u8]>::to_vec), changed });
            }
        }
        let value = self
            .base
            .get(&view.base, table.into(), key, <[u8]>::to_vec)
            .map_err(|error| Error::from_base(error, "reading a row to update it"))?;
        Ok(Older { value, changed })
    }

    /// The error of an update that cannot be made.
    pub(crate) fn refused(&self, table: TableId, key: &[u8], refusal: Refusal) -> Error {
        Error::UpdateRefused { table: self.tables.name_of(table), key: key.to_vec(), refusal }
    }
}

/// What the older layers of one view have of the updated rows.
#[derive(Debug)]
pub(super) struct Fetched(Layer);

impl Fetched {
    /// Makes the updates of what is newest now, and encodes them.
    pub(super) fn guess<'g>(
        self,
        view: &'g View,
        request: &CommitRequest<'_>,
        record: &mut EncodedRecord,
        guard: &'g Guard,
    ) -> Result<Updates<'g>, Left> {
        let older = self.0.iter().map(|older| older.value.as_deref());
        let resolved = view.active.guess(request.writes, older, MAX_VALUE_BYTES, guard);
        let updates = Updates { resolved, older: self.0, remade: 0 };
        updates.check_room(request)?;
        updates.encode(request.writes, record);
        Ok(updates)
    }
}

impl Updates<'_> {
    /// In the section, once everything else is validated.
    pub(super) fn catch_up(
        &mut self,
        core: &Core,
        request: &CommitRequest<'_>,
        record: &mut EncodedRecord,
    ) -> Result<(), Left> {
        self.remade = self.resolved.catch_up(request.writes);
        if self.remade > 0 {
            self.check_room(request)?;
            if !planted!(GuessLogged) {
                self.encode(request.writes, record);
            }
        }
        match self.resolved.refusal() {
            Some((table, key, refusal)) => Err(core.refused(table, key, refusal).into()),
            None => Ok(()),
        }
    }

    /// Values that have grown beyond what was reserved for the commit need more room first.
    fn check_room(&self, request: &CommitRequest<'_>) -> Result<(), Left> {
        let bytes = request.writes.bytes().saturating_add(self.resolved.grown_bytes());
        if bytes > request.reserved { Err(Left::RoomNeeded(bytes)) } else { Ok(()) }
    }

    /// Everything from the first updated row on: a record holds its rows in order.
    pub(super) fn encode(&self, writes: &WriteSet, record: &mut EncodedRecord) {
        record.rewind();
        let mut rest = writes
            .updated()
            .next()
            .into_iter()
            .flat_map(|(table, key)| writes.iter_from(table, key))
            .peekable();
        for (table, key, value) in self.resolved.iter() {
            while let Some(row) = rest.next_if(|row| (row.table, row.key) < (table, key)) {
                record::encode_change(record, Change::of(&row));
            }
            record::encode_change(record, Change { table, key, value: Some(value) });
        }
        rest.for_each(|row| record::encode_change(record, Change::of(&row)));
        record.finish();
    }

    /// In the section, behind the writes.
    pub(super) fn install(
        self,
        section: &mut Section,
        request: &mut CommitRequest<'_>,
        commit_ts: Timestamp,
        watermark: impl FnOnce() -> Timestamp,
    ) {
        let later = self.resolved.changed_after(request.begin_ts);
        request.made.absorbed =
            later.zip(&self.older).filter(|(later, older)| *later || older.changed).count();
        request.made.updates = self.older.len();
        request.made.remade = self.remade;
        self.resolved.install(&mut section.rights, commit_ts, watermark);
    }
}
