//! What can still be had from a log that recovery refuses.

use std::path::Path;

use braid_vfs::FileSystem;

use super::Recovery;
use super::catalog::{Catalog, Entry};
use super::reader::{Found, Identity, SegmentReader, lsn_of};
use super::scan::RecoveredRecord;
use crate::record::{ALIGNMENT, HeaderKey, RecordKind};
use crate::segment::{BLOCK_BYTES, SegmentHeader};
use crate::{LogOptions, Lsn, RecoveryError, ScanError};

/// A damaged segment is read so many times its length at most.
const READINGS: u64 = 16;

/// A piece of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Salvage<'a> {
    /// A whole record.
    Record(RecoveredRecord<'a>),
    /// Bytes in which no whole record starts, with records after them.
    Skipped {
        /// The segment's sequence number.
        segment: u64,
        /// Where in the file.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A segment of which nothing can be had.
    SkippedSegment {
        /// The segment's sequence number.
        segment: u64,
    },
}

/// How a salvage went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Records delivered.
    pub records: u64,
    /// Pieces skipped.
    pub skips: u64,
    /// The end, exclusive, of the last record.
    pub end: Lsn,
}

impl Recovery {
    /// Gives every whole record at or after `start` to `deliver`, in order, with what had to be skipped between
    /// them. For rescue only: what comes after a gap may depend on what is missing. Writes nothing.
    ///
    /// # Errors
    /// [`ScanError::Recovery`] where files cannot be read; [`ScanError::Stopped`] with what `deliver` said.
    pub fn salvage<E>(
        files: &dyn FileSystem,
        dir: &Path,
        uuid: [u8; 16],
        start: Lsn,
        options: &LogOptions,
        mut deliver: impl FnMut(Salvage<'_>) -> Result<(), E>,
    ) -> Result<Salvaged, ScanError<E>> {
        let limit = options.normalized().max_record_bytes;
        let key = HeaderKey::new(&uuid);
        let mut catalog = Catalog::load_lenient(files, dir, &uuid)?;
        let mut salvaged = Salvaged::default();
        for entry in catalog.entries.iter_mut().filter(|entry| entry.header.is_none()) {
            let mut reader = SegmentReader::open(files, &entry.path, &key, limit)?;
            entry.header = infer(&mut reader, entry.sequence, uuid, start)?;
            if entry.damaged && entry.header.is_none() {
                salvaged.skips += 1;
                deliver(Salvage::SkippedSegment { segment: entry.sequence }).map_err(ScanError::Stopped)?;
            }
        }
        for link in catalog.chain().iter().filter(|link| link.limit > start.get()) {
            let Some(entry) = catalog.entries.get(link.entry) else { continue };
            let mut reader = SegmentReader::open(files, &entry.path, &key, limit)?;
            let mut piece = Piece { entry, start, salvaged: &mut salvaged, deliver: &mut deliver };
            piece.walk(&mut reader, link.identity, link.limit)?;
        }
        Ok(salvaged)
    }
}

struct Piece<'a, F> {
    entry: &'a Entry,
    start: Lsn,
    salvaged: &'a mut Salvaged,
    deliver: &'a mut F,
}

impl<E, F: FnMut(Salvage<'_>) -> Result<(), E>> Piece<'_, F> {
    fn walk(
        &mut self,
        reader: &mut SegmentReader<'_>,
        identity: Identity,
        limit: u64,
    ) -> Result<(), ScanError<E>> {
        let mut offset = BLOCK_BYTES;
        let mut gap = None;
        let mut patience = Patience::with(self.entry.bytes);
        while !reader.is_past_end(offset) {
            let Some(lsn) = lsn_of(identity.base, offset).filter(|lsn| *lsn < limit) else { break };
            let (header, padded) = match reader.record(identity, lsn)? {
                Found::Record(header, padded) => (header, padded),
                // Its payload was read for nothing. A record may begin within it, but in a file that somebody made up
                // one may claim to begin at every step: then they are passed over whole.
                Found::BadPayload(header) => {
                    gap.get_or_insert(offset);
                    offset = offset.saturating_add(patience.step_over(header.size()));
                    continue;
                }
                Found::Nothing => {
                    gap.get_or_insert(offset);
                    offset += ALIGNMENT;
                    continue;
                }
            };
            if let Some(from) = gap.take() {
                self.skip(from, offset)?;
            }
            if let Some(record) = RecoveredRecord::new(&header, padded).filter(|_| lsn >= self.start.get()) {
                (self.deliver)(Salvage::Record(record)).map_err(ScanError::Stopped)?;
                self.salvaged.records += 1;
                self.salvaged.end = record.end;
            }
            if header.kind == RecordKind::ROTATE || header.kind == RecordKind::CLOSE {
                return Ok(());
            }
            offset = offset.saturating_add(header.size());
        }
        match gap {
            // The log goes on elsewhere, so these bytes were part of it.
            Some(from) if limit != u64::MAX => self.skip(from, offset),
            _ => Ok(()),
        }
    }

    fn skip(&mut self, from: u64, to: u64) -> Result<(), ScanError<E>> {
        self.salvaged.skips += 1;
        let skipped = Salvage::Skipped { segment: self.entry.sequence, offset: from, bytes: to - from };
        (self.deliver)(skipped).map_err(ScanError::Stopped)
    }
}

/// How many more bytes may be looked at for nothing.
struct Patience {
    left: u64,
}

impl Patience {
    fn with(segment_bytes: u64) -> Self {
        Self { left: segment_bytes.saturating_mul(READINGS) }
    }

    /// How far to go on from a record of `size` bytes that was looked at for nothing.
    fn step_over(&mut self, size: u64) -> u64 {
        self.left = self.left.saturating_sub(size);
        if self.left == 0 { size } else { ALIGNMENT }
    }
}

/// What the lost header of a segment must have said, going by the first record at or after `start`.
fn infer(
    reader: &mut SegmentReader<'_>,
    sequence: u64,
    uuid: [u8; 16],
    start: Lsn,
) -> Result<Option<SegmentHeader>, RecoveryError> {
    let mut offset = BLOCK_BYTES;
    let wanted = |_, lsn: u64, _| lsn >= start.get() && lsn.is_multiple_of(ALIGNMENT);
    while let Some(at) = reader.next_wanted(offset, wanted)? {
        if let Some(record) = reader.header(at, |_, _| true)? {
            let base = record.lsn.checked_sub(at).and_then(|base| base.checked_add(BLOCK_BYTES));
            return Ok(base.filter(|base| *base != 0).map(|base| SegmentHeader {
                uuid,
                sequence,
                base,
                salt: record.salt,
                durable: 0,
                previous: 0,
                recycled: true,
                bytes: 0,
            }));
        }
        offset = at + ALIGNMENT;
    }
    Ok(None)
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_looked_at_a_few_times_and_then_once() {
        let mut patience = Patience::with(1000);
        let mut looked_at = 0;
        while patience.step_over(300) == ALIGNMENT {
            looked_at += 300;
        }
        assert!((15_000..=16_000).contains(&looked_at), "{looked_at}");
        assert_eq!(patience.step_over(16), 16);
    }
}
