//! Into the log, from inside the commit section and from outside.

use braid_mvstore::Timestamp;
use braid_vfs::planted;
use braid_wal::{AppendError, Appender, EncodedRecord, Log, Lsn};

use super::clock::{RESERVATION, Tick, timestamp};
use super::shared::{Core, Section, Writer};
use crate::error::{Error, Result};
use crate::record::{self, kind};

/// Why the section was left without a commit.
pub(super) enum Left {
    /// Nothing to be done: the transaction is lost.
    Failed(Error),
    /// The view changed: look through the history again.
    Stale,
    /// An exclusive transaction holds the gate.
    HeldBack,
    /// The log needs a segment of at least so many bytes.
    SegmentNeeded(u64),
    /// Too much was installed since the reads were looked through: look again.
    ReadsBehind,
    /// The updates make more of their rows than there is room reserved for: so many bytes.
    RoomNeeded(usize),
    /// The clock needs the log durable through here.
    ClockNeedsSync(Lsn),
}

impl From<Error> for Left {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Core {
    /// The next timestamp, with a reservation made ahead where one is due.
    #[inline(always)]
    pub(super) fn next_timestamp(&self, writer: &Writer, section: &mut Section) -> Result<Timestamp, Left> {
        if let Some(end) = section.clock.wanted_reservation() {
            self.reserve_clock(section, end)?;
        }
        loop {
            match section.clock.peek(writer.log.durable()) {
                Tick::At(timestamp) => return Ok(timestamp),
                Tick::AfterSync(lsn) => return Err(Left::ClockNeedsSync(lsn)),
                Tick::Exhausted => return Err(Error::Exhausted("timestamp").into()),
                Tick::Reserve => {
                    let end = section.clock.reserved_end().get().saturating_add(RESERVATION);
                    self.reserve_clock(section, timestamp(end))?;
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

    /// Appends a record of the engine's own and does `also` in the same section. Fails, or needs a segment.
    pub(super) fn try_to_append(
        &self,
        writer: &Writer,
        record: &mut EncodedRecord,
        also: impl FnOnce(&mut Section),
    ) -> Result<Lsn, Left> {
        let mut section = writer.section.lock();
        let tag = section.clock.last();
        let end = append(&mut section, record, tag)?;
        also(&mut section);
        Ok(end)
    }

    /// Makes a segment ready for a record of `bytes`.
    pub(super) fn prepare_log(&self, writer: &Writer, bytes: u64) -> Result<()> {
        writer.log.prepare(bytes).map_err(|error| Error::from_log(error, "preparing a log segment"))
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

/// Appends a commit in the section. Where that fails half way the commit may be there after the next open.
pub(super) fn append_commit(
    section: &mut Section,
    record: &mut EncodedRecord,
    commit_ts: Timestamp,
) -> Result<Lsn, Left> {
    try_append(section, record, commit_ts)?.map_err(|error| match error {
        AppendError::InDoubt(source) => Left::Failed(Error::CommitUnknown { commit_ts, source }),
        other => left_by(other),
    })
}

/// Appends a record of the engine's own in the section.
fn append(section: &mut Section, record: &mut EncodedRecord, tag: Timestamp) -> Result<Lsn, Left> {
    try_append(section, record, tag)?.map_err(left_by)
}

fn try_append(
    section: &mut Section,
    record: &mut EncodedRecord,
    tag: Timestamp,
) -> Result<Result<Lsn, AppendError>, Left> {
    let Some(appender) = section.appender.as_mut() else { return Err(Error::Closed.into()) };
    let appended = appender.append(record, tag.get());
    if planted!(FullDiskIgnored) && matches!(appended, Err(AppendError::Io(_))) {
        return Ok(Ok(appender.log().appended()));
    }
    Ok(appended)
}

fn left_by(error: AppendError) -> Left {
    match error {
        AppendError::SegmentNeeded { bytes } => Left::SegmentNeeded(bytes),
        other => Left::Failed(Error::from_append(other)),
    }
}
