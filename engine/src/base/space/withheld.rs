//! Freed pages that some live base may still read.

use std::collections::BTreeMap;

use braid_vfs::planted;

use super::Extent;
use crate::base::ids::PageGeneration;

/// Pages that a checkpoint frees, and the checkpoint that wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Freed {
    pub(crate) born: PageGeneration,
    pub(crate) extent: Extent,
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
    entries: Vec<Entry>,
    pages: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    freed: Freed,
    freed_at: PageGeneration,
}

impl Entry {
    /// The oldest live base that reaches the pages. `live` is sorted.
    fn holder(&self, live: &[PageGeneration]) -> Option<PageGeneration> {
        if planted!(PagesNotWithheld) {
            return None;
        }
        let first = live.partition_point(|generation| *generation < self.freed.born);
        live.get(first).copied().filter(|generation| *generation < self.freed_at)
    }
}

impl Withheld {
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    pub(crate) fn extents(&self) -> impl Iterator<Item = &Extent> + Clone {
        self.by_holder.values().flat_map(|holding| &holding.entries).map(|entry| &entry.freed.extent)
    }

    /// How many pages each base holds.
    pub(crate) fn by_base(&self) -> impl Iterator<Item = (PageGeneration, u32)> + '_ {
        self.by_holder.iter().map(|(base, holding)| (*base, holding.pages))
    }

    /// Withholds what a checkpoint freed; what no live base reaches comes back at once.
    pub(crate) fn add(
        &mut self,
        freed_at: PageGeneration,
        freed: Vec<Freed>,
        live: &[PageGeneration],
    ) -> Vec<Extent> {
        let mut free = Vec::new();
        for freed in freed {
            self.place(Entry { freed, freed_at }, live, &mut free);
        }
        free
    }

    /// What only bases held that live no more. `live` is sorted.
    pub(crate) fn release(&mut self, live: &[PageGeneration]) -> Vec<Extent> {
        let gone: Vec<_> =
            self.by_holder.keys().filter(|holder| live.binary_search(holder).is_err()).copied().collect();
        let mut free = Vec::new();
        for entry in gone
            .iter()
            .filter_map(|holder| self.by_holder.remove(holder))
            .flat_map(|holding| holding.entries)
            .collect::<Vec<_>>()
        {
            self.pages -= entry.freed.extent.pages;
            self.place(entry, live, &mut free);
        }
        free
    }

    fn place(&mut self, entry: Entry, live: &[PageGeneration], free: &mut Vec<Extent>) {
        match entry.holder(live) {
            Some(holder) => {
                self.pages += entry.freed.extent.pages;
                let holding = self.by_holder.entry(holder).or_default();
                holding.pages += entry.freed.extent.pages;
                holding.entries.push(entry);
            }
            None => free.push(entry.freed.extent),
        }
    }
}
