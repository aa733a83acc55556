//! Which segments there are to be read: those of a live log, or those that a scan found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid_vfs::{Env, File, FileSystem, OpenMode, OpenOptions};

use super::LogReader;
use super::window::Window;
use crate::log::{LiveSegment, Log};
use crate::record::HeaderKey;
use crate::segment::{BLOCK_BYTES, HEADER_FIELD_BYTES, HeaderState, SEGMENT_SUFFIX, SegmentHeader, path_of};
use crate::{LogOptions, Lsn, ReadError};

/// What can be read back of a log: of one that takes appends, or of one that nobody writes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHistory(Source);

#[derive(Clone, Debug)]
enum Source {
    Live(Arc<Log>),
    Closed(Arc<Closed>),
}

/// A log that nobody writes.
#[derive(Debug)]
struct Closed {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    uuid: [u8; 16],
    key: HeaderKey,
    max_record_bytes: u64,
    segments: Vec<Extent>,
    durable: Lsn,
}

/// What a segment holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) sequence: u64,
    pub(crate) base: u64,
    /// Where the next one starts; `u64::MAX` while it takes appends.
    pub(crate) end: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
}

/// A segment as a reader sees it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) base: u64,
    /// Where the next one starts. Where that was not known yet, as far as the file goes: the record that leads on to the
    /// next comes before.
    pub(super) end: u64,
    pub(super) salt: u64,
    pub(super) window: Window,
}

impl LogHistory {
    pub(crate) fn live(log: Arc<Log>) -> Self {
        Self(Source::Live(log))
    }

    pub(crate) fn closed(
        env: &Env,
        dir: PathBuf,
        uuid: [u8; 16],
        options: &LogOptions,
        segments: Vec<Extent>,
        durable: Lsn,
    ) -> Self {
        Self(Source::Closed(Arc::new(Closed {
            files: Arc::clone(&env.files),
            dir,
            uuid,
            key: HeaderKey::new(&uuid),
            max_record_bytes: options.normalized().max_record_bytes,
            segments,
            durable,
        })))
    }

    /// The end, exclusive, of what can be read: what is known to be on the disk.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        match &self.0 {
            Source::Live(log) => log.durable(),
            Source::Closed(closed) => closed.durable,
        }
    }

    /// Where the log ends now, durable or not: for a planted bug.
    pub(super) fn appended(&self) -> Lsn {
        match &self.0 {
            Source::Live(log) => log.appended(),
            Source::Closed(closed) => closed.durable,
        }
    }

    /// Where the segments start that are still there, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<Lsn> {
        match &self.0 {
            Source::Live(log) => log.segments.lock().live.iter().map(|live| Lsn::new(live.base)).collect(),
            Source::Closed(closed) => closed.segments.iter().map(|extent| Lsn::new(extent.base)).collect(),
        }
    }

    /// A reader of the records at and after `lsn`, which is the start of a segment or of a record, or the end of one.
    #[must_use]
    pub fn reader(&self, lsn: Lsn) -> LogReader {
        LogReader::new(self.clone(), lsn)
    }

    pub(super) fn key(&self) -> &HeaderKey {
        match &self.0 {
            Source::Live(log) => &log.key,
            Source::Closed(closed) => &closed.key,
        }
    }

    pub(super) fn max_record_bytes(&self) -> u64 {
        match &self.0 {
            Source::Live(log) => log.options.max_record_bytes,
            Source::Closed(closed) => closed.max_record_bytes,
        }
    }

    fn uuid(&self) -> &[u8; 16] {
        match &self.0 {
            Source::Live(log) => &log.uuid,
            Source::Closed(closed) => &closed.uuid,
        }
    }

    fn dir(&self) -> &Path {
        match &self.0 {
            Source::Live(log) => &log.dir,
            Source::Closed(closed) => &closed.dir,
        }
    }

    fn files(&self) -> &dyn FileSystem {
        match &self.0 {
            Source::Live(log) => &*log.files,
            Source::Closed(closed) => &*closed.files,
        }
    }

    /// Whether segment `sequence` is still part of the log.
    pub(super) fn holds(&self, sequence: u64) -> bool {
        match &self.0 {
            Source::Live(log) => {
                log.segments.lock().live.binary_search_by_key(&sequence, |live| live.sequence).is_ok()
            }
            Source::Closed(_) => true,
        }
    }

    /// What a reader is told that wants `lsn` and finds it gone.
    pub(super) fn gone(&self, lsn: u64) -> ReadError {
        let oldest = self.segments().first().copied().unwrap_or_default();
        ReadError::Gone { lsn: Lsn::new(lsn), oldest }
    }

    /// Enters the segment with `lsn`.
    pub(super) fn enter(&self, lsn: u64) -> Result<Place, ReadError> {
        let (Extent { sequence, base, end, bytes }, file) = self.find(lsn).ok_or_else(|| self.gone(lsn))?;
        let path = path_of(self.dir(), sequence, SEGMENT_SUFFIX);
        let failed = |action| {
            let path = path.clone();
            move |source| ReadError::Io { action, path, source }
        };
        let file = match file {
            Some(file) => file,
            None => match self.files().open(&path, OpenOptions::new(OpenMode::ReadOnly).without_link()) {
                Ok(file) => file,
                Err(_) if !self.holds(sequence) => return Err(self.gone(lsn)),
                Err(error) => return Err(failed("open")(error)),
            },
        };
        let mut window = Window::new(file, path.clone());
        let block = window.get(0, HEADER_FIELD_BYTES, HEADER_FIELD_BYTES as u64)?;
        match block.first_chunk().map(SegmentHeader::decode) {
            Some(HeaderState::Valid(header))
                if header.uuid == *self.uuid() && header.sequence == sequence && header.base == base =>
            {
                let in_file = base.saturating_add(bytes.saturating_sub(BLOCK_BYTES));
                Ok(Place { sequence, base, end: end.min(in_file), salt: header.salt, window })
            }
            _ if !self.holds(sequence) => Err(self.gone(lsn)),
            _ => Err(ReadError::Corrupt { segment: sequence, offset: 0, lsn: Lsn::new(lsn) }),
        }
    }

    /// The segment with `lsn`, and its file where that is open.
    fn find(&self, lsn: u64) -> Option<(Extent, Option<Arc<dyn File>>)> {
        match &self.0 {
            Source::Live(log) => {
                let segments = log.segments.lock();
                let after = segments.live.partition_point(|live| live.base <= lsn);
                let live = segments.live.get(after.checked_sub(1)?).filter(|live| lsn < live.end)?;
                let LiveSegment { sequence, base, end, bytes, .. } = *live;
                Some((Extent { sequence, base, end, bytes }, live.file.clone()))
            }
            Source::Closed(closed) => {
                let after = closed.segments.partition_point(|extent| extent.base <= lsn);
                let extent = *closed.segments.get(after.checked_sub(1)?)?;
                (lsn < extent.end).then_some((extent, None))
            }
        }
    }
}

impl Place {
    /// Where position `lsn` is in the file.
    pub(super) fn offset_of(&self, lsn: u64) -> Option<u64> {
        lsn.checked_sub(self.base)?.checked_add(BLOCK_BYTES)
    }
}
