//! A file seen through a buffer that grows with what is read on, up to a bound, and never reaches past a limit.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use braid_vfs::File;

use crate::ReadError;

/// What is read at first.
const FIRST: usize = 4 * 1024;
/// What is read at a time where reading goes on.
pub(super) const CHUNK: usize = 128 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    start: u64,
    chunk: usize,
}

impl Window {
    pub(super) fn new(file: Arc<dyn File>, path: PathBuf) -> Self {
        Self { file, path, buffer: Vec::new(), start: 0, chunk: FIRST }
    }

    /// Another one of the same file.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.file), self.path.clone())
    }

    /// The `count` bytes at `offset`. Not a byte at or past `limit` is read.
    pub(super) fn get(&mut self, offset: u64, count: usize, limit: u64) -> Result<&[u8], ReadError> {
        let held = || {
            let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
            Some(from..from.checked_add(count)?).filter(|range| range.end <= self.buffer.len())
        };
        let range = match held() {
            Some(range) => range,
            None => {
                self.fill(offset, count, limit).map_err(|source| ReadError::Io {
                    action: "read",
                    path: self.path.clone(),
                    source,
                })?;
                0..count
            }
        };
        Ok(self.buffer.get(range).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, count: usize, limit: u64) -> io::Result<()> {
        let allowed = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        if count > allowed {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let size = count.max(self.chunk).min(allowed);
        self.chunk = (2 * self.chunk).min(CHUNK);
        self.buffer.clear();
        if self.buffer.capacity() > CHUNK && size <= CHUNK {
            // One long piece does not make a buffer long for good.
            self.buffer = Vec::new();
        }
        self.buffer.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.buffer.resize(size, 0);
        self.start = offset;
        let read = self.file.read_exact_at(&mut self.buffer, offset);
        if read.is_err() {
            self.buffer.clear();
        }
        read
    }
}
