//! What can still be had from a log that recovery refuses.

use std::ops::Range;
use std::path::Path;

use braid_vfs::FileSystem;

use super::Recovery;
use super::catalog::{Catalog, Entry, Link};
use super::lenient::{LenientFiles, Unreadable};
use super::reader::{Found, Identity, SegmentReader, lsn_of, offset_of};
use super::scan::RecoveredRecord;
use super::stray::{Stray, infer_headers};
use crate::record::{ALIGNMENT, HeaderKey, RecordKind};
use crate::segment::BLOCK_BYTES;
use crate::{LogOptions, Lsn, ScanError};

/// A damaged segment is read so many times its length at most.
const READINGS: u64 = 16;

/// A piece of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Salvage<'a> {
    /// A whole record.
    Record(RecoveredRecord<'a>),
    /// Bytes in which no whole record starts, with records after them, or some that cannot be read among them.
    Skipped {
        /// The segment's sequence number.
        segment: u64,
        /// Where in the file.
        offset: u64,
        /// How many.
        bytes: u64,
        /// How many of them the disk does not give.
        unreadable: u64,
    },
    /// A segment of which nothing can be had.
    SkippedSegment {
        /// The segment's sequence number.
        segment: u64,
    },
    /// A part of the log that no file holds.
    Missing {
        /// Where it begins.
        from: Lsn,
        /// Where it ends at least; `None` where nothing tells.
        to: Option<Lsn>,
    },
}

/// How a salvage went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Records delivered.
    pub records: u64,
    /// Pieces skipped or missing.
    pub skips: u64,
    /// The end, exclusive, of the last record.
    pub end: Lsn,
}

impl Recovery {
    /// Gives every whole record at or after `start` to `deliver`, in order, with what had to be skipped between
    /// them and what is missing. For rescue only: what comes after a gap may depend on what is missing. Writes nothing.
    /// `proven_durable` is as for [`scan`](Self::scan): a log that ends before is told as one whose end is missing.
    ///
    /// A log that a scan accepts has nothing missing from `start` on. Skipped is of such a one what lies before whole records in a
    /// torn tail, and a segment that is damaged and was not in use yet.
    ///
    /// What the disk does not give is damage, down to a sector, and skipped; behind the last record it is told as well, as nobody
    /// knows whether there were more.
    ///
    /// # Errors
    /// [`ScanError::Recovery`] where a file cannot be opened, or nothing of any can be read; [`ScanError::Stopped`] with what `deliver` said.
    pub fn salvage<E>(
        files: &dyn FileSystem,
        dir: &Path,
        uuid: [u8; 16],
        start: Lsn,
        proven_durable: Lsn,
        options: &LogOptions,
        deliver: impl FnMut(Salvage<'_>) -> Result<(), E>,
    ) -> Result<Salvaged, ScanError<E>> {
        let limit = options.normalized().max_record_bytes;
        let key = HeaderKey::new(&uuid);
        let files = &LenientFiles::new(files);
        let mut catalog = Catalog::load_lenient(files, dir, &uuid)?;
        let mut walk = Walk {
            files,
            start: start.get(),
            reached: 0,
            durable: proven_durable.max(start).get(),
            salvaged: Salvaged::default(),
            deliver,
        };
        let (mut strays, unknown) = infer_headers(&mut catalog, files, &uuid, limit, start)?;
        // By now something of each file was asked for, and all of those that have no header.
        files.all_failed()?;
        let chain = catalog.chain();
        // Those before the segment that holds the start are no longer needed.
        let holds_start = chain
            .iter()
            .filter(|link| link.identity.base <= start.get())
            .filter_map(|link| catalog.entries.get(link.entry))
            .map(|entry| entry.sequence)
            .max();
        for segment in unknown {
            if holds_start.is_none_or(|first| segment > first) {
                walk.tell(Salvage::SkippedSegment { segment })?;
            }
        }
        let read = |walk: &mut Walk<'_, _>, link: &Link, from: Option<u64>| {
            let Some(entry) = catalog.entries.get(link.entry) else { return Ok(End::Open) };
            walk.arrive(link)?;
            let mut reader = SegmentReader::open(files, &entry.path, &key, limit)?;
            walk.segment(&mut reader, entry, link, from)
        };
        let mut open_end = None;
        // What was released and is not overwritten yet, as far as it was not read elsewhere.
        let first = chain.first().map_or(u64::MAX, |link| link.identity.base);
        let released = strays.partition_point(|stray| stray.link.identity.base < first);
        for stray in strays.drain(..released).filter(|_| first > start.get()) {
            let from = walk.reached.max(walk.start);
            open_end = Some(read(&mut walk, &Link { limit: first, ..stray.link }, Some(from))?);
        }
        for link in chain.iter().filter(|link| link.limit > start.get()) {
            let mut end = read(&mut walk, link, None)?;
            // What the log says that it went on in.
            while let End::Rotated(next) = end
                && let Some(at) = strays.iter().position(|stray| stray.follows(next, walk.reached))
            {
                let stray = strays.remove(at);
                let from = walk.reached;
                end = read(&mut walk, &Link { limit: link.limit, ..stray.link }, Some(from))?;
            }
            open_end = Some(end);
        }
        for Stray { sequence, .. } in strays.into_iter().filter(|stray| stray.damaged) {
            walk.tell(Salvage::SkippedSegment { segment: sequence })?;
        }
        match open_end {
            Some(End::Rotated(next)) if is_elsewhere(&catalog, next) => walk.lacks(None)?,
            None => walk.lacks(None)?,
            Some(End::Rotated(_) | End::Told | End::Open) => walk.ends()?,
        }
        Ok(walk.salvaged)
    }
}

/// Whether the segment that the last one names is nowhere, or where it does not follow. One that has no header may have lost it to a
/// power cut with all that was in it, and one that is damaged was told.
fn is_elsewhere(catalog: &Catalog, next: u64) -> bool {
    let named = catalog.entries.iter().find(|entry| entry.sequence == next);
    named.is_none_or(|entry| entry.header.is_some())
}

/// How the last segment ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With a record that says that the log goes on in this segment.
    Rotated(u64),
    /// Before its end, and that was told.
    Told,
    /// With the last record, be it a closing one, and what may be a torn tail.
    Open,
}

/// The way through the log, from segment to segment.
struct Walk<'f, F> {
    files: &'f LenientFiles<'f>,
    start: u64,
    /// Up to here all is delivered or told.
    reached: u64,
    /// The highest end of what something says was synced.
    durable: u64,
    salvaged: Salvaged,
    deliver: F,
}

impl<E, F: FnMut(Salvage<'_>) -> Result<(), E>> Walk<'_, F> {
    /// Comes to the next segment: what lies before it must have been in those before.
    fn arrive(&mut self, link: &Link) -> Result<(), ScanError<E>> {
        let base = link.identity.base;
        self.durable = self.durable.max(link.durable);
        if base > self.reached.max(self.start) {
            self.lacks(Some(base))?;
        }
        self.reached = self.reached.max(base);
        Ok(())
    }

    /// Gives what is in a segment; in a stray one from position `from` on, where the log may have gone on before its end.
    fn segment(
        &mut self,
        reader: &mut SegmentReader<'_>,
        entry: &Entry,
        link: &Link,
        from: Option<u64>,
    ) -> Result<End, ScanError<E>> {
        let Link { identity, limit, .. } = *link;
        let mut offset = from.and_then(|from| offset_of(identity.base, from)).unwrap_or(BLOCK_BYTES);
        let mut gap = None;
        let mut patience = Patience::with(entry.bytes);
        while !reader.is_past_end(offset) {
            let Some(lsn) = lsn_of(identity.base, offset).filter(|lsn| *lsn < limit) else { break };
            let (header, padded) = match reader.record(identity, lsn)? {
                Found::Record(header, padded) => (header, padded),
                // Its payload was read for nothing. A record may begin within it, but in a file that somebody made up
                // one may claim to begin at every step: then they are passed over whole.
                Found::BadPayload(header) => {
                    self.durable = self.durable.max(header.durable);
                    // Nobody needs what ends before the start.
                    if let Some(end) = lsn_of(identity.base, offset.saturating_add(header.size()))
                        && end <= self.start
                    {
                        self.reached = self.reached.max(end);
                    }
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
                self.skip(entry, from, offset, lsn)?;
            }
            offset = offset.saturating_add(header.size());
            self.durable = self.durable.max(header.durable);
            self.reached = self.reached.max(header.end().unwrap_or(lsn));
            if let Some(record) = RecoveredRecord::new(&header, padded).filter(|_| lsn >= self.start) {
                (self.deliver)(Salvage::Record(record)).map_err(ScanError::Stopped)?;
                self.salvaged.records += 1;
                self.salvaged.end = record.end;
            }
            match header.kind {
                RecordKind::ROTATE => return Ok(End::Rotated(header.tag)),
                RecordKind::CLOSE => return Ok(End::Open),
                _ => {}
            }
        }
        if let Some(begun) = gap {
            // The log goes on elsewhere, so these bytes were part of it.
            if limit != u64::MAX && from.is_none() {
                let to = lsn_of(identity.base, offset).unwrap_or(u64::MAX).min(limit);
                self.skip(entry, begun, offset, to)?;
            } else {
                let end = offset_of(identity.base, limit).unwrap_or(u64::MAX).min(reader.len());
                self.leave(entry, identity, begun..end)?;
            }
        }
        let made = entry.header.map_or(0, |header| header.bytes);
        // What is cut off the end may have been more of it.
        if limit == u64::MAX && made > entry.bytes {
            let (offset, bytes) = (entry.bytes, made - entry.bytes);
            self.tell(Salvage::Skipped { segment: entry.sequence, offset, bytes, unreadable: 0 })?;
            return Ok(End::Told);
        }
        Ok(End::Open)
    }

    /// Comes to the end of the log, as far as there is one. What is not whole behind it may be a torn tail, unless something says
    /// that it was on the disk once.
    fn ends(&mut self) -> Result<(), ScanError<E>> {
        if self.durable > self.reached { self.lacks(Some(self.durable)) } else { Ok(()) }
    }

    /// Tells of what no file holds, from where the log was reached.
    fn lacks(&mut self, to: Option<u64>) -> Result<(), ScanError<E>> {
        let from = self.reached.max(self.start);
        let to = to.filter(|to| *to > from).map(Lsn::new);
        self.tell(Salvage::Missing { from: Lsn::new(from), to })
    }

    /// Tells of a piece of a segment after which the log goes on at `lsn`. What lies before the start nobody needs.
    fn skip(&mut self, entry: &Entry, from: u64, to: u64, lsn: u64) -> Result<(), ScanError<E>> {
        self.reached = self.reached.max(lsn);
        if lsn <= self.start {
            return Ok(());
        }
        let unreadable =
            self.files.unreadable(&entry.path, from..to).map_or(0, |unreadable| unreadable.bytes);
        self.tell(Salvage::Skipped { segment: entry.sequence, offset: from, bytes: to - from, unreadable })
    }

    /// Tells of what cannot be read behind the last record of a segment, where there may have been more of them.
    fn leave(&mut self, entry: &Entry, identity: Identity, behind: Range<u64>) -> Result<(), ScanError<E>> {
        let Some(Unreadable { span, bytes: unreadable }) = self.files.unreadable(&entry.path, behind) else {
            return Ok(());
        };
        if lsn_of(identity.base, span.end).is_some_and(|end| end <= self.start) {
            return Ok(());
        }
        let bytes = span.end - span.start;
        self.tell(Salvage::Skipped { segment: entry.sequence, offset: span.start, bytes, unreadable })
    }

    fn tell(&mut self, loss: Salvage<'_>) -> Result<(), ScanError<E>> {
        self.salvaged.skips += 1;
        (self.deliver)(loss).map_err(ScanError::Stopped)
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
