//! Randomness from the operating system.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Random;

/// The operating system's generator, asked at each call, so that a fork does not repeat its parent's numbers.
#[derive(Debug, Default)]
pub struct OsRandom {
    /// Calls that the system did not answer.
    unanswered: AtomicU64,
}

impl OsRandom {
    /// The system's generator.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Random for OsRandom {
    fn next_u64(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            // A system that has no generator to offer now. The keys of a hasher come from the same place, taken when
            // this thread first hashed; the process and a count keep the answers apart.
            let count = self.unanswered.fetch_add(1, Ordering::Relaxed);
            RandomState::new().hash_one((std::process::id(), count))
        })
    }
}
