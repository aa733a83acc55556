//! Memory for a page to come: that of one which nobody holds any more serves again.
//!
//! Once a cache is full, one page goes for each that comes, and mostly on the thread that brought it. So each thread keeps
//! the memory of one page: what comes next is read straight into it, and the allocator is not asked.

use std::cell::Cell;

use triomphe::{Arc, ThinArc};

use super::header::PageSize;
use super::view::{Description, Page};

/// What a new frame is filled with.
static ZEROS: [u8; PageSize::MAX.bytes()] = [0; PageSize::MAX.bytes()];

thread_local! {
    /// A page that nobody else has.
    static SPARE: Cell<Option<Page>> = const { Cell::new(None) };
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
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.filter(|page| page.bytes().len() == bytes).map(Self)
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
    /// Keeps the page's memory for the next one that this thread brings in, if nobody else has it.
    pub(crate) fn reuse(self) {
        if ThinArc::strong_count(&self.0) == 1 {
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
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
    fn memory_of_another_size_is_not_taken() {
        Page::with_bytes(&[1; 512]).reuse();
        assert_eq!(Frame::copy_of(&[2; 1024]).bytes(), [2; 1024]);
        Page::with_bytes(&[1; 1024]).reuse();
        assert_eq!(Frame::of(PageSize::new(512).unwrap()).bytes().len(), 512);
    }
}
