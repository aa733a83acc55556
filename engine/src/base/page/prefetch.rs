//! Asking for the memory of a page before it is needed.
//!
//! Few leaves are in the processor's cache, and where a page has its slots stands in its first line: to wait for that one
//! and then for those costs twice. So lines are asked for where they mostly are. That is a hint: what is elsewhere is
//! waited for by whoever reads it.

use braid_vfs::prefetch;

use super::header::{HEADER_BYTES, SLOT_BYTES};
use super::view::{Page, RowPlace};
use crate::base::BaseDirection as Direction;

/// Bytes of a line of the processor's cache.
pub(super) const LINE: usize = 64;
/// Bytes of a page, unless its file was created with larger ones.
const ORDINARY_BYTES: usize = 4096;
/// Rows of a leaf whose slots are asked for: as many as have 100 bytes each, in a page of ordinary size.
const ROWS: usize = 40;
/// Children of a branch whose slots are asked for, likewise.
const CHILDREN: usize = 112;
/// How far ahead of the row that a scan is at: the time for some eight short rows is that of a wait for memory.
const AHEAD: usize = 768;

impl Page {
    /// Asks for the slots of a page that is going to be searched. It does not wait for anything that the page says.
    #[inline(always)]
    pub(crate) fn prefetch_slots(&self, level: u8) {
        let bytes = self.bytes().as_ptr();
        let entries = match level {
            0 => ROWS,
            1 => CHILDREN,
            // They are few, and every search passes one, so that it is there.
            _ => return,
        };
        for line in 0..(HEADER_BYTES + entries * SLOT_BYTES).div_ceil(LINE) {
            prefetch(bytes.wrapping_add(line * LINE));
        }
    }

    /// Asks for the rows that a scan comes to first after this one.
    pub(crate) fn prefetch_rows(&self, from: &RowPlace, direction: Direction) {
        for line in 1..AHEAD / LINE {
            self.prefetch_at(from, line * LINE, direction);
        }
    }

    /// Asks for all rows and their slots, for a walk that has come from the leaf before and mostly goes through. Of a page
    /// that is larger than usual that is too much at once.
    pub(crate) fn prefetch_all(&self) {
        let rows = usize::from(self.description().slots_at)..self.end();
        if rows.len() <= ORDINARY_BYTES {
            self.bytes()[rows].iter().step_by(LINE).for_each(|byte| prefetch(byte));
        }
    }

    /// Asks for what a scan comes to some rows after this one.
    #[inline(always)]
    pub(crate) fn prefetch_ahead(&self, from: &RowPlace, direction: Direction) {
        self.prefetch_at(from, AHEAD, direction);
        self.prefetch_at(from, AHEAD + LINE, direction);
    }

    #[inline(always)]
    fn prefetch_at(&self, from: &RowPlace, distance: usize, direction: Direction) {
        let row = self.bytes().as_ptr().wrapping_add(from.start());
        prefetch(match direction {
            Direction::Forward => row.wrapping_add(distance),
            Direction::Backward => row.wrapping_sub(distance),
        });
    }
}
