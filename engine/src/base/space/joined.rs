//! Runs of pages as a whole: sorted and joined at once, which for many is much cheaper than to add one after the other.

use super::Extent;

/// All of these together, in order, neighbours joined.
///
/// # Errors
/// A run that is empty, or some page of which is in another one as well.
pub(crate) fn joined(extents: impl Iterator<Item = Extent>) -> Result<Vec<Extent>, Extent> {
    let mut all: Vec<Extent> = extents.collect();
    all.sort_unstable();
    let mut kept = 0;
    for at in 0..all.len() {
        let extent = all[at];
        let before = all[..kept].last_mut();
        if extent.pages == 0 || before.as_ref().is_some_and(|before| before.end() > extent.start) {
            return Err(extent);
        }
        match before {
            Some(before) if before.end() == extent.start => before.pages += extent.pages,
            _ => {
                all[kept] = extent;
                kept += 1;
            }
        }
    }
    all.truncate(kept);
    Ok(all)
}

/// Such runs without these pages, some of which may be in none of them.
pub(crate) fn without(runs: &[Extent], mut pages: Vec<u32>) -> Vec<Extent> {
    pages.sort_unstable();
    let mut left = Vec::with_capacity(runs.len() + pages.len());
    let mut pages = pages.into_iter().peekable();
    for run in runs {
        let mut start = run.start;
        while let Some(page) = pages.next_if(|page| *page < run.end()) {
            if page >= start {
                left.extend((start < page).then(|| Extent { start, pages: page - start }));
                start = page + 1;
            }
        }
        left.extend((start < run.end()).then(|| Extent { start, pages: run.end() - start }));
    }
    left
}
