//! What lies in the log's directory, and which of it is the log.

use std::io;
use std::path::{Path, PathBuf};

use braid_vfs::planted;
use braid_vfs::{FileSystem, OpenMode, OpenOptions};

use super::reader::{Identity, Window};
use super::recovered::Part;
use crate::RecoveryError;
use crate::segment::{
    HEADER_FIELD_BYTES, HeaderState, SEGMENT_SUFFIX, SegmentHeader, TEMPORARY_SUFFIX, sequence_of,
};

/// A segment file and its header.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// The header where it is whole.
    pub(super) header: Option<SegmentHeader>,
    /// Not whole, and not that of a segment that was never used either.
    pub(super) damaged: bool,
    /// A whole header that is that of a segment of another name.
    pub(super) of_another: Option<SegmentHeader>,
}

/// Every segment file, in order of the sequence numbers.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) entries: Vec<Entry>,
    /// What a recovery that was cut short left behind.
    pub(super) temporaries: Vec<PathBuf>,
    /// The highest sequence number in any name.
    pub(super) last_sequence: u64,
}

/// A segment that is part of the log, up to where the next one takes over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Index of the entry.
    pub(super) entry: usize,
    pub(super) identity: Identity,
    pub(super) durable: u64,
    pub(super) recycled: bool,
    /// The sequence number of the segment before it.
    pub(super) previous: u64,
    /// Where the next segment of the log starts; `u64::MAX` in the last one.
    pub(super) limit: u64,
}

impl Catalog {
    pub(super) fn load(files: &dyn FileSystem, dir: &Path, uuid: &[u8; 16]) -> Result<Self, RecoveryError> {
        Self::load_with(files, dir, |path, sequence| Entry::load(files, path, sequence, uuid))
    }

    /// The same, with segments that are foreign or newer taken for damaged ones, and those that have the name of another for what
    /// their headers say that they are.
    pub(super) fn load_lenient(
        files: &dyn FileSystem,
        dir: &Path,
        uuid: &[u8; 16],
    ) -> Result<Self, RecoveryError> {
        let mut catalog =
            Self::load_with(files, dir, |path, sequence| match Entry::load(files, path, sequence, uuid) {
                Err(RecoveryError::NewerFormat { path, .. } | RecoveryError::Mismatch { path }) => {
                    Ok(Entry { sequence, path, bytes: 0, header: None, damaged: true, of_another: None })
                }
                entry => entry,
            })?;
        for entry in &mut catalog.entries {
            if let Some(header) = entry.of_another {
                (entry.sequence, entry.header, entry.damaged) = (header.sequence, Some(header), false);
            }
        }
        // Of two, the one that has its own name comes last, and is the one that counts.
        catalog.entries.sort_by_key(|entry| (entry.sequence, entry.of_another.is_none()));
        Ok(catalog)
    }

    fn load_with(
        files: &dyn FileSystem,
        dir: &Path,
        entry: impl Fn(PathBuf, u64) -> Result<Entry, RecoveryError>,
    ) -> Result<Self, RecoveryError> {
        let names = match files.read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(read_failed("list", dir))?,
        };
        let mut catalog = Self { entries: Vec::new(), temporaries: Vec::new(), last_sequence: 0 };
        for name in names {
            if let Some(sequence) = sequence_of(&name, SEGMENT_SUFFIX) {
                catalog.last_sequence = catalog.last_sequence.max(sequence);
                catalog.entries.push(entry(dir.join(&name), sequence)?);
            } else if let Some(sequence) = sequence_of(&name, TEMPORARY_SUFFIX) {
                catalog.last_sequence = catalog.last_sequence.max(sequence);
                catalog.temporaries.push(dir.join(&name));
            }
        }
        catalog.entries.sort_unstable_by_key(|entry| entry.sequence);
        Ok(catalog)
    }

    /// The segments that are the log, oldest first. Where one starts, everything of those before it ends: recovery
    /// starts a new segment in the middle of an old one, and what the old one holds past there is void.
    pub(super) fn chain(&self) -> Vec<Link> {
        let mut chain = Vec::new();
        let mut limit = u64::MAX;
        for (index, entry) in self.entries.iter().enumerate().rev() {
            if let Some(header) = entry.header.filter(|header| header.base < limit) {
                let identity = Identity { base: header.base, salt: header.salt };
                let SegmentHeader { durable, recycled, previous, .. } = header;
                chain.push(Link { entry: index, identity, durable, recycled, previous, limit });
                limit = header.base;
            }
        }
        chain.reverse();
        chain
    }

    /// The segments before the `first` of a chain that lead up to it without a gap, oldest first: what a release has left.
    /// Of these only the headers were read, what else is in them is their readers' affair.
    pub(super) fn before(&self, chain: &[Link], first: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let Some((earlier, rest)) = chain.split_at_checked(first) else { return parts };
        let mut wanted = rest.first().map_or(0, |link| link.previous);
        for link in earlier.iter().rev() {
            let Some(entry) = self.entries.get(link.entry).filter(|entry| entry.sequence == wanted) else {
                break;
            };
            let (sequence, path, bytes) = (entry.sequence, entry.path.clone(), entry.bytes);
            parts.push(Part { sequence, path, bytes, identity: link.identity, end: link.limit });
            wanted = link.previous;
        }
        parts.reverse();
        parts
    }

    /// The segments behind the `last` of the log whose headers are zeros, but for the one that the log says it `goes_on_in`.
    pub(super) fn unused_after(&self, last: u64, goes_on_in: Option<u64>) -> Vec<(u64, PathBuf)> {
        let unused = self.entries.iter().filter(|entry| {
            let behind = entry.sequence > last && Some(entry.sequence) != goes_on_in;
            behind && entry.header.is_none() && !entry.damaged
        });
        unused.map(|entry| (entry.sequence, entry.path.clone())).collect()
    }

    /// Whether there is a file of this sequence number.
    pub(super) fn holds(&self, sequence: u64) -> bool {
        self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).is_ok()
    }
}

impl Entry {
    fn load(
        files: &dyn FileSystem,
        path: PathBuf,
        sequence: u64,
        uuid: &[u8; 16],
    ) -> Result<Self, RecoveryError> {
        let file = files
            .open(&path, OpenOptions::new(OpenMode::ReadOnly).without_link())
            .map_err(read_failed("open", &path))?;
        let mut window = Window::small(file).map_err(read_failed("read", &path))?;
        let bytes = window.len();
        let block = window.get(0, HEADER_FIELD_BYTES).map_err(read_failed("read", &path))?;
        // A file too short for a header was never finished, or has lost its contents; what follows decides.
        let state =
            block.and_then(|block| block.first_chunk()).map_or(HeaderState::Damaged, SegmentHeader::decode);
        let (mut header, mut damaged, mut of_another) = (None, false, None);
        match state {
            HeaderState::Newer(version) => return Err(RecoveryError::NewerFormat { path, version }),
            HeaderState::Valid(header) if header.uuid != *uuid && !planted!(ForeignLogAccepted) => {
                return Err(RecoveryError::Mismatch { path });
            }
            HeaderState::Valid(whole) if whole.sequence == sequence => header = Some(whole),
            // A segment under another's name is none.
            HeaderState::Valid(whole) => (damaged, of_another) = (true, Some(whole)),
            HeaderState::Damaged => damaged = true,
            HeaderState::Unused => {}
        }
        Ok(Self { sequence, path, bytes, header, damaged, of_another })
    }
}

/// Wraps what the system said about `path`.
pub(super) fn read_failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> RecoveryError + use<> {
    let path = path.to_path_buf();
    move |source| RecoveryError::Io { action, path, source }
}
