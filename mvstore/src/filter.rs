//! A filter before a generation's index: most keys that are not there cost one cache line instead of a search.
//!
//! A key is three bits in one word of 64, chosen by its hash. Where one of them is not set, no committer has a row
//! for the key yet, so it has no version. Bits are only ever set.
//!
//! # Why relaxed accesses are enough
//!
//! A committer sets a key's bits, or finds them set, before it installs a version; its timestamp is published after
//! that, and a reader learns that timestamp before it looks here. So what the committer wrote or read happens before
//! what the reader reads, and coherence of one atomic word lets the reader see nothing older.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use braid_vfs::sync::atomic::AtomicU64;
use braid_vfs::{planted, prefetch};

/// A generation's memory for each byte of filter: about 16 bits a row for rows of 100 bytes, 8 for tiny ones.
const GENERATION_BYTES_PER_BYTE: usize = 128;
const MAX_BYTES: usize = 4 << 20;
const MIN_BYTES: usize = 64;
const WORD_BYTES: usize = size_of::<u64>();

pub(crate) struct KeyFilter {
    /// A power of two of them.
    words: Box<[AtomicU64]>,
}

impl KeyFilter {
    /// A filter for a generation that will grow to about `generation_bytes`. Beyond that it lets more and more through.
    pub(crate) fn for_bytes(generation_bytes: usize) -> Self {
        let words = Self::bytes_for(generation_bytes) / WORD_BYTES;
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The memory that such a filter takes.
    pub(crate) fn bytes_for(generation_bytes: usize) -> usize {
        let bytes = (generation_bytes / GENERATION_BYTES_PER_BYTE).clamp(MIN_BYTES, MAX_BYTES);
        (bytes / WORD_BYTES).next_power_of_two() * WORD_BYTES
    }

    /// Has the processor load the word of a key.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch(self.place(hash).0);
    }

    /// Lets a key through from now on.
    #[inline]
    pub(crate) fn insert(&self, hash: u64) {
        let (word, bits) = self.place(hash);
        // Most keys of a busy generation are there already: do not take the line from other cores for those.
        let set = word.load(Relaxed) & bits;
        if set != bits && !(planted!(FilterForgets) && set != 0) {
            word.fetch_or(bits, Relaxed);
        }
    }

    /// Whether a key may be in the index.
    #[inline]
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        word.load(Relaxed) & bits == bits
    }

    #[inline]
    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        let bits = 1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63);
        // The mask keeps the index within the array, and all of its bits lie above those used for the word's.
        let index = usize::try_from(hash >> 32).unwrap_or(0) & (self.words.len() - 1);
        (&self.words[index], bits)
    }
}

impl fmt::Debug for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFilter").field("words", &self.words.len()).finish()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;
    use crate::TableId;
    use crate::key::{Probe, RowKey};

    const T: TableId = TableId(1);

    #[test]
    fn what_was_inserted_gets_through_and_hardly_anything_else() {
        let filter = KeyFilter::for_bytes(1 << 20);
        let rows = 1_u64 << 20 >> 8;
        for row in 0..rows {
            assert!(row != 0 || !filter.may_hold(Probe::new(T, &row.to_be_bytes()).hash()));
            filter.insert(Probe::new(T, &row.to_be_bytes()).hash());
        }
        for row in 0..rows {
            assert!(filter.may_hold(Probe::new(T, &row.to_be_bytes()).hash()));
        }
        let passed =
            (rows..11 * rows).filter(|row| filter.may_hold(Probe::new(T, &row.to_be_bytes()).hash())).count();
        assert!(passed as u64 * 50 < 10 * rows, "{passed} of {} get through", 10 * rows);
    }

    #[test]
    fn the_smallest_filter_works_and_a_full_one_lets_everything_through() {
        let filter = KeyFilter::for_bytes(0);
        (0..10_000_u64).for_each(|row| filter.insert(Probe::new(T, &row.to_le_bytes()).hash()));
        assert!(filter.may_hold(Probe::new(T, b"never inserted").hash()));
    }

    #[test]
    fn a_key_is_the_three_bits_that_its_hash_names() {
        let filter = KeyFilter::for_bytes(1 << 20);
        for (one, two, three) in [(0, 0, 0), (5, 5, 9), (9, 5, 5), (63, 0, 63), (1, 2, 3), (17, 42, 63)] {
            let word = 777_u64;
            // The bits between the three and the word's number play no part.
            for between in [0, 1 << 18, 1 << 31] {
                let hash = word << 32 | between | three << 12 | two << 6 | one;
                let (place, bits) = filter.place(hash);
                assert_eq!(bits, 1 << one | 1 << two | 1 << three, "{one} {two} {three}");
                assert!(std::ptr::eq(place, &raw const filter.words[777]));
            }
        }
    }

    #[test]
    fn a_filter_takes_the_memory_that_was_announced() {
        for generation_bytes in [0, 1 << 16, 1 << 20, 1 << 24, usize::MAX] {
            let filter = KeyFilter::for_bytes(generation_bytes);
            assert_eq!(size_of_val(&*filter.words), KeyFilter::bytes_for(generation_bytes));
        }
        assert_eq!(KeyFilter::bytes_for(0), MIN_BYTES);
        assert_eq!(KeyFilter::bytes_for(usize::MAX), MAX_BYTES);
        assert_eq!(KeyFilter::bytes_for(1 << 20), (1 << 20) / GENERATION_BYTES_PER_BYTE);
    }

    #[test]
    fn a_key_hashes_alike_borrowed_and_owned_and_unlike_its_neighbours() {
        let bytes = [7; 40];
        let mut hashes = std::collections::BTreeSet::new();
        for len in 0..=bytes.len() {
            let (owned, borrowed) = (RowKey::new(T, &bytes[..len]), Probe::new(T, &bytes[..len]));
            assert_eq!(owned.hash(), borrowed.hash());
            assert!(hashes.insert(owned.hash()), "length {len}");
            assert!(hashes.insert(Probe::new(TableId(2), &bytes[..len]).hash()), "table, length {len}");
        }
        assert!(hashes.insert(Probe::new(T, &[0; 7]).hash()) && hashes.insert(Probe::new(T, &[0; 8]).hash()));
    }
}
