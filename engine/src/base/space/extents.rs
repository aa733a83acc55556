//! A set of pages as runs of neighbours.

use std::collections::BTreeMap;

use super::joined::joined;

/// Size classes for which a search remembers where it may start: one for each power of two.
const CLASSES: usize = 32;

/// A run of neighbouring pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Extent {
    pub(crate) start: u32,
    pub(crate) pages: u32,
}

impl Extent {
    pub(crate) fn end(&self) -> u32 {
        self.start.saturating_add(self.pages)
    }
}

/// Runs in order of their start; neighbours are always joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extents {
    runs: BTreeMap<u32, u32>,
    pages: u32,
    /// For each size class: no run of at least that many pages starts below.
    search_from: [u32; CLASSES],
}

fn class(pages: u32) -> usize {
    pages.max(1).ilog2() as usize
}

impl Extents {
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Extent> + '_ {
        self.runs.iter().map(|(start, pages)| Extent { start: *start, pages: *pages })
    }

    /// Whether some page of the run is in the set.
    pub(crate) fn overlaps(&self, extent: Extent) -> bool {
        let before = self.runs.range(..extent.end()).next_back();
        before.is_some_and(|(start, pages)| start + pages > extent.start)
    }

    /// Adds a run of pages, unless one of them is in the set; whether it did.
    pub(crate) fn add(&mut self, extent: Extent) -> bool {
        if extent.pages == 0 || self.overlaps(extent) {
            return false;
        }
        let Extent { mut start, mut pages } = extent;
        self.pages += pages;
        if let Some((&before, &len)) = self.runs.range(..start).next_back()
            && before + len == start
        {
            self.runs.remove(&before);
            start = before;
            pages += len;
        }
        if let Some(after) = self.runs.remove(&(start + pages)) {
            pages += after;
        }
        self.runs.insert(start, pages);
        for from in self.search_from.iter_mut().take(class(pages) + 1) {
            *from = start.min(*from);
        }
        true
    }

    /// Adds runs; what is in the set already is left out.
    pub(crate) fn add_all(&mut self, extents: Vec<Extent>) {
        // Many are merged with what is there at once, few are looked up one by one.
        if extents.len() > self.runs.len() / 8
            && let Ok(all) = joined(self.iter().chain(extents.iter().copied()))
        {
            self.runs.clear();
            *self = all.into();
            return;
        }
        for extent in extents {
            self.add(extent);
        }
    }

    /// Takes a run out of the set; it must be one of those that [`iter`](Self::iter) gives.
    pub(crate) fn remove(&mut self, extent: Extent) {
        if self.runs.remove(&extent.start).is_some() {
            self.pages -= extent.pages;
        }
    }

    /// Takes the lowest `pages` neighbours.
    pub(crate) fn take(&mut self, pages: u32) -> Option<u32> {
        let class = class(pages);
        let found = {
            let mut first_of_class = None;
            let from = self.search_from[class];
            let found = self.runs.range(from..).find(|(start, len)| {
                if first_of_class.is_none() && **len >= 1 << class {
                    first_of_class = Some(**start);
                }
                **len >= pages
            });
            let found = found.map(|(start, len)| (*start, *len));
            self.search_from[class] = first_of_class.unwrap_or(u32::MAX);
            found
        };
        let (start, len) = found?;
        self.runs.remove(&start);
        if len > pages {
            self.runs.insert(start + pages, len - pages);
        }
        self.pages -= pages;
        Some(start)
    }

    /// The run that ends where the file does.
    pub(crate) fn tail_before(&self, end: u32) -> Option<Extent> {
        self.iter().next_back().filter(|extent| extent.end() == end)
    }
}

impl From<Vec<Extent>> for Extents {
    /// Of runs that ascend, without neighbours.
    fn from(runs: Vec<Extent>) -> Self {
        let pages = runs.iter().map(|run| run.pages).sum();
        let runs = runs.into_iter().map(|run| (run.start, run.pages)).collect();
        Self { runs, pages, ..Self::default() }
    }
}
