//! What a thread keeps of pages that no cache has: the one that it read last, and memory for the next.
//!
//! Once a cache is full, either one page goes for each that comes, and mostly on the thread that brought it, or the
//! page that comes is not taken in. So each thread keeps the memory of a page: what comes next is read straight into it, and
//! the allocator is not asked. And it keeps the page that it read last, where the cache did not take that: the next row
//! that is asked for may be in it.

use std::cell::Cell;
use std::thread::LocalKey;

use triomphe::{Arc, ThinArc};

use super::header::PageSize;
use super::validate::Expected;
use super::view::{Description, Page};
use crate::base::ids::StoreNumber;

/// What a new frame is filled with.
static ZEROS: [u8; PageSize::MAX.bytes()] = [0; PageSize::MAX.bytes()];

thread_local! {
    /// Memory: a page that nobody else has, and that nobody looks for, whatever it says of itself.
    static SPARE: Cell<Option<Page>> = const { Cell::new(None) };
    /// The page that was read last, if no cache has it. Others may hold it.
    static LAST: Cell<Option<Page>> = const { Cell::new(None) };
}

/// The memory of a page that nobody else has.
pub(crate) struct Frame(Page);

impl Frame {
    /// For a page of this size. What is in it is anything.
    pub(crate) fn of(page_size: PageSize) -> Self {
        let bytes = page_size.bytes();
        Self::spare(bytes).unwrap_or_else(|| Self(Page::with_bytes(&ZEROS[..bytes])))
    }

    /// With a copy of these bytes.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        match Self::spare(bytes.len()) {
            Some(mut frame) => {
                frame.fill(|place| place.copy_from_slice(bytes));
                frame
            }
            None => Self(Page::with_bytes(bytes)),
        }
    }

    fn spare(bytes: usize) -> Option<Self> {
        // A thread that ends has none left.
        let take = |kept: &'static LocalKey<Cell<Option<Page>>>| {
            let page = kept.try_with(Cell::take).ok().flatten()?;
            (page.bytes().len() == bytes && page.is_unshared()).then_some(Self(page))
        };
        take(&SPARE).or_else(|| take(&LAST))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Has its bytes changed.
    pub(crate) fn fill<R>(&mut self, change: impl FnOnce(&mut [u8]) -> R) -> R {
        self.0.0.with_arc_mut(|page| match Arc::get_mut(page) {
            Some(page) => change(page.slice_mut()),
            None => unreachable!("nobody else has it"),
        })
    }

    /// The page of which this is known.
    pub(super) fn into_page(mut self, description: Description) -> Page {
        self.0.0.with_arc_mut(|page| match Arc::get_mut(page) {
            Some(page) => *page.header_mut() = description,
            None => unreachable!("nobody else has it"),
        });
        self.0
    }
}

impl Page {
    /// Whether nobody has another reference. Then nobody gets one.
    fn is_unshared(&self) -> bool {
        ThinArc::strong_count(&self.0) == 1
    }

    /// Keeps the page's memory for the next one that this thread brings in, if nobody else has it.
    pub(crate) fn reuse(self) {
        if self.is_unshared() {
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    /// Keeps a page that was just read, if nobody else has it: no cache, that is. It takes the place of the one kept
    /// before.
    pub(crate) fn keep_as_last(&self) {
        if self.is_unshared()
            && let Ok(Some(before)) = LAST.try_with(|last| last.replace(Some(self.clone())))
        {
            before.reuse();
        }
    }

    /// Forgets the page that this thread read last.
    #[cfg(test)]
    pub(crate) fn forget_last() {
        drop(LAST.take());
    }

    /// The page that this thread read last, if that is the one that a reader expects and no cache took it.
    pub(crate) fn last_read(expected: &Expected, store: StoreNumber) -> Option<Self> {
        LAST.try_with(|last| {
            let page = last.take();
            let found = page.as_ref().filter(|page| page.is(expected, store)).cloned();
            last.set(page);
            found
        })
        .ok()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(page: &Page) -> usize {
        page.bytes().as_ptr().addr()
    }

    #[test]
    fn the_next_page_has_the_memory_of_the_last_one_unless_somebody_holds_that() {
        let first = Page::with_bytes(&[1; 512]);
        let at = address(&first);
        let holder = first.clone();
        first.reuse();
        let second = Frame::copy_of(&[2; 512]);
        assert_ne!(address(&second.0), at, "it is held");
        holder.reuse();
        let third = Frame::copy_of(&[3; 512]);
        assert_eq!((address(&third.0), third.bytes()), (at, &[3; 512][..]));
        third.0.reuse();
        let size = PageSize::new(512).unwrap();
        let (fourth, fifth) = (Frame::of(size), Frame::of(size));
        assert_eq!(address(&fourth.0), at);
        assert_eq!(fifth.bytes(), [0; 512], "there is one, and it is taken once");
    }

    #[test]
    fn the_last_page_is_kept_until_the_next_one_and_its_memory_serves_then() {
        let expected = |page: &Page| Expected {
            tree: page.description().tree,
            child: page.reference(),
            level: page.level(),
        };
        let store = StoreNumber::NONE;
        let first = Page::with_bytes(&[1; 512]);
        let (of_first, at) = (expected(&first), address(&first));
        assert!(Page::last_read(&of_first, store).is_none(), "none was kept");
        let in_a_cache = first.clone();
        first.keep_as_last();
        assert!(Page::last_read(&of_first, store).is_none(), "somebody else has it");
        drop(in_a_cache);
        first.keep_as_last();
        assert_eq!(Page::last_read(&of_first, store).map(|page| address(&page)), Some(at));
        assert!(Page::last_read(&of_first, StoreNumber::take()).is_none(), "it is of another file");
        let mut other = of_first;
        other.child.checksum += 1;
        assert!(Page::last_read(&other, store).is_none(), "it is another page");

        let held = Frame::copy_of(&[2; 512]);
        assert_ne!(address(&held.0), at, "it is held");
        first.keep_as_last();
        drop(first);
        Page::forget_last();
        let first = Page::with_bytes(&[3; 512]);
        let at = address(&first);
        first.keep_as_last();
        drop(first);
        let second = Frame::copy_of(&[4; 512]);
        assert_eq!((address(&second.0), second.bytes()), (at, &[4; 512][..]));
        assert!(Page::last_read(&of_first, store).is_none(), "it is another page now");

        // The one before it serves as memory.
        second.0.keep_as_last();
        drop(second);
        held.0.keep_as_last();
        assert_eq!(address(&Frame::copy_of(&[5; 512]).0), at);
    }

    #[test]
    fn memory_of_another_size_is_not_taken() {
        Page::with_bytes(&[1; 512]).reuse();
        assert_eq!(Frame::copy_of(&[2; 1024]).bytes(), [2; 1024]);
        Page::with_bytes(&[1; 1024]).reuse();
        assert_eq!(Frame::of(PageSize::new(512).unwrap()).bytes().len(), 512);
    }
}
