//! The one write path.
//!
//! ```text
//! outside the section                      inside it
//! encode the record
//! look through the sealed history
//! find or create the written chains
//!                                          poisoned? gate held? still this view?
//!                                          validate against the active generation
//!                                          take commit_ts, append the record, install the versions
//! wait until what the commit asks,
//! and what it follows, is durable
//! ```
//!
//! Invariants:
//!
//! 1. Versions are installed in the order of their timestamps, and `installed_ts` is raised after them: who begins at a
//!    timestamp finds every version up to it.
//! 2. A commit is validated against every version later than its `begin_ts`: the sealed history was looked through in a
//!    view that is still the current one inside the section, and nothing is sealed or installed meanwhile.
//! 3. `acked_ts` is raised to a timestamp only when the log is durable through every `Sync` commit up to it. Each commit
//!    learns inside the section where the newest of those ends (`must_be_durable`), so it may raise `acked_ts` to its own
//!    timestamp, alone and in any order, as soon as the log is durable through there.
//! 4. No lock is held while waiting.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use braid_mvstore::{Generation, TableId, Timestamp, WriteSet, pin};
use braid_vfs::sync::atomic::Ordering;
use braid_vfs::sync::thread_local;
use braid_wal::{AppendError, Appender, EncodedRecord, Log, Lsn, SyncError};

use super::clock::Tick;
use super::gate::Pass;
use super::schema::SchemaChange;
use super::shared::{Core, Section, Writer};
use super::view::View;
use crate::error::{Conflict, ConflictKind, Error, Result};
use crate::options::Durability;
use crate::record::{self, Change, kind};
use crate::transaction::ReadSet;

/// A successful commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its place in the history. For a transaction that wrote nothing: the snapshot that it read.
    pub timestamp: Timestamp,
}

/// What a transaction asks of the commit section.
#[derive(Debug)]
pub(crate) struct CommitRequest<'a> {
    pub(crate) begin_ts: Timestamp,
    /// The transaction holds the gate.
    pub(crate) exclusive: bool,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) writes: &'a mut WriteSet,
    /// What a `Serializable` transaction read.
    pub(crate) reads: Option<&'a ReadSet>,
    /// What the commit does to the catalog, beside its rows.
    pub(crate) schema: Option<SchemaChange>,
}

/// A commit that is installed and not yet known to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installed {
    timestamp: Timestamp,
    /// Where its own record ends.
    end: Lsn,
    must_be_durable: Lsn,
}

/// Why the section was left without a commit.
enum Left {
    /// Nothing to be done: the transaction is lost.
    Failed(Error),
    /// The view changed: look through the history again.
    Stale,
    /// An exclusive transaction holds the gate.
    HeldBack,
    /// The log needs a segment of at least so many bytes.
    SegmentNeeded(u64),
    /// The clock needs the log durable through here.
    ClockNeedsSync(Lsn),
}

impl From<Error> for Left {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

thread_local! {
    /// A committer's record, kept for its next commit so that a hot one does not allocate.
    static RECORD: Cell<Option<EncodedRecord>> = const { Cell::new(None) };
}

/// A record above this is given back after its commit.
const KEPT_RECORD_BYTES: u64 = 1 << 20;

impl Core {
    /// Validates and installs; does not wait for the disk.
    pub(crate) fn install(&self, request: &mut CommitRequest<'_>) -> Result<Installed> {
        let writer = self.writer()?;
        writer.check()?;
        self.admit(writer, request.writes.bytes())?;
        // Taken out, not borrowed: what is called from here, a subscriber of traces say, may commit something itself.
        let mut record = RECORD.with(Cell::take).unwrap_or_default();
        encode(&mut record, request.writes);
        let installed = self.install_record(writer, request, &mut record);
        if record.size() <= KEPT_RECORD_BYTES {
            RECORD.with(|kept| kept.set(Some(record)));
        }
        installed
    }

    /// Waits until an installed commit has what it asked for, and everything it follows too.
    pub(crate) fn acknowledge(&self, installed: Installed) -> Result<Commit> {
        let writer = self.writer()?;
        writer.background.request_log_care(&writer.log);
        self.wait_durable(writer, installed.must_be_durable)?;
        // A `Deferred` commit has waited for nothing of its own. After a failed sync it may be gone without a power cut.
        if writer.log.is_poisoned() && writer.log.durable() < installed.end {
            return Err(Error::CommitUnknown(Arc::new(io::Error::other(SyncError::Poisoned))));
        }
        self.raise_acked(installed.timestamp);
        Ok(Commit { timestamp: installed.timestamp })
    }

    /// A commit without writes stands once everything that its snapshot could see stands.
    pub(crate) fn acknowledge_reads(&self, begin_ts: Timestamp) -> Result<Commit> {
        if self.acked_ts() < begin_ts {
            let writer = self.writer()?;
            let must_be_durable = writer.section.lock().last_sync_end;
            self.wait_durable(writer, must_be_durable)?;
            self.raise_acked(begin_ts);
        }
        Ok(Commit { timestamp: begin_ts })
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let writer = self.writer()?;
        writer.log.sync_through(writer.log.appended()).map_err(|_| Error::Poisoned)
    }

    fn wait_durable(&self, writer: &Writer, lsn: Lsn) -> Result<()> {
        if writer.log.durable() >= lsn {
            return Ok(());
        }
        writer.log.sync_through(lsn).map_err(|error| match error {
            SyncError::Failed(source) => Error::CommitUnknown(source),
            other => Error::CommitUnknown(Arc::new(io::Error::other(other))),
        })
    }

    /// See invariant 3.
    pub(super) fn raise_acked(&self, ts: Timestamp) {
        if self.acked_ts.load(Ordering::Relaxed) < ts.get() {
            self.acked_ts.fetch_max(ts.get(), Ordering::AcqRel);
        }
    }

    fn install_record(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
    ) -> Result<Installed> {
        let mut pass: Option<Pass<'_>> = None;
        loop {
            let left = match self.try_install(writer, request, record) {
                Ok(installed) => return Ok(installed),
                Err(left) => left,
            };
            match left {
                Left::Failed(error) => {
                    if let Some(conflict) = error.conflict() {
                        tracing::debug!(%conflict, "conflict");
                    }
                    return Err(error);
                }
                Left::Stale => {}
                Left::HeldBack => {
                    // One at a time: the old pass must be back before the next holder can leave.
                    drop(pass.take());
                    pass = Some(
                        writer
                            .gate
                            .wait(request.busy_timeout)
                            .ok_or_else(|| Error::locked_out(request.begin_ts))?,
                    );
                }
                Left::SegmentNeeded(bytes) => self.prepare_log(writer, bytes)?,
                Left::ClockNeedsSync(lsn) => self.wait_durable(writer, lsn).map_err(|_| Error::Poisoned)?,
            }
        }
    }

    fn try_install(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
    ) -> Result<Installed, Left> {
        let view = self.view.load();
        let guard = pin();
        self.validate_history(&view, request)?;
        let prepared = view.active.prepare(request.writes, &guard);

        let mut section = writer.section.lock();
        let section = &mut *section;
        if !request.exclusive && writer.gate.is_held() {
            return Err(Left::HeldBack);
        }
        if section.view.id != view.id {
            return Err(Left::Stale);
        }
        self.validate_schema(request)?;
        if let Some(lost) = prepared.first_conflict(request.begin_ts) {
            let kind = ConflictKind::WriteWrite;
            return Err(self.conflict(kind, lost.table, lost.key, request, lost.winner_ts).into());
        }
        if let Some(reads) = request.reads {
            self.validate_reads(&view.active, reads, request)?;
        }
        let timestamp = self.next_timestamp(writer, section)?;
        let end = append(section, record, timestamp)?;
        section.clock.advance(timestamp);
        prepared.install(&mut section.rights, request.writes, timestamp, || {
            self.trim_watermark(view.active.start_ts())
        });
        if let Some(change) = request.schema.take() {
            change.apply(&self.tables, timestamp);
        }
        if request.durability == Durability::Sync {
            section.last_sync_end = end;
        }
        self.installed_ts.store(timestamp.get(), Ordering::SeqCst);
        Ok(Installed { timestamp, end, must_be_durable: section.last_sync_end })
    }

    /// The write set and the read set against everything that is sealed. Sealed generations do not change, so this
    /// needs no lock.
    fn validate_history(&self, view: &View, request: &CommitRequest<'_>) -> Result<()> {
        if request.exclusive {
            return Ok(());
        }
        if request.begin_ts < view.validation_floor {
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
        for (table, key) in reads.keys() {
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

    fn next_timestamp(&self, writer: &Writer, section: &mut Section) -> Result<Timestamp, Left> {
        if let Some(end) = section.clock.wanted_reservation() {
            self.reserve_clock(section, end)?;
        }
        loop {
            match section.clock.peek(writer.log.durable()) {
                Tick::At(timestamp) => return Ok(timestamp),
                Tick::AfterSync(lsn) => return Err(Left::ClockNeedsSync(lsn)),
                Tick::Exhausted => return Err(Error::Exhausted("timestamp").into()),
                Tick::Reserve => {
                    let end = section.clock.reserved_end().get().saturating_add(super::clock::RESERVATION);
                    self.reserve_clock(section, super::clock::timestamp(end))?;
                }
            }
        }
    }

    fn reserve_clock(&self, section: &mut Section, end: Timestamp) -> Result<(), Left> {
        let mut record = record::of_kind(kind::CLOCK_RESERVE, &record::encode_timestamp(end));
        let tag = section.clock.last();
        let lsn = append(section, &mut record, tag)?;
        section.clock.reserve(end, lsn);
        Ok(())
    }

    /// Appends a record of the engine's own and does `also` in the same section.
    pub(super) fn append_record(
        &self,
        writer: &Writer,
        record: &mut EncodedRecord,
        also: impl Fn(&mut Section),
    ) -> Result<Lsn> {
        loop {
            let mut section = writer.section.lock();
            let tag = section.clock.last();
            let bytes = match append(&mut section, record, tag) {
                Ok(end) => {
                    also(&mut section);
                    return Ok(end);
                }
                Err(Left::SegmentNeeded(bytes)) => bytes,
                Err(Left::Failed(error)) => return Err(error),
                Err(_) => unreachable!("an append fails or needs a segment"),
            };
            drop(section);
            self.prepare_log(writer, bytes)?;
        }
    }

    /// Makes a segment ready for a record of `bytes`.
    pub(super) fn prepare_log(&self, writer: &Writer, bytes: u64) -> Result<()> {
        writer.log.prepare(bytes).map_err(|error| Error::from_log(error, "preparing a log segment"))
    }

    pub(super) fn conflict(
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

/// Appends where no commit can run beside: at the open and at the close.
pub(super) fn append_outside_section(
    log: &Log,
    appender: &mut Appender,
    record: &mut EncodedRecord,
    tag: Timestamp,
) -> Result<Lsn> {
    loop {
        match appender.append(record, tag.get()) {
            Ok(end) => return Ok(end),
            Err(AppendError::SegmentNeeded { bytes }) => {
                log.prepare(bytes).map_err(|error| Error::from_log(error, "preparing a log segment"))?;
            }
            Err(error) => return Err(Error::from_append(error)),
        }
    }
}

/// Appends in the section.
fn append(section: &mut Section, record: &mut EncodedRecord, tag: Timestamp) -> Result<Lsn, Left> {
    let appender = section.appender.as_mut().ok_or(Error::Poisoned)?;
    appender.append(record, tag.get()).map_err(|error| match error {
        AppendError::SegmentNeeded { bytes } => Left::SegmentNeeded(bytes),
        // It may be this very append that failed half way.
        AppendError::Poisoned => Left::Failed(Error::CommitUnknown(Arc::new(io::Error::other(error)))),
        other => Left::Failed(Error::from_append(other)),
    })
}

fn encode(record: &mut EncodedRecord, writes: &WriteSet) {
    record.begin(kind::COMMIT);
    for row in writes.iter() {
        record::encode_change(record, Change { table: row.table, key: row.key, value: row.value.value() });
    }
    record.finish();
}
