//! The memory of versions.
//!
//! The versions of hot rows come and go: each commit allocates some, and the epoch frees as many, a hundred at a time. An
//! allocator's own cache of a thread is too short for that, so the memory of what a thread frees is kept here for what it
//! writes next, up to a bound.
//!
//! Sizes are rounded up to that of a place; for each there is a list, whose links lie in the memory that is kept.
//!
//! Invariants
//! 1. What is in a list was allocated with the layout of the list's size, and nothing else knows it.
//! 2. A list is its thread's alone.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr;

/// Places differ by so much: no more than what an allocator rounds up by.
const STEP: usize = 16;
/// How many sizes of places there are. Beyond them memory is the allocator's.
const SIZES: usize = 32;
/// The most that a thread keeps, in bytes. Checkers are to see each version come from the allocator and go there: Miri, what
/// is used too late; the others begin each schedule with the same.
const KEPT_BYTES: usize = if cfg!(any(miri, shuttle, loom)) { 0 } else { 64 << 10 };

/// The beginning of memory that is kept.
struct Free {
    next: *mut Free,
}

/// What a thread keeps.
struct Kept<const MOST: usize> {
    lists: [Cell<*mut Free>; SIZES],
    bytes: Cell<usize>,
}

thread_local! {
    static KEPT: Kept<KEPT_BYTES> = const { Kept::new() };
}

/// The place for a layout, and its number; `None` where that is the allocator's alone.
#[inline(always)]
fn place_of(layout: Layout) -> Option<(usize, Layout)> {
    let number = layout.size().checked_sub(1)? / STEP;
    if number >= SIZES || layout.align() > align_of::<Free>() {
        return None;
    }
    let place = Layout::from_size_align((number + 1) * STEP, align_of::<Free>()).ok()?;
    Some((number, place))
}

fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the callers' layouts are not empty.
    let address = unsafe { alloc(layout) };
    if address.is_null() {
        handle_alloc_error(layout);
    }
    address
}

impl<const MOST: usize> Kept<MOST> {
    const fn new() -> Self {
        Self { lists: [const { Cell::new(ptr::null_mut()) }; SIZES], bytes: Cell::new(0) }
    }

    #[inline(always)]
    fn take(&self, number: usize, place: Layout) -> Option<*mut u8> {
        let list = self.lists.get(number)?;
        let first = list.get();
        if first.is_null() {
            return None;
        }
        // SAFETY: it is in a list, so it is memory that was made a `Free`, and nobody else knows it (invariant 1).
        list.set(unsafe { first.read() }.next);
        self.bytes.set(self.bytes.get() - place.size());
        Some(first.cast())
    }

    /// Whether there is room for it.
    ///
    /// # Safety
    /// The memory was allocated with the layout of the place of this number, and is not used any more if it is kept.
    #[inline(always)]
    unsafe fn keep(&self, address: *mut u8, number: usize, place: Layout) -> bool {
        let bytes = self.bytes.get() + place.size();
        let Some(list) = self.lists.get(number).filter(|_| bytes <= MOST) else { return false };
        let first = address.cast::<Free>();
        // SAFETY: 1. the place is at least as large as a `Free`, and aligned as one. 2. It is ours (the caller's obligation).
        unsafe { first.write(Free { next: list.get() }) };
        list.set(first);
        self.bytes.set(bytes);
        true
    }
}

impl<const MOST: usize> Drop for Kept<MOST> {
    fn drop(&mut self) {
        for number in 0..SIZES {
            let Ok(place) = Layout::from_size_align((number + 1) * STEP, align_of::<Free>()) else { return };
            while let Some(address) = self.take(number, place) {
                // SAFETY: invariant 1, and it is in no list any more.
                unsafe { dealloc(address, place) };
            }
        }
    }
}

/// Memory for a layout that is not empty, to be given back with the same.
#[inline]
pub(super) fn take(layout: Layout) -> *mut u8 {
    let Some((number, place)) = place_of(layout) else { return allocate(layout) };
    // A thread that ends keeps nothing any more.
    let kept = KEPT.try_with(|kept| kept.take(number, place)).ok().flatten();
    kept.unwrap_or_else(|| allocate(place))
}

/// Takes memory back.
///
/// # Safety
/// It was [taken](take) with this layout, by whichever thread, and is not used any more.
#[inline]
pub(super) unsafe fn give_back(address: *mut u8, layout: Layout) {
    let place = place_of(layout);
    if let Some((number, place)) = place {
        // SAFETY: `take` allocated the place for this layout, and the caller does not use it any more.
        let kept = KEPT.try_with(|kept| unsafe { kept.keep(address, number, place) });
        if kept.unwrap_or(false) {
            return;
        }
    }
    // SAFETY: `take` allocated it with the layout of its place, or where it has none with its own.
    unsafe { dealloc(address, place.map_or(layout, |(_, place)| place)) };
}

/// What the thread keeps, for those who count what is allocated.
#[cfg(all(test, not(any(shuttle, loom))))]
pub(super) fn kept_bytes() -> usize {
    KEPT.with(|kept| kept.bytes.get())
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    fn place(size: usize) -> (usize, Layout) {
        place_of(Layout::from_size_align(size, 8).expect("a layout")).expect("a place")
    }

    #[test]
    fn a_place_is_large_enough_and_no_larger_than_an_allocator_makes_it() {
        for size in 1..=SIZES * STEP {
            let (number, place) = place(size);
            assert!(place.size() >= size && place.size() < size + STEP && number < SIZES, "{size}");
        }
        let large = Layout::from_size_align(SIZES * STEP + 1, 8).expect("a layout");
        let aligned = Layout::from_size_align(64, 64).expect("a layout");
        assert!(place_of(large).is_none() && place_of(aligned).is_none());
    }

    #[test]
    fn what_was_kept_last_comes_first_and_only_for_its_size() {
        let kept = Kept::<1024>::new();
        let (small, large) = (place(20), place(40));
        let addresses = [small, small, large].map(|(number, place)| {
            let address = allocate(place);
            // SAFETY: it was allocated so, and what is looked at below is its address.
            assert!(unsafe { kept.keep(address, number, place) });
            address
        });
        assert_eq!(kept.bytes.get(), 32 + 32 + 48);
        for (number, (of, place)) in [(1, small), (0, small), (2, large)] {
            let taken = kept.take(of, place);
            assert_eq!(taken, Some(addresses[number]));
            // SAFETY: it was allocated so, and is in no list any more.
            unsafe { dealloc(addresses[number], place) };
        }
        assert_eq!(kept.take(small.0, small.1), None);
        assert_eq!(kept.bytes.get(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_freed_at_the_end() {
        let kept = Kept::<100>::new();
        let (number, place) = place(48);
        let mut refused = 0;
        for _ in 0..5 {
            let address = allocate(place);
            // SAFETY: it was allocated so, and is freed at once where it is not kept.
            unsafe {
                if !kept.keep(address, number, place) {
                    dealloc(address, place);
                    refused += 1;
                }
            }
        }
        // Miri would tell of the two that nobody freed.
        assert_eq!((refused, kept.bytes.get()), (3, 96));
    }

    #[test]
    fn memory_of_one_thread_is_kept_by_another() {
        for size in [24, 124, SIZES * STEP, SIZES * STEP + 1, 10_000] {
            let layout = Layout::from_size_align(size, 8).expect("a layout");
            let address = take(layout).expose_provenance();
            let other = std::thread::spawn(move || {
                // SAFETY: it was taken so, and nobody uses it.
                unsafe { give_back(ptr::with_exposed_provenance_mut(address), layout) };
            });
            other.join().expect("no panic");
        }
    }
}
