//! One open file of a machine that may lose its power.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::image::Image;
use super::power::Power;
use crate::memory::{FileLocks, HeldLock, end_of, opened_read_only};
use crate::sync::schedule_point;
use crate::{File, FileIdentity, LockAttempt, LockKind, LogMapping};

/// A file, whatever its names are.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) identity: FileIdentity,
    pub(super) mode: u32,
    pub(super) image: RwLock<Image>,
    pub(super) locks: FileLocks,
}

/// What all files of one machine share.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) power: Power,
    order: AtomicU64,
}

impl Machine {
    /// A running one, whose next change has this place in the order.
    pub(super) fn new(order: u64) -> Self {
        Self { power: Power::on(), order: AtomicU64::new(order) }
    }

    /// The place of a new change in the order.
    pub(super) fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::SeqCst)
    }

    /// The place that the next change will have.
    pub(super) fn order(&self) -> u64 {
        self.order.load(Ordering::SeqCst)
    }
}

/// An open file of a [`CrashFileSystem`](super::CrashFileSystem).
#[derive(Clone, Debug)]
pub struct CrashFile {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    inode: Arc<Inode>,
    machine: Arc<Machine>,
    writable: bool,
    held: HeldLock,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inode.locks.release(&self.held);
    }
}

impl CrashFile {
    pub(super) fn new(inode: Arc<Inode>, machine: Arc<Machine>, writable: bool) -> Self {
        Self { open: Arc::new(Open { inode, machine, writable, held: HeldLock::default() }) }
    }

    fn power(&self) -> &Power {
        &self.open.machine.power
    }
}

impl Open {
    fn change(&self, change: impl FnOnce(&mut Image, u64) -> io::Result<()>) -> io::Result<()> {
        if !self.writable {
            return Err(opened_read_only());
        }
        let running = self.machine.power.running()?;
        let mut image = self.inode.image.write();
        running.step()?;
        change(&mut image, self.machine.next_order())
    }
}

impl File for CrashFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        schedule_point();
        let _running = self.power().running()?;
        Ok(self.open.inode.image.read().live().read_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        schedule_point();
        self.open.change(|image, order| image.write_at(order, buf, offset))?;
        Ok(buf.len())
    }

    fn len(&self) -> io::Result<u64> {
        let _running = self.power().running()?;
        Ok(self.open.inode.image.read().live().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        schedule_point();
        self.open.change(|image, order| image.set_len(order, len))
    }

    fn sync_data(&self) -> io::Result<()> {
        schedule_point();
        let running = self.power().running()?;
        let mut image = self.open.inode.image.write();
        running.step()?;
        image.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        let _running = self.power().running()?;
        Ok(self.open.inode.identity)
    }

    fn mode(&self) -> io::Result<u32> {
        let _running = self.power().running()?;
        Ok(self.open.inode.mode)
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        schedule_point();
        let _running = self.power().running()?;
        Ok(self.open.inode.locks.try_lock(&self.open.held, kind))
    }

    fn unlock(&self) -> io::Result<()> {
        schedule_point();
        let _running = self.power().running()?;
        self.open.inode.locks.release(&self.open.held);
        Ok(())
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        if !self.open.writable {
            return Err(opened_read_only());
        }
        if len == 0 {
            return Ok(None);
        }
        if end_of(len, 0)? > self.len()? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Some(Box::new(CrashMapping { open: Arc::clone(&self.open), len })))
    }
}

/// Stores that are changes like writes.
#[derive(Debug)]
struct CrashMapping {
    open: Arc<Open>,
    len: usize,
}

impl LogMapping for CrashMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len);
        assert!(fits, "a store of {} bytes at {offset} leaves a mapping of {}", bytes.len(), self.len);
        // A machine without power stores nothing, and there is nobody to tell.
        let _stored = self.open.change(|image, order| image.write_at(order, bytes, offset as u64));
    }

    fn len(&self) -> usize {
        self.len
    }
}
