//! An open file that fails when a fault says so.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::quota::Quota;
use super::{Faults, Operation};
use crate::{File, FileIdentity, LockAttempt, LockKind, LogMapping};

/// A file under faults, known to them by the path that it was opened under.
#[derive(Debug)]
pub struct FaultyFile {
    inner: Arc<dyn File>,
    path: Arc<PathBuf>,
    faults: Faults,
    identity: FileIdentity,
}

impl FaultyFile {
    pub(super) fn new(inner: Arc<dyn File>, path: PathBuf, faults: Faults) -> io::Result<Self> {
        let identity = inner.identity()?;
        let length = inner.len()?;
        faults.with_quota(|quota| quota.set_length(identity, length));
        Ok(Self { inner, path: Arc::new(path), faults, identity })
    }

    /// Takes room first, so that calls side by side do not share it, and gives back what a failed call did not use.
    fn within_quota<R, T>(
        &self,
        take: impl FnOnce(&mut Quota) -> io::Result<R>,
        call: impl FnOnce(R) -> io::Result<T>,
    ) -> io::Result<T> {
        let room = self.faults.with_quota(take)?;
        let result = call(room);
        if result.is_err()
            && let Ok(length) = self.inner.len()
        {
            self.faults.with_quota(|quota| quota.set_length(self.identity, length));
        }
        result
    }

    fn sync(&self, operation: Operation, sync: impl FnOnce(&dyn File) -> io::Result<()>) -> io::Result<()> {
        match self.faults.meet(operation, &self.path) {
            Ok(verdict) => verdict.finish(sync(&*self.inner)),
            Err(error) => {
                self.faults.tell_failed_sync(self.identity);
                Err(error)
            }
        }
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let verdict = self.faults.meet_at(
            Operation::Read,
            &self.path,
            offset..offset.saturating_add(buf.len() as u64),
        )?;
        let count = buf.len().min(verdict.bytes_max.unwrap_or(usize::MAX));
        let result = self.inner.read_at(&mut buf[..count], offset);
        if let Ok(read) = result {
            self.faults.count_bytes(Operation::Read, &self.path, read);
        }
        verdict.finish(result)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let verdict = self.faults.meet_at(
            Operation::Write,
            &self.path,
            offset..offset.saturating_add(buf.len() as u64),
        )?;
        let count = buf.len().min(verdict.bytes_max.unwrap_or(usize::MAX));
        let result = self.within_quota(
            |quota| quota.take_for_write(self.identity, offset, count),
            |count| self.inner.write_at(&buf[..count], offset),
        );
        if let Ok(written) = result {
            self.faults.count_bytes(Operation::Write, &self.path, written);
        }
        verdict.finish(result)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::SetLen, &self.path)?;
        let result = self.within_quota(
            |quota| quota.take_for_length(self.identity, len),
            |()| {
                self.inner.set_len(len)?;
                self.faults.with_quota(|quota| quota.set_length(self.identity, len));
                Ok(())
            },
        );
        verdict.finish(result)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Operation::SyncData, |file| file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(Operation::SyncAll, |file| file.sync_all())
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }

    fn mode(&self) -> io::Result<u32> {
        self.inner.mode()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        self.inner.try_lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.faults.meet(Operation::Unlock, &self.path)?.finish(self.inner.unlock())
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        let verdict = self.faults.meet(Operation::Map, &self.path)?;
        let mapping = verdict.finish(self.inner.map_for_append(len))?;
        Ok(mapping.map(|inner| {
            let mapping = FaultyMapping { inner, path: Arc::clone(&self.path), faults: self.faults.clone() };
            Box::new(mapping) as Box<dyn LogMapping>
        }))
    }
}

/// A mapping whose stores are counted.
#[derive(Debug)]
struct FaultyMapping {
    inner: Box<dyn LogMapping>,
    path: Arc<PathBuf>,
    faults: Faults,
}

impl LogMapping for FaultyMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.faults.count_call(Operation::MappedWrite, &self.path);
        self.inner.write(offset, bytes);
        self.faults.count_bytes(Operation::MappedWrite, &self.path, bytes.len());
    }

    fn len(&self) -> usize {
        self.inner.len()
    }
}
