//! A file's first bytes mapped into memory for writing.
//!
//! A store into a clean page makes the kernel mark it dirty first; after each sync the first store to a page pays
//! that fault again. The page cache may hold a file in large folios, and a folio is marked and written back as a
//! whole: that was measured to make a synced mapped store take twice as long, and it is decided by the size of the
//! plain writes that filled the file before it was mapped.
//!
//! A sync makes each dirty page clean in every page table that has it, and interrupts the processors that run this
//! process for each: beside a writer that took a quarter of the time of all, on two processors. So pages that are full are taken
//! out of the page table before, all of them with a few interrupts ([`Mapped::let_go`]): they stay in the page cache,
//! dirty, and a sync writes them as any others. So a long log takes no memory of the process either.
#![expect(unsafe_code, reason = "a mapping is memory that the file system gives and could take back")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_os = "linux")]
use memmap2::UncheckedAdvice;
use memmap2::{MmapOptions, MmapRaw};

use super::file::OpenFile;
use crate::LogMapping;

/// Pages are let go in pieces of this size, which is a multiple of every page's: fewer are not worth a call before a sync.
const PIECE_BYTES: usize = 64 << 10;

/// A mapping, which keeps the file open and uncut.
#[derive(Debug)]
pub(super) struct RealMapping {
    /// Goes before the file does.
    mapped: Arc<Mapped>,
    open: Arc<OpenFile>,
}

/// The mapped memory: what the owner of a mapping and the open file know of it. Nobody ever has a reference into it.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
    /// Where the latest store ended: those of a log ascend, until it begins at the start again.
    stored: AtomicUsize,
    /// Pages that end up to here were let go. Changed by one that syncs, with the lock of `OpenFile::mappings`.
    let_go: AtomicUsize,
}

impl Mapped {
    /// Takes the pages that were filled since the last time out of the page table.
    pub(super) fn let_go(&self) {
        // Nothing rests on how new the numbers are: a page that is stored to later is mapped again by that store.
        let to = self.stored.load(Ordering::Relaxed) / PIECE_BYTES * PIECE_BYTES;
        let before = self.let_go.load(Ordering::Relaxed);
        let from = if to < before { 0 } else { before };
        if from < to {
            take_out(&self.map, from, to - from);
        }
        self.let_go.store(to, Ordering::Relaxed);
    }
}

/// Takes pages out of the page table.
#[cfg(target_os = "linux")]
fn take_out(map: &MmapRaw, offset: usize, len: usize) {
    // SAFETY: No byte changes: pages of a shared mapping of a file stay in the page cache as they are, dirty where they were,
    // and whoever stores into one finds it there. So it does not matter whether somebody does meanwhile.
    // What it answers means nothing: it is a hint.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len) };
}

/// Nothing is mapped elsewhere: see [`stores_in_place`].
#[cfg(not(target_os = "linux"))]
fn take_out(_map: &MmapRaw, _offset: usize, _len: usize) {}

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
        match MmapOptions::new().len(len).map_raw(&open.file) {
            Ok(map) => {
                let mapped =
                    Arc::new(Mapped { map, stored: AtomicUsize::new(0), let_go: AtomicUsize::new(0) });
                mappings.push(Arc::clone(&mapped));
                Ok(Some(Self { mapped, open: Arc::clone(open) }))
            }
            Err(error) if is_unsupported(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for RealMapping {
    fn drop(&mut self) {
        // A cut between this and the unmapping that follows harms nobody: no store can come any more.
        self.open.mappings.lock().retain(|mapped| !Arc::ptr_eq(mapped, &self.mapped));
    }
}

impl LogMapping for RealMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let len = self.len();
        let end = offset.checked_add(bytes.len()).filter(|&end| end <= len);
        let Some(end) = end else {
            panic!("a store of {} bytes at {offset} leaves a mapping of {len}", bytes.len());
        };
        // SAFETY:
        // 1. The range lies within the mapping, which lives as long as `mapped`; `bytes` is not of it, as nobody has a reference
        //    into it.
        // 2. The file has these bytes: `new` compared its length, and no cut of this open file came between or comes, because
        //    `OpenFile::mappings` was held there and `set_len` refuses one while it is not empty. Other processes are kept away
        //    by the exclusive lock of the database that the file belongs to.
        // 3. Nobody else stores into the range: the same lock keeps other processes away, and within the process a segment
        //    has one mapping with one owner; a store takes `&mut self`.
        // 4. Nobody reads through the mapping: reads are `read_at`, system calls which copy from the page cache.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.mapped.map.as_mut_ptr().add(offset),
                bytes.len(),
            );
        };
        self.mapped.stored.store(end, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.mapped.map.len()
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
