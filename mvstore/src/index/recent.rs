//! The rows that a thread was at, to be found again without a search.
//!
//! A transaction reads a row, writes it, and looks it up once more as it commits; and hot rows are looked up again and again. A
//! row that was found is *the* row of its key for as long as the index lives, so that whoever remembers where it is need not
//! ask whether it still is. As with the nodes, the row may be gone with its index, so it comes with the index's number, which
//! no other index has.
//!
//! A checker's schedules remember nothing: what they are there for is the search.
#![expect(unsafe_code, reason = "a row is remembered as a pointer")]

use std::cell::Cell;
use std::ptr;

use braid_vfs::sync::thread_local;

use super::node::{Row, Stored, TAG, tag_of};
use super::{CHECKED, RowIndex};
use crate::key::Probe;

/// Rows that a thread remembers, each in the place that its hash says.
const ROWS: usize = 1 << u8::BITS;

/// A row with its tag, and the number of its index.
#[derive(Clone, Copy)]
struct Recent {
    index: u64,
    row: *mut Row,
}

thread_local! {
    static RECENT: [Cell<Recent>; ROWS] =
        const { [const { Cell::new(Recent { index: 0, row: ptr::null_mut() }) }; ROWS] };
}

impl RowIndex {
    /// The place of a hash: of the bits that neither its tag nor, mostly, the filter uses. A row that is read in two
    /// generations by turns has two places, as their indexes have different numbers.
    #[inline(always)]
    fn place_of(&self, hash: u64) -> usize {
        let [place, ..] = (hash.rotate_left(8) ^ self.number).to_le_bytes();
        usize::from(place)
    }

    /// The row with this key, whose hash is `hash`, if the thread remembers it.
    #[inline(always)]
    pub(super) fn recent(&self, key: &Probe<'_>, hash: u64) -> Option<&Row> {
        if CHECKED {
            return None;
        }
        let recent = RECENT.with(|recent| recent[self.place_of(hash)].get());
        if recent.index != self.number || recent.row.addr() & TAG != tag_of(hash) {
            return None;
        }
        // SAFETY: it was found in this index, whose number no other ever has; so it is whole, and lives as long as `self`.
        let row = unsafe { Stored::new(recent.row) }?;
        (row.key() == key).then(|| row.get())
    }

    /// Remembers a row, whose hash is `hash`.
    #[inline(always)]
    pub(super) fn remember(&self, row: Stored<'_>, hash: u64) {
        if !CHECKED {
            let recent = Recent { index: self.number, row: row.tagged(hash) };
            RECENT.with(|rows| rows[self.place_of(hash)].set(recent));
        }
    }
}
