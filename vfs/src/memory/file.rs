//! One open file in memory, and its mapping.

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::contents::{Contents, end_of};
use super::flock::{FileLocks, HeldLock};
use crate::sync::schedule_point;
use crate::{File, FileIdentity, LockAttempt, LockKind, LogMapping};

/// A file, whatever its names are: it lives while a name or an open file leads to it.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) identity: FileIdentity,
    pub(super) mode: u32,
    pub(super) contents: RwLock<Contents>,
    pub(super) locks: FileLocks,
}

/// An open file in memory.
#[derive(Clone, Debug)]
pub struct MemoryFile {
    open: Arc<Open>,
}

/// What a system calls an open file description: shared by the file and its mappings, so that the lock is held until
/// the last of them is gone.
#[derive(Debug)]
struct Open {
    inode: Arc<Inode>,
    writable: bool,
    held: HeldLock,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inode.locks.release(&self.held);
    }
}

impl MemoryFile {
    pub(super) fn new(inode: Arc<Inode>, writable: bool) -> Self {
        Self { open: Arc::new(Open { inode, writable, held: HeldLock::default() }) }
    }

    fn writable_contents(&self) -> io::Result<&RwLock<Contents>> {
        if self.open.writable { Ok(&self.open.inode.contents) } else { Err(opened_read_only()) }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        schedule_point();
        Ok(self.open.inode.contents.read().read_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        schedule_point();
        self.writable_contents()?.write().write_at(buf, offset)?;
        Ok(buf.len())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.open.inode.contents.read().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        schedule_point();
        self.writable_contents()?.write().set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        schedule_point();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(self.open.inode.identity)
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(self.open.inode.mode)
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        schedule_point();
        Ok(self.open.inode.locks.try_lock(&self.open.held, kind))
    }

    fn unlock(&self) -> io::Result<()> {
        schedule_point();
        self.open.inode.locks.release(&self.open.held);
        Ok(())
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        self.writable_contents()?;
        if len == 0 {
            return Ok(None);
        }
        if end_of(len, 0)? > self.len()? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Some(Box::new(MemoryMapping { open: Arc::clone(&self.open), len })))
    }
}

/// Stores that go straight to the file's bytes.
#[derive(Debug)]
struct MemoryMapping {
    open: Arc<Open>,
    len: usize,
}

impl LogMapping for MemoryMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len);
        assert!(fits, "a store of {} bytes at {offset} leaves a mapping of {}", bytes.len(), self.len);
        let written = self.open.inode.contents.write().write_at(bytes, offset as u64);
        debug_assert!(written.is_ok(), "the length was checked when the mapping was made");
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// The answer to a write through a file that was opened for reading.
pub(crate) fn opened_read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading; open it for writing")
}
