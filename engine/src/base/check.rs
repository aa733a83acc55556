//! Reads a whole base from the file and says everything that is wrong with it.
//!
//! Each page is read past the cache and checked as at any read; beyond that, keys must lie between the separators above
//! them, no page may be used twice, and the pages in use and those of the free list must together be all.

use std::fmt;

use super::error::{BaseError, Result};
use super::ids::{PageId, TreeId};
use super::page::{Expected, Page, Value};
use super::page_set::PageSet;
use super::space::{Extent, Freed, read_free_list};
use super::store::{Base, BaseStore};

/// More findings than this are counted and not kept.
const FINDINGS_KEPT: usize = 10_000;
/// Pages between two calls of the progress callback.
const PAGES_BETWEEN_REPORTS: u64 = 256;

/// Something that is wrong with a file.
#[derive(Debug)]
pub(crate) enum Finding {
    /// A page of a tree, or a long value, cannot be read.
    Unreadable {
        /// The tree.
        tree: TreeId,
        /// What reading gave.
        error: BaseError,
    },
    /// A page has keys that belong elsewhere in its tree.
    KeysOutOfPlace {
        /// The tree.
        tree: TreeId,
        /// The page.
        page: PageId,
    },
    /// A page is used twice, or lies outside the file.
    UsedTwice {
        /// The tree that came to it last, or the directory for the free list.
        tree: TreeId,
        /// The page.
        page: PageId,
    },
    /// Pages are neither in use nor free.
    Leaked {
        /// Which.
        extent: Extent,
    },
    /// The free list cannot be read.
    FreeList {
        /// What reading gave.
        error: BaseError,
    },
    /// The free list in the file is not the one in memory.
    FreeListDiffers,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { tree, error } => write!(f, "tree {tree}: {error}"),
            Self::KeysOutOfPlace { tree, page } => {
                write!(f, "tree {tree}: page {page} has keys that belong elsewhere")
            }
            Self::UsedTwice { tree, page } => {
                write!(f, "tree {tree}: page {page} is used twice or lies outside the file")
            }
            Self::Leaked { extent } => {
                write!(f, "{} pages from page {} are neither in use nor free", extent.pages, extent.start)
            }
            Self::FreeList { error } => write!(f, "the free list cannot be read: {error}"),
            Self::FreeListDiffers => f.write_str("the free list in the file is not the one in memory"),
        }
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct CheckReport {
    /// What is wrong: nothing, one hopes.
    pub(crate) findings: Vec<Finding>,
    /// Findings beyond those kept.
    pub(crate) more_findings: u64,
    /// Pages read.
    pub(crate) pages: u64,
    /// Rows seen.
    pub(crate) rows: u64,
}

/// Told now and then how many pages were read, and how many there are at most, and at the end that all were dealt with; its
/// error ends the check.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

impl BaseStore {
    /// Checks a base as the file has it.
    ///
    /// # Errors
    /// Only those of `on_progress`; what is wrong with the file is in the report.
    pub(crate) fn check(&self, base: &Base, on_progress: OnProgress<'_>) -> Result<CheckReport> {
        let seen = PageSet::new(base.meta.end);
        let mut check = Check { store: self, seen, report: CheckReport::default(), on_progress };
        if let Some(root) = base.meta.directory {
            let top = Expected { tree: TreeId::DIRECTORY, child: root.child, level: root.level };
            check.page(&top, &[], None)?;
        }
        for (tree, root) in &base.roots {
            check.page(&Expected { tree: *tree, child: root.child, level: root.level }, &[], None)?;
        }
        check.free_list(base);
        // All pages are accounted for now, whether they were read or are free.
        let total = u64::from(self.space_stats().file_pages);
        (check.on_progress)(total, total)?;
        Ok(check.report)
    }
}

struct Check<'c> {
    store: &'c BaseStore,
    seen: PageSet,
    report: CheckReport,
    on_progress: OnProgress<'c>,
}

impl Check<'_> {
    fn find(&mut self, finding: Finding) {
        if self.report.findings.len() < FINDINGS_KEPT {
            self.report.findings.push(finding);
        } else {
            self.report.more_findings += 1;
        }
    }

    fn see(&mut self, tree: TreeId, start: PageId, pages: u32) -> Result<bool> {
        let before = self.report.pages / PAGES_BETWEEN_REPORTS;
        self.report.pages += u64::from(pages);
        if self.report.pages / PAGES_BETWEEN_REPORTS != before {
            (self.on_progress)(self.report.pages, u64::from(self.store.space_stats().file_pages))?;
        }
        match self.seen.add(start.0, pages) {
            Some(page) => {
                self.find(Finding::UsedTwice { tree, page: PageId(page) });
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn page(&mut self, at: &Expected, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        if !self.see(at.tree, at.child.page, 1)? {
            return Ok(());
        }
        let page = match self.store.read_page(at) {
            Ok(page) => page,
            Err(error) => {
                self.find(Finding::Unreadable { tree: at.tree, error });
                return Ok(());
            }
        };
        if !page.lies_within(lower, upper) {
            self.find(Finding::KeysOutOfPlace { tree: at.tree, page: page.id() });
        }
        if page.is_leaf() { self.rows(at, &page) } else { self.children(at, &page, lower, upper) }
    }

    fn children(&mut self, at: &Expected, page: &Page, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        let mut separator = lower.to_vec();
        let mut next = Vec::new();
        for index in 0..page.entries() {
            let last = index + 1 == page.entries();
            if !last {
                page.copy_separator(index + 1, &mut next);
            }
            let child = Expected { tree: at.tree, child: page.child(index), level: at.level - 1 };
            self.page(&child, &separator, if last { upper } else { Some(&next) })?;
            std::mem::swap(&mut separator, &mut next);
        }
        Ok(())
    }

    fn rows(&mut self, at: &Expected, page: &Page) -> Result<()> {
        self.report.rows += page.entries() as u64;
        for row in 0..page.entries() {
            if let Value::Overflow(run) = page.value(row)
                && self.see(at.tree, run.page, run.pages)?
                && let Err(error) = self.store.read_overflow(at.tree, &run)
            {
                self.find(Finding::Unreadable { tree: at.tree, error });
            }
        }
        Ok(())
    }

    fn free_list(&mut self, base: &Base) {
        let end = base.meta.end;
        let list = read_free_list(base.meta.free_list, end, self.store.page_size, &mut |page, bytes| {
            self.store.read_bytes(page, bytes)
        });
        let (free, chain) = match list {
            Ok(read) => read,
            Err(error) => return self.find(Finding::FreeList { error }),
        };
        let chain = chain.iter().map(|page| Extent { start: page.page.0, pages: 1 });
        for extent in chain.chain(free.iter()) {
            if let Some(page) = self.seen.add(extent.start, extent.pages) {
                self.find(Finding::UsedTwice { tree: TreeId::DIRECTORY, page: PageId(page) });
            }
        }
        let mut leaked: Option<Extent> = None;
        for page in 0..=end {
            let accounted = page == end || self.seen.contains(page);
            match &mut leaked {
                Some(extent) if !accounted => extent.pages += 1,
                None if !accounted => leaked = Some(Extent { start: page, pages: 1 }),
                _ => {
                    if let Some(extent) = leaked.take() {
                        self.find(Finding::Leaked { extent });
                    }
                }
            }
        }
        // While the base is the newest one, what is free in memory, and what is withheld, must be what the file says.
        let writer = self.store.writer.lock();
        if writer.current == base.meta && !self.store.read_only {
            let in_memory = writer.space.free_with(&Freed::default());
            drop(writer);
            // A checkpoint that failed may have left free pages behind the end that the file knows.
            let within = |extent: Extent| Extent { pages: extent.pages.min(end - extent.start), ..extent };
            let same = in_memory.is_ok_and(|all| {
                all.into_iter().filter(|extent| extent.start < end).map(within).eq(free.iter())
            });
            if !same {
                self.find(Finding::FreeListDiffers);
            }
        }
    }
}
