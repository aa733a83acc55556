//! The one write path.
//!
//! ```text
//! outside the section                      inside it
//! encode the record
//! find or create the updated chains, and fetch
//! what is older (updates.rs)
//! look through the sealed history
//! find or create the written chains
//! look through what was read (reads.rs)
//! make the updates of what is newest (updates.rs)
//!                                          poisoned? gate held? still this view?
//!                                          validate against the active generation
//!                                          make updates anew that were overtaken
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
//! 4. After a failed sync nobody is told that something stands which is not durable: neither who committed it nor who read
//!    it, so `acked_ts` does not come to it either.
//! 5. No lock is held while waiting.

use std::cell::Cell;
use std::time::Duration;

use braid_mvstore::{Timestamp, WriteSet, pin};
use braid_vfs::events::{keep, withheld};
use braid_vfs::planted;
use braid_vfs::sync::atomic::Ordering;
use braid_vfs::sync::thread_local;
use braid_wal::{EncodedRecord, Lsn, SyncError};

use super::append::{Left, append_commit};
use super::budget::Reservation;
use super::gate::Pass;
use super::reads::ReadsLook;
use super::schema::SchemaChanges;
use super::shared::{Core, Writer};
use super::updates::{self, Made};
use super::view::View;
use crate::error::{Error, Result};
use crate::options::{Durability, JournalMode};
use crate::record::{self, Change, kind};
use crate::tokens::Token;
use crate::transaction::{Looks, ReadSet};

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
    /// The view of the snapshot, where nobody can take that away: mostly the current one still.
    pub(crate) view: Option<&'a View>,
    /// The transaction holds the gate, or may pass it: then nothing is to be validated either.
    pub(crate) exclusive: bool,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) writes: &'a mut WriteSet,
    /// What a `Serializable` transaction read.
    pub(crate) reads: Option<&'a ReadSet>,
    /// What one at `Snapshot` looked at.
    pub(crate) looks: Option<&'a Looks>,
    /// What the transaction is to be known by.
    pub(crate) token: Option<&'a Token>,
    /// What the rows of the catalog among `writes` say.
    pub(crate) schema: Option<Box<SchemaChanges>>,
    /// Bytes of the row store that are reserved for it.
    pub(crate) reserved: usize,
    pub(crate) made: Made,
}

impl CommitRequest<'_> {
    /// Whether it has only updates, and so nothing to be validated.
    pub(super) fn is_blind(&self) -> bool {
        self.writes.written() == 0 && self.reads.is_none_or(|reads| reads.bytes() == 0)
    }
}

/// A commit that is installed and not yet known to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installed {
    timestamp: Timestamp,
    stands_with: StandsWith,
}

/// What has to stand so that somebody may be told that all up to here does.
#[derive(Clone, Copy, Debug)]
pub(super) struct StandsWith {
    /// Where the last record ends.
    end: Lsn,
    /// Where the last one of a `Sync` commit ends.
    must_be_durable: Lsn,
}

impl Writer {
    /// For all that is installed by now, and so for all that a snapshot of before sees.
    pub(super) fn stands_with(&self) -> StandsWith {
        let section = self.section.lock();
        StandsWith { end: self.log.appended(), must_be_durable: section.last_sync_end }
    }

    /// Fails if what is installed may be gone without a power cut: after a failed sync nobody is told any more that it
    /// stands. A `Deferred` commit has waited for nothing of its own, and neither has one who read it.
    fn check_stands(&self, with: StandsWith) -> Result<(), SyncError> {
        match self.log.check() {
            Err(error) if self.log.durable() < with.end => Err(error),
            _ => Ok(()),
        }
    }
}

impl StandsWith {
    /// Through where the log must be durable.
    pub(super) const fn must_be_durable(self) -> Lsn {
        self.must_be_durable
    }
}

impl Installed {
    pub(crate) const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    pub(super) const fn stands_with(&self) -> StandsWith {
        self.stands_with
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
        request.reserved = request.writes.bytes();
        let reservation = self.admit(writer, request.reserved, request.view)?;
        with_record(request, |request, record| self.install_record(writer, request, record, reservation))
    }

    /// Waits until an installed commit has what it asked for, and everything it follows too.
    pub(crate) fn acknowledge(&self, installed: Installed) -> Result<Commit> {
        let writer = self.writer()?;
        writer.background.request_log_care(&writer.log);
        let waited = self.wait_durable(writer, installed.stands_with.must_be_durable);
        self.acknowledge_waited(writer, installed, waited)
    }

    /// The end of a commit, with what came of the wait for its durability.
    pub(super) fn acknowledge_waited(
        &self,
        writer: &Writer,
        installed: Installed,
        waited: Result<(), SyncError>,
    ) -> Result<Commit> {
        waited.map_err(|error| unknown(installed.timestamp, error))?;
        writer.check_stands(installed.stands_with).map_err(|error| unknown(installed.timestamp, error))?;
        self.raise_acked(installed.timestamp);
        Ok(Commit { timestamp: installed.timestamp })
    }

    /// A commit without writes stands once everything that its snapshot could see stands.
    pub(crate) fn acknowledge_reads(&self, begin_ts: Timestamp) -> Result<Commit> {
        if self.acked_ts() < begin_ts && !planted!(ReadsNotAwaited) {
            let writer = self.writer()?;
            let with = writer.stands_with();
            writer.log.sync_through(with.must_be_durable).map_err(Error::from_sync)?;
            self.acknowledge_reads_waited(writer, with, begin_ts)?;
        }
        Ok(Commit { timestamp: begin_ts })
    }

    /// The end of that, once what must be durable is.
    pub(super) fn acknowledge_reads_waited(
        &self,
        writer: &Writer,
        with: StandsWith,
        begin_ts: Timestamp,
    ) -> Result<()> {
        if !planted!(DoubtAcknowledged) {
            writer.check_stands(with).map_err(Error::from_sync)?;
        }
        self.raise_acked(begin_ts);
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let writer = self.writer()?;
        writer.log.sync_through(writer.log.appended()).map_err(Error::from_sync)
    }

    /// For a thread that commits.
    fn wait_durable(&self, writer: &Writer, lsn: Lsn) -> Result<(), SyncError> {
        if planted!(AcknowledgedBeforeSync) {
            return Ok(());
        }
        if writer.log.durable() >= lsn { Ok(()) } else { writer.log.commit_through(lsn) }
    }

    /// See invariant 3.
    pub(super) fn raise_acked(&self, ts: Timestamp) {
        if self.acked_ts.load(Ordering::Relaxed) < ts.get() {
            self.acked_ts.fetch_max(ts.get(), Ordering::AcqRel);
        }
    }

    #[inline]
    fn install_record(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
        reservation: Reservation<'_>,
    ) -> Result<Installed> {
        let mut reservation = Some(reservation);
        let mut pass: Option<Pass<'_>> = None;
        let mut reads = ReadsLook::new(writer, request.begin_ts);
        loop {
            let left = match self.try_to_install(writer, request, record, &mut reads) {
                Ok(installed) => {
                    self.counters.made(request.made);
                    return Ok(installed);
                }
                Err(left) => left,
            };
            match left {
                Left::Failed(error) => {
                    tell_of_conflict(&error);
                    return Err(error.with_turn_left(request.busy_timeout));
                }
                Left::Stale | Left::ReadsBehind => {}
                Left::HeldBack => {
                    // The holder of the gate may be waiting for this room.
                    drop(reservation.take());
                    // One at a time: the old pass must be back before the next holder can leave.
                    drop(pass.take());
                    pass = Some(self.wait_for_pass(writer, request)?);
                    reservation = Some(self.admit(writer, request.reserved, request.view)?);
                }
                Left::RoomNeeded(bytes) => {
                    drop(reservation.take());
                    request.reserved = self.room_for(bytes);
                    reservation = Some(self.admit(writer, request.reserved, request.view)?);
                }
                Left::SegmentNeeded(bytes) => self.prepare_log(writer, bytes)?,
                Left::ClockNeedsSync(lsn) => {
                    // A leader tells what is kept, and this one has the gate, or a pass.
                    withheld(|| self.wait_durable(writer, lsn)).map_err(Error::from_sync)?;
                }
            }
        }
    }

    /// Waits until the holder of the gate leaves; what is left of `busy_timeout` is for the next time.
    #[cold]
    fn wait_for_pass<'a>(&self, writer: &'a Writer, request: &mut CommitRequest<'_>) -> Result<Pass<'a>> {
        let since = self.env.clock.now();
        let pass = writer.gate.wait(request.busy_timeout);
        let waited = self.env.clock.now().saturating_sub(since);
        self.counters.held_back.add(waited);
        request.busy_timeout = request.busy_timeout.saturating_sub(waited);
        pass.ok_or_else(|| Self::locked_out(writer, request.begin_ts))
    }

    /// One try; a part of both callers, of which threads' is hot and futures' may be.
    #[inline(always)]
    pub(super) fn try_to_install(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
        reads: &mut ReadsLook<'_>,
    ) -> Result<Installed, Left> {
        if request.writes.updates() == 0 {
            self.try_install::<false>(writer, request, record, reads)
        } else {
            self.try_install_updates(writer, request, record, reads)
        }
    }

    #[inline(never)]
    fn try_install_updates(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
        reads: &mut ReadsLook<'_>,
    ) -> Result<Installed, Left> {
        self.try_install::<true>(writer, request, record, reads)
    }

    #[inline(always)]
    fn try_install<const UPDATES: bool>(
        &self,
        writer: &Writer,
        request: &mut CommitRequest<'_>,
        record: &mut EncodedRecord,
        reads: &mut ReadsLook<'_>,
    ) -> Result<Installed, Left> {
        let horizon = self.reads_horizon(request, reads);
        let loaded;
        let view = match request.view {
            Some(view) if self.is_current(view) => view,
            _ => {
                loaded = self.view.load();
                &loaded
            }
        };
        let mut updates = if UPDATES { Some(self.fetch_updates(view, request)?) } else { None };
        let guard = pin();
        self.validate_history(view, request, &guard)?;
        let prepared = view.active.prepare(request.writes, &guard);
        if let Some(horizon) = horizon {
            self.validate_reads_outside(view, &prepared, request, reads, horizon)?;
        }
        if let Some(updates) = &mut updates {
            updates.guess(self, request, record, &guard)?;
        }

        let mut section = writer.section.lock();
        let section = &mut *section;
        if !request.exclusive && writer.gate.is_held() && !planted!(GateNotLookedAt) {
            return Err(Left::HeldBack);
        }
        if request.view.is_none() && !request.exclusive && self.mode.get() == Some(JournalMode::Wal) {
            // It was revoked on its way here: no change of the mode looks for such a one.
            return Err(Left::Failed(Error::JournalMode));
        }
        if section.view.id != view.id {
            return Err(Left::Stale);
        }
        if planted!(SchemaAppliedEarly) {
            self.apply_schema(request, section.clock.last());
        }
        self.validate_active(&prepared, request)?;
        if request.reads.is_some() {
            self.validate_reads_inside(section, view, request, reads)?;
        }
        if let Some(updates) = &mut updates {
            updates.catch_up(self, request, record, &guard)?;
        }
        let timestamp = self.next_timestamp(writer, section)?;
        if let Some(token) = request.token {
            token.complete(self, request.writes, timestamp);
            encode(record, request.writes);
            if let Some(updates) = &updates {
                updates.encode(request.writes, record);
            }
        }
        let end = append_commit(section, record, timestamp)?;
        section.clock.advance(timestamp);
        if planted!(PublishedBeforeInstall) {
            self.installed_ts.store(timestamp.get(), Ordering::SeqCst);
            braid_vfs::sync::thread::yield_now();
        }
        if writer.validating.load(Ordering::SeqCst) > 0 {
            section.recent.note(self.installed_ts(), timestamp, request.writes);
        } else if section.recent.is_on() {
            section.recent.stop();
        }
        let watermark = || self.trim_watermark(view.active.start_ts());
        if let Some(updates) = &mut updates {
            updates.install(section, request, timestamp, &guard, watermark);
        }
        if !UPDATES || request.writes.written() > 0 {
            prepared.install(&mut section.rights, request.writes, timestamp, watermark);
        }
        self.apply_schema(request, timestamp);
        if request.durability == Durability::Sync {
            section.last_sync_end = end;
        }
        self.installed_ts.store(timestamp.get(), Ordering::SeqCst);
        if planted!(AckedAtInstall) {
            self.raise_acked(timestamp);
        }
        Ok(Installed { timestamp, stands_with: StandsWith { end, must_be_durable: section.last_sync_end } })
    }
}

/// Encodes the record of a commit and passes it on. It is taken out of its place, not borrowed: what is called with it, a
/// subscriber of traces say, may commit something itself.
#[inline]
pub(super) fn with_record<'a, R>(
    request: &mut CommitRequest<'a>,
    install: impl FnOnce(&mut CommitRequest<'a>, &mut EncodedRecord) -> R,
) -> R {
    // A thread that ends has none left.
    let mut record = RECORD.try_with(Cell::take).ok().flatten().unwrap_or_default();
    encode(&mut record, request.writes);
    let installed = install(request, &mut record);
    if record.size() <= KEPT_RECORD_BYTES {
        let _ = RECORD.try_with(|kept| kept.set(Some(record)));
    }
    installed
}

fn encode(record: &mut EncodedRecord, writes: &WriteSet) {
    record.begin(kind::COMMIT);
    if writes.updates() > 0 {
        return updates::encode_before(record, writes);
    }
    for row in writes.iter() {
        record::encode_change(record, Change::of(&row));
    }
    record.finish();
}

/// Tells of a lost commit once it holds nothing any more: a subscriber may commit something itself, and wait for the room or the
/// gate that this one has.
pub(super) fn tell_of_conflict(error: &Error) {
    if let Some(conflict) = error.conflict()
        && tracing::enabled!(tracing::Level::DEBUG)
    {
        let conflict = conflict.clone();
        keep(move || tracing::debug!(%conflict, "conflict"));
    }
}

/// A commit that is installed, and whose sync failed.
fn unknown(commit_ts: Timestamp, error: SyncError) -> Error {
    Error::CommitUnknown { commit_ts, source: error.into_cause() }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests;
