//! Pages in the slots of `arc-swap`, which hold a page by its bare pointer.
#![expect(unsafe_code, reason = "`arc-swap` takes counted pointers of other crates by an unsafe trait")]

use std::ffi::c_void;

use arc_swap::RefCnt;

use super::view::Page;

// SAFETY: a page is a `ThinArc` and nothing more, and all that is done here is what `triomphe` does for a `ThinArc`, so that
// its obligations are met where it meets them:
// 1. counting up and down cancel each other out, and a page lives while its count is not zero;
// 2. equal pointers are the same page, as every page has an allocation with its own count;
// 3. the pointer stays valid when the `Page` is moved: it leads to the heap;
// 4. no method panics.
unsafe impl RefCnt for Page {
    type Base = c_void;

    #[inline]
    fn into_ptr(me: Self) -> *mut Self::Base {
        RefCnt::into_ptr(me.0)
    }

    #[inline]
    fn as_ptr(me: &Self) -> *mut Self::Base {
        RefCnt::as_ptr(&me.0)
    }

    #[inline]
    unsafe fn from_ptr(ptr: *const Self::Base) -> Self {
        // SAFETY: the caller's pointer comes from `into_ptr`, which is the one of `ThinArc`.
        Self(unsafe { RefCnt::from_ptr(ptr) })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use arc_swap::ArcSwapAny;

    use super::*;

    fn page(byte: u8) -> Page {
        Page::with_bytes(&[byte; 100])
    }

    #[test]
    fn a_page_that_was_swapped_out_lives_as_long_as_somebody_holds_it() {
        let slot: ArcSwapAny<Page> = ArcSwapAny::new(page(1));
        let (guarded, shared) = (slot.load(), slot.load_full());
        drop(slot.swap(page(2)));
        assert_eq!((guarded.bytes(), shared.bytes()), (&[1; 100][..], &[1; 100][..]));
        drop(shared);
        let kept = arc_swap::Guard::into_inner(guarded);
        drop(slot);
        assert_eq!(kept.clone().bytes(), [1; 100]);
    }

    #[test]
    fn readers_see_whole_pages_while_others_are_swapped_in() {
        let slot: ArcSwapAny<Page> = ArcSwapAny::new(page(0));
        thread::scope(|scope| {
            scope.spawn(|| (1..20).for_each(|byte| slot.store(page(byte))));
            for _ in 0..20 {
                let seen = slot.load();
                assert!(
                    seen.bytes().iter().all(|byte| *byte == seen.bytes()[0]) && seen.bytes().len() == 100
                );
            }
        });
        assert_eq!(slot.load().bytes()[0], 19);
    }
}
