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

use braid_mvstore::{Guard, Older, Refusal, Resolved, TableId, Timestamp, Unresolved, WriteSet, pin};
use braid_vfs::planted;
use braid_wal::EncodedRecord;

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
    if writes.written() == 0 {
        return;
    }
    let first = writes.updated().next();
    for row in writes.iter().take_while(|row| Some((row.table, row.key)) < first) {
        record::encode_change(record, Change::of(&row));
    }
    record.hold();
}

impl Core {
    /// What the older layers of a view have of the updated rows. Reads the file, so that nothing should be held meanwhile.
    #[inline]
    pub(super) fn fetch_updates<'g>(
        &self,
        view: &'g View,
        request: &CommitRequest<'_>,
    ) -> Result<Updates<'g>> {
        let fetch = |table, key: &[u8], is_here| self.fetch_older(view, request, table, key, is_here);
        let (limit, counted) = (self.options.max_transaction_bytes, request.writes.bytes());
        let room = self.room_to_grow(request);
        let resolved = view.active.resolve(request.writes, MAX_VALUE_BYTES, room, fetch).map_err(
            |error| match error {
                Unresolved::TooLarge(grown) => Error::TransactionTooLarge {
                    bytes: counted.saturating_add(grown) as u64,
                    limit: limit as u64,
                },
                Unresolved::Fetch(error) => error,
            },
        )?;
        Ok(Updates { resolved, remade: 0 })
    }

    /// What updates may make beyond what the write set counts for them.
    fn room_to_grow(&self, request: &CommitRequest<'_>) -> usize {
        self.options.max_transaction_bytes.saturating_sub(request.writes.bytes())
    }

    /// The room to reserve for a commit that needs so much by now: rivals may let its rows grow until it comes again.
    pub(super) fn room_for(&self, bytes: usize) -> usize {
        bytes.saturating_add(bytes / 2).min(self.options.max_transaction_bytes).max(bytes)
    }

    /// `is_here`: the row is in the active generation, and stays there.
    #[inline]
    fn fetch_older(
        &self,
        view: &View,
        request: &CommitRequest<'_>,
        table: TableId,
        key: &[u8],
        is_here: bool,
    ) -> Result<Older> {
        let changed = !request.exclusive
            && view.history_after(request.begin_ts).any(|generation| {
                generation.newest(table, key, &pin()).is_some_and(|ts| ts > request.begin_ts)
            });
        let value = if is_here { None } else { self.fetch_value(view, table, key)? };
        Ok(Older { value, changed })
    }

    fn fetch_value(&self, view: &View, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        for generation in &view.sealed {
            let guard = pin();
            if let Some(found) = generation.get(table, key, Timestamp::MAX, &guard)
                && !planted!(SealedNotUpdated)
            {
                return Ok(found.value().map(<[u8]>::to_vec));
            }
        }
        self.base
            .get(&view.base, table.into(), key, <[u8]>::to_vec)
            .map_err(|error| Error::from_base(error, "reading a row to update it"))
    }

    /// The error of an update that cannot be made.
    pub(crate) fn refused(&self, table: TableId, key: &[u8], refusal: Refusal) -> Error {
        Error::UpdateRefused { table: self.tables.name_of(table), key: key.to_vec(), refusal }
    }
}

impl Updates<'_> {
    /// Makes the updates of what is newest now, and encodes them.
    pub(super) fn guess(
        &mut self,
        core: &Core,
        request: &CommitRequest<'_>,
        record: &mut EncodedRecord,
        guard: &Guard,
    ) -> Result<(), Left> {
        self.resolved.guess(request.writes, core.room_to_grow(request), guard);
        self.check_room(request)?;
        self.encode(request.writes, record);
        Ok(())
    }

    /// In the section, once everything else is validated.
    pub(super) fn catch_up(
        &mut self,
        core: &Core,
        request: &CommitRequest<'_>,
        record: &mut EncodedRecord,
        guard: &Guard,
    ) -> Result<(), Left> {
        self.remade = self.resolved.catch_up(request.writes, guard);
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
        if writes.written() == 0 {
            for (table, key, value) in self.resolved.iter() {
                record::encode_change(record, Change { table, key, value: Some(value) });
            }
            return record.finish();
        }
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
        &mut self,
        section: &mut Section,
        request: &mut CommitRequest<'_>,
        commit_ts: Timestamp,
        guard: &Guard,
        watermark: impl FnOnce() -> Timestamp,
    ) {
        request.made.absorbed = self.resolved.changed_after(request.begin_ts);
        request.made.updates = self.resolved.len();
        request.made.remade = self.remade;
        self.resolved.install(&mut section.rights, commit_ts, guard, watermark);
    }
}
