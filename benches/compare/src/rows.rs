//! The rows that are written and read: a key of 16 bytes and a value of 100, both told by the row's number.
//!
//! A key is a 64-bit id, big-endian, and eight bytes that follow from it: an engine whose keys are integers may keep the id
//! alone ([`id_of`]), which is never to its disadvantage.

use braid_measure::scramble;

use crate::engine::Result;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;
/// No key is before it.
pub(crate) const FIRST_KEY: [u8; KEY_BYTES] = [0; KEY_BYTES];

/// Rows that are made as they are asked for.
pub(crate) trait Rows: Sync {
    /// How many.
    fn len(&self) -> u64;
    /// Whether the keys ascend with the numbers.
    fn ascending(&self) -> bool;
    /// Shows the key and the value of the row of a number below `len`.
    fn with(&self, number: u64, see: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()>;
}

/// In which order the keys of the numbers 0, 1, 2, … come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each after the one before.
    Sequential,
    /// All over the table.
    Random,
}

impl Order {
    /// The id of row `number`, below 2^63. Different numbers below 2^32 have different ids.
    pub(crate) fn id(self, number: u64) -> u64 {
        match self {
            Self::Sequential => number,
            // A permutation of 62 bits would do too; the low half of the number keeps ids apart.
            Self::Random => (scramble(number) >> 33 << 32) | (number & 0xffff_ffff),
        }
    }

    /// The key of row `number`.
    pub(crate) fn key(self, number: u64) -> [u8; KEY_BYTES] {
        key(self.id(number))
    }
}

/// The rows of the numbers below `count` in an order, as they are before anything is updated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    pub(crate) order: Order,
    pub(crate) count: u64,
}

impl Rows for Fresh {
    fn len(&self) -> u64 {
        self.count
    }

    fn ascending(&self) -> bool {
        self.order == Order::Sequential
    }

    fn with(&self, number: u64, see: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        see(&self.order.key(number), &value(number, 0))
    }
}

/// The rows of the numbers below a count, with random keys, in the order of their keys: loaded as fast as sequential ones,
/// for work that is all over the table.
#[derive(Debug)]
pub(crate) struct Sorted(Vec<u32>);

impl Sorted {
    pub(crate) fn new(count: u32) -> Self {
        let mut numbers: Vec<u32> = (0..count).collect();
        numbers.sort_unstable_by_key(|&number| Order::Random.id(number.into()));
        Self(numbers)
    }

    /// The numbers of the rows in the order of the keys.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.0
    }
}

impl Rows for Sorted {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn ascending(&self) -> bool {
        true
    }

    fn with(&self, number: u64, see: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let number = usize::try_from(number).ok().and_then(|place| self.0.get(place));
        let number = u64::from(*number.ok_or("there is no such row")?);
        see(&Order::Random.key(number), &value(number, 0))
    }
}

/// The numbers of `rows` in pieces of at most `size`.
pub(crate) fn batches(rows: &dyn Rows, size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let len = rows.len();
    (0..len.div_ceil(size)).map(move |batch| batch * size..((batch + 1) * size).min(len))
}

/// The key of an id.
pub(crate) fn key(id: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&id.to_be_bytes());
    key[8..].copy_from_slice(&scramble(id).to_be_bytes());
    key
}

/// The id that a key begins with.
pub(crate) fn id_of(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Bytes of a value that say what the sum of the others is.
const SUM_BYTES: usize = 4;

/// A value that says its row's number, in which round it was written, and the sum of all that. About half of it does not
/// compress, as in RocksDB's own benchmark.
pub(crate) fn value(number: u64, round: u64) -> [u8; VALUE_BYTES] {
    let mut value = [b'v'; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value[8..16].copy_from_slice(&round.to_le_bytes());
    let mut noise = number ^ round.rotate_left(32);
    for word in value[16..56].chunks_exact_mut(8) {
        noise = scramble(noise);
        word.copy_from_slice(&noise.to_le_bytes());
    }
    if let Some((rest, said)) = value.split_last_chunk_mut::<SUM_BYTES>() {
        *said = sum(rest).to_le_bytes();
    }
    value
}

/// The number that a value says, which has all of its bytes: who reads a row reads all of it, whether the engine lends the
/// value or copies it.
pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    let (rest, said) = value.split_last_chunk::<SUM_BYTES>()?;
    let whole = value.len() == VALUE_BYTES && sum(rest) == u32::from_le_bytes(*said);
    whole.then(|| word(value, 0)).flatten()
}

/// The round that a value says.
pub(crate) fn round_of(value: &[u8]) -> Option<u64> {
    word(value, 8)
}

fn word(value: &[u8], from: usize) -> Option<u64> {
    value.get(from..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn sum(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().fold(0, |sum: u32, word| sum.wrapping_add(u32::from_le_bytes(*word)))
}

/// The same number each time for one thread's repetition, and otherwise like a throw of dice.
pub(crate) fn throw(thread: u64, repetition: u64) -> u64 {
    scramble(thread << 40 ^ repetition)
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
    fn ids_fit_a_signed_integer_and_come_back() {
        for number in [0, 1, 1 << 20, u64::from(u32::MAX)] {
            let id = Order::Random.id(number);
            assert!(i64::try_from(id).is_ok());
            assert_eq!(id_of(&key(id)), Some(id));
        }
    }

    #[test]
    fn sorted_rows_are_all_there_and_ascend() {
        let rows = Sorted::new(100);
        let mut keys = Vec::new();
        for place in 0..rows.len() {
            rows.with(place, &mut |key, _| {
                keys.push(key.to_vec());
                Ok(())
            })
            .unwrap();
        }
        assert!(keys.is_sorted());
        let mut random: Vec<_> = (0..100).map(|number| Order::Random.key(number).to_vec()).collect();
        random.sort();
        assert_eq!(keys, random);
    }

    #[test]
    fn batches_cover_all() {
        let rows = Fresh { order: Order::Sequential, count: 25 };
        assert_eq!(batches(&rows, 10).collect::<Vec<_>>(), [0..10, 10..20, 20..25]);
    }

    #[test]
    fn a_value_says_its_number() {
        assert_eq!(number_of(&value(7, 1)), Some(7));
        assert_eq!(round_of(&value(7, 1)), Some(1));
        assert_eq!(number_of(b"short"), None);
        assert_eq!(number_of(&value(7, 1)[..99]), None);
    }

    #[test]
    fn a_value_with_a_wrong_byte_says_nothing() {
        for place in 0..VALUE_BYTES {
            let mut value = value(7, 1);
            value[place] ^= 1;
            assert_eq!(number_of(&value), None, "byte {place}");
        }
    }
}
