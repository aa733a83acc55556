//! One seed, three streams: what is done, in which order the threads take turns, and what goes wrong. They are
//! independent, so that taking something away from one leaves the others as they were: that is what shrinking needs.

use braid::vfs::Random as _;
use braid::vfs::memory::SeededRandom;
use fastrand::Rng;

/// The seeds of the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// What the sessions do.
    pub workload: u64,
    /// Whose turn it is.
    pub schedule: u64,
    /// What goes wrong, and when.
    pub faults: u64,
}

impl Streams {
    /// The streams of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self {
            workload: mixed(seed, 0x0077_6f72_6b6c_6f61),
            schedule: mixed(seed, 0x0073_6368_6564_756c),
            faults: mixed(seed, 0x0066_6175_6c74_7321),
        }
    }
}

/// A branch of a stream, which draws nothing from its trunk: one for each session of each life.
#[must_use]
pub fn branch(stream: u64, number: u64) -> Rng {
    Rng::with_seed(mixed(stream, number))
}

/// A seed made of two numbers; neighbours have nothing in common.
#[must_use]
pub fn mixed(seed: u64, number: u64) -> u64 {
    let first = SeededRandom::new(seed).next_u64();
    SeededRandom::new(first ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_their_own() {
        let (one, two) = (Streams::of(1), Streams::of(2));
        assert_eq!(one, Streams::of(1));
        let all = [one.workload, one.schedule, one.faults, two.workload, two.schedule, two.faults];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_ne!(branch(one.workload, 0).u64(..), branch(one.workload, 1).u64(..));
    }
}
