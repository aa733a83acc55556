//! Where the holder of the gate is: on which thread it took it, and whether it can leave while that thread waits.
//!
//! A thread that waits for the gate in the closure of its own exclusive `transact` waits for ever: the gate is given
//! back after the closure. So it is told at once. Of a transaction that was begun by itself nobody knows where it is:
//! it may have been sent to another thread, where it ends while this one waits. So who waits for that is told only when
//! its time is over, and then of where the transaction was begun.
//!
//! Names are used again once their thread has ended: that a transaction was begun here is a hint.
//!
//! Invariant: the name of a thread is written to `inside` by that thread alone, and removed by it, or by whoever ends the
//! transaction. So a thread that finds its own name there is inside.

use braid_vfs::sync::atomic::{AtomicUsize, Ordering};
use braid_vfs::sync::thread_local;

thread_local! {
    /// Its address is the thread's name.
    static HERE: u64 = const { 0 };
}

const NOWHERE: usize = 0;

fn here() -> usize {
    HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(NOWHERE)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Holder {
    begun_on: AtomicUsize,
    inside: AtomicUsize,
}

impl Holder {
    /// The gate was taken by this thread.
    pub(super) fn begins(&self) {
        self.begun_on.store(here(), Ordering::Relaxed);
    }

    /// This thread calls a closure with what holds the gate, or has returned from it.
    pub(super) fn set_in_closure(&self, inside: bool) {
        self.inside.store(if inside { here() } else { NOWHERE }, Ordering::Relaxed);
    }

    /// The gate is given back.
    pub(super) fn ends(&self) {
        self.begun_on.store(NOWHERE, Ordering::Relaxed);
        self.set_in_closure(false);
    }

    /// Whether the holder was begun on this thread.
    pub(super) fn was_begun_here(&self) -> bool {
        let begun_on = self.begun_on.load(Ordering::Relaxed);
        begun_on != NOWHERE && begun_on == here()
    }

    /// Whether the holder cannot leave before this thread goes on.
    pub(super) fn waits_for_this_thread(&self) -> bool {
        let inside = self.inside.load(Ordering::Relaxed);
        inside != NOWHERE && inside == here()
    }
}
