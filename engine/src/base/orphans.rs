//! Leaves that no whole page leads to: where a branch or the directory is damaged, their rows are still there.
//!
//! A leaf says of itself which tree it is of and which checkpoint wrote it, and its checksum covers that. So the file is
//! searched for whole leaves that a descent does not come to, of the trees that lost something on the way down. What must not
//! come back is what the newest base does not have any more:
//! 1. A page of the free list is no page of the base. Where the list can be read, what is found is exactly what the base
//!    has; where it cannot, a leaf may be of an older base.
//! 2. A leaf of a checkpoint that came after the base is of one whose meta block is damaged. Without damage to a meta block it is
//!    of one that failed, and means nothing.
//! 3. Of two leaves that hold the same range of keys, the newer one holds it: rows come in the order of generations, those
//!    that a descent finds among them as of the base's own, and what comes replaces what is there.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{get_u16, get_u32, get_u64};
use super::ids::{PageGeneration, PageId, StoreNumber, TreeId};
use super::page::{Expected, Page, PageKind, Value, at, overflow_pages, sealed_checksum};
use super::page_set::PageSet;
use super::refs::ChildRef;
use super::space::{Extent, Extents, read_free_list};
use super::store::{Base, BaseStore};

/// What the pages that long values of found leaves take may sum up to, in lengths of the file: leaves of several
/// generations have values in common, and what somebody made up must end.
const VALUES_OF_FILE: u64 = 4;

/// The leaves that were found, by tree, in the order of their generations.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    trees: BTreeMap<TreeId, Vec<ChildRef>>,
    /// The checkpoint that wrote the base.
    base: u64,
    uncertain: bool,
    /// Pages of long values that may still be read.
    pub(super) budget: Cell<u64>,
}

impl Orphans {
    /// The trees that some are of.
    pub(crate) fn trees(&self) -> impl Iterator<Item = TreeId> + '_ {
        self.trees.keys().copied()
    }

    /// Whether there are some of a tree.
    pub(crate) fn has(&self, tree: TreeId) -> bool {
        self.trees.contains_key(&tree)
    }

    /// Whether some may hold rows that were changed or deleted before the newest checkpoint.
    pub(crate) fn may_be_old(&self) -> bool {
        self.uncertain && !self.trees.is_empty()
    }

    /// Those of a tree that are of the base or older, and those of checkpoints after it.
    pub(super) fn of(&self, tree: TreeId) -> (&[ChildRef], &[ChildRef]) {
        let all = self.trees.get(&tree).map_or(&[][..], Vec::as_slice);
        all.split_at(all.partition_point(|leaf| leaf.generation.0 <= self.base))
    }
}

/// What a walk down from the roots comes to.
struct Survey<'s> {
    store: &'s BaseStore,
    seen: PageSet,
    /// Trees of which a branch, or the page at the top, cannot be read.
    damaged: BTreeSet<TreeId>,
    /// Whether leaves are read, for the runs of their long values.
    leaves: bool,
}

impl Survey<'_> {
    fn page(&mut self, at: &Expected) {
        if self.seen.add(at.child.page.0, 1).is_some() {
            self.damaged.insert(at.tree);
            return;
        }
        if at.level == 0 && !self.leaves {
            return;
        }
        let Ok(page) = self.store.read_page(at) else {
            // Below a leaf there is nothing to be found.
            if at.level > 0 {
                self.damaged.insert(at.tree);
            }
            return;
        };
        for index in 0..page.entries() {
            if at.level > 0 {
                self.page(&Expected { tree: at.tree, child: page.child(index), level: at.level - 1 });
            } else if let Value::Overflow(run) = page.value(index) {
                let _ = self.seen.add(run.page.0, run.pages);
            }
        }
    }
}

impl BaseStore {
    /// Searches a damaged file for leaves without a parent. It is searched only where there must be some: where a branch is
    /// damaged, `directory_damaged`, or where the other meta block, which is damaged, may have known of a newer base.
    pub(crate) fn find_orphans(&self, base: &Base, directory_damaged: bool, other_damaged: bool) -> Orphans {
        let walk = |leaves| {
            let mut survey = Survey { store: self, seen: self.no_pages(), damaged: BTreeSet::new(), leaves };
            base.trees().filter_map(|tree| base.top(tree)).for_each(|top| survey.page(&top));
            survey
        };
        if walk(false).damaged.is_empty() && !directory_damaged && !other_damaged {
            return Orphans::default();
        }
        let Survey { seen, damaged, .. } = walk(true);
        let meta = &base.meta;
        let end = self.space_stats().file_pages;
        let free = read_free_list(meta.free_list, meta.end, meta.page_size, &mut |page, bytes| {
            self.read_bytes(page, bytes)
        });
        let free = free.ok().map(|(free, _)| free);
        let mut orphans = Orphans {
            base: meta.generation.0,
            uncertain: other_damaged || free.is_none(),
            budget: Cell::new(u64::from(end) * VALUES_OF_FILE),
            ..Orphans::default()
        };
        let free = free.unwrap_or_default();
        let wanted = |tree: TreeId, leaf: &ChildRef| {
            if leaf.generation > meta.generation {
                return other_damaged;
            }
            let lost = damaged.contains(&tree) || directory_damaged && base.root(tree).is_none();
            lost && leaf.page.0 < meta.end && !is_free(&free, leaf.page)
        };
        // Pages that are read because another one says that it is the head of a long value.
        let mut runs = u64::from(end) * VALUES_OF_FILE;
        let mut page = 0;
        let mut bytes = vec![0; self.page_size.bytes()];
        while page < end {
            let id = PageId(page);
            page += 1;
            if seen.contains(id.0) || self.read_bytes(id, &mut bytes).is_err() {
                continue;
            }
            match self.whole(id, &bytes, &mut runs) {
                Whole::Leaf(tree, leaf) if wanted(tree, &leaf) => {
                    orphans.trees.entry(tree).or_default().push(leaf);
                }
                Whole::Run(pages) => page = page.saturating_add(pages - 1),
                _ => {}
            }
        }
        for leaves in orphans.trees.values_mut() {
            leaves.sort_unstable_by_key(|leaf| (leaf.generation, leaf.page));
        }
        orphans
    }

    /// What a page is by its own account, if its checksum agrees.
    fn whole(&self, page: PageId, bytes: &[u8], runs: &mut u64) -> Whole {
        let kind = bytes.get(at::KIND).copied().unwrap_or_default();
        if get_u32(bytes, at::PAGE) != page.0 {
            return Whole::Neither;
        }
        if kind == PageKind::Overflow as u8 {
            // What lies in the run is a value, whatever it looks like.
            let len = u64::from(get_u32(bytes, at::END));
            let pages = overflow_pages(len, self.page_size).filter(|pages| *pages > 0);
            let left = pages.and_then(|pages| runs.checked_sub(u64::from(pages)));
            let (Some(pages), Some(left)) = (pages, left) else { return Whole::Neither };
            *runs = left;
            return if self.is_whole_run(page, pages) { Whole::Run(pages) } else { Whole::Neither };
        }
        let tree = TreeId(get_u32(bytes, at::TREE));
        if kind != PageKind::Leaf as u8 || tree == TreeId::DIRECTORY {
            return Whole::Neither;
        }
        let child = ChildRef {
            page,
            checksum: get_u32(bytes, at::CHECKSUM),
            generation: PageGeneration(get_u64(bytes, at::GENERATION)),
            rows: u64::from(get_u16(bytes, at::ENTRIES)),
            overflow: false,
        };
        // A leaf has all its rows for itself, but whether one of them has a long value its parent knows.
        let leaf = [false, true].into_iter().find_map(|overflow| {
            let child = ChildRef { overflow, ..child };
            Page::check(bytes, &Expected { tree, child, level: 0 }, self.page_size, StoreNumber::NONE)
                .ok()
                .map(|_| child)
        });
        leaf.map_or(Whole::Neither, |leaf| Whole::Leaf(tree, leaf))
    }

    fn is_whole_run(&self, page: PageId, pages: u32) -> bool {
        let end = u64::from(page.0) + u64::from(pages);
        if end > u64::from(self.space_stats().file_pages) {
            return false;
        }
        let bytes = pages as usize * self.page_size.bytes();
        let mut run = Vec::new();
        if run.try_reserve_exact(bytes).is_err() {
            return false;
        }
        run.resize(bytes, 0);
        self.read_bytes(page, &mut run).is_ok() && sealed_checksum(&run) == get_u32(&run, at::CHECKSUM)
    }
}

enum Whole {
    Leaf(TreeId, ChildRef),
    /// A long value, over so many pages.
    Run(u32),
    Neither,
}

fn is_free(free: &Extents, page: PageId) -> bool {
    free.overlaps(Extent { start: page.0, pages: 1 })
}
