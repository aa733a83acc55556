//! What bytes must satisfy before they count as a page.
//!
//! Order: identity and checksum first, so that damage is told from a hostile file; then the structure, complete, since
//! a checksum proves nothing about bytes that somebody made up.

use braid_vfs::planted;
use braid_vfs::sync::atomic::AtomicBool;

use super::frame::Frame;
use super::header::{HEADER_BYTES, PageKind, PageSize, SLOT_BYTES, at, overflow_pages, stored_checksum};
use super::search::{head, head_of};
use super::view::{Description, Page, Value, decode_slot};
use super::{MAX_LEVEL, sealed_checksum};
use crate::base::bytes::{get_u16, get_u32, get_u64};
use crate::base::error::{BaseError, Result};
use crate::base::ids::{PageGeneration, PageId, StoreNumber, TreeId};
use crate::base::refs::ChildRef;

/// What a reader knows of a page before it reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) tree: TreeId,
    pub(crate) child: ChildRef,
    pub(crate) level: u8,
}

impl Expected {
    fn corrupt<T>(&self, what: &'static str) -> Result<T> {
        Err(BaseError::Corrupt { page: self.child.page, what })
    }
}

impl Page {
    /// Whether this is the page of that store that a reader expects.
    pub(crate) fn is(&self, expected: &Expected, store: StoreNumber) -> bool {
        let this = self.description();
        (this.store == store || planted!(PageOfAnotherFileTaken))
            && this.reference() == expected.child
            && this.level == expected.level
            && this.tree == expected.tree
    }

    /// Checks bytes of the file of a store against all that is known.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn check(
        bytes: &[u8],
        expected: &Expected,
        page_size: PageSize,
        store: StoreNumber,
    ) -> Result<Self> {
        Self::check_read(Frame::copy_of(bytes), expected, page_size, store)
    }

    /// The same for bytes that were read into the memory that the page will have.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn check_read(
        frame: Frame,
        expected: &Expected,
        page_size: PageSize,
        store: StoreNumber,
    ) -> Result<Self> {
        let bytes = frame.bytes();
        if bytes.len() != page_size.bytes() {
            return expected.corrupt("its length is not the page size");
        }
        let mut child = expected.child;
        if planted!(StalePageAccepted) {
            child.checksum = stored_checksum(bytes);
            child.generation = PageGeneration(get_u64(bytes, at::GENERATION));
        }
        if get_u32(bytes, at::PAGE) != child.page.0 {
            return expected.corrupt("it says that it is another page");
        }
        if get_u64(bytes, at::GENERATION) != child.generation.0 {
            return expected.corrupt("another checkpoint wrote it");
        }
        if stored_checksum(bytes) != child.checksum {
            return expected.corrupt("its checksum is not the one that its parent has");
        }
        if sealed_checksum(bytes) != child.checksum && !planted!(PageUnchecked) {
            return expected.corrupt("its bytes do not have its checksum");
        }
        if get_u32(bytes, at::TREE) != expected.tree.0 {
            return expected.corrupt("it belongs to another tree");
        }
        if bytes[at::LEVEL] != expected.level || expected.level > MAX_LEVEL {
            return expected.corrupt("its level does not follow from its parent's");
        }
        let description = Self::parse(bytes, expected, page_size, store)?;
        let page = frame.into_page(description);
        if page.is_leaf() {
            page.check_rows(expected, page_size)?;
        } else {
            page.check_children(expected, page_size)?;
        }
        Ok(page)
    }

    /// Takes a page that a checkpoint of the store has just built, and is about to write: of what
    /// [`check`](Self::check) looks at, only where its parts are.
    pub(crate) fn built(
        bytes: &[u8],
        expected: &Expected,
        page_size: PageSize,
        store: StoreNumber,
    ) -> Result<Self> {
        let description = Self::parse(bytes, expected, page_size, store)?;
        Ok(Frame::copy_of(bytes).into_page(description))
    }

    fn parse(
        bytes: &[u8],
        expected: &Expected,
        page_size: PageSize,
        store: StoreNumber,
    ) -> Result<Description> {
        let kind = if expected.level == 0 { PageKind::Leaf } else { PageKind::Branch };
        if bytes[at::KIND] != kind as u8 {
            return expected.corrupt("it is of another type");
        }
        let entries = get_u16(bytes, at::ENTRIES);
        if entries == 0 {
            return expected.corrupt("it is empty");
        }
        if get_u16(bytes, at::ZERO) != 0 {
            return expected.corrupt("a reserved field is not zero");
        }
        let count = usize::from(entries);
        let (slots, children) = match kind {
            PageKind::Leaf => (count, 0),
            _ => (count - 1, count * ChildRef::BYTES),
        };
        let slots_at = HEADER_BYTES + usize::from(get_u16(bytes, at::PREFIX));
        let children_at = slots_at + slots * SLOT_BYTES;
        let end = get_u32(bytes, at::END) as usize;
        if end > page_size.usable() {
            return expected.corrupt("its entries reach beyond its end");
        }
        if children_at + children > end {
            return expected.corrupt("its entries do not fit in it");
        }
        // All of them lie before the end, and that within two bytes.
        let [Ok(slots_at), Ok(children_at), Ok(end)] = [slots_at, children_at, end].map(u16::try_from) else {
            return expected.corrupt("its entries reach beyond its end");
        };
        let ChildRef { page, checksum, generation, rows, overflow } = expected.child;
        Ok(Description {
            store,
            page,
            checksum,
            generation,
            rows,
            overflow,
            used: AtomicBool::new(true),
            level: expected.level,
            tree: expected.tree,
            entries,
            slots_at,
            children_at,
            end,
        })
    }

    /// Keys lie between `from` and the end one after the other, and ascend.
    ///
    /// A page is checked whenever it comes into the cache, so this is most of what a miss costs beside the read. Heads order
    /// keys as the keys themselves do, wherever they differ; so keys are compared only where they do not.
    fn check_keys(&self, expected: &Expected, page_size: PageSize, from: usize) -> Result<()> {
        let (bytes, end) = (self.bytes(), self.end());
        let (prefix, longest) = (self.prefix_len(), page_size.max_key());
        let mut free_from = from;
        let mut last: Option<(u32, &[u8])> = None;
        for slot in self.slots() {
            let (start, len, _) = decode_slot(slot);
            let (start, key_end) = (start as usize, (start + len) as usize);
            if start < free_from || key_end > end {
                return expected.corrupt("a key lies outside its place");
            }
            if prefix + len as usize > longest {
                return expected.corrupt("a key is too long");
            }
            let suffix = &bytes[start..key_end];
            let its_head = head_of(slot);
            if its_head != head(suffix) {
                return expected.corrupt("the head of a key is not the key's");
            }
            if let Some((last_head, last)) = last
                && (its_head < last_head || (its_head == last_head && suffix <= last))
            {
                return expected.corrupt("its keys do not ascend");
            }
            last = Some((its_head, suffix));
            free_from = key_end;
        }
        Ok(())
    }

    fn check_rows(&self, expected: &Expected, page_size: PageSize) -> Result<()> {
        self.check_keys(expected, page_size, self.slots_range().end)?;
        let mut overflow = false;
        // A short value lies between its key and the next one, wherever those are.
        for (row, slot) in self.slots().iter().enumerate() {
            if !decode_slot(slot).2 {
                continue;
            }
            let (range, _) = self.body_range(row);
            if range.len() != crate::base::refs::OverflowRef::BYTES {
                return expected.corrupt("a reference to a long value has the wrong length");
            }
            if let Value::Overflow(run) = self.value(row) {
                overflow = true;
                if overflow_pages(run.len, page_size) != Some(run.pages)
                    || run.page.0.checked_add(run.pages).is_none()
                    || u32::try_from(run.len).is_err()
                {
                    return expected.corrupt("a reference to a long value contradicts itself");
                }
            }
        }
        if self.entries() as u64 != expected.child.rows || overflow != expected.child.overflow {
            return expected.corrupt("its parent counts its rows otherwise");
        }
        Ok(())
    }

    fn check_children(&self, expected: &Expected, page_size: PageSize) -> Result<()> {
        self.check_keys(expected, page_size, self.child_at(self.entries()))?;
        let mut rows = 0_u64;
        let mut overflow = false;
        for index in 0..self.entries() {
            let child = self.child(index);
            if child.rows == 0 || child.generation == PageGeneration(0) || child.page == PageId(u32::MAX) {
                return expected.corrupt("a reference to a child cannot be");
            }
            if child.generation > expected.child.generation {
                return expected.corrupt("a child is newer than its parent");
            }
            let Some(sum) = rows.checked_add(child.rows) else {
                return expected.corrupt("its children have more rows than can be");
            };
            rows = sum;
            overflow |= child.overflow;
        }
        if rows != expected.child.rows || overflow != expected.child.overflow {
            return expected.corrupt("its parent counts its rows otherwise");
        }
        Ok(())
    }
}
