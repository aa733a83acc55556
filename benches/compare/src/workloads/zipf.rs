//! Numbers of which a few come often, as in YCSB: the n-th most frequent one in proportion to 1 ÷ n^0.99, and the frequent
//! ones all over. Made before the clock runs, since each takes a power.

use braid_measure::scramble;

/// How skewed it is.
const THETA: f64 = 0.99;

/// A long list of them, which threads go round in, each from another place.
#[derive(Debug)]
pub(super) struct Zipf(Vec<u32>);

impl Zipf {
    /// `length` numbers below `bound`.
    pub(super) fn new(bound: u32, length: usize) -> Self {
        let ranks = Ranks::new(bound);
        let number = |throw| (scramble(ranks.at(unit(scramble(throw)))) % u64::from(bound.max(1))) as u32;
        Self((0..length as u64).map(number).collect())
    }

    /// The number for a thread's repetition.
    pub(super) fn at(&self, thread: u64, repetition: u64) -> u64 {
        // Places that have nothing to do with each other.
        let place = thread.wrapping_mul(0x9e37_79b1).wrapping_add(repetition) % (self.0.len() as u64).max(1);
        self.0.get(place as usize).copied().unwrap_or_default().into()
    }
}

/// At least 0 and below 1.
fn unit(throw: u64) -> f64 {
    (throw >> 11) as f64 / (1_u64 << 53) as f64
}

/// The method of Gray and others, "Quickly generating billion-record synthetic databases".
struct Ranks {
    bound: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Ranks {
    fn new(bound: u32) -> Self {
        let weight = |rank: u32| 1.0 / f64::from(rank).powf(THETA);
        let zeta: f64 = (1..=bound).map(weight).sum();
        let bound = f64::from(bound);
        let eta = (1.0 - (2.0 / bound).powf(1.0 - THETA)) / (1.0 - (1.0 + weight(2)) / zeta);
        Self { bound, zeta, alpha: 1.0 / (1.0 - THETA), eta }
    }

    /// From 0, the most frequent one, to below the bound.
    fn at(&self, unit: f64) -> u64 {
        let share = unit * self.zeta;
        if share < 1.0 {
            0
        } else if share < 1.0 + 0.5_f64.powf(THETA) {
            1
        } else {
            (self.bound * (self.eta * unit - self.eta + 1.0).powf(self.alpha)) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_come_often_and_all_are_below_the_bound() {
        let (bound, length) = (1000, 100_000);
        let zipf = Zipf::new(bound, length);
        let mut counts = vec![0_u32; bound as usize];
        for repetition in 0..length as u64 {
            counts[zipf.at(3, repetition) as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // 1 ÷ zeta(1000, 0.99) is 0.131; two ranks may fall on one number.
        assert!((0.12..0.16).contains(&(f64::from(counts[0]) / length as f64)), "{}", counts[0]);
        assert!(counts[..100].iter().sum::<u32>() > length as u32 * 6 / 10);
    }

    #[test]
    fn a_bound_of_one_leaves_one() {
        assert_eq!(Zipf::new(1, 10).at(0, 7), 0);
    }
}
