//! The slots: chunks that are added as they are needed and never move.
//!
//! Chunk k holds 64 << k slots. `used` says how many have ever been claimed, so that a look at every pin costs what the
//! busiest moment so far needed, and no more. It is raised before the slot is claimed, so a snapshot is never in a slot
//! that is not looked at.

use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;

use braid_vfs::planted;
use braid_vfs::sync::atomic::AtomicUsize;
use braid_vfs::sync::{OnceLock, thread_local};
use crossbeam_utils::CachePadded;

use super::TooManySnapshots;
use super::pin::Pin;
use super::slot::Slot;

const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 16;

/// How many slots all chunks have.
pub(super) const CAPACITY: usize = FIRST_CHUNK * ((1 << CHUNKS) - 1);

type Chunk<V> = Box<[CachePadded<Slot<V>>]>;

thread_local! {
    /// The slot that this thread claimed last, in whatever registry: where it looks first.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

pub(super) struct Slots<V> {
    chunks: [OnceLock<Chunk<V>>; CHUNKS],
    limit: usize,
    used: CachePadded<AtomicUsize>,
}

impl<V> Slots<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            limit: limit.min(CAPACITY),
            used: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// Claims a slot for a snapshot and publishes its pin.
    #[inline]
    pub(super) fn claim(&self, pin: Pin) -> Result<(usize, &Slot<V>), TooManySnapshots> {
        let last = LAST.with(Cell::get);
        let used = self.used.load(SeqCst);
        if last < used
            && let Some(slot) = self.get(last)
            && slot.claim(pin)
        {
            return Ok((last, slot));
        }
        self.claim_another(last, used, pin)
    }

    #[cold]
    fn claim_another(
        &self,
        last: usize,
        used: usize,
        pin: Pin,
    ) -> Result<(usize, &Slot<V>), TooManySnapshots> {
        let last = last.min(used);
        for index in (last..used).chain(0..last) {
            if let Some(slot) = self.get(index)
                && slot.claim(pin)
            {
                LAST.with(|last| last.set(index));
                return Ok((index, slot));
            }
        }
        loop {
            let index = self.used.load(SeqCst);
            if index >= self.limit {
                return Err(TooManySnapshots { limit: self.limit });
            }
            let slot = self.create(index);
            if self.used.compare_exchange(index, index + 1, SeqCst, SeqCst).is_ok() && slot.claim(pin) {
                LAST.with(|last| last.set(index));
                return Ok((index, slot));
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Slot<V>> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset).map(|slot| &**slot)
    }

    fn create(&self, index: usize) -> &Slot<V> {
        let (chunk, offset) = place(index);
        let slots = self.chunks[chunk]
            .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| CachePadded::new(Slot::new())).collect());
        &slots[offset]
    }

    /// Every slot that has ever been claimed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<V>> {
        let first = usize::from(planted!(SlotNotWatched));
        (first..self.used.load(SeqCst)).filter_map(|index| self.get(index))
    }
}

/// The chunk of a slot, and where in it.
#[inline]
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST_CHUNK + 1).ilog2();
    let first = FIRST_CHUNK * ((1 << chunk) - 1);
    (chunk as usize, index - first)
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_every_slot_up_to_the_capacity_and_no_other() {
        assert_eq!(CAPACITY, 4_194_240, "what is documented");
        let (mut chunk, mut offset) = (0, 0);
        for index in 0..1 << 16 {
            assert_eq!(place(index), (chunk, offset));
            offset += 1;
            if offset == FIRST_CHUNK << chunk {
                (chunk, offset) = (chunk + 1, 0);
            }
        }
        assert_eq!(place(CAPACITY - 1), (CHUNKS - 1, (FIRST_CHUNK << (CHUNKS - 1)) - 1));
        assert_eq!(place(CAPACITY), (CHUNKS, 0));
        assert_eq!(Slots::<()>::new(usize::MAX).limit, CAPACITY);
        assert_eq!(Slots::<()>::new(7).limit, 7);
    }
}
