//! Counts the forks that lead to this process.
#![expect(unsafe_code, reason = "the C library calls back after a fork")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Forks between the first process of the program and this one. One word of memory that the fork copies.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The forks so far.
#[inline]
pub(super) fn generation() -> u64 {
    // Only the child's first thread changes it, before anything else runs in that process.
    GENERATION.load(Ordering::Relaxed)
}

/// Has the forks counted from now on; answers whether they are.
pub(super) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        // SAFETY:
        // 1. The handler is a plain function that lives as long as the program (a library that is unloaded has its
        //    handlers removed by the C library, which notes the caller's object at registration).
        // 2. After a fork in a threaded process only async-signal-safe work is allowed in the child: the handler
        //    adds to one atomic, which is lock-free on every target that has 64-bit atomics.
        // 3. The handler does not unwind: it has nothing that can panic.
        unsafe { libc::pthread_atfork(None, None, Some(count_fork)) == 0 }
    })
}

extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
