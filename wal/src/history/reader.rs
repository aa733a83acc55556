//! From record to record.

use braid_vfs::planted;

use super::payload::Payload;
use super::source::{LogHistory, Place};
use crate::record::{HEADER_BYTES, HEADER_SIZE, RecordHeader, RecordKind, payload_checksum};
use crate::{Lsn, ReadError};

/// A record of the caller's, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// Where it starts.
    pub lsn: Lsn,
    /// The position after it.
    pub end: Lsn,
    /// The caller's kind.
    pub kind: RecordKind,
    /// The caller's tag.
    pub tag: u64,
    /// Bytes of the payload.
    pub payload_bytes: u32,
}

/// Goes over the durable records of a log, in order.
#[derive(Debug)]
pub struct LogReader {
    history: LogHistory,
    /// The record to come.
    lsn: u64,
    place: Option<Place>,
    /// The record that was read last.
    last: Option<RecordHeader>,
    /// For a planted bug: the last one led on to the next segment.
    rotated: bool,
}

impl LogReader {
    pub(super) fn new(history: LogHistory, lsn: Lsn) -> Self {
        Self { history, lsn: lsn.get(), place: None, last: None, rotated: false }
    }

    /// Where the next record starts.
    #[must_use]
    pub fn position(&self) -> Lsn {
        Lsn::new(self.lsn)
    }

    /// Where the segment of the last record starts.
    #[must_use]
    pub fn segment(&self) -> Option<Lsn> {
        self.place.as_ref().map(|place| Lsn::new(place.base))
    }

    /// The next record of the caller's, if one is durable. Its payload is not read.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it is.
    pub fn advance(&mut self) -> Result<Option<LogRecord>, ReadError> {
        let durable =
            if planted!(FeedReadsUnsynced) { self.history.appended() } else { self.history.durable() };
        while self.lsn < durable.get() {
            let header = self.header(durable.get())?;
            let end = header.end().unwrap_or(u64::MAX);
            self.lsn = end;
            self.last = Some(header);
            if header.kind == RecordKind::ROTATE {
                self.place = None;
                self.rotated = true;
                continue;
            }
            let passed_over = std::mem::take(&mut self.rotated) && planted!(FeedSkipsAtRotation);
            if passed_over {
                continue;
            }
            if header.kind.is_user() {
                return Ok(Some(LogRecord {
                    lsn: Lsn::new(header.lsn),
                    end: Lsn::new(end),
                    kind: header.kind,
                    tag: header.tag,
                    payload_bytes: header.payload_len,
                }));
            }
        }
        Ok(None)
    }

    /// The payload of the record that [`advance`](Self::advance) gave last, found whole.
    ///
    /// # Errors
    /// [`ReadError`]; the same may be asked again.
    pub fn payload(&mut self) -> Result<Payload, ReadError> {
        let (Some(header), Some(place)) = (self.last, &mut self.place) else {
            return Ok(Payload::empty());
        };
        let offset = place.offset_of(header.lsn).and_then(|offset| offset.checked_add(HEADER_SIZE));
        let Some(offset) = offset else { return Err(self.damaged(header.lsn)) };
        let sequence = place.sequence;
        match Payload::read(&self.history, sequence, &mut place.window, offset, &header)? {
            Some(payload) => Ok(payload),
            None => Err(self.damaged(header.lsn)),
        }
    }

    /// The header of the record to come.
    fn header(&mut self, durable: u64) -> Result<RecordHeader, ReadError> {
        let lsn = self.lsn;
        let place = match self.place.take() {
            Some(place) if lsn < place.end => self.place.insert(place),
            _ => self.place.insert(self.history.enter(lsn)?),
        };
        let span = place.offset_of(lsn).zip(place.offset_of(durable.min(place.end)));
        let span = span.filter(|(offset, limit)| limit.saturating_sub(*offset) >= HEADER_SIZE);
        let bytes = match span {
            Some((offset, limit)) => place.window.get(offset, HEADER_BYTES, limit)?.first_chunk(),
            None => None,
        };
        let header = bytes.and_then(|bytes| RecordHeader::decode(bytes, self.history.key()));
        let most = self.history.max_record_bytes();
        let header = header.filter(|header| {
            header.lsn == lsn
                && header.salt == place.salt
                && header.end().is_some_and(|end| end <= durable.min(place.end))
                && u64::from(header.payload_len) <= most
        });
        header.ok_or_else(|| self.damaged(lsn))
    }

    /// There is no whole record at `lsn`: because its segment is gone, or because it is damaged.
    fn damaged(&mut self, lsn: u64) -> ReadError {
        let Some(place) = self.place.take() else { return self.history.gone(lsn) };
        if !self.history.holds(place.sequence) {
            return self.history.gone(lsn);
        }
        let offset = place.offset_of(lsn).unwrap_or_default();
        ReadError::Corrupt { segment: place.sequence, offset, lsn: Lsn::new(lsn) }
    }
}

/// What a payload with its padding must have for a checksum.
pub(super) fn is_whole(header: &RecordHeader, padded: &[u8]) -> bool {
    payload_checksum(padded) == header.payload_crc || planted!(PayloadUnchecked)
}
