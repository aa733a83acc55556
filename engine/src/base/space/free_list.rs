//! The free list as the file has it: a chain of pages that every checkpoint writes anew.
//!
//! Each page names the next with its generation and checksum, so the chain is written from its end. After the page
//! header:
//!
//! | bytes | holds |
//! | --- | --- |
//! | 32..56 | the next page, as a child reference; zeros in the last page |
//! | 56.. | extents: first page id and number of pages, 4 bytes each, ascending |
//!
//! The meta block names the first page and the number of pages, so that no chain is followed further than it goes.

use super::{Extent, Extents};
use crate::base::bytes::{get_u16, get_u32, get_u64, put};
use crate::base::error::{BaseError, Result};
use crate::base::ids::{PageGeneration, PageId, TreeId};
use crate::base::page::{
    HEADER_BYTES, PageIdentity, PageKind, PageSize, at, put_header, seal, sealed_checksum,
};
use crate::base::refs::ChildRef;

const EXTENTS_AT: usize = HEADER_BYTES + ChildRef::BYTES;
const EXTENT_BYTES: usize = 8;

/// The chain as the meta block knows it; `rows` of the first page counts the extents of the whole chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeListRef {
    pub(crate) first: ChildRef,
    pub(crate) pages: u32,
}

/// Extents that one page holds.
pub(crate) fn extents_per_page(page_size: PageSize) -> usize {
    (page_size.usable() - EXTENTS_AT) / EXTENT_BYTES
}

/// Writes `extents` into the given pages, of which there are enough, from the last to the first.
pub(crate) fn write_free_list(
    extents: &[Extent],
    pages: &[PageId],
    generation: PageGeneration,
    page_size: PageSize,
    write: &mut dyn FnMut(PageId, &[u8]) -> Result<()>,
) -> Result<Option<FreeListRef>> {
    let per_page = extents_per_page(page_size);
    let mut bytes = vec![0; page_size.bytes()];
    let mut next: Option<ChildRef> = None;
    for (index, page) in pages.iter().enumerate().rev() {
        bytes.fill(0);
        let start = (index * per_page).min(extents.len());
        let here = extents.get(start..(start + per_page).min(extents.len())).unwrap_or_default();
        let identity = PageIdentity { page: *page, tree: TreeId::DIRECTORY, generation, level: 0 };
        put_header(&mut bytes, PageKind::FreeList, &identity, here.len());
        if let Some(next) = next {
            put(&mut bytes, HEADER_BYTES, &next.encode());
        }
        for (n, extent) in here.iter().enumerate() {
            put(&mut bytes, EXTENTS_AT + n * EXTENT_BYTES, &extent.start.to_le_bytes());
            put(&mut bytes, EXTENTS_AT + n * EXTENT_BYTES + 4, &extent.pages.to_le_bytes());
        }
        let checksum = seal(&mut bytes);
        write(*page, &bytes)?;
        let rows = next.map_or(0, |next| next.rows) + here.len() as u64;
        next = Some(ChildRef { page: *page, checksum, generation, rows, overflow: false });
    }
    let pages = u32::try_from(pages.len()).map_err(|_| BaseError::Exhausted { what: "page ids" })?;
    Ok(next.map(|first| FreeListRef { first, pages }))
}

/// Reads a chain; what is free, and the pages of the chain itself.
pub(crate) fn read_free_list(
    list: Option<FreeListRef>,
    end: u32,
    page_size: PageSize,
    read: &mut dyn FnMut(PageId, &mut [u8]) -> Result<()>,
) -> Result<(Extents, Vec<ChildRef>)> {
    let mut extents = Extents::default();
    let mut chain = Vec::new();
    let Some(list) = list else { return Ok((extents, chain)) };
    let mut bytes = vec![0; page_size.bytes()];
    let mut at_page = list.first;
    let mut free_from = 0;
    for index in 0..list.pages {
        let corrupt = |what| Err(BaseError::Corrupt { page: at_page.page, what });
        if at_page.page.0 >= end {
            return corrupt("the free list goes on outside the file");
        }
        read(at_page.page, &mut bytes)?;
        let sound = get_u32(&bytes, at::CHECKSUM) == at_page.checksum
            && sealed_checksum(&bytes) == at_page.checksum
            && get_u32(&bytes, at::PAGE) == at_page.page.0
            && get_u64(&bytes, at::GENERATION) == at_page.generation.0
            && bytes.get(at::KIND) == Some(&(PageKind::FreeList as u8));
        let count = usize::from(get_u16(&bytes, at::ENTRIES));
        if !sound || count > extents_per_page(page_size) {
            return corrupt("it is not the free list page that it must be");
        }
        for n in 0..count {
            let start = get_u32(&bytes, EXTENTS_AT + n * EXTENT_BYTES);
            let pages = get_u32(&bytes, EXTENTS_AT + n * EXTENT_BYTES + 4);
            let after =
                start.checked_add(pages).filter(|after| pages > 0 && start >= free_from && *after <= end);
            let Some(after) = after else { return corrupt("its free pages do not ascend within the file") };
            extents.add(Extent { start, pages });
            free_from = after;
        }
        chain.push(at_page);
        let next = ChildRef::decode(bytes.get(HEADER_BYTES..EXTENTS_AT).unwrap_or_default());
        if (next.generation.0 == 0) != (index + 1 == list.pages) {
            return corrupt("the free list does not have the length that the head says");
        }
        at_page = next;
    }
    Ok((extents, chain))
}
