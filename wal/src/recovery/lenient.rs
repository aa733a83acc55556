//! The files of a failing disk, for a salvage alone: what cannot be read is noted, and stands there as damage.
//!
//! A read that fails is done again sector by sector. A sector that fails again reads as bytes that are no header, no record and
//! not the zeros of a spare; it is not asked for a third time, as a disk may take long to give up. So what holds of damaged bytes
//! holds of these.
//!
//! A sector is 4096 bytes: what disks of today read at once, and what the system reads into its memory, where smaller pieces of it
//! fail with the whole.
//!
//! A read that fails for want of memory says nothing about the disk, and fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::sync::Mutex;
use braid_vfs::{File, FileIdentity, FileSystem, LockAttempt, LockKind, LogMapping, OpenOptions};

use super::catalog::read_failed;
use crate::RecoveryError;

const SECTOR: u64 = 4096;

/// What stands for each byte that cannot be read.
const FILL: u8 = 0xFF;

/// A file system of which some files can be read in part only.
#[derive(Debug)]
pub(super) struct LenientFiles<'a> {
    files: &'a dyn FileSystem,
    found: Arc<Mutex<Found>>,
}

/// What came out of reading.
#[derive(Debug, Default)]
struct Found {
    /// The sectors that cannot be read, by file.
    unreadable: BTreeMap<PathBuf, BTreeSet<u64>>,
    /// The first error, and where it was met.
    error: Option<(PathBuf, io::Error)>,
    /// Whether anything could be read.
    any: bool,
}

/// Bytes that cannot be read, in a part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// From the first of them to the last.
    pub(super) span: Range<u64>,
    pub(super) bytes: u64,
}

impl<'a> LenientFiles<'a> {
    pub(super) fn new(files: &'a dyn FileSystem) -> Self {
        Self { files, found: Arc::default() }
    }

    /// What of this part of a file could not be read, as far as that was tried.
    pub(super) fn unreadable(&self, path: &Path, part: Range<u64>) -> Option<Unreadable> {
        let found = self.found.lock();
        let bad = found.unreadable.get(path).filter(|_| part.start < part.end)?;
        let mut unreadable: Option<Unreadable> = None;
        for sector in bad.range(part.start / SECTOR..part.end.div_ceil(SECTOR)) {
            let start = (sector * SECTOR).max(part.start);
            let end = (sector * SECTOR).saturating_add(SECTOR).min(part.end);
            let so_far = unreadable.get_or_insert(Unreadable { span: start..start, bytes: 0 });
            so_far.span.end = end;
            so_far.bytes += end - start;
        }
        unreadable
    }

    /// What the system said, if all that was read failed: then it is not some places of a disk.
    pub(super) fn all_failed(&self) -> Result<(), RecoveryError> {
        let mut found = self.found.lock();
        match found.error.take() {
            Some((path, error)) if !found.any => Err(read_failed("read", &path)(error)),
            _ => Ok(()),
        }
    }
}

/// A file of which some sectors may be unreadable.
#[derive(Debug)]
struct LenientFile {
    file: Arc<dyn File>,
    path: PathBuf,
    found: Arc<Mutex<Found>>,
}

impl LenientFile {
    fn is_unreadable(&self, sectors: Range<u64>) -> bool {
        let found = self.found.lock();
        found.unreadable.get(&self.path).is_some_and(|bad| bad.range(sectors).next().is_some())
    }

    /// Keeps in mind what a read gave. An error of the disk is none of the caller's; the answer then is `None`.
    fn note<T>(&self, read: io::Result<T>) -> io::Result<Option<T>> {
        let mut found = self.found.lock();
        match read {
            Ok(read) => {
                found.any = true;
                Ok(Some(read))
            }
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => {
                found.error.get_or_insert_with(|| (self.path.clone(), error));
                Ok(None)
            }
        }
    }
}

/// Whether an error says nothing about the disk.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof | io::ErrorKind::OutOfMemory
    )
}

impl File for LenientFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        if !self.is_unreadable(offset / SECTOR..end.div_ceil(SECTOR))
            && let Some(count) = self.note(self.file.read_at(buf, offset))?
        {
            return Ok(count);
        }
        let (count, mut rest, mut at) = (buf.len(), buf, offset);
        while !rest.is_empty() {
            let sector = at / SECTOR;
            let within = usize::try_from(SECTOR - at % SECTOR).unwrap_or(usize::MAX).min(rest.len());
            let (piece, behind) = rest.split_at_mut(within);
            let known = self.is_unreadable(sector..sector + 1);
            if known || self.note(self.file.read_exact_at(piece, at))?.is_none() {
                piece.fill(if planted!(UnreadableTakenForUnused) { 0 } else { FILL });
                self.found.lock().unreadable.entry(self.path.clone()).or_default().insert(sector);
            }
            (rest, at) = (behind, at + within as u64);
        }
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.file.identity()
    }

    fn mode(&self) -> io::Result<u32> {
        self.file.mode()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        self.file.try_lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        self.file.map_for_append(len)
    }
}

impl FileSystem for LenientFiles<'_> {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let file = self.files.open(path, options)?;
        Ok(Arc::new(LenientFile { file, path: path.to_path_buf(), found: Arc::clone(&self.found) }))
    }

    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.files.create_dir(path, permissions)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.files.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename_new(from, to)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        self.files.open_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.files.sync_dir(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.files.identity(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.resolve(path)
    }

    fn check_own_dir(&self, directory: &Path, file: &Path) -> io::Result<()> {
        self.files.check_own_dir(directory, file)
    }
}
