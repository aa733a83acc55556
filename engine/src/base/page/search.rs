//! Binary search within a page.

use std::cmp::Ordering;

use super::SLOT_BYTES;
use super::view::Page;

/// The first four bytes as a number that orders as they do; missing ones count as zero.
pub(super) fn head(suffix: &[u8]) -> u32 {
    match suffix.first_chunk::<4>() {
        Some(bytes) => u32::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 4];
            for (to, from) in bytes.iter_mut().zip(suffix) {
                *to = *from;
            }
            u32::from_be_bytes(bytes)
        }
    }
}

/// Bytes of a key that its head holds.
const HEAD_BYTES: usize = 4;

impl Page {
    /// Compares the key of a slot with one that has the same head. The key itself is looked at only where it is longer
    /// than its head; short ones can differ in length alone.
    fn compare_beyond_head(&self, slot: usize, suffix: &[u8]) -> Ordering {
        let range = self.suffix_range(slot);
        if range.len().max(suffix.len()) <= HEAD_BYTES {
            range.len().cmp(&suffix.len())
        } else {
            self.bytes[range].cmp(suffix)
        }
    }

    /// The first slot whose key is not less than `key`, and whether it is equal.
    fn search_slots(&self, key: &[u8]) -> Result<usize, usize> {
        let (slots, _) = self.bytes[self.slots.clone()].as_chunks::<SLOT_BYTES>();
        let prefix = self.prefix();
        let suffix = match key.get(..prefix.len()) {
            Some(start) if start == prefix => &key[prefix.len()..],
            _ if key < prefix => return Err(0),
            _ => return Err(slots.len()),
        };
        let wanted = head(suffix);
        let (mut low, mut high) = (0, slots.len());
        while low < high {
            let middle = low.midpoint(high);
            let [a, b, c, d, ..] = slots[middle];
            let order = match u32::from_be_bytes([a, b, c, d]).cmp(&wanted) {
                Ordering::Equal => self.compare_beyond_head(middle, suffix),
                different => different,
            };
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// A leaf's row with this key, or where it would be.
    pub(crate) fn find_row(&self, key: &[u8]) -> Result<usize, usize> {
        self.search_slots(key)
    }

    /// The child of a branch below which this key is, if anywhere.
    pub(crate) fn find_child(&self, key: &[u8]) -> usize {
        match self.search_slots(key) {
            Ok(slot) => slot + 1,
            Err(slot) => slot,
        }
    }
}
