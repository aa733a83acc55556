//! Values that are too long for a leaf: a run of neighbouring pages each.
//!
//! The run starts with a page header; the value follows at once and fills the pages to its end, then zeros. One checksum
//! covers the whole run, padding too.

use braid_vfs::planted;
use braid_vfs::sync::atomic::Ordering;

use super::bytes::{get_u32, get_u64, put};
use super::error::{BaseError, Result};
use super::ids::{PageGeneration, PageId, TreeId};
use super::page::{
    HEADER_BYTES, PageIdentity, PageKind, PageSize, at, overflow_pages, put_header, seal, sealed_checksum,
};
use super::refs::OverflowRef;
use super::store::BaseStore;

/// A long value in memory, with the header before it and the padding after it.
#[derive(Debug)]
pub(crate) struct OverflowValue {
    run: Vec<u8>,
    len: usize,
}

impl OverflowValue {
    pub(crate) fn value(&self) -> &[u8] {
        self.run.get(HEADER_BYTES..HEADER_BYTES + self.len).unwrap_or_default()
    }

    /// The same value as another run.
    pub(crate) fn moved(mut self, tree: TreeId, generation: PageGeneration, page: PageId) -> (Vec<u8>, u32) {
        let identity = PageIdentity { page, tree, generation, level: 0 };
        put_header(&mut self.run, PageKind::Overflow, &identity, 0);
        let checksum = seal(&mut self.run);
        (self.run, checksum)
    }
}

/// Pages that a value needs.
pub(crate) fn pages_for(value: &[u8], page_size: PageSize) -> Result<u32> {
    let too_long = BaseError::ValueTooLong { len: value.len() };
    match u32::try_from(value.len()) {
        Ok(len) => overflow_pages(u64::from(len), page_size).ok_or(too_long),
        Err(_) => Err(too_long),
    }
}

/// Lays out a run after the end of `out`; its checksum.
pub(crate) fn build_run(out: &mut Vec<u8>, value: &[u8], identity: &PageIdentity, bytes: usize) -> u32 {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    out.extend_from_slice(value);
    out.resize(start + bytes, 0);
    let run = out.get_mut(start..).unwrap_or_default();
    put_header(run, PageKind::Overflow, identity, 0);
    put(run, at::END, &u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    seal(run)
}

impl BaseStore {
    /// Reads a long value and checks all of it.
    pub(super) fn read_overflow(&self, tree: TreeId, run: &OverflowRef) -> Result<OverflowValue> {
        let corrupt = |what| Err(BaseError::Corrupt { page: run.page, what });
        // The leaf that named the run has checked that its length and its number of pages agree.
        let end = u64::from(run.page.0) + u64::from(run.pages);
        if end > u64::from(self.end.load(Ordering::Acquire)) {
            return corrupt("a long value lies outside the file");
        }
        let bytes = run.pages as usize * self.page_size.bytes();
        let len = usize::try_from(run.len).unwrap_or(usize::MAX);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(bytes).map_err(|_| BaseError::OutOfMemory { len })?;
        buffer.resize(bytes, 0);
        self.read_bytes(run.page, &mut buffer)?;
        let sound = get_u32(&buffer, at::CHECKSUM) == run.checksum
            && get_u32(&buffer, at::PAGE) == run.page.0
            && get_u64(&buffer, at::GENERATION) == run.generation.0
            && get_u32(&buffer, at::TREE) == tree.0
            && u64::from(get_u32(&buffer, at::END)) == run.len
            && buffer.get(at::KIND) == Some(&(PageKind::Overflow as u8));
        if !sound {
            return corrupt("it is not the long value that its row names");
        }
        if sealed_checksum(&buffer) != run.checksum && !planted!(LongValueUnchecked) {
            return corrupt("the bytes of a long value do not have its checksum");
        }
        if len > bytes - HEADER_BYTES {
            return corrupt("a long value does not fit in its pages");
        }
        Ok(OverflowValue { run: buffer, len })
    }
}
