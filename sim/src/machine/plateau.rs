//! Whether a quantity has stopped growing.

/// Compares the medians of the third and of the last quarter of what was sampled: the last may be above the third by a
/// tenth and `slack`. With fewer than eight samples nothing can be said, and that is no plateau.
#[must_use]
pub(super) fn is_plateau(samples: &[u64], slack: u64) -> bool {
    let quarter = samples.len() / 4;
    if quarter < 2 {
        return false;
    }
    let (third, last) = (median(&samples[quarter * 2..quarter * 3]), median(&samples[quarter * 3..]));
    last <= third + third / 10 + slack
}

/// The middle one.
#[must_use]
pub(super) fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_a_plateau() {
        let level: Vec<u64> = (0..100).map(|at| if at < 30 { at * 10 } else { 300 + at % 7 }).collect();
        assert!(is_plateau(&level, 0));
        let growth: Vec<u64> = (0..100).map(|at| at * 10).collect();
        assert!(!is_plateau(&growth, 0));
        assert!(is_plateau(&growth, 1000), "within the slack");
        assert!(!is_plateau(&[1; 7], 0), "too few to tell");
    }
}
