//! The checkpoint: seal the active generation, fold what is sealed into the base, let the log before it go.
//!
//! Order, which is what makes it safe:
//!
//! 1. Seal, in the commit section: every commit up to `seal_ts` is in the sealed generations and in the log before
//!    `seal_lsn`; every later one is in the new generation and after it.
//! 2. Make the log durable through `seal_lsn`: the base never holds what the log could still lose.
//! 3. Fold: new pages into free space, sync, the older meta page, sync. Readers and writers go on.
//! 4. Publish the view with the new base; only then is the log before `seal_lsn` recycled, as far as nobody reads it: see
//!    `retention.rs`.
//!
//! What a checkpoint sealed and could not fold, the next one folds before it seals anything: however often they fail, the
//! read path does not grow.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use braid_mvstore::{
    Direction, FoldIter, Generation, Scan, ScanBatch, ScanLimit, TableId, Timestamp, UnusedGeneration, pin,
};
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_wal::Lsn;

use super::clock::timestamp;
use super::retention::Anchor;
use super::shared::{Core, Writer};
use super::tables::TABLES;
use super::view::View;
use crate::base::{self, Base, BaseError, BaseStore, ChangeSource, EngineState, TreeId};
use crate::error::{Error, Result};
use crate::record::encode_mode;

/// A step of a compaction holds checkpoints back: it is to be short.
pub(crate) const COMPACTION_STEP_PAGES: u32 = 1024;

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Everything committed up to here is in the base.
    pub timestamp: Timestamp,
    /// Rows written or deleted.
    pub rows: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What a seal fixed, all but the next table id. Everything sealed and not yet folded in the current view belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    lsn: Lsn,
    state: EngineState,
}

impl Core {
    /// Folds everything committed so far.
    pub(crate) fn checkpoint(&self) -> Result<CheckpointReport> {
        let writer = self.writer()?;
        // What panics here is the user's: a page cache, a file, a subscriber of traces. Whoever is stalled is told of a failure.
        let begun = catch_unwind(AssertUnwindSafe(|| self.tell_of_beginning()));
        let (result, panic) = later(|| {
            let ended = begun.and_then(|()| {
                catch_unwind(AssertUnwindSafe(|| {
                    let mut unfinished = writer.checkpoint.lock();
                    let result = self.checkpoint_alone(writer, &mut unfinished);
                    let has_room = result.as_ref().is_err_and(|error| self.make_room_after(error));
                    if has_room { self.checkpoint_alone(writer, &mut unfinished) } else { result }
                }))
            });
            let (result, panic) = match ended {
                Ok(result) => (result, None),
                Err(panic) => (Err(Error::panicked("folding into the database file")), Some(panic)),
            };
            writer.budget.checkpoint_ended(result.as_ref().map(|_| ()).map_err(Clone::clone));
            if let Err(error) = result.clone() {
                tell(move || tracing::warn!(error = %error.in_full(), "checkpoint failed"));
            }
            (result, panic)
        });
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        self.enforce_leases(writer, false);
        result
    }

    /// Before the checkpoint lock is taken: whoever is told may commit something, and wait for a checkpoint.
    fn tell_of_beginning(&self) {
        let view = self.current_view();
        let generations = view.sealed.len() + usize::from(view.active.bytes() > 0);
        if generations > 0 {
            let timestamp = self.installed_ts();
            tell(move || tracing::info!(%timestamp, generations, "checkpoint begins"));
        }
    }

    fn checkpoint_alone(&self, writer: &Writer, unfinished: &mut Option<Seal>) -> Result<CheckpointReport> {
        writer.check()?;
        let began = self.env.clock.now();
        let rows_before = match *unfinished {
            Some(seal) => self.finish(writer, seal)?,
            None => 0,
        };
        let seal = *unfinished.insert(self.seal(writer));
        let rows = rows_before + self.finish(writer, seal)?;
        *unfinished = None;
        let duration = self.env.clock.now().saturating_sub(began);
        Ok(CheckpointReport { timestamp: timestamp(seal.state.checkpoint_ts), rows, duration })
    }

    /// Steps 2 to 4. The number of rows folded.
    fn finish(&self, writer: &Writer, seal: Seal) -> Result<u64> {
        let began = self.env.clock.now();
        let seal_ts = timestamp(seal.state.checkpoint_ts);
        let view = self.current_view();
        // Nothing is written for statistics alone, which must not be what a checkpoint fails over.
        let nothing_new = view.base.state().checkpoint_lsn == seal.state.checkpoint_lsn;
        if view.sealed.is_empty() && nothing_new {
            // Somebody may have let go of the log since the last one.
            self.release_log(writer, None);
            return Ok(0);
        }
        if !planted!(SealNotSynced) {
            writer.log.sync_through(seal.lsn).map_err(Error::from_sync)?;
        }
        self.raise_acked(seal_ts);
        if planted!(SealedDroppedEarly) {
            self.publish_fold(writer, Arc::clone(&view.base), &view.sealed);
        }
        if planted!(LogReleasedEarly) {
            let _ = writer.log.release_before(seal.lsn);
        }
        let (base, rows) = self.fold(writer, &view, &seal)?;
        self.publish_fold(writer, base, &view.sealed);
        self.release_log(writer, Some(Anchor { timestamp: seal_ts, lsn: seal.lsn }));
        let duration = self.env.clock.now().saturating_sub(began);
        self.counters.checkpoints.add(1);
        self.counters.last_checkpoint_micros.set(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        tell(move || tracing::info!(timestamp = %seal_ts, rows, ?duration, "checkpoint ends"));
        Ok(rows)
    }

    /// One step of a compaction, as a checkpoint of its own.
    pub(crate) fn compact_step(&self) -> Result<base::Compacted> {
        let writer = self.writer()?;
        later(|| {
            let _one_at_a_time = writer.checkpoint.lock();
            writer.check()?;
            let from = Arc::clone(&self.current_view().base);
            let step = self
                .base
                .compact_step(&from, COMPACTION_STEP_PAGES, &|| self.keep_on(writer))
                .map_err(|error| self.base_failed(writer, error))
                .inspect_err(|error| _ = self.make_room_after(error))?;
            if !Arc::ptr_eq(&step.base, &from) {
                self.publish_fold(writer, Arc::clone(&step.base), &[]);
            }
            Ok(step)
        })
    }

    /// Where the disk is full, has the log give up what it keeps ready for use again; whether that made room.
    pub(crate) fn make_room_after(&self, error: &Error) -> bool {
        let (Error::NoSpace(_), Some(writer)) = (error, &self.writer) else { return false };
        writer.log.give_back_spares().unwrap_or_else(|error| {
            tell(move || tracing::warn!(%error, "a log segment could not be recycled"));
            false
        })
    }

    /// What a fold asks now and then: whether it is to go on. Frees what was folded before and is not held any more: under
    /// steady load one fold follows the other, and writers have that part of the budget again since the last one.
    pub(super) fn keep_on(&self, writer: &Writer) -> Result<(), BaseError> {
        writer.background.reap();
        if writer.log.is_poisoned() || writer.is_closing() { Err(BaseError::Aborted) } else { Ok(()) }
    }

    pub(super) fn base_failed(&self, writer: &Writer, error: BaseError) -> Error {
        // Also where the one before panicked, and left nobody knowing what the file holds.
        if let BaseError::SyncFailed { source } | BaseError::Poisoned { source } = &error {
            let said = error.to_string();
            tell(move || tracing::error!(error = %said, "poisoned: the database file could not be synced"));
            writer.log.poison(source);
        }
        if let Err(poisoned) = writer.log.check() {
            return Error::from_sync(poisoned);
        }
        Error::from_base(error, "folding into the database file")
    }

    /// Step 1.
    fn seal(&self, writer: &Writer) -> Seal {
        let seal_bytes = writer.budget.seal_bytes();
        let unused = (self.view.load().active.bytes() > 0).then(|| UnusedGeneration::new(seal_bytes));
        let mut section = writer.section.lock();
        let section = &mut *section;
        let last = self.installed_ts();
        // Not "has versions": commits that failed leave keys behind, and only the end of the generation frees them.
        if section.view.active.bytes() > 0 {
            // Made here only if the first commit has come since.
            let (active, rights) = unused.unwrap_or_else(|| UnusedGeneration::new(seal_bytes)).start(last);
            let view = section.view.sealed_under(active);
            // Before the view: nobody installs into the new generation until this section is left.
            section.rights = rights;
            self.publish(section, view);
        }
        let lsn = writer.log.appended();
        Seal {
            lsn,
            state: EngineState {
                checkpoint_ts: last.get(),
                checkpoint_lsn: lsn.get(),
                log_durable: lsn.get(),
                clock_reserved: section.clock.reserved_end().get(),
                journal_mode: encode_mode(section.mode),
                ..EngineState::default()
            },
        }
    }

    /// Step 3. The number of rows folded comes along.
    fn fold(&self, writer: &Writer, view: &View, seal: &Seal) -> Result<(Arc<Base>, u64)> {
        self.tell_of_session(timestamp(seal.state.checkpoint_ts));
        // As of now: since the seal a load may have taken an id, and be in the base with it.
        let state = EngineState { next_table_id: self.tables.next_id(), ..seal.state };
        fold(&self.base, &view.base, &view.sealed, state, &|| self.keep_on(writer))
            .map_err(|error| self.base_failed(writer, error))
    }

    /// Step 4.
    pub(super) fn publish_fold(&self, writer: &Writer, base: Arc<Base>, folded: &[Arc<Generation>]) {
        let oldest_writer = self.oldest_writer();
        let view = {
            let mut section = writer.section.lock();
            let view = section.view.folded_into(base, folded, oldest_writer, self.options.row_store_bytes);
            self.publish(&mut section, view)
        };
        writer.background.bury(folded);
        self.registry.sweep_stale(view.id, drop);
    }
}

/// Folds generations, given newest first, into a base; with the number of rows written or deleted.
pub(super) fn fold(
    store: &BaseStore,
    base: &Arc<Base>,
    generations: &[Arc<Generation>],
    state: EngineState,
    keep_on: &dyn Fn() -> Result<(), BaseError>,
) -> Result<(Arc<Base>, u64), BaseError> {
    let dropped = dropped_tables(generations);
    let trees: Vec<_> = dropped.iter().copied().map(TreeId::from).collect();
    let rows = FoldIter::new(generations, timestamp(state.checkpoint_ts)).without(dropped);
    let mut changes = Changes { rows, count: 0 };
    let base = store.fold(base, &mut changes, &trees, state, keep_on)?;
    Ok((base, changes.count))
}

/// The tables that the generations drop: those whose row in the catalog is deleted. Ascending.
fn dropped_tables(generations: &[Arc<Generation>]) -> Vec<TableId> {
    let mut dropped = Vec::new();
    for generation in generations {
        let scan = Scan {
            table: TABLES,
            from: std::ops::Bound::Unbounded,
            to: std::ops::Bound::Unbounded,
            direction: Direction::Forward,
            at: Timestamp::MAX,
            limit: ScanLimit { rows: 1024, bytes: 64 << 10 },
        };
        let mut batch = ScanBatch::new();
        generation.scan(&scan, &mut batch, &pin());
        loop {
            let deleted = batch.iter().filter(|row| row.value.value().is_none());
            dropped.extend(
                deleted.filter_map(|row| Some(TableId(u32::from_be_bytes(row.key.try_into().ok()?)))),
            );
            if !generation.scan_more(&scan, &mut batch, &pin()) {
                break;
            }
        }
    }
    dropped.sort_unstable();
    dropped.dedup();
    dropped
}

/// The newest version of every row, counted.
struct Changes {
    rows: FoldIter,
    count: u64,
}

impl ChangeSource for Changes {
    fn next(&mut self) -> Result<Option<base::Change<'_>>, BaseError> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        self.count += 1;
        Ok(Some(base::Change { tree: row.table.into(), key: row.key, value: row.value.value() }))
    }
}

impl From<TableId> for TreeId {
    fn from(table: TableId) -> Self {
        Self(table.0)
    }
}
