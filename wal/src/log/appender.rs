//! The one place that adds records. It belongs to the owner's commit section, which the `&mut` stands for.
//!
//! # Invariants
//!
//! 1. `end` is the end of the last whole record, and what [`Log::appended`] shows; nothing past it was ever promised.
//! 2. Behind every record there is room for one of the log's own records in the segment, so that it can always be
//!    left for the next one, or closed.
//! 3. No valid record of this segment's salt lies at or after `end`. A plain write puts the payload first and the
//!    header last, so a payload that failed half way leaves no record; if a header may have arrived in part, the log
//!    is poisoned, as nobody can tell what a crash would bring back.

use std::io;
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::sync::atomic::Ordering;
use braid_vfs::{File, LogMapping};

use super::FreshSegment;
use super::{LiveSegment, Log};
use crate::record::{HEADER_BYTES, HEADER_SIZE, Placement, RecordKind, own_record};
use crate::segment::{BLOCK, BLOCK_BYTES, SegmentFile, SegmentHeader};
use crate::{AppendError, EncodedRecord, LogError, Lsn};

/// Adds records to a [`Log`].
#[derive(Debug)]
pub struct Appender {
    log: Arc<Log>,
    writer: Writer,
    sequence: u64,
    /// Position of the segment's first record.
    base: u64,
    /// Up to here records may reach; one of the log's own fits behind.
    limit: u64,
    salt: u64,
    end: u64,
    /// The highest durable position that a record says.
    stamped: u64,
    /// End of the last record of the caller's.
    caller_end: u64,
}

/// How bytes reach the current segment.
#[derive(Debug)]
enum Writer {
    Mapped(Box<dyn LogMapping>),
    Plain(Arc<dyn File>),
}

impl Writer {
    /// Bytes that a sync writes back for an append of one byte into a file that was filled by writes of `filled_by` bytes: a plain
    /// write marks no more dirty than the blocks that it touches.
    fn folio(&self, filled_by: usize) -> usize {
        match self {
            Self::Mapped(_) => filled_by,
            Self::Plain(_) => BLOCK,
        }
    }
}

/// How a plain write ended that did not succeed.
enum WriteFailure {
    /// Nothing of it is in the file.
    Nothing(io::Error),
    /// It may be there in part.
    Partial(io::Error),
}

impl Appender {
    /// Starts on `fresh`, all of which is durable.
    pub(crate) fn new(log: Arc<Log>, fresh: FreshSegment) -> Result<Self, LogError> {
        let FreshSegment { segment, base, salt, end } = fresh;
        let limit = limit_of(base, segment.bytes).ok_or(LogError::Exhausted)?;
        let (live, writer) = activate(segment, base);
        let sequence = live.sequence;
        log.fit.begin(writer.folio(live.filled_by));
        log.segments.lock().live.push_back(live);
        log.half_full.store(base.midpoint(limit), Ordering::Relaxed);
        let end = end.get();
        Ok(Self { log, writer, sequence, base, limit, salt, end, stamped: end, caller_end: end })
    }

    /// The log that this appends to.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Adds `record` with the caller's `tag`, and returns the position after it: what to give to
    /// [`Log::sync_through`]. Through a mapping this is a copy to memory and no system call. The record keeps its
    /// contents and can be appended again.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was added, except where it is in doubt.
    pub fn append(&mut self, record: &mut EncodedRecord, tag: u64) -> Result<Lsn, AppendError> {
        record.finish();
        record.check(self.log.options.max_record_bytes)?;
        let end = self.make_room(record.size())?;
        let durable = if planted!(DurableOverstated) { self.log.appended() } else { self.log.durable() };
        let place = Placement { lsn: Lsn::new(self.end), durable, salt: self.salt, tag, key: &self.log.key };
        let bytes = record.place(&place);
        store(&mut self.writer, offset_of(self.base, self.end), bytes)
            .map_err(|failure| taken_back(&self.log, failure))?;
        self.log.counters.records.add_alone(1);
        self.advance(end, durable.get());
        self.caller_end = end;
        Ok(Lsn::new(end))
    }

    /// Adds a record that says up to where the log is durable, so that damage before that can be told from a torn
    /// tail even if nothing else follows. Meant for a moment of quiet after a sync. `None` where the log says so
    /// already. The record itself reaches the disk with the next sync.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was added.
    pub fn append_watermark(&mut self) -> Result<Option<Lsn>, AppendError> {
        if self.stamped >= self.log.durable().get().min(self.caller_end) {
            return Ok(None);
        }
        let end = self.make_room(HEADER_SIZE)?;
        self.append_own(RecordKind::WATERMARK, 0, end)?;
        Ok(Some(Lsn::new(end)))
    }

    /// Adds the record that says that the log was closed; it takes the room kept for the log's own.
    pub(super) fn append_close(&mut self) -> Result<Lsn, AppendError> {
        self.refuse_if_poisoned()?;
        let end = self.end.checked_add(HEADER_SIZE).ok_or(AppendError::Exhausted)?;
        self.append_own(RecordKind::CLOSE, 0, end)?;
        Ok(Lsn::new(end))
    }

    #[inline]
    fn refuse_if_poisoned(&self) -> Result<(), AppendError> {
        self.log.check().map_err(|error| AppendError::Poisoned(error.into_cause()))
    }

    /// Sees to it that `size` bytes fit at the end, and returns where they would end.
    fn make_room(&mut self, size: u64) -> Result<u64, AppendError> {
        if !planted!(PoisonedLogAppends) {
            self.refuse_if_poisoned()?;
        }
        let end = self.end.checked_add(size).ok_or(AppendError::Exhausted)?;
        let fits = end <= self.limit;
        if fits && !self.log.fit.is_to_be_left() {
            return Ok(end);
        }
        match self.rotate(size) {
            Ok(()) => self.end.checked_add(size).ok_or(AppendError::Exhausted),
            Err(AppendError::SegmentNeeded { .. }) if fits => {
                // The better one is too short for this record, or was given back to a full disk.
                self.log.fit.put_up_with();
                Ok(end)
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on in the next segment: says so at the end of this one, then gives that one its header.
    fn rotate(&mut self, size: u64) -> Result<(), AppendError> {
        let base = self.end.checked_add(HEADER_SIZE).ok_or(AppendError::Exhausted)?;
        let (next, limit) = self.take_spare(base, size)?;
        let (sequence, salt) = (next.sequence, self.log.random());
        if let Err(error) = self.append_own(RecordKind::ROTATE, sequence, base) {
            let mut segments = self.log.segments.lock();
            segments.spares.push_front(next);
            self.log.has_spare.store(true, Ordering::Relaxed);
            return Err(error);
        }
        let header = SegmentHeader {
            uuid: self.log.uuid,
            sequence,
            base,
            salt,
            durable: self.log.durable().get(),
            previous: self.sequence,
            recycled: next.recycled,
            bytes: next.bytes,
        };
        let (live, mut writer) = activate(next, base);
        let stored = store_block(&mut writer, &header.encode());
        let old = std::mem::replace(&mut self.writer, writer);
        let mut segments = self.log.segments.lock();
        if let Some(left) = segments.live.back_mut() {
            left.end = base;
            self.log.slack.fetch_add(left.slack(), Ordering::Relaxed);
            if let Writer::Mapped(mapping) = old {
                // Kept for the segment's next use; unmapping here would be a system call.
                left.mapping = Some(mapping);
            }
        }
        self.log.fit.begin(self.writer.folio(live.filled_by));
        segments.live.push_back(live);
        drop(segments);
        let salt = if planted!(WrongSalt) { self.salt } else { salt };
        (self.sequence, self.base, self.limit, self.salt) = (sequence, base, limit, salt);
        self.log.half_full.store(base.midpoint(limit), Ordering::Relaxed);
        self.log.counters.rotations.add_alone(1);
        // The record before it names this segment, so there is no way back from a header that is not whole.
        stored.map_err(|error| {
            let error = Arc::new(error);
            self.log.poison_after(&error);
            AppendError::Poisoned(error)
        })
    }

    /// Takes the first spare, if it has room for a record of `size` bytes at `base`; also returns its limit.
    fn take_spare(&self, base: u64, size: u64) -> Result<(SegmentFile, u64), AppendError> {
        let mut segments = self.log.segments.lock();
        let Some(first) = segments.spares.front() else {
            return Err(AppendError::SegmentNeeded { bytes: size });
        };
        let limit = limit_of(base, first.bytes).ok_or(AppendError::Exhausted)?;
        let end = base.checked_add(size).ok_or(AppendError::Exhausted)?;
        match segments.spares.pop_front() {
            Some(first) if end <= limit => {
                self.log.has_spare.store(!segments.spares.is_empty(), Ordering::Relaxed);
                Ok((first, limit))
            }
            short => {
                segments.spares.extend(short);
                segments.spares.rotate_right(1);
                Err(AppendError::SegmentNeeded { bytes: size })
            }
        }
    }

    /// Adds one of the log's own records, which ends at `end`.
    fn append_own(&mut self, kind: RecordKind, tag: u64, end: u64) -> Result<(), AppendError> {
        let durable = self.log.durable().get();
        let header = own_record(kind, self.end, durable, self.salt, tag).encode(&self.log.key);
        store(&mut self.writer, offset_of(self.base, self.end), &header).map_err(|failure| {
            match taken_back(&self.log, failure) {
                // It is not the caller's record that may be there.
                AppendError::InDoubt(cause) => AppendError::Poisoned(cause),
                other => other,
            }
        })?;
        self.advance(end, durable);
        Ok(())
    }

    /// Publishes a record that is whole in the log.
    fn advance(&mut self, end: u64, durable: u64) {
        self.log.counters.bytes.add_alone(end - self.end);
        self.end = end;
        self.stamped = durable;
        self.log.appended.store(end, Ordering::Release);
    }
}

/// A record's offset in its segment.
fn offset_of(base: u64, lsn: u64) -> u64 {
    lsn - base + BLOCK_BYTES
}

/// Up to which position the caller's records may reach in a segment of `bytes` bytes.
fn limit_of(base: u64, bytes: u64) -> Option<u64> {
    base.checked_add(bytes)?.checked_sub(BLOCK_BYTES + HEADER_SIZE)
}

/// Splits a segment into what the log keeps of it and what appends go through.
fn activate(segment: SegmentFile, base: u64) -> (LiveSegment, Writer) {
    let SegmentFile { sequence, bytes, file, mapping, filled_by, .. } = segment;
    let writer = mapping.map_or_else(|| Writer::Plain(Arc::clone(&file)), Writer::Mapped);
    (LiveSegment { sequence, base, end: u64::MAX, bytes, file: Some(file), mapping: None, filled_by }, writer)
}

/// Puts a record at `offset`, where [`limit_of`] has made sure that it fits.
fn store(writer: &mut Writer, offset: u64, record: &[u8]) -> Result<(), WriteFailure> {
    match writer {
        Writer::Mapped(mapping) => {
            store_mapped(&mut **mapping, offset, record).map_err(WriteFailure::Nothing)
        }
        Writer::Plain(file) => {
            let (header, payload) = record.split_at(HEADER_BYTES.min(record.len()));
            if !payload.is_empty() {
                // Without its header it is no record, however much of it arrives.
                file.write_all_at(payload, offset + HEADER_SIZE).map_err(WriteFailure::Nothing)?;
            }
            write_header(&**file, header, offset)
        }
    }
}

/// Puts the header into a segment's first block.
fn store_block(writer: &mut Writer, header: &[u8]) -> io::Result<()> {
    match writer {
        Writer::Mapped(mapping) => store_mapped(&mut **mapping, 0, header),
        Writer::Plain(file) => file.write_all_at(header, 0),
    }
}

fn store_mapped(mapping: &mut dyn LogMapping, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    mapping.write(offset, bytes);
    Ok(())
}

/// Writes a record header, and tells a clean failure (no space, and not a byte written) from any other.
fn write_header(file: &dyn File, header: &[u8], offset: u64) -> Result<(), WriteFailure> {
    loop {
        match file.write_at(header, offset) {
            Ok(written) if written == header.len() => return Ok(()),
            Ok(0) => return Err(WriteFailure::Nothing(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                let rest = header.get(written..).unwrap_or_default();
                return file.write_all_at(rest, offset + written as u64).map_err(WriteFailure::Partial);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    return Err(WriteFailure::Nothing(error));
                }
                _ => return Err(WriteFailure::Partial(error)),
            },
        }
    }
}

/// What the caller is told about a record that was not written; poisons the log where it may be there in part.
fn taken_back(log: &Log, failure: WriteFailure) -> AppendError {
    match failure {
        WriteFailure::Nothing(error) => AppendError::Io(error),
        WriteFailure::Partial(error) if planted!(HalfHeaderForgiven) => AppendError::Io(error),
        WriteFailure::Partial(error) => {
            let error = Arc::new(error);
            log.poison_after(&error);
            AppendError::InDoubt(error)
        }
    }
}
