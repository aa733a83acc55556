//! Memory that is only ever taken, and given back as a whole: a node costs one addition instead of a call of the
//! allocator, nodes lie beside each other in the order they came, and a generation goes with a few frees.
//!
//! Memory comes in chunks. A place in one is reserved by an addition to how much of it is used; whoever finds that the
//! chunk is full puts the next one in its place, twice as large up to [`MAX_CHUNK`].
#![expect(unsafe_code, reason = "it hands out memory")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::{AtomicPtr, AtomicUsize};

use super::whole::Whole;

/// What is handed out starts at a multiple of this, and takes whole multiples: a cache line.
pub(super) const LINE: usize = 64;

const MIN_CHUNK: usize = 4 << 10;
const MAX_CHUNK: usize = 256 << 10;

pub(super) struct Arena {
    /// The chunk that memory is taken from; null before the first.
    current: AtomicPtr<Chunk>,
    /// All of them.
    chunks: Mutex<Vec<NonNull<Chunk>>>,
}

struct Chunk {
    /// Bytes of all chunks before it.
    before: usize,
    bytes: usize,
    /// Bytes handed out, and the ones asked for in vain at the end.
    used: AtomicUsize,
    memory: NonNull<u8>,
    whole: Whole,
}

// SAFETY: 1. chunks are made in `grow` and freed in `drop`, which has the arena to itself. 2. In between they are shared
// only, and the one field that changes is atomic. 3. What the memory holds is its users' business.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) fn new() -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()), chunks: Mutex::new(Vec::new()) }
    }

    /// Bytes handed out.
    pub(super) fn bytes(&self) -> usize {
        self.current().map_or(0, Chunk::handed_out)
    }

    /// Memory of `size` bytes from the start of a line on. It lives as long as the arena, and nobody else has it.
    pub(super) fn alloc(&self, size: usize) -> NonNull<u8> {
        assert!(size <= MIN_CHUNK, "made for small things");
        let size = size.next_multiple_of(LINE);
        loop {
            let current = self.current();
            if let Some(chunk) = current {
                // Relaxed: who gets which place hangs on the order of the additions alone.
                let start = chunk.used.fetch_add(size, Relaxed);
                if start + size <= chunk.bytes {
                    // SAFETY: 1. the place ends within the chunk. 2. `used` only grows, so nobody else has it.
                    return unsafe { chunk.memory.add(start) };
                }
            }
            self.grow(current);
        }
    }

    /// All places that were handed out, where each was asked for with this size: chunk by chunk, as they lie.
    pub(super) fn places(&mut self, size: usize) -> impl Iterator<Item = NonNull<u8>> + Clone {
        let size = size.next_multiple_of(LINE);
        let chunks: &[NonNull<Chunk>] = self.chunks.get_mut();
        chunks.iter().flat_map(move |chunk| {
            // SAFETY: `grow` leaked it whole, and it lives until the arena is dropped, which is borrowed.
            let chunk = unsafe { chunk.as_ref() };
            let places = chunk.used.load(Relaxed).min(chunk.bytes) / size;
            // SAFETY: each of them lies within the chunk.
            (0..places).map(move |place| unsafe { chunk.memory.add(place * size) })
        })
    }

    /// Puts a new chunk in the place of `full`, unless somebody has.
    #[cold]
    fn grow(&self, full: Option<&Chunk>) {
        let mut chunks = self.chunks.lock();
        if self.current().map(ptr::from_ref) != full.map(ptr::from_ref) {
            return;
        }
        let bytes = full.map_or(MIN_CHUNK, |full| (full.bytes * 2).min(MAX_CHUNK));
        let before = full.map_or(0, |full| full.before + full.bytes);
        let layout = chunk_layout(bytes);
        // SAFETY: no chunk is empty.
        let Some(memory) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let chunk = Box::new(Chunk { before, bytes, used: AtomicUsize::new(0), memory, whole: Whole::new() });
        let chunk = NonNull::from(Box::leak(chunk));
        chunks.push(chunk);
        self.current.store(chunk.as_ptr(), Release);
    }

    fn current(&self) -> Option<&Chunk> {
        // SAFETY: 1. null, or stored by `grow` with Release once it was whole. 2. It lives until the arena is dropped,
        // which the borrow rules out. 3. It is never mutably borrowed before that.
        let chunk = unsafe { self.current.load(Acquire).as_ref() }?;
        chunk.whole.look();
        Some(chunk)
    }
}

impl Chunk {
    /// Of it and all before it; what was left of those counts as handed out.
    fn handed_out(&self) -> usize {
        self.before + self.used.load(Relaxed).min(self.bytes)
    }
}

fn chunk_layout(bytes: usize) -> Layout {
    let Ok(layout) = Layout::from_size_align(bytes, LINE) else { unreachable!("a chunk is small") };
    layout
}

impl Drop for Arena {
    fn drop(&mut self) {
        for chunk in self.chunks.get_mut().drain(..) {
            // SAFETY: 1. `grow` leaked this box, and it is in the list once. 2. `&mut self`: nobody else uses it.
            let chunk = unsafe { Box::from_raw(chunk.as_ptr()) };
            // SAFETY: `grow` allocated it with this layout; whoever was given a part of it has borrowed the arena.
            unsafe { dealloc(chunk.memory.as_ptr(), chunk_layout(chunk.bytes)) };
        }
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_schedules {
    use std::sync::Arc;

    use braid_vfs::sync::thread;

    use super::*;
    use crate::testing::check_index;

    #[test]
    fn loom_two_find_a_chunk_full() {
        check_index(|| {
            let arena = Arc::new(Arena::new());
            let take = |arena: &Arena| {
                [arena.alloc(MIN_CHUNK / 2), arena.alloc(MIN_CHUNK)].map(|place| place.addr().get())
            };
            let other = Arc::clone(&arena);
            let other = thread::spawn(move || take(&other));
            let mut places = [take(&arena), other.join().unwrap()].concat();
            places.sort_unstable();
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= MIN_CHUNK / 2));
            assert!((3 * MIN_CHUNK..=7 * MIN_CHUNK).contains(&arena.bytes()), "{}", arena.bytes());
        });
    }
}
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn threads_get_places_that_do_not_overlap() {
        const EACH: usize = if cfg!(miri) { 20 } else { 3000 };
        let arena = Arena::new();
        let take = |mark: u8| {
            let sizes = (0..EACH).map(|number| 1 + number * 37 % 500);
            let places: Vec<_> = sizes
                .map(|size| {
                    let place = arena.alloc(size);
                    // SAFETY: the place has `size` bytes and is ours.
                    unsafe { place.write_bytes(mark, size) };
                    assert!(place.addr().get().is_multiple_of(LINE));
                    (place.addr().get(), size)
                })
                .collect();
            places
        };
        let mut places = std::thread::scope(|scope| {
            let takers = [1, 2, 3].map(|mark| scope.spawn(move || take(mark)));
            takers.map(|taker| taker.join().unwrap()).concat()
        });
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        let bytes: usize = places.iter().map(|(_, size)| size.next_multiple_of(LINE)).sum();
        assert!((bytes..bytes + bytes / 4).contains(&arena.bytes()), "{} for {bytes}", arena.bytes());
    }

    #[test]
    fn every_place_is_met_once_in_the_order_in_which_it_came() {
        // A size that divides no chunk; one that divides each.
        for size in [3 * LINE, LINE] {
            let mut arena = Arena::new();
            let taken: Vec<_> =
                (0..if cfg!(miri) { 300 } else { 20_000 }).map(|_| arena.alloc(size)).collect();
            assert!(arena.places(size - 1).eq(taken));
        }
    }

    #[test]
    fn an_arena_that_was_not_used_takes_nothing() {
        assert_eq!(Arena::new().bytes(), 0);
    }
}
