//! Room in the allocator for many small pieces.
//!
//! The GNU allocator keeps an arena for each of a few threads, and one that has no free piece grows by just the pages that the
//! piece asked for needs: a call of the system for each page (`mprotect`), which holds up whatever page faults the process has
//! meanwhile. A larger piece that is taken and freed at once leaves the arena grown by as much, by one call. Where there
//! is room already, or with another allocator, that changes nothing.

use std::cell::Cell;

/// An arena grows by as much at a time, in bytes: less than what the allocator maps apart from its arenas (128 KiB).
const STEP_BYTES: usize = 120 << 10;

thread_local! {
    /// Bytes that this thread may still allocate before its arena is grown.
    static ROOM: Cell<usize> = const { Cell::new(STEP_BYTES) };
}

/// The calling thread is about to allocate so many bytes, and is likely to go on with pieces like that.
#[inline]
pub fn grow_ahead(bytes: usize) {
    // A thread that ends grows nothing.
    let _ = ROOM.try_with(|room| match room.get().checked_sub(bytes) {
        Some(left) => room.set(left),
        None => grow(room, bytes),
    });
}

#[cold]
fn grow(room: &Cell<usize>, bytes: usize) {
    if bytes < STEP_BYTES {
        if cfg!(target_env = "gnu") {
            let mut step = Vec::<u8>::new();
            // Where there is no memory for a whole step there may be for the piece, whose allocation tells if not.
            let _ = step.try_reserve_exact(STEP_BYTES);
            // Else the compiler would see that nothing is done with it.
            std::hint::black_box(step);
        }
        room.set(STEP_BYTES - bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_is_grown_once_for_many_pieces_and_not_for_a_large_one() {
        let rooms: Vec<_> = [100 << 10, 20 << 10, 1, 1 << 30, STEP_BYTES - 1, STEP_BYTES]
            .into_iter()
            .map(|bytes| {
                grow_ahead(bytes);
                ROOM.get()
            })
            .collect();
        assert_eq!(rooms, [20 << 10, 0, STEP_BYTES - 1, STEP_BYTES - 1, 0, 0]);
    }
}
