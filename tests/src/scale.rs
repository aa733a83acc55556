//! How much work the long scenarios do.

use std::ops::Range;

/// `BRAID_TEST_SCALE`, by default 1: a factor for loops, seeds and cycles.
#[must_use]
pub fn scale() -> u64 {
    std::env::var("BRAID_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

/// The seeds of a random scenario: `count` times the scale of them, or the one that `BRAID_TEST_SEED` names.
#[must_use]
pub fn seeds(count: u64) -> Range<u64> {
    match std::env::var("BRAID_TEST_SEED").ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count * scale(),
    }
}
