//! One open file of the operating system.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::mapping::{Mapped, RealMapping};
use super::platform;
use crate::{File, FileIdentity, LockAttempt, LockKind, LogMapping};

/// An open file.
#[derive(Debug)]
pub(super) struct RealFile {
    open: Arc<OpenFile>,
}

/// The descriptor, shared by the file and its mappings.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: std::fs::File,
    /// Those that live. While one does, the file is not cut: a store behind the end would kill the process.
    pub(super) mappings: Mutex<Vec<Arc<Mapped>>>,
}

impl RealFile {
    pub(super) fn new(file: std::fs::File) -> Self {
        Self { open: Arc::new(OpenFile { file, mappings: Mutex::default() }) }
    }

    fn file(&self) -> &std::fs::File {
        &self.open.file
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(self.file(), buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        platform::write_at(self.file(), buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file().metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mappings = self.open.mappings.lock();
        if !mappings.is_empty() && len < self.len()? {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "the file is mapped; drop its mappings before cutting it",
            ));
        }
        self.file().set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.open.mappings.lock().iter().for_each(|mapped| mapped.let_go());
        self.file().sync_data()
    }

    #[cfg(target_os = "linux")]
    fn start_writeback(&self, offset: u64, len: u64) {
        super::writeback::start(self.file(), offset, len);
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file().sync_all()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        platform::identity(&self.file().metadata()?)
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(platform::mode(&self.file().metadata()?))
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        platform::try_lock(self.file(), kind)
    }

    fn unlock(&self) -> io::Result<()> {
        platform::unlock(self.file())
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        Ok(RealMapping::new(&self.open, len)?.map(|mapping| Box::new(mapping) as Box<dyn LogMapping>))
    }
}
