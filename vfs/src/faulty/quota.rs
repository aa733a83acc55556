//! A bound on the bytes of all files together.

use std::collections::HashMap;
use std::io;

use crate::FileIdentity;

/// The lengths of the files that went through a faulty file system, and the most that they may sum up to.
#[derive(Debug, Default)]
pub(super) struct Quota {
    limit: Option<u64>,
    /// How many bytes may still be written, be they new or in place of others.
    writable: Option<u64>,
    lengths: HashMap<FileIdentity, u64>,
}

impl Quota {
    pub(super) fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    pub(super) fn set_writable(&mut self, bytes: Option<u64>) {
        self.writable = bytes;
    }

    /// The bytes of all files.
    pub(super) fn used(&self) -> u64 {
        self.lengths.values().sum()
    }

    pub(super) fn set_length(&mut self, file: FileIdentity, length: u64) {
        self.lengths.insert(file, length);
    }

    pub(super) fn forget(&mut self, file: FileIdentity) {
        self.lengths.remove(&file);
    }

    /// How many of `count` bytes at `offset` there is room for, which is taken: as the system does, a write that does
    /// not fit is cut short, and refused when not one byte fits.
    pub(super) fn take_for_write(
        &mut self,
        file: FileIdentity,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        let end_max = self.end_max(file).max(self.length(file));
        let room = end_max.saturating_sub(offset).min(self.writable.unwrap_or(u64::MAX));
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(count);
        if count == 0 {
            return Ok(0);
        }
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writable = self.writable.map(|bytes| bytes.saturating_sub(room as u64));
        self.grow(file, offset.saturating_add(room as u64));
        Ok(room)
    }

    /// Takes the room for extending a file to `length`.
    pub(super) fn take_for_length(&mut self, file: FileIdentity, length: u64) -> io::Result<()> {
        if length > self.end_max(file).max(self.length(file)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.grow(file, length);
        Ok(())
    }

    fn grow(&mut self, file: FileIdentity, length: u64) {
        let known = self.lengths.entry(file).or_default();
        *known = length.max(*known);
    }

    fn length(&self, file: FileIdentity) -> u64 {
        self.lengths.get(&file).copied().unwrap_or(0)
    }

    /// The greatest length that the limit leaves to a file.
    fn end_max(&self, file: FileIdentity) -> u64 {
        let others = self.used() - self.length(file);
        self.limit.unwrap_or(u64::MAX).saturating_sub(others)
    }
}
