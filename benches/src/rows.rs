//! The rows that are written and read: a key of 16 bytes and a value of 100, both told by the row's number.

use braid_measure::scramble;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;

/// In which order the keys of the numbers 0, 1, 2, … come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// Each after the one before.
    Sequential,
    /// All over the table.
    Random,
}

impl Order {
    /// The key of row `number`. Different numbers have different keys.
    pub(crate) fn key(self, number: u64) -> [u8; KEY_BYTES] {
        let first = match self {
            Self::Sequential => 0,
            Self::Random => scramble(number),
        };
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&first.to_be_bytes());
        key[8..].copy_from_slice(&number.to_be_bytes());
        key
    }
}

/// A value that says its row's number and in which round it was written.
pub(crate) fn value(number: u64, round: u64) -> [u8; VALUE_BYTES] {
    let mut value = [b'v'; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value[8..16].copy_from_slice(&round.to_le_bytes());
    value
}

/// The number that a value says.
pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Numbers below a bound, without end and always the same.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(scramble(seed))
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scramble(self.0) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_keys_ascend_and_random_ones_do_not() {
        let ascends = |order: Order| (0..100).all(|number| order.key(number) < order.key(number + 1));
        assert!(ascends(Order::Sequential));
        assert!(!ascends(Order::Random));
    }

    #[test]
    fn a_value_says_its_number() {
        assert_eq!(number_of(&value(7, 1)), Some(7));
        assert_eq!(number_of(b"short"), None);
    }
}
