//! The scan from a known position to the end.

use std::path::Path;

use braid_vfs::FileSystem;
use braid_vfs::events::tell;
use braid_vfs::planted;

use super::catalog::{Catalog, Link};
use super::evidence::{Evidence, Search};
use super::reader::{Found, SegmentReader, offset_of};
use super::recovered::{CutTail, Part, Recovered};
use crate::record::{ALIGNMENT, HeaderKey, RecordHeader, RecordKind};
use crate::segment::BLOCK_BYTES;
use crate::{Damage, LogOptions, Lsn, RecordKind as Kind, RecoveryError, ScanError};

/// Reads logs back.
#[derive(Clone, Copy, Debug)]
pub struct Recovery;

/// A record as it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredRecord<'a> {
    /// Where it starts.
    pub lsn: Lsn,
    /// The position after it.
    pub end: Lsn,
    /// The caller's kind.
    pub kind: Kind,
    /// The caller's tag.
    pub tag: u64,
    /// The caller's bytes.
    pub payload: &'a [u8],
}

impl<'a> RecoveredRecord<'a> {
    /// `None` for the log's own records.
    pub(super) fn new(header: &RecordHeader, padded: &'a [u8]) -> Option<Self> {
        let payload = usize::try_from(header.payload_len).ok().and_then(|len| padded.get(..len))?;
        let (lsn, end) = (Lsn::new(header.lsn), Lsn::new(header.end()?));
        header.kind.is_user().then_some(Self { lsn, end, kind: header.kind, tag: header.tag, payload })
    }
}

/// Why reading stopped in a segment.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// At the start of the next one.
    Limit,
    /// At a record that says that the log goes on in this segment.
    Rotated(u64),
    /// At a record that says that the log was closed.
    Closed,
    /// Before something that is no whole record; its header where that is whole.
    Bad(Option<RecordHeader>),
}

/// Where reading stopped.
#[derive(Clone, Copy, Debug)]
struct Halt {
    lsn: u64,
    stop: Stop,
    link: Link,
}

impl Recovery {
    /// Reads the log in `dir` from `start`, which is the start of a record or the end of the log, and gives every
    /// whole record of the caller's to `deliver`, in order. Writes nothing. `proven_durable` is the end of what the
    /// caller knows to have been synced ([`Lsn::ZERO`] where it knows nothing).
    ///
    /// Damage may be found only after records before it were delivered; these are then of no account.
    ///
    /// # Errors
    /// [`ScanError::Recovery`] where the log is damaged, missing, foreign, newer, or cannot be read;
    /// [`ScanError::Stopped`] with what `deliver` said.
    pub fn scan<E>(
        files: &dyn FileSystem,
        dir: &Path,
        uuid: [u8; 16],
        start: Lsn,
        proven_durable: Lsn,
        options: &LogOptions,
        deliver: impl FnMut(RecoveredRecord<'_>) -> Result<(), E>,
    ) -> Result<Recovered, ScanError<E>> {
        let options = options.normalized();
        let catalog = Catalog::load(files, dir, &uuid)?;
        let key = HeaderKey::new(&uuid);
        let scan = Scan { files, dir, key: &key, options: &options, catalog: &catalog, start: start.get() };
        let (first, chain) = scan.locate()?;
        let mut progress = Progress { deliver, records: 0, bytes: 0, durable: 0, parts: Vec::new() };
        let halt = scan.walk(chain.get(first..).unwrap_or_default(), &mut progress)?;
        if halt.lsn == start.get() && matches!(halt.stop, Stop::Bad(_)) {
            scan.reaches_start(&halt.link)?;
        }
        let (cut, reached) = scan.judge(&halt, progress.durable, proven_durable)?;
        let clean_close = matches!(halt.stop, Stop::Closed);
        let gone_on_in = match halt.stop {
            Stop::Rotated(next) if !planted!(NamedSegmentTakenForSpare) => Some(next),
            _ => None,
        };
        let last = progress.parts.last().map_or(u64::MAX, |part| part.sequence);
        let spares = catalog.unused_after(last, gone_on_in);
        let durable = progress.durable.max(proven_durable.get()).max(start.get());
        let (path, start_at, end, records) = (dir.to_path_buf(), start.get(), halt.lsn, progress.records);
        tell(move || {
            tracing::info!(
                dir = %path.display(), start = start_at, end, durable, records, clean_close, "log read"
            );
        });
        if let Some(CutTail { segment, offset, .. }) = cut {
            tell(move || tracing::warn!(segment, offset, end, reached, "torn tail cut"));
        }
        Ok(Recovered {
            start,
            end: Lsn::new(halt.lsn),
            durable: Lsn::new(durable),
            cut,
            clean_close,
            records: progress.records,
            bytes: progress.bytes,
            dir: dir.to_path_buf(),
            uuid,
            history: catalog.before(&chain, first),
            parts: progress.parts,
            last_sequence: catalog.last_sequence,
            temporaries: catalog.temporaries,
            spares,
            files: catalog.entries.into_iter().map(|entry| (entry.sequence, entry.path)).collect(),
        })
    }
}

struct Scan<'a> {
    files: &'a dyn FileSystem,
    dir: &'a Path,
    key: &'a HeaderKey,
    options: &'a LogOptions,
    catalog: &'a Catalog,
    start: u64,
}

/// What has been read so far.
struct Progress<F> {
    deliver: F,
    records: u64,
    bytes: u64,
    durable: u64,
    parts: Vec<Part>,
}

impl Scan<'_> {
    /// The log, and the index of the segment that holds the start.
    fn locate(&self) -> Result<(usize, Vec<Link>), RecoveryError> {
        let chain = self.catalog.chain();
        let first = chain.iter().rposition(|link| link.identity.base <= self.start);
        let within = first.filter(|index| {
            let bytes = chain.get(*index).and_then(|link| self.catalog.entries.get(link.entry));
            let offset = chain.get(*index).and_then(|link| offset_of(link.identity.base, self.start));
            matches!((offset, bytes), (Some(offset), Some(entry)) if offset <= entry.bytes)
        });
        match within {
            Some(first) if self.start.is_multiple_of(ALIGNMENT) => Ok((first, chain)),
            _ => Err(self.catalog.entries.iter().find(|entry| entry.damaged).map_or_else(
                || {
                    // The segment may be there, and its end, with the position in it, not.
                    let link = first.and_then(|index| chain.get(index));
                    link.and_then(|link| self.cut_off(link, self.start)).unwrap_or_else(|| {
                        RecoveryError::Missing { path: self.dir.to_path_buf(), start: Lsn::new(self.start) }
                    })
                },
                |entry| RecoveryError::Corrupt {
                    segment: entry.sequence,
                    offset: 0,
                    lsn: Lsn::new(self.start),
                    what: Damage::HeaderDamaged,
                },
            )),
        }
    }

    /// The error of a segment that is shorter than it was made and so does not have `lsn`, or what follows.
    fn cut_off(&self, link: &Link, lsn: u64) -> Option<RecoveryError> {
        let entry = self.catalog.entries.get(link.entry)?;
        let header = entry.header.filter(|header| header.bytes > entry.bytes)?;
        Some(RecoveryError::Corrupt {
            segment: entry.sequence,
            offset: entry.bytes,
            lsn: Lsn::new(lsn),
            what: Damage::CutOff { made: header.bytes },
        })
    }

    /// Nothing follows the start. That is right where the log ends there, and wrong in an older copy of the log, which
    /// ends before: the records of its last segment must lead up to the start. Damage on the way there is passed over, as
    /// nobody needs these records any more.
    fn reaches_start(&self, link: &Link) -> Result<(), RecoveryError> {
        let Some(entry) = self.catalog.entries.get(link.entry) else { return Ok(()) };
        let mut reader =
            SegmentReader::open(self.files, &entry.path, self.key, self.options.max_record_bytes)?;
        let mut lsn = link.identity.base;
        let mut led = true;
        while lsn < self.start {
            let end = match reader.record(link.identity, lsn)? {
                Found::Record(header, _) | Found::BadPayload(header) => header.end(),
                Found::Nothing => None,
            };
            led = end.is_some();
            lsn = end.unwrap_or_else(|| lsn.saturating_add(ALIGNMENT));
        }
        if led && lsn == self.start {
            return Ok(());
        }
        Err(RecoveryError::Missing { path: self.dir.to_path_buf(), start: Lsn::new(self.start) })
    }

    /// Delivers record after record until one is not whole.
    fn walk<E, F: FnMut(RecoveredRecord<'_>) -> Result<(), E>>(
        &self,
        chain: &[Link],
        progress: &mut Progress<F>,
    ) -> Result<Halt, ScanError<E>> {
        let mut lsn = self.start;
        let mut halt = None;
        for link in chain {
            let Some(entry) = self.catalog.entries.get(link.entry) else { break };
            if let Some(cut_off) = self.cut_off(link, lsn) {
                return Err(ScanError::Recovery(cut_off));
            }
            progress.durable = progress.durable.max(link.durable);
            let mut reader =
                SegmentReader::open(self.files, &entry.path, self.key, self.options.max_record_bytes)?;
            let stop = self.walk_segment(&mut reader, *link, &mut lsn, progress)?;
            progress.parts.push(Part {
                sequence: entry.sequence,
                path: entry.path.clone(),
                bytes: entry.bytes,
                identity: link.identity,
                end: lsn,
            });
            halt = Some(Halt { lsn, stop, link: *link });
            if !matches!(stop, Stop::Limit) {
                break;
            }
        }
        halt.ok_or_else(|| {
            let (path, start) = (self.dir.to_path_buf(), Lsn::new(self.start));
            ScanError::Recovery(RecoveryError::Missing { path, start })
        })
    }

    fn walk_segment<E, F: FnMut(RecoveredRecord<'_>) -> Result<(), E>>(
        &self,
        reader: &mut SegmentReader<'_>,
        link: Link,
        lsn: &mut u64,
        progress: &mut Progress<F>,
    ) -> Result<Stop, ScanError<E>> {
        let mut last = None;
        while *lsn != link.limit || planted!(StaleTailRevived) {
            match last {
                Some(header @ RecordHeader { kind: RecordKind::ROTATE, .. }) => {
                    return Ok(Stop::Rotated(header.tag));
                }
                Some(RecordHeader { kind: RecordKind::CLOSE, .. }) => return Ok(Stop::Closed),
                _ => {}
            }
            let (header, padded) = match reader.record(link.identity, *lsn)? {
                Found::Record(header, padded) => (header, padded),
                Found::BadPayload(header) => return Ok(Stop::Bad(Some(header))),
                Found::Nothing => return Ok(Stop::Bad(None)),
            };
            let Some(end) = header.end().filter(|end| *end <= link.limit || planted!(StaleTailRevived))
            else {
                return Err(self.corrupt(link, *lsn, Damage::Overlap).into());
            };
            if *lsn < progress.durable && progress.durable < end {
                // A sync ends where a record does; a log that goes on from in between would not be read again.
                let durable = Lsn::new(progress.durable);
                return Err(self.corrupt(link, *lsn, Damage::ProvenByLog { durable }).into());
            }
            progress.durable = progress.durable.max(header.durable);
            if header.kind == RecordKind::CLOSE {
                // It is written only after all before it was synced.
                progress.durable = progress.durable.max(header.lsn);
            }
            if let Some(record) = RecoveredRecord::new(&header, padded) {
                (progress.deliver)(record).map_err(ScanError::Stopped)?;
                progress.records += 1;
                progress.bytes += u64::from(header.payload_len);
            }
            *lsn = end;
            last = Some(header);
        }
        Ok(Stop::Limit)
    }

    /// Whether the log may end where reading stopped, and what was cut there; also how far what is cut reached.
    fn judge(&self, halt: &Halt, known: u64, proven: Lsn) -> Result<(Option<CutTail>, u64), RecoveryError> {
        let Halt { lsn, stop, link } = *halt;
        if proven.get() > lsn && !planted!(MetaPageNotBelieved) {
            return Err(self.corrupt(link, lsn, Damage::ProvenByCaller { durable: proven }));
        }
        let Some(entry) = self.catalog.entries.get(link.entry) else { return Ok((None, lsn)) };
        let mut search = Search {
            files: self.files,
            key: self.key,
            max_record_bytes: self.options.max_record_bytes,
            lsn,
            evidence: Evidence { durable: known, reached: lsn },
        };
        let offset = offset_of(link.identity.base, lsn).unwrap_or(BLOCK_BYTES);
        let mut torn = false;
        if let Stop::Bad(header) = stop {
            let mut reader =
                SegmentReader::open(self.files, &entry.path, self.key, self.options.max_record_bytes)?;
            let step = if let Some(header) = header {
                search.note(&header)
            } else {
                // In a file that was another segment before, stale bytes are nothing to report.
                let bytes = reader.header_bytes(offset)?;
                torn = !link.recycled && bytes.is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0));
                ALIGNMENT
            };
            search.rest(&mut reader, link.identity, offset.saturating_add(step))?;
        }
        search.later(self.catalog, entry.sequence)?;
        let Evidence { durable, reached } = search.evidence;
        if durable > lsn && !planted!(CutNotRefused) {
            return Err(self.corrupt(link, lsn, Damage::ProvenByLog { durable: Lsn::new(durable) }));
        }
        if let Stop::Rotated(next) = stop
            && !self.catalog.holds(next)
            && !planted!(LostSegmentPassedOver)
        {
            return Err(self.corrupt(link, lsn, Damage::SegmentGone { segment: next }));
        }
        let cut = (torn || reached > lsn).then_some(CutTail {
            segment: entry.sequence,
            offset,
            reached: Lsn::new(reached),
        });
        Ok((cut, reached))
    }

    fn corrupt(&self, link: Link, lsn: u64, what: Damage) -> RecoveryError {
        let segment = self.catalog.entries.get(link.entry).map_or(0, |entry| entry.sequence);
        let offset = offset_of(link.identity.base, lsn).unwrap_or_default();
        let error = RecoveryError::Corrupt { segment, offset, lsn: Lsn::new(lsn), what };
        let said = error.to_string();
        tell(move || tracing::error!(error = %said, "log refused"));
        error
    }
}
