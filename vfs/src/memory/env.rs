//! The whole outside with files in memory, and a clock and randomness that repeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::MemoryFileSystem;
use crate::sync::thread;
use crate::{Clock, Env, Random};

impl Env {
    /// Files in a memory of their own; real time, randomness and threads.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with_files(Arc::new(MemoryFileSystem::new()))
    }
}

/// A clock that goes on only when it is asked or slept on, so that a run with one seed can be repeated.
#[derive(Debug)]
pub struct VirtualClock {
    now: AtomicU64,
    tick: u64,
}

impl VirtualClock {
    /// One that starts at zero and goes on by `tick` at each look.
    #[must_use]
    pub fn new(tick: Duration) -> Self {
        Self { now: AtomicU64::new(0), tick: nanoseconds(tick) }
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(nanoseconds(by), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now.fetch_add(self.tick, Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        thread::yield_now();
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Randomness that one seed repeats (SplitMix64).
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number less than `bound`; `0` where `bound` is.
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
