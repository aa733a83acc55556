//! Rewrites one tree with a stream of changes.
//!
//! The old tree is walked in key order. A subtree without changes is taken over by reference; a leaf with changes is
//! taken apart and its rows, merged with the changes, go into level 0 of the new tree. Each level is a [`Pending`]
//! buffer that hands finished pages to the level above. So the memory is a few pages a level, whatever the tree's size,
//! and what is written is the changed leaves and their ancestors.
//!
//! At the end of an old page, its level is written out if there is enough for a page; its entries are spread evenly over
//! the pages that they need. If there is not enough, the rest absorbs a neighbour: the next subtree is taken apart though
//! it has no changes, or, at the end of a branch, the child before is taken back. At the right edge of a tree that only
//! grows there, pages are filled and nothing is absorbed, so that rows that come in order lie dense.
//!
//! A leaf that only has other values of the same lengths is not taken apart: it is copied, with the values in their places.
//!
//! Invariant: before a reference is put into a level, all levels below are empty, so that entries keep their order.

use braid_vfs::planted;

use super::changes::ChangeReader;
use super::checkpoint::Checkpoint;
use super::pending::{Pending, is_enough};
use crate::base::error::{BaseError, Result};
use crate::base::ids::TreeId;
use crate::base::page::{Expected, MAX_LEVEL, Page};
use crate::base::refs::{ChildRef, Root};

/// With this many full pages in a level, the first go out. The last ones stay, to be spread evenly with what follows.
const PAGES_HELD: usize = 6;
const PAGES_KEPT: usize = 2;

/// How far a leaf could be copied with other values in place.
enum Patched {
    /// The copy is written.
    Written,
    /// Not at all.
    Not,
    /// The changes so far are in this page; the next one is of another kind.
    UpTo(Page),
}

pub(super) struct TreeFold<'f, 'w, 'c> {
    checkpoint: &'f mut Checkpoint<'w>,
    changes: &'f mut ChangeReader<'c>,
    tree: TreeId,
    levels: Vec<Pending>,
    /// The last row that went into level 0 is a change after every old row.
    appending: bool,
}

impl<'f, 'w, 'c> TreeFold<'f, 'w, 'c> {
    pub(super) fn new(
        checkpoint: &'f mut Checkpoint<'w>,
        changes: &'f mut ChangeReader<'c>,
        tree: TreeId,
    ) -> Self {
        Self { checkpoint, changes, tree, levels: Vec::new(), appending: false }
    }

    /// Takes all changes of the tree; its new root.
    pub(super) fn run(mut self, root: Option<Root>) -> Result<Option<Root>> {
        match root {
            Some(root) => self.take_apart(root.child, root.level, &[], None)?,
            None => {
                while self.changes.is_before(self.tree, None) {
                    if self.changes.value().is_some() {
                        self.push_change(&[])?;
                        self.appending = true;
                    }
                    self.changes.advance()?;
                }
            }
        }
        self.finish()
    }

    fn level(&mut self, level: u8) -> &mut Pending {
        let usable = self.checkpoint.page_size().usable();
        while self.levels.len() <= usize::from(level) {
            self.levels.push(Pending::new(self.levels.is_empty(), usable));
        }
        &mut self.levels[usize::from(level)]
    }

    fn has_rows(&self, levels: impl IntoIterator<Item = u8>) -> bool {
        levels.into_iter().any(|level| self.levels.get(usize::from(level)).is_some_and(|l| !l.is_empty()))
    }

    fn levels_above(&self, level: u8) -> std::ops::Range<u8> {
        level + 1..u8::try_from(self.levels.len()).unwrap_or(u8::MAX)
    }

    /// Reads a page whose entries go among others. A made-up tree may have keys elsewhere than its separators say; laid
    /// out in the order in which they come, they would make pages that nobody can read.
    fn read(&mut self, child: ChildRef, level: u8, lower: &[u8], upper: Option<&[u8]>) -> Result<Page> {
        let page = self.checkpoint.read(&Expected { tree: self.tree, child, level })?;
        if page.lies_within(lower, upper) {
            Ok(page)
        } else {
            Err(BaseError::Corrupt {
                page: child.page,
                what: "its keys are not those that its parent has it for",
            })
        }
    }

    /// Merges a page with its changes, and frees it. All its keys lie in `lower..upper`.
    fn take_apart(&mut self, child: ChildRef, level: u8, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        let page = self.read(child, level, lower, upper)?;
        self.checkpoint.free(&child);
        if level == 0 {
            match self.patch_leaf(&page, lower, upper)? {
                Patched::Written => {}
                Patched::Not => self.merge_leaf(&page, lower, upper)?,
                Patched::UpTo(page) => self.merge_leaf(&page, lower, upper)?,
            }
        } else {
            self.merge_branch(&page, level, lower, upper)?;
        }
        // Where the cache has it not, its memory serves for the next one.
        page.reuse();
        // The right edge waits for the end, when it is known how the tree grows.
        if upper.is_some() && self.level(level).is_enough() {
            self.flush(level, false)?;
        }
        Ok(())
    }

    /// Writes a leaf of which nothing changes but values that are as long as they were, as a copy with these values in
    /// place: the rows need not be taken apart, measured and laid out again. How many rows change is known only when all
    /// changes have come; what was done by then is in the copy, and need not be done again.
    fn patch_leaf(&mut self, leaf: &Page, lower: &[u8], upper: Option<&[u8]>) -> Result<Patched> {
        // It must be a page by itself: with no rows before it, and enough in it.
        if self.has_rows([0]) || !is_enough(leaf.end(), self.checkpoint.page_size().usable()) {
            return Ok(Patched::Not);
        }
        let mut patched = false;
        while self.changes.is_before(self.tree, upper) {
            let place = self.changes.value().and_then(|value| {
                let row = leaf.find_row(self.changes.key()).ok()?;
                Some((leaf.short_value_of(row, value.len())?, value))
            });
            match place {
                Some((at, value)) => {
                    if !patched {
                        self.checkpoint.start_patched(leaf);
                    }
                    self.checkpoint.patch(at, value);
                    patched = true;
                }
                None if patched => return Ok(Patched::UpTo(self.checkpoint.patched(leaf, self.tree)?)),
                None => return Ok(Patched::Not),
            }
            self.changes.advance()?;
        }
        if !patched {
            return Ok(Patched::Not);
        }
        self.appending = false;
        let child = self.checkpoint.write_patched(leaf, self.tree)?;
        self.push_child(1, lower, &child)?;
        Ok(Patched::Written)
    }

    fn merge_leaf(&mut self, page: &Page, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        let mut row = 0;
        while self.changes.is_before(self.tree, upper) {
            let (until, after) = match page.find_row(self.changes.key()) {
                Ok(found) => (found, found + 1),
                Err(place) => (place, place),
            };
            let after =
                if planted!(DeleteNotFolded) && self.changes.value().is_none() { until } else { after };
            self.push_rows(page, row..until, lower)?;
            if after > until {
                self.checkpoint.free_value(page, until);
            }
            row = after;
            if self.changes.value().is_some() {
                self.push_change(lower)?;
                self.appending = upper.is_none() && until == page.entries();
            }
            self.changes.advance()?;
        }
        if row < page.entries() {
            self.appending = false;
        }
        self.push_rows(page, row..page.entries(), lower)
    }

    fn push_rows(&mut self, page: &Page, rows: std::ops::Range<usize>, lower: &[u8]) -> Result<()> {
        for row in rows {
            let (body, overflow) = page.body(row);
            self.level(0).push(lower, (page.prefix(), page.suffix(row)), body, overflow);
            self.write_full_pages(0)?;
        }
        Ok(())
    }

    fn push_change(&mut self, lower: &[u8]) -> Result<()> {
        self.level(0);
        let key = self.changes.key();
        let max = self.checkpoint.page_size().max_key();
        if key.len() > max {
            return Err(BaseError::KeyTooLong { len: key.len(), max });
        }
        let value = self.changes.value().unwrap_or_default();
        if self.checkpoint.page_size().fits_inline(key.len(), value.len()) {
            self.levels[0].push(lower, (key, &[]), value, false);
        } else {
            let run = self.checkpoint.write_value(self.tree, value)?.encode();
            self.levels[0].push(lower, (key, &[]), &run, true);
        }
        self.write_full_pages(0)
    }

    fn merge_branch(&mut self, page: &Page, level: u8, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        let mut separator = lower.to_vec();
        let mut next = Vec::new();
        for index in 0..page.entries() {
            let last = index + 1 == page.entries();
            if !last {
                page.copy_separator(index + 1, &mut next);
            }
            let child_upper = if last { upper } else { Some(next.as_slice()) };
            let child = page.child(index);
            if self.changes.is_before(self.tree, child_upper) || self.has_rows(0..level) {
                self.take_apart(child, level - 1, &separator, child_upper)?;
            } else {
                self.push_child(level, &separator, &child)?;
            }
            std::mem::swap(&mut separator, &mut next);
        }
        if upper.is_some() {
            for below in 0..level {
                if self.has_rows([below]) && self.has_rows([below + 1]) {
                    self.absorb_left(below)?;
                    self.flush(below, false)?;
                }
            }
        }
        Ok(())
    }

    fn push_child(&mut self, level: u8, separator: &[u8], child: &ChildRef) -> Result<()> {
        if level > MAX_LEVEL {
            return Err(BaseError::Exhausted { what: "levels of a tree" });
        }
        self.level(level).push(separator, (separator, &[]), &child.encode(), false);
        self.write_full_pages(level)
    }

    /// Writes the first pages of a level that has many.
    fn write_full_pages(&mut self, level: u8) -> Result<()> {
        let pending = self.level(level);
        if pending.pages() <= PAGES_HELD {
            return Ok(());
        }
        let going = pending.pages() - PAGES_KEPT;
        let cuts = pending.cuts()[..going].to_vec();
        self.write_pages(level, &cuts)
    }

    /// Writes all of a level: in full pages, or in even ones.
    fn flush(&mut self, level: u8, full: bool) -> Result<()> {
        let pending = self.level(level);
        if pending.is_empty() {
            return Ok(());
        }
        let mut cuts = if full { pending.cuts().to_vec() } else { pending.even_cuts() };
        cuts.push(pending.len());
        self.write_pages(level, &cuts)
    }

    /// Writes a page up to each cut, and gives them to the level above.
    fn write_pages(&mut self, level: u8, cuts: &[usize]) -> Result<()> {
        let usable = self.checkpoint.page_size().usable();
        self.level(level);
        let mut pending =
            std::mem::replace(&mut self.levels[usize::from(level)], Pending::new(level == 0, usable));
        let mut start = 0;
        for &end in cuts {
            let child = self.checkpoint.write_entries(self.tree, level, pending.entries(start..end))?;
            self.push_child(level + 1, pending.separator(start), &child)?;
            start = end;
        }
        pending.drop_front(start);
        self.levels[usize::from(level)] = pending;
        Ok(())
    }

    /// Takes the page before a level's entries back and puts its entries before them.
    fn absorb_left(&mut self, level: u8) -> Result<()> {
        let Some((separator, body)) = self.level(level + 1).pop() else { return Ok(()) };
        let child = ChildRef::decode(&body);
        let after = self.level(level);
        let upper = (!after.is_empty()).then(|| after.entry(0).key.to_vec());
        let page = self.read(child, level, &separator, upper.as_deref())?;
        self.checkpoint.free(&child);
        let usable = self.checkpoint.page_size().usable();
        let mut merged = Pending::new(level == 0, usable);
        let mut own = Vec::new();
        for index in 0..page.entries() {
            if level == 0 {
                let (body, overflow) = page.body(index);
                merged.push(&separator, (page.prefix(), page.suffix(index)), body, overflow);
            } else {
                own.clone_from(&separator);
                if index > 0 {
                    page.copy_separator(index, &mut own);
                }
                merged.push(&own, (&own, &[]), &page.child(index).encode(), false);
            }
        }
        let after = self.level(level);
        for entry in after.entries(0..after.len()) {
            merged.push(&separator, (entry.key, &[]), entry.body, entry.overflow);
        }
        *after = merged;
        Ok(())
    }

    /// Makes sure that a level has an entry, if there is any before it in the tree.
    fn refill(&mut self, level: u8) -> Result<()> {
        if self.has_rows([level]) || !self.has_rows(self.levels_above(level)) {
            return Ok(());
        }
        self.refill(level + 1)?;
        self.absorb_left(level)
    }

    /// Writes what is left, level by level, until one page holds everything.
    fn finish(mut self) -> Result<Option<Root>> {
        let mut level = 0;
        while usize::from(level) < self.levels.len() {
            let above = self.has_rows(self.levels_above(level));
            let pending = self.level(level);
            if level > 0 && pending.len() == 1 && !above {
                let child = ChildRef::decode(pending.entry(0).body);
                return self.collapse(Root { child, level: level - 1 }).map(Some);
            }
            if !pending.is_empty() && !pending.is_enough() && above && !self.appending {
                self.refill(level + 1)?;
                self.absorb_left(level)?;
            }
            self.flush(level, self.appending)?;
            level += 1;
        }
        Ok(None)
    }

    /// Takes branches with one child off the top.
    fn collapse(&mut self, mut root: Root) -> Result<Root> {
        while root.level > 0 {
            let expected = Expected { tree: self.tree, child: root.child, level: root.level };
            let page = self.checkpoint.read(&expected)?;
            if page.entries() > 1 {
                break;
            }
            self.checkpoint.free(&root.child);
            root = Root { child: page.child(0), level: root.level - 1 };
        }
        Ok(root)
    }
}
