//! Which pages came lately.

use std::sync::OnceLock;

use braid_vfs::sync::atomic::{AtomicU16, Ordering};

use crate::base::ids::PageId;

/// No page is remembered here.
const NONE: u16 = 0;

/// Remembers about as many pages as the cache has room for, each until another one comes to its place: two bytes for a
/// page. It is a guess: a page may be forgotten early, and one of many that share a place taken for another.
pub(super) struct Recent {
    /// A power of two.
    places: usize,
    /// Made with the first page: most caches never refuse one.
    marks: OnceLock<Box<[AtomicU16]>>,
}

impl Recent {
    /// For a cache with room for so many pages.
    pub(super) fn of(pages: usize) -> Self {
        Self { places: pages.next_power_of_two(), marks: OnceLock::new() }
    }

    /// Whether the page came lately. It is forgotten if it did, and remembered if not.
    pub(super) fn had(&self, page: PageId) -> bool {
        let marks = self.marks.get_or_init(|| (0..self.places).map(|_| AtomicU16::new(NONE)).collect());
        let id = page.0 as usize;
        // Ids of pages are dense from 0: those of neighbours have places of their own.
        let mark = &marks[id & (self.places - 1)];
        let [low, high, ..] = (id >> self.places.trailing_zeros()).to_le_bytes();
        let its = u16::from_le_bytes([low, high]).saturating_add(1);
        let had = mark.load(Ordering::Relaxed) == its;
        mark.store(if had { NONE } else { its }, Ordering::Relaxed);
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_remembered_until_it_comes_again_or_another_takes_its_place() {
        let recent = Recent::of(100);
        let had = |id| recent.had(PageId(id));
        assert!((0..128).all(|id| !had(id)), "all are new");
        assert!((0..128).all(had), "each has a place of its own");
        assert!((0..128).all(|id| !had(id)), "each was told once");
        assert!(!had(128 + 5), "it takes the place of page 5");
        assert!(!had(5));
        assert!(had(6));
        // Ids that share all but the bits that there is no room for.
        assert!(!had(u32::MAX) && had(u32::MAX));
    }
}
