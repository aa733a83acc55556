//! The order of a block's rows, found once and kept beside them.
//!
//! Rows lie in a block as they came. Who walks along an index needs them by key, and to sort them is to look at each: mostly a
//! miss of the processor's caches. What a slot holds never changes, so neither does the order of the rows of the first slots,
//! and whoever has found it leaves it in the block for those who come after.
//!
//! # Why it may be stored by anybody at any time
//!
//! Every order that was ever stored is a right one, of as many rows as it says; one that was stored late tells of fewer. It is
//! stored with Release and loaded with Acquire, so that who sees it sees the rows too.

use super::SLOTS;

const SLOT_BITS: usize = 4;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const LEN_SHIFT: usize = 15 * SLOT_BITS;

const _: () = assert!(SLOTS * SLOT_BITS <= LEN_SHIFT && SLOTS as u64 <= SLOT_MASK);

/// The slots of the first so many rows of a block, by their keys: a slot in each four bits, from the low ones on, and their
/// number in the highest four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(pub(super) u64);

impl Order {
    /// Of the first `len` rows where they have come in order.
    pub(super) fn ascending(len: usize) -> Self {
        (0..len).fold(Self(0), Self::with)
    }

    /// How many rows, which are those of the slots below.
    #[inline]
    pub(super) fn len(self) -> usize {
        (self.0 >> LEN_SHIFT) as usize
    }

    /// The slot of the row at a place in the order of the keys.
    #[inline]
    pub(super) fn slot(self, place: usize) -> usize {
        (self.0 >> (place * SLOT_BITS) & SLOT_MASK) as usize
    }

    /// With the next slot's row at a place.
    pub(super) fn with(self, place: usize) -> Self {
        let slot = self.len() as u64;
        let below = (1 << (place * SLOT_BITS)) - 1;
        let slots = self.0 & ((1 << LEN_SHIFT) - 1);
        let slots = slots & below | slot << (place * SLOT_BITS) | (slots & !below) << SLOT_BITS;
        Self(slots | (slot + 1) << LEN_SHIFT)
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn slots_stand_where_they_were_put() {
        let mut rng = Rng::new(1);
        for _ in 0..if cfg!(miri) { 5 } else { 2000 } {
            let (mut order, mut expected) = (Order(0), Vec::new());
            for slot in 0..SLOTS {
                let place = rng.below(slot + 1);
                order = order.with(place);
                expected.insert(place, slot);
                assert_eq!(order.len(), slot + 1);
                assert!((0..order.len()).map(|place| order.slot(place)).eq(expected.iter().copied()));
            }
        }
        for len in 0..=SLOTS {
            let order = Order::ascending(len);
            assert!((0..order.len()).map(|place| order.slot(place)).eq(0..len), "{len}");
        }
    }
}
