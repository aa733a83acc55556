//! Validation: first committer wins.
//!
//! A commit is looked at twice. Before the commit section against everything that is sealed, which does not change any
//! more; inside it against the active generation and the catalog. The section finds out whether something was sealed in
//! between, and then both are done again.

use braid_mvstore::{Generation, Prepared, TableId, Timestamp, pin};
use braid_vfs::planted;

use super::commit::CommitRequest;
use super::shared::Core;
use super::tables::FIRST_USER_TABLE;
use super::view::View;
use crate::error::{Conflict, ConflictKind, Error, Result};
use crate::transaction::ReadSet;

impl Core {
    /// The write set and the read set against everything that is sealed. Sealed generations do not change, so this
    /// needs no lock.
    #[inline(always)]
    pub(super) fn validate_history(&self, view: &View, request: &CommitRequest<'_>) -> Result<()> {
        if request.exclusive || planted!(HistoryNotValidated) {
            return Ok(());
        }
        if request.begin_ts < view.validation_floor && !request.is_blind() {
            return Err(Error::BusySnapshot { begin_ts: request.begin_ts, oldest_ts: view.validation_floor });
        }
        let guard = pin();
        for generation in view.history_after(request.begin_ts) {
            for row in request.writes.iter() {
                if let Some(winner_ts) = generation.newest(row.table, row.key, &guard)
                    && winner_ts > request.begin_ts
                {
                    return Err(self.conflict(
                        ConflictKind::WriteWrite,
                        row.table,
                        row.key,
                        request,
                        winner_ts,
                    ));
                }
            }
            if let Some(reads) = request.reads {
                self.validate_reads(generation, reads, request)?;
            }
        }
        Ok(())
    }

    /// A `Serializable` transaction's reads against one generation.
    fn validate_reads(
        &self,
        generation: &Generation,
        reads: &ReadSet,
        request: &CommitRequest<'_>,
    ) -> Result<()> {
        let since = request.begin_ts;
        if generation.last_ts() <= since {
            return Ok(());
        }
        let guard = pin();
        for (table, key) in reads.keys().filter(|_| !planted!(ReadsNotValidated)) {
            if let Some(winner_ts) = generation.newest(table, key, &guard).filter(|ts| *ts > since) {
                return Err(self.conflict(ConflictKind::ReadWrite, table, key, request, winner_ts));
            }
        }
        for span in reads.spans() {
            let (from, to) = (span.from.as_ref().map(Vec::as_slice), span.to.as_ref().map(Vec::as_slice));
            if let Some((key, winner_ts)) = generation.newest_in_range(span.table, from, to, since, &guard) {
                return Err(self.conflict(ConflictKind::Range, span.table, key, request, winner_ts));
            }
        }
        Ok(())
    }

    /// In the commit section: everything else.
    #[inline(always)]
    pub(super) fn validate_active(&self, prepared: &Prepared<'_>, request: &CommitRequest<'_>) -> Result<()> {
        self.validate_schema(request)?;
        if let Some(lost) = prepared.first_conflict(request.begin_ts) {
            let kind = ConflictKind::WriteWrite;
            return Err(self.conflict(kind, lost.table, lost.key, request, lost.winner_ts));
        }
        request.reads.map_or(Ok(()), |reads| self.validate_reads(prepared.generation(), reads, request))
    }

    /// A table that was dropped after the transaction began takes no more rows, and what a
    /// `Serializable` transaction read of it no longer holds.
    fn validate_schema(&self, request: &CommitRequest<'_>) -> Result<()> {
        if !self.tables.any_dropped_after(request.begin_ts) || planted!(DropNotValidated) {
            return Ok(());
        }
        let written = request.writes.tables().iter().copied();
        let read = request.reads.into_iter().flat_map(ReadSet::tables);
        for table in written.chain(read) {
            if table.0 < FIRST_USER_TABLE {
                continue;
            }
            let info = self.tables.by_id(table);
            let dropped_at = info.as_ref().and_then(|info| info.dropped_at());
            if info.is_none() || dropped_at.is_some() {
                return Err(Error::Busy(Box::new(Conflict {
                    kind: ConflictKind::Schema,
                    table: Some(self.tables.name_of(table)),
                    key: None,
                    begin_ts: request.begin_ts,
                    winner_ts: dropped_at,
                })));
            }
        }
        Ok(())
    }

    fn conflict(
        &self,
        kind: ConflictKind,
        table: TableId,
        key: &[u8],
        request: &CommitRequest<'_>,
        winner_ts: Timestamp,
    ) -> Error {
        Error::Busy(Box::new(Conflict {
            kind,
            table: Some(self.tables.name_of(table)),
            key: Some(key.to_vec()),
            begin_ts: request.begin_ts,
            winner_ts: Some(winner_ts),
        }))
    }
}
