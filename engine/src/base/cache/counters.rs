//! A counter that many threads raise without meeting.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;

use braid_vfs::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

const STRIPES: usize = 16;

static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A sum kept in stripes, one cache line each; every thread adds to one of its own as long as there are enough.
#[derive(Debug, Default)]
pub(crate) struct Striped {
    stripes: [CachePadded<AtomicU64>; STRIPES],
}

impl Striped {
    pub(crate) fn add(&self, n: u64) {
        let stripe = STRIPE.with(|own| {
            if own.get() == usize::MAX {
                own.set(NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES);
            }
            own.get()
        });
        self.stripes[stripe].fetch_add(n, Ordering::Relaxed);
    }

    /// The sum: exact once the threads that add to it rest.
    pub(crate) fn sum(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}
