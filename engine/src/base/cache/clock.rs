//! The default cache: sets of eight slots, found by the page id, with CLOCK eviction.
//!
//! A slot is an [`ArcSwapAny`]: a hit is a scan of eight tags that share a cache line, one load that is protected by a
//! slot of the reading thread, and a comparison. No lock and no reference count. Nothing here takes a lock: a miss
//! that brings a page in swaps it into a slot. Once the cache is full, that is the slot of a page that goes, where its set
//! has one to spare. A swap looks at every thread that reads, so one for two is worth a little fairness. Where the set has
//! none to spare, or there is still too much, eviction swaps an empty page into slots, from a hand that all threads push.
//! What it asks of a slot, whether there is a page and whether that was used, is in the line of the tags: the pages
//! themselves are elsewhere in memory, each a wait of its own.
//!
//! A leaf that comes while the cache is full is taken in only if it came before, not long ago ([`Recent`]). Most leaves
//! of a table that is much larger than the cache are not asked for again in time. Each would put out another one like
//! it, or a better one, and lie in memory that the processor's cache does not have.
//!
//! Invariants:
//! 1. A slot's page is what counts; its tag is a hint. Every reader compares the page's own id and generation, so a tag
//!    that lags behind its page, as two threads that fill one slot may leave it, costs a miss and nothing else. But a slot
//!    whose tag says that it is empty, is, at rest: a page's tag is stored after it was swapped in, and a tag is cleared
//!    before its page is swapped out. So a page whose tag was cleared too late is swapped out with the one that that was for,
//!    and the hand passes over no page.
//! 2. `resident` changes by exactly what a swap put in and took out, so it is the sum over all slots at rest.
//! 3. All empty slots hold one page, the same for all caches, which is never freed. What an empty slot holds of it is not
//!    given back: dropping an [`ArcSwapAny`] looks at every thread that ever read one, and a cache is mostly empty slots.
//! 4. The table has about two slots for every page that the limit allows, so a set is rarely full; its memory, 16 bytes a
//!    slot, is bounded by the limit and not by the size of the file. It is made a group of sets at a time, when the first
//!    page comes for one: a file that is smaller than the limit costs what it needs, to open and to close.

use std::fmt;
use std::sync::OnceLock;

use arc_swap::ArcSwapAny;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;

use super::recent::Recent;
use super::{CachedPage, Page, PageCache};
use crate::base::ids::{PageGeneration, PageId};

const WAYS: usize = 8;
/// Pages with ids one after the other that share a set. Where the cache is large enough, as many as there are slots in the
/// line of the processor's cache that has the tags: a scan finds four leaves in a line, and the lines in use are few.
const NEIGHBOURS: usize = 4;
/// Sets that are made together. Ids of pages are dense from 0 and so are the sets that they go to.
const GROUP_SETS: usize = 64;
/// The tag of an empty slot: no page has it.
const NO_TAG: u16 = u16::MAX;
/// The id of what an empty slot holds: no page has it.
const NO_PAGE: u32 = u32::MAX;
/// The page size of a file, unless it was created with another one.
const ORDINARY_PAGE_BYTES: u32 = 4096;

/// A line of the processor's cache has the tags, the marks, and the first five pointers.
#[repr(C, align(64))]
struct Set {
    tags: [AtomicU16; WAYS],
    /// Whether a page was used since the hand last came.
    used: [AtomicBool; WAYS],
    pages: [ArcSwapAny<Page>; WAYS],
}

impl Set {
    fn empty() -> Self {
        Self {
            tags: std::array::from_fn(|_| AtomicU16::new(NO_TAG)),
            used: std::array::from_fn(|_| AtomicBool::new(false)),
            pages: std::array::from_fn(|_| ArcSwapAny::new(nothing())),
        }
    }

    fn tag(&self, way: usize) -> u16 {
        self.tags[way].load(Ordering::Relaxed)
    }

    fn way_of(&self, tag: u16) -> Option<usize> {
        (0..WAYS).find(|way| self.tag(*way) == tag)
    }

    fn is_used(&self, way: usize) -> bool {
        self.used[way].load(Ordering::Relaxed)
    }

    /// Writes to memory only when that was not known.
    fn mark_used(&self, way: usize) {
        if !self.is_used(way) {
            self.used[way].store(true, Ordering::Relaxed);
        }
    }

    /// Forgets that a page was used, and says whether it was.
    fn take_used(&self, way: usize) -> bool {
        let was = self.is_used(way);
        if was {
            self.used[way].store(false, Ordering::Relaxed);
        }
        was
    }
}

static NOTHING: OnceLock<Page> = OnceLock::new();

/// What stands in every slot that holds no page.
fn nothing() -> Page {
    NOTHING.get_or_init(Page::nothing).clone()
}

/// The default [`PageCache`]: bounded in bytes, lock-free, CLOCK eviction.
pub struct ClockCache {
    groups: Box<[OnceLock<Box<[Set]>>]>,
    /// A power of two.
    sets: usize,
    capacity: usize,
    /// The leaves that were not taken in.
    refused: Recent,
    resident: CachePadded<AtomicUsize>,
    hand: CachePadded<AtomicUsize>,
    evictions: CachePadded<AtomicU64>,
}

impl ClockCache {
    /// A cache that keeps at most `capacity_bytes` of pages. Any limit works, even one that no page fits in.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        Self::for_pages_of(ORDINARY_PAGE_BYTES, capacity_bytes)
    }

    /// The same with slots for as many pages of `page_bytes` as the limit allows; others are taken all the same.
    #[must_use]
    pub fn for_pages_of(page_bytes: u32, capacity_bytes: usize) -> Self {
        let pages = (capacity_bytes / page_bytes.max(512) as usize).clamp(WAYS, 1 << 30);
        let sets = (pages * 2 / WAYS).next_power_of_two();
        Self {
            groups: (0..sets.div_ceil(GROUP_SETS)).map(|_| OnceLock::new()).collect(),
            sets,
            capacity: capacity_bytes,
            refused: Recent::of(pages),
            resident: CachePadded::new(AtomicUsize::new(0)),
            hand: CachePadded::new(AtomicUsize::new(0)),
            evictions: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Where the set of a page is.
    fn index(&self, page: PageId) -> usize {
        (page.0 as usize / NEIGHBOURS) & (self.sets - 1)
    }

    /// What tells a page from most others that go to its set: the bits of its id that the set does not follow from. In a file
    /// of so many pages that this is too short, two may share one, and put each other out.
    fn tag_of(&self, page: PageId) -> u16 {
        let id = page.0 as usize;
        let bits = id % NEIGHBOURS + ((id / NEIGHBOURS) >> self.sets.trailing_zeros()) * NEIGHBOURS;
        let [low, high, ..] = bits.to_le_bytes();
        u16::from_le_bytes([low, high]).min(NO_TAG - 1)
    }

    /// A set, if a page ever came for its group.
    fn set_at(&self, index: usize) -> Option<&Set> {
        self.groups.get(index / GROUP_SETS)?.get()?.get(index % GROUP_SETS)
    }

    /// The set of a page, made if need be.
    fn set_for(&self, page: PageId) -> &Set {
        let index = self.index(page);
        let group = self.groups[index / GROUP_SETS].get_or_init(|| {
            let sets = self.sets.min(GROUP_SETS);
            (0..sets).map(|_| Set::empty()).collect()
        });
        &group[index % GROUP_SETS]
    }

    /// Puts a page, or nothing, into a slot; whether this drove a page out.
    fn swap(&self, slot: &ArcSwapAny<Page>, page: Page) -> Option<Page> {
        if page.id().0 != NO_PAGE {
            self.resident.fetch_add(page.memory_bytes(), Ordering::Relaxed);
        }
        let old = slot.swap(page);
        if old.id().0 == NO_PAGE {
            return None;
        }
        self.resident.fetch_sub(old.memory_bytes(), Ordering::Relaxed);
        Some(old)
    }

    /// Whether so much more is too much.
    fn is_full(&self, bytes: usize) -> bool {
        self.resident.load(Ordering::Relaxed) + bytes > self.capacity
    }

    /// Where in its set a page goes: where it is; where it takes the place of one that is to go, if it is too much; where
    /// nothing is; or where the page longest unused is.
    fn way(&self, set: &Set, tag: u16, bytes: usize) -> usize {
        if let Some(way) = set.way_of(tag) {
            return way;
        }
        let start = self.hand.load(Ordering::Relaxed);
        let ways = (0..WAYS).map(|n| (start + n) % WAYS);
        let is_full = self.is_full(bytes);
        let unused = || ways.clone().find(|way| set.tag(*way) != NO_TAG && !set.is_used(*way));
        is_full
            .then(unused)
            .flatten()
            .or_else(|| set.way_of(NO_TAG))
            .unwrap_or_else(|| ways.clone().find(|way| !set.take_used(*way)).unwrap_or(start % WAYS))
    }

    fn make_room(&self) {
        // Two rounds clear every mark and then find whatever is there; other threads may be at it as well.
        for _ in 0..2 * self.sets * WAYS {
            if self.resident.load(Ordering::Relaxed) <= self.capacity {
                return;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed);
            let Some(set) = self.set_at(at / WAYS % self.sets) else { continue };
            let way = at % WAYS;
            if set.tag(way) == NO_TAG || set.take_used(way) {
                continue;
            }
            // Before the page goes: invariant 1.
            set.tags[way].store(NO_TAG, Ordering::Relaxed);
            if let Some(old) = self.swap(&set.pages[way], nothing()) {
                self.evictions.fetch_add(1, Ordering::Relaxed);
                old.reuse();
            }
        }
    }
}

impl PageCache for ClockCache {
    fn get(&self, page: PageId, generation: PageGeneration) -> Option<CachedPage> {
        let set = self.set_at(self.index(page))?;
        let tag = self.tag_of(page);
        for (way, slot) in set.pages.iter().enumerate() {
            if set.tag(way) == tag {
                let found = slot.load();
                if found.id() == page && found.generation() == generation {
                    set.mark_used(way);
                    return Some(CachedPage::guarded(found));
                }
            }
        }
        None
    }

    fn insert(&self, page: Page) {
        let id = page.id();
        let set = self.set_for(id);
        let tag = self.tag_of(id);
        // What has the slot of the same id is of a generation that nobody asks for any more.
        let needs_room = self.is_full(page.memory_bytes()) && set.way_of(tag).is_none();
        if needs_room && page.is_leaf() && !self.refused.had(id) {
            return;
        }
        let way = self.way(set, tag, page.memory_bytes());
        let old = self.swap(&set.pages[way], page);
        // After the page has come: invariant 1.
        set.tags[way].store(tag, Ordering::Relaxed);
        set.mark_used(way);
        if let Some(old) = old {
            if old.id() != id {
                self.evictions.fetch_add(1, Ordering::Relaxed);
            }
            old.reuse();
        }
        self.make_room();
    }

    fn capacity_bytes(&self) -> usize {
        self.capacity
    }

    fn resident_bytes(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

impl Drop for ClockCache {
    fn drop(&mut self) {
        // See invariant 3.
        let groups = std::mem::take(&mut self.groups).into_iter().filter_map(OnceLock::into_inner);
        let slots = groups.flatten().flat_map(|set| set.pages);
        slots.filter(|slot| slot.load().id().0 == NO_PAGE).for_each(std::mem::forget);
    }
}

impl fmt::Debug for ClockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockCache")
            .field("capacity_bytes", &self.capacity)
            .field("resident_bytes", &self.resident_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
