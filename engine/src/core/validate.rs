//! Validation: first committer wins.
//!
//! The writes of a commit are looked at twice. Before the commit section against everything that is sealed, which does
//! not change any more; inside it against the active generation and the catalog. The section finds out whether something
//! was sealed in between, and then both are done again. The reads have a way of their own: `reads.rs`.

use braid_mvstore::{Generation, Guard, Prepared, TableId, Timestamp, pin};
use braid_vfs::planted;

use super::commit::{CommitRequest, tell_of_conflict};
use super::schema::table_id;
use super::shared::Core;
use super::tables::{FIRST_USER_TABLE, NAMES, TABLES, TOKENS};
use super::view::View;
use crate::error::{Conflict, ConflictKind, Error, Result, SnapshotLoss};
use crate::tokens;
use crate::transaction::{Looks, ReadSet};

impl Core {
    /// The write set against everything that is sealed. Sealed generations do not change, so this
    /// needs no lock.
    #[inline(always)]
    pub(super) fn validate_history(
        &self,
        view: &View,
        request: &CommitRequest<'_>,
        guard: &Guard,
    ) -> Result<()> {
        if request.exclusive || planted!(HistoryNotValidated) {
            return Ok(());
        }
        if request.begin_ts < view.validation_floor && !request.is_blind() {
            return Err(history_given_up(view, request));
        }
        for generation in view.history_after(request.begin_ts) {
            for row in request.writes.iter() {
                if let Some(winner_ts) = generation.newest(row.table, row.key, guard)
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
        }
        Ok(())
    }

    /// Of one that cannot be committed, as the updates of these rows, which it looked at, cannot be made of what its
    /// snapshot has there: whether it would have lost by its writes, theirs included.
    ///
    /// Without the section. What nobody has changed in a view that was loaded here was, at that moment, what the
    /// snapshot has: so there was a moment at which it was refused rightly. Who commits later comes after it.
    #[cold]
    pub(crate) fn validate_unsettled(
        &self,
        request: &CommitRequest<'_>,
        rows: &[(TableId, Vec<u8>)],
    ) -> Result<()> {
        self.look_through_unsettled(request, rows).inspect_err(tell_of_conflict)
    }

    fn look_through_unsettled(&self, request: &CommitRequest<'_>, rows: &[(TableId, Vec<u8>)]) -> Result<()> {
        let view = self.view.load();
        if request.begin_ts < view.validation_floor {
            return Err(history_given_up(&view, request));
        }
        if self.tables.any_withdrawn_after(request.begin_ts) {
            self.validate_schema(request)?;
        }
        let guard = pin();
        for generation in std::iter::once(&view.active).chain(view.history_after(request.begin_ts)) {
            let unsettled = rows.iter().map(|(table, key)| (*table, &**key));
            let written = request.writes.iter().map(|row| (row.table, row.key));
            for (table, key) in unsettled.chain(written) {
                if let Some(winner_ts) = generation.newest(table, key, &guard)
                    && winner_ts > request.begin_ts
                {
                    return Err(self.conflict(ConflictKind::WriteWrite, table, key, request, winner_ts));
                }
            }
        }
        Ok(())
    }

    /// In the commit section: the write set against everything else.
    #[inline(always)]
    pub(super) fn validate_active(&self, prepared: &Prepared<'_>, request: &CommitRequest<'_>) -> Result<()> {
        if self.tables.any_withdrawn_after(request.begin_ts) {
            self.validate_schema(request)?;
        }
        self.validate_writes(prepared, request)
    }

    /// The write set against the active generation.
    #[inline(always)]
    pub(super) fn validate_writes(&self, prepared: &Prepared<'_>, request: &CommitRequest<'_>) -> Result<()> {
        if let Some(lost) = prepared.first_conflict(request.begin_ts) {
            let kind = ConflictKind::WriteWrite;
            return Err(self.conflict(kind, lost.table, lost.key, request, lost.winner_ts));
        }
        Ok(())
    }

    /// A table that was dropped after the transaction began takes no more rows, and what a transaction read of it no longer
    /// holds. The same goes for one that was renamed: whoever meant the table of that name may mean
    /// another one now.
    #[cold]
    fn validate_schema(&self, request: &CommitRequest<'_>) -> Result<()> {
        if planted!(DropNotValidated) {
            return Ok(());
        }
        let written = request.writes.tables().iter().copied();
        let read = request.reads.into_iter().flat_map(ReadSet::tables);
        let looks = request.looks.filter(|_| !planted!(LookedTableNotValidated));
        let looked_at = looks.into_iter().flat_map(Looks::tables);
        for table in written.chain(read).chain(looked_at) {
            if table.0 < FIRST_USER_TABLE {
                continue;
            }
            let info = self.tables.by_id(table);
            let changed_at = info.as_ref().and_then(|info| info.changed_after(request.begin_ts));
            if info.is_none() || changed_at.is_some() {
                return Err(self.schema_conflict(self.tables.name_of(table), request, changed_at));
            }
        }
        Ok(())
    }

    pub(super) fn conflict(
        &self,
        kind: ConflictKind,
        table: TableId,
        key: &[u8],
        request: &CommitRequest<'_>,
        winner_ts: Timestamp,
    ) -> Error {
        if let Some(done) = self.done_already(request) {
            return done;
        }
        // Who made, dropped or renamed a table, or looked for one, knows nothing of the rows that say so.
        match table {
            NAMES => {
                return schema_busy(String::from_utf8_lossy(key).into_owned(), request, Some(winner_ts));
            }
            TABLES => {
                let name = table_id(key).map_or_else(String::new, |id| self.tables.name_of(id));
                return schema_busy(name, request, Some(winner_ts));
            }
            _ => {}
        }
        Error::Busy(Box::new(Conflict {
            kind,
            table: Some(self.tables.name_of(table)),
            key: Some(key.to_vec()),
            begin_ts: request.begin_ts,
            winner_ts: Some(winner_ts),
            holder_begun_here: false,
            turn_left: None,
        }))
    }

    fn schema_conflict(
        &self,
        table: String,
        request: &CommitRequest<'_>,
        winner_ts: Option<Timestamp>,
    ) -> Error {
        self.done_already(request).unwrap_or_else(|| schema_busy(table, request, winner_ts))
    }

    /// Of one that has lost, whatever over: that another transaction with its token was committed, if that is so. Two that
    /// do the same work meet in more than the token.
    ///
    /// The token's row says which commit that was. Its newest version need not: somebody else may have forgotten the token
    /// since, by a delete. As this transaction is registered, what was written after it began is still there.
    #[cold]
    fn done_already(&self, request: &CommitRequest<'_>) -> Option<Error> {
        let token = request.token?;
        let view = self.view.load();
        let guard = pin();
        let timestamp = std::iter::once(&view.active)
            .chain(view.history_after(request.begin_ts))
            .find_map(|generation| newest_commit_of(token.bytes(), generation, &guard))
            .filter(|committed| *committed > request.begin_ts)?;
        self.counters.tokens_refused.add(1);
        Some(Error::AlreadyCommitted { timestamp })
    }
}

fn history_given_up(view: &View, request: &CommitRequest<'_>) -> Error {
    Error::BusySnapshot {
        begin_ts: request.begin_ts,
        why: SnapshotLoss::HistoryGivenUp { oldest_ts: view.validation_floor },
    }
}

/// The newest commit with a token that a generation has, whether it was forgotten since or not.
fn newest_commit_of(token: &[u8], generation: &Generation, guard: &Guard) -> Option<Timestamp> {
    let newest = generation.newest(TOKENS, token, guard)?;
    let before = newest.get().checked_sub(1).and_then(Timestamp::new);
    [Some(newest), before].into_iter().flatten().find_map(|at| {
        let row = generation.get(TOKENS, token, at, guard)?.value()?;
        tokens::committed_at(row)
    })
}

fn schema_busy(table: String, request: &CommitRequest<'_>, winner_ts: Option<Timestamp>) -> Error {
    Error::Busy(Box::new(Conflict {
        kind: ConflictKind::Schema,
        table: Some(table),
        key: None,
        begin_ts: request.begin_ts,
        winner_ts,
        holder_begun_here: false,
        turn_left: None,
    }))
}
