//! Where memory is short, that there is none for a whole step of an arena keeps no smaller piece from being allocated.
#![allow(missing_docs, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The system's allocator, which refuses pieces of a given length or more.
struct Refusing;

static FROM: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: 1. every call that is not refused is handed to the system's allocator as it came, and its answer handed back. 2. A
// refused one answers null, as an allocator may, and changes nothing. 3. The counters are atomic and allocate nothing.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= FROM.load(SeqCst) {
            REFUSED.fetch_add(1, SeqCst);
            return std::ptr::null_mut();
        }
        // SAFETY: 1. of the impl.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: 1. of the impl.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

#[test]
#[cfg(target_env = "gnu")]
fn a_step_that_is_refused_ends_nothing() {
    let (most, pieces) = (100 << 10, 10);
    FROM.store(most, SeqCst);
    for _ in 0..pieces {
        braid_vfs::grow_ahead(most - 1);
        assert_eq!(Vec::<u8>::with_capacity(most - 1).capacity(), most - 1);
    }
    FROM.store(usize::MAX, SeqCst);
    // Each but the first, for which there was room.
    assert_eq!(REFUSED.load(SeqCst), pieces - 1);
}
