//! A file's first bytes mapped into memory for writing.
//!
//! A store into a clean page makes the kernel mark it dirty first; after each sync the first store to a page pays
//! that fault again. The page cache may hold a file in large folios, and a folio is marked and written back as a
//! whole: that was measured to make a synced mapped store take twice as long, and it is decided by the size of the
//! plain writes that filled the file before it was mapped.
#![expect(unsafe_code, reason = "a mapping is memory that the file system gives and could take back")]

use std::io;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::file::OpenFile;
use crate::LogMapping;

/// A mapping, which keeps the file open and uncut.
#[derive(Debug)]
pub(super) struct RealMapping {
    /// Goes before the file does.
    map: MmapMut,
    open: Arc<OpenFile>,
}

impl RealMapping {
    /// Maps the first `len` bytes; `None` where the system cannot, or where a store could find the disk full.
    pub(super) fn new(open: &Arc<OpenFile>, len: usize) -> io::Result<Option<Self>> {
        if len == 0 || !stores_in_place(&open.file) {
            return Ok(None);
        }
        let mut mappings = open.mappings.lock();
        if (len as u64) > open.file.metadata()?.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file is shorter than the mapping asked for; write its bytes first",
            ));
        }
        // SAFETY:
        // 1. The bytes exist: the length was just compared, and no cut of this open file comes between, because
        //    `OpenFile::mappings` is held here and in `set_len`.
        // 2. Nobody cuts the file while it is mapped: `set_len` of this open file refuses to while `mappings` is not
        //    zero, and other processes are kept away by the exclusive lock of the database that the file belongs to.
        // 3. Nobody else stores into the bytes that the slice covers: the same lock keeps other processes away, and
        //    within the process a segment has one mapping with one owner; a store takes `&mut self`.
        // 4. Nobody reads through the mapping: reads are `read_at`, system calls which copy from the page cache.
        match unsafe { MmapOptions::new().len(len).map_mut(&open.file) } {
            Ok(map) => {
                *mappings += 1;
                Ok(Some(Self { map, open: Arc::clone(open) }))
            }
            Err(error) if is_unsupported(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for RealMapping {
    fn drop(&mut self) {
        // A cut between this and the unmapping that follows harms nobody: no store can come any more.
        *self.open.mappings.lock() -= 1;
    }
}

impl LogMapping for RealMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let len = self.map.len();
        let range = offset.checked_add(bytes.len()).and_then(|end| self.map.get_mut(offset..end));
        let Some(place) = range else {
            panic!("a store of {} bytes at {offset} leaves a mapping of {len}", bytes.len());
        };
        place.copy_from_slice(bytes);
    }

    fn len(&self) -> usize {
        self.map.len()
    }
}

/// Whether a store into bytes that were written before needs no new block. Only Linux says what kind a file system is in
/// a way that is looked at here; elsewhere the one that most have, APFS, is none that rewrites in place.
fn stores_in_place(file: &std::fs::File) -> bool {
    #[cfg(target_os = "linux")]
    return super::mapping_support::stores_in_place(file);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = file;
        false
    };
}

/// Whether an error says that this file cannot be mapped, and not that something broke.
fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    // `ENODEV` has no kind of its own.
    #[cfg(unix)]
    let no_device = error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error());
    #[cfg(not(unix))]
    let no_device = false;
    no_device
        || matches!(
            error.kind(),
            Kind::Unsupported | Kind::InvalidInput | Kind::PermissionDenied | Kind::OutOfMemory
        )
}
