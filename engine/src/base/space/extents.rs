//! A set of pages as runs of neighbours.

use std::collections::BTreeMap;

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
    /// All of these together: sorted and joined at once, which for many is much cheaper than to add one after the other.
    ///
    /// # Errors
    /// A run that is empty, or some page of which is in another one as well.
    pub(crate) fn joined(extents: impl Iterator<Item = Extent>) -> Result<Self, Extent> {
        let mut all: Vec<Extent> = extents.collect();
        all.sort_unstable();
        let mut pages = 0;
        let mut kept = 0;
        for at in 0..all.len() {
            let extent = all[at];
            let before = all[..kept].last_mut();
            if extent.pages == 0 || before.as_ref().is_some_and(|before| before.end() > extent.start) {
                return Err(extent);
            }
            pages += extent.pages;
            match before {
                Some(before) if before.end() == extent.start => before.pages += extent.pages,
                _ => {
                    all[kept] = extent;
                    kept += 1;
                }
            }
        }
        let runs = all[..kept].iter().map(|extent| (extent.start, extent.pages)).collect();
        Ok(Self { runs, pages, ..Self::default() })
    }

    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len()
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

    /// Takes a run out of the set; it must be one of those that [`iter`](Self::iter) gives.
    pub(crate) fn remove(&mut self, extent: Extent) {
        if self.runs.remove(&extent.start).is_some() {
            self.pages -= extent.pages;
        }
    }

    /// Takes one page out of the set, if it is there.
    pub(crate) fn take_out(&mut self, page: u32) {
        let around = self.runs.range(..=page).next_back().map(|(start, pages)| (*start, *start + *pages));
        let Some((start, end)) = around.filter(|(_, end)| page < *end) else { return };
        self.runs.remove(&start);
        if start < page {
            self.runs.insert(start, page - start);
        }
        if page + 1 < end {
            self.runs.insert(page + 1, end - page - 1);
        }
        self.pages -= 1;
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
