//! A segment file made ready ahead of use: every block written, synced, its name synced, mapped where possible.
//!
//! How large the writes are that fill a file decides how large the folios are in which the page cache holds it, and a sync
//! writes whole folios back: who makes a file ready says how large they are to be.

use std::io;
use std::path::Path;
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::{File, FileSystem, LogMapping, OpenMode, OpenOptions};

use super::{BLOCK, SEGMENT_SUFFIX, path_of};
use crate::{LogOptions, MapPolicy};

/// A segment file that is open for appends.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<dyn File>,
    pub(crate) mapping: Option<Box<dyn LogMapping>>,
    /// The file was another segment before and holds its stale bytes.
    pub(crate) recycled: bool,
    /// Length of the writes that filled it, in bytes.
    pub(crate) filled_by: usize,
}

/// Creates segment `sequence`, `bytes` long, a multiple of the block size, by writes of `filled_by` bytes. Nothing is left
/// behind on failure.
pub(crate) fn prepare(
    files: &dyn FileSystem,
    dir: &Path,
    sequence: u64,
    bytes: u64,
    filled_by: usize,
    options: &LogOptions,
) -> io::Result<SegmentFile> {
    let path = path_of(dir, sequence, SEGMENT_SUFFIX);
    let file =
        files.open(&path, OpenOptions::new(OpenMode::CreateNew).with_permissions(options.permissions))?;
    let ready = (|| {
        let mut writer = FillWriter::new(&*file, filled_by);
        writer.fill_to(bytes)?;
        writer.finish()?;
        file.sync_all()?;
        if !planted!(SegmentNameNotSynced) {
            files.sync_dir(dir)?;
        }
        open_mapping(&*file, bytes, options)
    })();
    match ready {
        Ok(mapping) => Ok(SegmentFile { sequence, bytes, file, mapping, recycled: false, filled_by }),
        Err(error) => {
            // The file is not in use, so the first error is the one to report.
            let _ = files.remove_file(&path);
            Err(error)
        }
    }
}

/// Makes a released segment ready under a new number. The header goes first, so that a file of the new name never
/// has an old header, whatever a crash leaves.
pub(crate) fn recycle(
    files: &dyn FileSystem,
    dir: &Path,
    old: SegmentFile,
    sequence: u64,
) -> io::Result<SegmentFile> {
    if !planted!(SpareKeepsHeader) {
        old.file.write_all_at(&[0; BLOCK], 0)?;
    }
    old.file.sync_data()?;
    files.rename(&path_of(dir, old.sequence, SEGMENT_SUFFIX), &path_of(dir, sequence, SEGMENT_SUFFIX))?;
    files.sync_dir(dir)?;
    Ok(SegmentFile { sequence, recycled: true, ..old })
}

/// The mapping that appends go through, or `None` for plain writes.
pub(crate) fn open_mapping(
    file: &dyn File,
    bytes: u64,
    options: &LogOptions,
) -> io::Result<Option<Box<dyn LogMapping>>> {
    match (options.mapping, usize::try_from(bytes)) {
        (MapPolicy::Auto, Ok(len)) => {
            let mapping = file.map_for_append(len)?;
            // A mapping that is too short would turn an append into a panic.
            Ok(mapping.filter(|mapping| mapping.len() >= len))
        }
        _ => Ok(None),
    }
}

/// Writes a file from its start, in order, by writes of one length.
pub(crate) struct FillWriter<'a> {
    file: &'a dyn File,
    /// What the next write takes, of the length that writes have.
    buffer: Vec<u8>,
    filled: usize,
    offset: u64,
}

impl<'a> FillWriter<'a> {
    /// By writes of `size` bytes, one block at least.
    pub(crate) fn new(file: &'a dyn File, size: usize) -> Self {
        Self { file, buffer: vec![0; size.max(BLOCK)], filled: 0, offset: 0 }
    }

    /// Adds `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            if let Some(place) = room.get_mut(..now.len()) {
                place.copy_from_slice(now);
            }
            self.filled += now.len();
            bytes = later;
            if self.filled == self.buffer.len() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Adds zeros until the file would be `bytes` long.
    pub(crate) fn fill_to(&mut self, bytes: u64) -> io::Result<()> {
        while self.offset + (self.filled as u64) < bytes {
            let missing = bytes - self.offset - self.filled as u64;
            let now = usize::try_from(missing).map_or(BLOCK, |missing| missing.min(BLOCK));
            self.write([0; BLOCK].get(..now).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Writes what is left, less than a write.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}
