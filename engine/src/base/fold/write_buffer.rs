//! Joins writes to neighbouring pages into large ones.

use crate::base::error::{BaseError, Result};
use crate::base::ids::PageId;
use crate::base::page::PageSize;
use braid_vfs::File;

/// One write is not larger, unless one value is.
const WRITE_BYTES: usize = 1 << 20;
/// A file that grows does so by an eighth, within these limits, so that its length changes seldom.
const GROWTH_BYTES: std::ops::RangeInclusive<usize> = (64 << 10)..=(64 << 20);

/// Pages that were built and are not written yet: neighbours, from `start`.
#[derive(Debug)]
pub(super) struct WriteBuffer {
    start: u32,
    bytes: Vec<u8>,
    page_size: PageSize,
}

impl WriteBuffer {
    pub(super) fn new(page_size: PageSize) -> Self {
        Self { start: 0, bytes: Vec::new(), page_size }
    }

    fn end(&self) -> u32 {
        self.start + crate::base::bytes::to_u32(self.bytes.len() / self.page_size.bytes())
    }

    /// Gets ready to take `len` bytes for the pages from `page`; where to put them.
    pub(super) fn make_room(
        &mut self,
        file: &WriteTarget<'_>,
        page: PageId,
        len: usize,
    ) -> Result<&mut Vec<u8>> {
        if self.end() != page.0 || self.bytes.len() + len > WRITE_BYTES {
            let (start, bytes) = (self.start, self.bytes.len());
            self.flush(file)?;
            // The disk works while the next pages are built. Crumbs are better gathered by the system.
            if bytes + len > WRITE_BYTES {
                file.start_writeback(start, bytes, self.page_size);
            }
            self.start = page.0;
        }
        Ok(&mut self.bytes)
    }

    /// A page that is still here.
    pub(super) fn find(&self, page: PageId) -> Option<&[u8]> {
        let at = page.0.checked_sub(self.start)? as usize * self.page_size.bytes();
        self.bytes.get(at..at + self.page_size.bytes())
    }

    pub(super) fn flush(&mut self, file: &WriteTarget<'_>) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let offset = crate::base::meta::PAGES_AT + u64::from(self.start) * u64::from(self.page_size.get());
        let end = self.end();
        file.grow(end, self.page_size);
        let written = file.file.write_all_at(&self.bytes, offset);
        self.start = end;
        self.bytes.clear();
        written.map_err(|source| BaseError::from_write("writing pages", source))
    }
}

/// Where pages are written, and how long it is.
pub(super) struct WriteTarget<'a> {
    pub(super) file: &'a dyn File,
    pub(super) physical_end: &'a std::cell::Cell<u32>,
}

impl WriteTarget<'_> {
    fn start_writeback(&self, start: u32, bytes: usize, page_size: PageSize) {
        let offset = crate::base::meta::PAGES_AT + u64::from(start) * u64::from(page_size.get());
        self.file.start_writeback(offset, bytes as u64);
    }

    /// Makes the file longer ahead of the writes. That it fails means nothing: the write itself will tell.
    fn grow(&self, end: u32, page_size: PageSize) {
        let now = self.physical_end.get();
        if end <= now {
            return;
        }
        let page = page_size.bytes();
        let step = (now as usize / 8).clamp(GROWTH_BYTES.start() / page, GROWTH_BYTES.end() / page);
        let grown = end.max(now.saturating_add(crate::base::bytes::to_u32(step)));
        let len = crate::base::meta::PAGES_AT + u64::from(grown) * u64::from(page_size.get());
        self.physical_end.set(if self.file.set_len(len).is_ok() { grown } else { end });
    }
}
