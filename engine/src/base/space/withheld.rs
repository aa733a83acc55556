//! Freed pages that some live base may still read.
//!
//! Pages that were born together and freed together are reached by the same bases, so they are kept together, and go from one
//! holder to the next, and free in the end, as a whole.

use std::collections::BTreeMap;

use braid_vfs::planted;
use smallvec::SmallVec;

use super::Extent;
use crate::base::ids::PageGeneration;

/// Many that were written by one large checkpoint, or a page or two of a small one.
type Pages = SmallVec<[Extent; 2]>;

/// Pages that a checkpoint frees, by the checkpoint that wrote them.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    by_birth: BTreeMap<PageGeneration, Pages>,
    pages: u64,
}

impl Freed {
    pub(crate) fn add(&mut self, born: PageGeneration, extent: Extent) {
        self.pages += u64::from(extent.pages);
        let extents = self.by_birth.entry(born).or_default();
        match extents.last_mut() {
            Some(last) if last.end() == extent.start => last.pages += extent.pages,
            _ => extents.push(extent),
        }
    }

    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    pub(super) fn extents(&self) -> impl Iterator<Item = &Extent> + Clone {
        self.by_birth.values().flatten()
    }
}

/// Withheld pages, each under one live base that needs it. When that base is gone, another one is looked for; so what a
/// long reader pins is not looked at again with every checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    by_holder: BTreeMap<PageGeneration, Holding>,
    pages: u32,
}

/// What one base holds.
#[derive(Debug, Default)]
struct Holding {
    groups: Vec<Group>,
    pages: u32,
}

/// Pages of one birth that one checkpoint freed.
#[derive(Debug)]
struct Group {
    born: PageGeneration,
    freed_at: PageGeneration,
    extents: Pages,
}

impl Group {
    /// The oldest live base that reaches the pages. `live` is sorted.
    fn holder(&self, live: &[PageGeneration]) -> Option<PageGeneration> {
        if planted!(PagesNotWithheld) {
            return None;
        }
        let first = live.partition_point(|generation| *generation < self.born);
        live.get(first).copied().filter(|generation| *generation < self.freed_at)
    }

    fn pages(&self) -> u32 {
        self.extents.iter().map(|extent| extent.pages).sum()
    }
}

impl Withheld {
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    pub(super) fn extents(&self) -> impl Iterator<Item = &Extent> + Clone {
        self.by_holder.values().flat_map(|holding| &holding.groups).flat_map(|group| &group.extents)
    }

    /// How many pages each base holds.
    pub(crate) fn by_base(&self) -> impl Iterator<Item = (PageGeneration, u32)> + '_ {
        self.by_holder.iter().map(|(base, holding)| (*base, holding.pages))
    }

    /// Withholds what a checkpoint freed; what no live base reaches comes back at once.
    pub(super) fn add(
        &mut self,
        freed_at: PageGeneration,
        freed: Freed,
        live: &[PageGeneration],
    ) -> Vec<Extent> {
        let mut free = Vec::new();
        for (born, mut extents) in freed.by_birth {
            extents.shrink_to_fit();
            self.place(Group { born, freed_at, extents }, live, &mut free);
        }
        free
    }

    /// What only bases held that live no more. `live` is sorted.
    pub(super) fn release(&mut self, live: &[PageGeneration]) -> Vec<Extent> {
        let gone: Vec<_> =
            self.by_holder.keys().filter(|holder| live.binary_search(holder).is_err()).copied().collect();
        let mut free = Vec::new();
        for holder in gone {
            // Whoever holds them next lives, and is none of these.
            let Some(holding) = self.by_holder.remove(&holder) else { continue };
            self.pages -= holding.pages;
            for group in holding.groups {
                self.place(group, live, &mut free);
            }
        }
        free
    }

    fn place(&mut self, group: Group, live: &[PageGeneration], free: &mut Vec<Extent>) {
        let Some(holder) = group.holder(live) else { return free.extend(group.extents) };
        let pages = group.pages();
        self.pages += pages;
        let holding = self.by_holder.entry(holder).or_default();
        holding.pages += pages;
        holding.groups.push(group);
    }
}
