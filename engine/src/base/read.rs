//! Point reads and counts.

use std::ops::Bound;

use super::error::Result;
use super::ids::{PageId, TreeId};
use super::page::{Expected, Page, Value};
use super::store::{Base, BaseStore};

/// Receives a row, with the page that it stands in.
pub(super) type OnStoredRow<'a> = &'a mut dyn FnMut(PageId, &[u8], &[u8]) -> Result<()>;

impl BaseStore {
    /// Gives a row's value to `f` where it lies; `None` when there is no such row.
    ///
    /// # Errors
    /// `Corrupt`, and what reading gives.
    #[inline]
    pub(crate) fn get<R>(
        &self,
        base: &Base,
        tree: TreeId,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let Some((place, root)) = base.place(tree) else { return Ok(None) };
        let below =
            |page: &Page, level: u8| Expected { tree, child: page.child(page.find_child(key)), level };
        let mut at = Expected { tree, child: root.child, level: root.level };
        self.count_lookups(u64::from(at.level) + 1);
        if at.level > 0
            && let Some(top) = base.tops.root(self, place, &at)?
        {
            let index = top.page.find_child(key);
            at = Expected { tree, child: top.page.child(index), level: at.level - 1 };
            if let Some(page) = base.tops.child(self, top, index, &at)? {
                at = below(page, at.level - 1);
            }
        }
        loop {
            let page = self.page(&at)?;
            if page.is_leaf() {
                let Ok(row) = page.find_row(key) else { return Ok(None) };
                return match page.value(row) {
                    Value::Inline(value) => Ok(Some(f(value))),
                    Value::Overflow(run) => {
                        let run = self.read_overflow(tree, &run)?;
                        Ok(Some(f(run.value())))
                    }
                };
            }
            at = below(&page, at.level - 1);
        }
    }

    /// Whether there is a row with this key. Its value is not read.
    ///
    /// # Errors
    /// `Corrupt`, and what reading gives.
    pub(crate) fn contains(&self, base: &Base, tree: TreeId, key: &[u8]) -> Result<bool> {
        let Some(top) = base.top(tree) else { return Ok(false) };
        self.rank(top, key).map(|(_, found)| found)
    }

    /// The rows of a tree. Nothing is read.
    pub(crate) fn count(&self, base: &Base, tree: TreeId) -> u64 {
        base.root(tree).map_or(0, |root| root.child.rows)
    }

    /// The rows of a tree within bounds: two descents, whatever lies between.
    ///
    /// # Errors
    /// `Corrupt`, and what reading gives.
    pub(crate) fn count_range(
        &self,
        base: &Base,
        tree: TreeId,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<u64> {
        let Some(top) = base.top(tree) else { return Ok(0) };
        let before = match bounds.0 {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.rank(top, key)?.0,
            Bound::Excluded(key) => self.rank(top, key).map(|(rank, found)| rank + u64::from(found))?,
        };
        let through = match bounds.1 {
            Bound::Unbounded => top.child.rows,
            Bound::Included(key) => self.rank(top, key).map(|(rank, found)| rank + u64::from(found))?,
            Bound::Excluded(key) => self.rank(top, key)?.0,
        };
        Ok(through.saturating_sub(before))
    }

    /// The number of rows with smaller keys, and whether the key itself has one.
    fn rank(&self, mut at: Expected, key: &[u8]) -> Result<(u64, bool)> {
        self.count_lookups(u64::from(at.level) + 1);
        let mut rank = 0;
        loop {
            let page = self.page(&at)?;
            if page.is_leaf() {
                return Ok(match page.find_row(key) {
                    Ok(row) => (rank + row as u64, true),
                    Err(row) => (rank + row as u64, false),
                });
            }
            let index = page.find_child(key);
            // The sum of all children was checked when the page was read, so none of it overflows.
            rank += (0..index).map(|before| page.child(before).rows).sum::<u64>();
            at = Expected { tree: at.tree, child: page.child(index), level: at.level - 1 };
        }
    }

    /// Gives every row below a page to `f`, in order, with the leaf it is in. Pages do not enter the cache.
    pub(super) fn for_each_row(&self, top: &Expected, f: OnStoredRow<'_>) -> Result<()> {
        let page = self.read_page(top)?;
        if !page.is_leaf() {
            for index in 0..page.entries() {
                let child = Expected { tree: top.tree, child: page.child(index), level: top.level - 1 };
                self.for_each_row(&child, f)?;
            }
            return Ok(());
        }
        let mut key = Vec::new();
        for row in 0..page.entries() {
            page.copy_key(row, &mut key);
            match page.value(row) {
                Value::Inline(value) => f(page.id(), &key, value)?,
                Value::Overflow(run) => f(page.id(), &key, self.read_overflow(top.tree, &run)?.value())?,
            }
        }
        Ok(())
    }
}
