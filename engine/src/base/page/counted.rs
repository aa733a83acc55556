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
