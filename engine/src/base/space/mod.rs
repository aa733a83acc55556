//! Which pages of the file are free.
//!
//! A page is live (the newest base reaches it), withheld (an older base that somebody holds reaches it), or free.
//! Invariants:
//! 1. The list stored with a meta block holds everything that the base of that block does not reach, withheld pages
//!    too, so a crash leaks nothing.
//! 2. A page born at generation b and freed at f may be written again only when the meta block of f is durable and no
//!    live base has a generation g with b <= g < f. So a long reader pins the pages of its own tree and no others.

mod extents;
mod free_list;
mod joined;
mod withheld;

use std::mem;

pub(crate) use extents::{Extent, Extents};
pub(crate) use free_list::{FreeListRef, extents_per_page, read_free_list, write_free_list};
pub(crate) use joined::{joined, without};
pub(crate) use withheld::Freed;

use withheld::Withheld;

use super::error::{BaseError, Result};
use super::ids::{PageGeneration, PageId};

/// Ids below this one exist; the last is kept to mean "none".
pub(crate) const MAX_PAGES: u32 = crate::limits::MAX_PAGES;

/// The free space of a file, in memory.
#[derive(Debug, Default)]
pub(crate) struct Space {
    free: Extents,
    withheld: Withheld,
    /// Pages of checkpoints whose meta block could not be written: it may be in the file all the same, so they wait
    /// for the next meta block, which takes its place.
    limbo: Vec<Extent>,
    /// Pages of the file: ids below this one may be in use.
    end: u32,
}

impl Space {
    pub(crate) fn new(free: Extents, end: u32) -> Self {
        Self { free, end, ..Self::default() }
    }

    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    pub(crate) fn free_pages(&self) -> u32 {
        self.free.pages()
    }

    pub(crate) fn withheld_pages(&self) -> u32 {
        self.withheld.pages() + self.limbo.iter().map(|extent| extent.pages).sum::<u32>()
    }

    /// What is withheld for each base, which needs it and no older one does.
    pub(crate) fn withheld_by_base(&self) -> Vec<(PageGeneration, u32)> {
        self.withheld.by_base().collect()
    }

    /// Takes `pages` neighbouring pages: the lowest that fit, or new ones at the end of the file.
    pub(crate) fn allocate(&mut self, pages: u32) -> Result<PageId> {
        if let Some(start) = self.free.take(pages) {
            return Ok(PageId(start));
        }
        let tail = self.free.tail_before(self.end);
        let start = tail.map_or(self.end, |tail| tail.start);
        let end = start.checked_add(pages).filter(|end| *end <= MAX_PAGES);
        let Some(end) = end else { return Err(BaseError::Exhausted { what: "page ids" }) };
        if let Some(tail) = tail {
            self.free.remove(tail);
        }
        self.end = end;
        Ok(PageId(start))
    }

    /// Takes `pages` neighbouring pages that all lie below `limit`, if there are such.
    pub(crate) fn allocate_below(&mut self, pages: u32, limit: u32) -> Option<PageId> {
        let start = self.free.take(pages)?;
        if start.saturating_add(pages) <= limit {
            return Some(PageId(start));
        }
        self.free.add(Extent { start, pages });
        None
    }

    /// Gives back pages that no meta block ever named.
    pub(crate) fn give_back(&mut self, extents: impl IntoIterator<Item = Extent>) {
        for extent in extents {
            self.free.add(extent);
        }
    }

    /// Keeps pages of a checkpoint whose meta block may or may not be in the file.
    pub(crate) fn keep_in_limbo(&mut self, extents: impl IntoIterator<Item = Extent>) {
        self.limbo.extend(extents);
    }

    /// Everything that is free as of a meta block that frees `freed`, joined.
    ///
    /// # Errors
    /// `Corrupt` when a page would be free twice: then two pages or rows of the file named it as theirs.
    pub(crate) fn free_with(&self, freed: &Freed) -> Result<Vec<Extent>> {
        let twice =
            |extent: Extent| BaseError::Corrupt { page: PageId(extent.start), what: "it is freed twice" };
        let others = self.limbo.iter().chain(self.withheld.extents()).chain(freed.extents()).copied();
        if let Some(beyond) = others.clone().find(|extent| extent.end() > self.end) {
            return Err(twice(beyond));
        }
        joined(self.free.iter().chain(others)).map_err(twice)
    }

    /// The meta block of `generation` is durable: what it freed may go as soon as no live base needs it.
    pub(crate) fn published(&mut self, generation: PageGeneration, freed: Freed, live: &[PageGeneration]) {
        self.free.add_all(mem::take(&mut self.limbo));
        self.free.add_all(self.withheld.add(generation, freed, live));
        self.release(live);
    }

    /// Frees what was withheld only for bases that live no more.
    pub(crate) fn release(&mut self, live: &[PageGeneration]) {
        self.free.add_all(self.withheld.release(live));
    }

    /// Where the file could end: after the last page that is neither free nor beyond the end.
    pub(crate) fn needed_end(&self) -> u32 {
        self.free.tail_before(self.end).map_or(self.end, |tail| tail.start)
    }

    /// Ends the file at [`needed_end`](Self::needed_end); the pages given back.
    pub(crate) fn trim(&mut self) -> u32 {
        self.trim_to(0)
    }

    /// The same, but no earlier than at `least`.
    pub(crate) fn trim_to(&mut self, least: u32) -> u32 {
        let Some(tail) = self.free.tail_before(self.end) else { return 0 };
        let end = tail.start.max(least).min(self.end);
        self.free.remove(tail);
        if tail.start < end {
            self.free.add(Extent { start: tail.start, pages: end - tail.start });
        }
        mem::replace(&mut self.end, end) - end
    }
}
