//! Row keys: a table and bytes, in that order.
//!
//! A search in the row store compares some twenty keys, so a comparison must not miss the cache twice. A [`RowKey`]
//! is 32 bytes: keys of up to [`INLINE`] bytes lie in it, longer ones keep their first eight bytes beside the
//! pointer, which decide most comparisons.
//!
//! Lookups use a [`Probe`], which may borrow its bytes. `RowKey` wraps `Probe<'static>`, and a `Probe<'static>` is a
//! `Probe<'a>` for any `'a`; hence `RowKey: Borrow<Probe<'a>>` is safe code, allocates nothing and calls nothing
//! through a pointer.
//!
//! Short keys are padded with zeros and compared as big-endian words. Where two padded keys differ, either both
//! bytes are real, or the padding (0) meets a later byte of a longer key (not 0), and the shorter key is its prefix:
//! in both cases the words order them as their bytes do. Where the words are equal, the lengths decide.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// A table's number. Small, and it lasts for the life of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest key that lies within a [`RowKey`].
pub(crate) const INLINE: usize = 24;

const PREFIX: usize = 8;

/// Two numbers without a pattern (fractions of π and of the golden ratio).
const HASH_SEED: u64 = 0x243f_6a88_85a3_08d3;
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(size_of::<RowKey>() == 32);

/// A table and key bytes, ordered by table and then by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey(Probe<'static>);

/// A [`RowKey`] that may borrow its bytes.
///
/// The representation is told: so table and first bytes are where they are whatever the form, and most comparisons need not
/// ask for that.
#[derive(Clone)]
#[repr(u8)]
pub(crate) enum Probe<'a> {
    /// Invariant: `bytes[len..]` is zero.
    Inline {
        len: u8,
        table: TableId,
        bytes: [u8; INLINE],
    },
    Heap {
        table: TableId,
        prefix: [u8; PREFIX],
        bytes: Box<[u8]>,
    },
    Borrowed {
        table: TableId,
        prefix: [u8; PREFIX],
        bytes: &'a [u8],
    },
}

impl RowKey {
    /// The key of a row. Allocates when `key` is longer than 24 bytes.
    #[must_use]
    pub fn new(table: TableId, key: &[u8]) -> Self {
        Probe::new(table, key).into()
    }

    /// Its table.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.0.table()
    }

    /// Its bytes within the table.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The first key behind it.
    pub(crate) fn successor(&self) -> Self {
        Self::new(self.table(), &[self.bytes(), &[0]].concat())
    }

    /// See [`Probe::hash`].
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.0.hash()
    }

    /// Bytes that it occupies outside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Probe::Heap { bytes, .. } => bytes.len(),
            Probe::Inline { .. } | Probe::Borrowed { .. } => 0,
        }
    }
}

impl From<Probe<'_>> for RowKey {
    #[inline]
    fn from(probe: Probe<'_>) -> Self {
        Self(match probe {
            Probe::Inline { len, table, bytes } => Probe::Inline { len, table, bytes },
            Probe::Heap { table, prefix, bytes } => Probe::Heap { table, prefix, bytes },
            Probe::Borrowed { table, prefix, bytes } => Probe::Heap { table, prefix, bytes: bytes.into() },
        })
    }
}

impl<'a> Probe<'a> {
    #[inline]
    pub(crate) fn new(table: TableId, key: &'a [u8]) -> Self {
        match inline(table, key) {
            Some(short) => short,
            None => Self::Borrowed { table, prefix: prefix(key), bytes: key },
        }
    }

    #[inline]
    pub(crate) fn table(&self) -> TableId {
        match self {
            Self::Inline { table, .. } | Self::Heap { table, .. } | Self::Borrowed { table, .. } => *table,
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes, .. } => &bytes[..usize::from(*len)],
            Self::Heap { bytes, .. } => bytes,
            Self::Borrowed { bytes, .. } => bytes,
        }
    }

    /// A number in which every bit depends on table and bytes; the same for every form of one key.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        let seed = mix(HASH_SEED, u64::from(self.table().0));
        match self {
            Self::Inline { len, bytes, .. } => {
                let mixed = (0..INLINE / PREFIX).fold(seed, |hash, index| mix(hash, word(bytes, index)));
                mix(mixed, u64::from(*len))
            }
            Self::Heap { .. } | Self::Borrowed { .. } => {
                let mixed = self
                    .bytes()
                    .chunks(PREFIX)
                    .fold(seed, |hash, chunk| mix(hash, u64::from_be_bytes(prefix(chunk))));
                mix(mixed, self.bytes().len() as u64)
            }
        }
    }

    /// The first eight bytes, padded with zeros, as a number that orders like them.
    #[inline]
    fn prefix(&self) -> u64 {
        match self {
            Self::Inline { bytes, .. } => word(bytes, 0),
            Self::Heap { prefix, .. } | Self::Borrowed { prefix, .. } => u64::from_be_bytes(*prefix),
        }
    }

    /// Orders two keys of one table and one prefix.
    #[inline(always)]
    fn cmp_tail(&self, other: &Probe<'_>) -> Ordering {
        match (self, other) {
            (Self::Inline { len, bytes, .. }, Probe::Inline { len: other_len, bytes: other_bytes, .. }) => {
                let (second, other_second) = (word(bytes, 1), word(other_bytes, 1));
                if second != other_second {
                    return second.cmp(&other_second);
                }
                let (third, other_third) = (word(bytes, 2), word(other_bytes, 2));
                if third == other_third { len.cmp(other_len) } else { third.cmp(&other_third) }
            }
            _ => self.cmp_bytes(other),
        }
    }

    #[inline(never)]
    fn cmp_bytes(&self, other: &Probe<'_>) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

/// A key as a search wants it, which compares it with many: taken apart once.
pub(crate) struct Sought<'a> {
    table: TableId,
    prefix: u64,
    /// The rest of one of the short form, padded with zeros, and its length.
    tail: Option<(u64, u64, u8)>,
    key: &'a Probe<'a>,
}

impl<'a> Sought<'a> {
    #[inline]
    pub(crate) fn new(key: &'a Probe<'a>) -> Self {
        let tail = match key {
            Probe::Inline { len, bytes, .. } => Some((word(bytes, 1), word(bytes, 2), *len)),
            Probe::Heap { .. } | Probe::Borrowed { .. } => None,
        };
        Self { table: key.table(), prefix: key.prefix(), tail, key }
    }

    /// Whether it comes before another key.
    #[inline(always)]
    pub(crate) fn is_before(&self, other: &Probe<'_>) -> bool {
        if self.table != other.table() {
            return self.table < other.table();
        }
        let prefix = other.prefix();
        if self.prefix != prefix {
            return self.prefix < prefix;
        }
        match (self.tail, other) {
            (Some((second, third, len)), Probe::Inline { len: other_len, bytes, .. }) => {
                let (other_second, other_third) = (word(bytes, 1), word(bytes, 2));
                if second == other_second {
                    (third, len) < (other_third, *other_len)
                } else {
                    second < other_second
                }
            }
            _ => self.key.cmp_bytes(other).is_lt(),
        }
    }
}

#[inline]
fn inline(table: TableId, key: &[u8]) -> Option<Probe<'static>> {
    if key.len() > INLINE {
        return None;
    }
    let mut bytes = [0; INLINE];
    // Copies of fixed lengths, the last of which may overlap the one before: a copy of a length that is not known is a call.
    if let (Some(first), Some(last)) = (key.first_chunk::<16>(), key.last_chunk::<PREFIX>()) {
        bytes[..16].copy_from_slice(first);
        bytes[key.len() - PREFIX..key.len()].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (key.first_chunk::<PREFIX>(), key.last_chunk::<PREFIX>()) {
        bytes[..PREFIX].copy_from_slice(first);
        bytes[key.len() - PREFIX..key.len()].copy_from_slice(last);
    } else {
        bytes[..PREFIX].copy_from_slice(&prefix(key));
    }
    // The length fits: it is at most INLINE.
    Some(Probe::Inline { table, len: u8::try_from(key.len()).ok()?, bytes })
}

/// The first bytes, padded with zeros.
#[inline]
fn prefix(key: &[u8]) -> [u8; PREFIX] {
    if let Some(bytes) = key.first_chunk() {
        return *bytes;
    }
    let mut padded = [0; PREFIX];
    if let (Some(first), Some(last)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        padded[..4].copy_from_slice(first);
        padded[key.len() - 4..key.len()].copy_from_slice(last);
    } else {
        for (to, from) in padded.iter_mut().zip(key) {
            *to = *from;
        }
    }
    padded
}

/// Folds a product of 128 bits: each half of it depends on all bits of both sides.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of the product")]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ HASH_SEED) * u128::from(HASH_FACTOR);
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn word(bytes: &[u8; INLINE], index: usize) -> u64 {
    let mut word = [0; PREFIX];
    word.copy_from_slice(&bytes[index * PREFIX..(index + 1) * PREFIX]);
    u64::from_be_bytes(word)
}

impl Ord for Probe<'_> {
    #[inline(always)]
    fn cmp(&self, other: &Self) -> Ordering {
        if self.table() != other.table() {
            return self.table().cmp(&other.table());
        }
        let (prefix, other_prefix) = (self.prefix(), other.prefix());
        if prefix == other_prefix { self.cmp_tail(other) } else { prefix.cmp(&other_prefix) }
    }
}

impl PartialOrd for Probe<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Probe<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Probe<'_> {}

impl<'a> Borrow<Probe<'a>> for RowKey {
    #[inline]
    fn borrow(&self) -> &Probe<'a> {
        &self.0
    }
}

impl fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table(), self.bytes().escape_ascii())
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;
    use crate::testing::Rng;

    /// Short alphabets and shared prefixes make ties, zeros and length differences likely.
    fn random_key(rng: &mut Rng) -> (TableId, Vec<u8>) {
        let table = TableId(rng.below(3_u32));
        let mut key = vec![rng.below(2_u8); rng.below(30_usize)];
        key.extend((0..rng.below(12)).map(|_| [0, 0, 1, 255][rng.below(4_usize)]));
        (table, key)
    }

    #[test]
    fn keys_order_by_table_and_then_by_bytes() {
        let mut rng = Rng::new(1);
        let mut equal = 0;
        for _ in 0..50_000 {
            let a = random_key(&mut rng);
            let mut b = if rng.below(2) == 0 { a.clone() } else { random_key(&mut rng) };
            match rng.below(3) {
                0 => b.1.truncate(rng.below(40_usize)),
                1 => b.1.push(rng.below(2_u8)),
                _ => {}
            }
            let expected = a.cmp(&b);
            equal += usize::from(expected.is_eq());
            let (left, right) = (RowKey::new(a.0, &a.1), RowKey::new(b.0, &b.1));
            assert_eq!(left.cmp(&right), expected, "{left:?} {right:?}");
            assert_eq!(left == right, expected.is_eq());
            let stored: &Probe<'_> = left.borrow();
            assert_eq!(stored.cmp(&Probe::new(b.0, &b.1)), expected, "{left:?} {right:?}");
            assert_eq!(Sought::new(stored).is_before(&Probe::new(b.0, &b.1)), expected.is_lt());
            assert_eq!(Sought::new(&Probe::new(b.0, &b.1)).is_before(stored), expected.is_gt());
        }
        assert!(equal > 100, "the generator must produce ties, it made {equal}");
    }

    #[test]
    fn a_table_is_named_by_its_number() {
        assert_eq!(TableId(70).to_string(), "70");
    }

    #[test]
    fn a_key_gives_back_its_parts() {
        for len in 0..=60 {
            let bytes: Vec<u8> = (0..len).collect();
            let key = RowKey::new(TableId(7), &bytes);
            assert_eq!((key.table(), key.bytes()), (TableId(7), &*bytes));
            assert_eq!(key.heap_bytes(), if bytes.len() > INLINE { bytes.len() } else { 0 });
        }
    }
}
