//! Binary search within a page.

use std::cmp::Ordering;
use std::hint::{black_box, select_unpredictable};

use braid_vfs::prefetch;

use super::SLOT_BYTES;
use super::prefetch::LINE;
use super::view::{Page, decode_slot};

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

/// The head that a slot has.
#[inline]
pub(super) fn head_of(slot: &[u8; SLOT_BYTES]) -> u32 {
    let [a, b, c, d, ..] = *slot;
    u32::from_be_bytes([a, b, c, d])
}

/// The first slot whose head is not below `wanted`. Which half a probe leads to is chosen without a branch: a processor
/// would guess it wrong every other time.
#[inline]
fn first_not_below(slots: &[[u8; SLOT_BYTES]], wanted: u32) -> usize {
    let (mut first, mut count) = (0, slots.len());
    while count > 1 {
        let half = count / 2;
        let is_below = head_of(&slots[first + half - 1]) < wanted;
        first = select_unpredictable(is_below, first + half, first);
        count -= half;
    }
    first + usize::from(slots.get(first).is_some_and(|slot| head_of(slot) < wanted))
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
            self.bytes()[range].cmp(suffix)
        }
    }

    /// The first slot whose key is not less than `key`, and whether it is equal.
    #[inline]
    fn search_slots(&self, key: &[u8]) -> Result<usize, usize> {
        let (first, suffix) = self.search_heads(key)?;
        self.search_from(first, suffix)
    }

    /// The first slot whose head is that of the key, and what the key has behind the prefix. Where no slot has that
    /// head, the place of the key.
    #[inline]
    fn search_heads<'k>(&self, key: &'k [u8]) -> Result<(usize, &'k [u8]), usize> {
        let slots = self.slots();
        let prefix = self.prefix();
        let suffix = match key.split_at_checked(prefix.len()) {
            Some((start, suffix)) if start == prefix => suffix,
            _ if key < prefix => return Err(0),
            _ => return Err(slots.len()),
        };
        let wanted = head(suffix);
        let first = first_not_below(slots, wanted);
        if slots.get(first).is_none_or(|slot| head_of(slot) != wanted) {
            return Err(first);
        }
        Ok((first, suffix))
    }

    /// Goes on from the first slot that has the head of `suffix`.
    #[inline]
    fn search_from(&self, first: usize, suffix: &[u8]) -> Result<usize, usize> {
        // Mostly there is one key with this head.
        match self.compare_beyond_head(first, suffix) {
            Ordering::Less => self.search_beyond_heads(self.slots(), first + 1, head(suffix), suffix),
            Ordering::Greater => Err(first),
            Ordering::Equal => Ok(first),
        }
    }

    /// Goes on in the slots from `low` on, which have the head that is wanted or a greater one.
    fn search_beyond_heads(
        &self,
        slots: &[[u8; SLOT_BYTES]],
        mut low: usize,
        wanted: u32,
        suffix: &[u8],
    ) -> Result<usize, usize> {
        let mut high = slots.len();
        while low < high {
            let middle = low.midpoint(high);
            let order = if head_of(&slots[middle]) == wanted {
                self.compare_beyond_head(middle, suffix)
            } else {
                Ordering::Greater
            };
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Loads the lines of memory that the slots lie in, all at the same time. A search would wait for one after the other,
    /// and few leaves are in the processor's cache.
    fn touch_slots(&self) {
        let touched = self.bytes()[self.slots_range()].iter().step_by(LINE).fold(0, |all, byte| all ^ byte);
        black_box(touched);
    }

    /// A leaf's row with this key, or where it would be.
    pub(crate) fn find_row(&self, key: &[u8]) -> Result<usize, usize> {
        self.touch_slots();
        self.search_slots(key)
    }

    /// The same in a leaf that was searched or walked through just before.
    pub(crate) fn find_row_again(&self, key: &[u8]) -> Result<usize, usize> {
        self.search_slots(key)
    }

    /// As much of a search as the slots alone tell: `Ok` is the first row that may have this key, or be behind it,
    /// which [`find_row_from`](Self::find_row_from) looks at; the processor loads it meanwhile, and the one behind.
    /// `Err` is where the key would be.
    pub(crate) fn approach_row(&self, key: &[u8]) -> Result<usize, usize> {
        let (row, _) = self.search_heads(key)?;
        for slot in self.slots().iter().skip(row).take(2) {
            let (start, _, _) = decode_slot(slot);
            prefetch(self.bytes().as_ptr().wrapping_add(start as usize));
        }
        Ok(row)
    }

    /// Goes on from the row that [`approach_row`](Self::approach_row) has come to with the same key.
    pub(crate) fn find_row_from(&self, row: usize, key: &[u8]) -> Result<usize, usize> {
        self.search_from(row, key.get(self.prefix_len()..).unwrap_or_default())
    }

    /// The child of a branch below which this key is, if anywhere.
    pub(crate) fn find_child(&self, key: &[u8]) -> usize {
        match self.search_slots(key) {
            Ok(slot) => slot + 1,
            Err(slot) => slot,
        }
    }

    /// Whether all its keys lie in `lower..upper`, which is for the pages above it to say. A branch whose first separator is
    /// `lower` itself has no place for a row in its first child.
    pub(crate) fn lies_within(&self, lower: &[u8], upper: Option<&[u8]>) -> bool {
        let Some(last) = self.slots().len().checked_sub(1) else { return true };
        let start = self.compare_key(0, lower);
        (start.is_gt() || start.is_eq() && self.is_leaf())
            && upper.is_none_or(|upper| self.compare_key(last, upper).is_lt())
    }
}
