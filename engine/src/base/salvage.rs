//! Reads what is readable of a damaged tree.

use std::ops::Bound;

use super::error::{BaseError, Result};
use super::ids::{PageId, TreeId};
use super::orphans::Orphans;
use super::page::{Expected, Value};
use super::page_set::PageSet;
use super::refs::ChildRef;
use super::store::{Base, BaseStore};

/// Rows that could not be read.
#[derive(Debug)]
pub(crate) struct Loss {
    /// The tree that they belong to.
    pub(crate) tree: TreeId,
    /// The page that is damaged.
    pub(crate) page: PageId,
    /// What is wrong with it.
    pub(crate) error: BaseError,
    /// No lost key is less than this one.
    pub(crate) lower: Vec<u8>,
    /// All lost keys are less than this one, if there is one; a single row is lost when it equals `lower`.
    pub(crate) upper: Option<Vec<u8>>,
    /// How many rows are lost.
    pub(crate) rows: u64,
    /// They are of a leaf without a parent: the page that led to it counts them too, where that was come to.
    pub(crate) found: bool,
}

/// What a salvage of a tree gives, in the order in which it holds.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// The rows of a range that came before it are older than those that follow it.
    Replaces { from: &'a [u8], to: Bound<&'a [u8]> },
    /// A row. `found` in a leaf without a parent.
    Row { key: &'a [u8], value: &'a [u8], found: bool },
}

/// Receives what could be read.
pub(crate) type OnPiece<'a> = &'a mut dyn FnMut(Piece<'_>) -> Result<()>;

/// Receives a row of a tree without orphans.
type OnRow<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

impl BaseStore {
    /// Gives every readable row of a tree to `on_piece`, and what is lost to `on_loss`. `seen` is what was read already, of this
    /// tree and of others: nothing is read twice, so what comes out is no more than the file is long, and some times that of
    /// long values of orphans. Rows ascend where the tree has no orphans.
    ///
    /// # Errors
    /// Only those of `on_piece`.
    pub(crate) fn salvage(
        &self,
        base: &Base,
        tree: TreeId,
        orphans: &Orphans,
        seen: &mut PageSet,
        on_piece: OnPiece<'_>,
        on_loss: &mut dyn FnMut(Loss),
    ) -> Result<()> {
        let replaces = orphans.has(tree);
        let (older, newer) = orphans.of(tree);
        let mut salvage = Salvage { store: self, seen, replaces, in_orphan: false, on_piece, on_loss };
        salvage.in_orphan = true;
        older.iter().try_for_each(|leaf| salvage.orphan(tree, leaf, orphans))?;
        salvage.in_orphan = false;
        if let Some(top) = base.top(tree) {
            salvage.page(&top, &[], None)?;
        }
        salvage.in_orphan = true;
        newer.iter().try_for_each(|leaf| salvage.orphan(tree, leaf, orphans))
    }

    /// No page yet: what [`salvage`](Self::salvage) of the first tree begins with.
    pub(crate) fn no_pages(&self) -> PageSet {
        PageSet::new(self.space_stats().file_pages)
    }

    /// [`salvage`](Self::salvage) below one page.
    pub(super) fn salvage_rows(
        &self,
        top: &Expected,
        on_row: OnRow<'_>,
        on_loss: &mut dyn FnMut(Loss),
    ) -> Result<()> {
        let on_piece = &mut |piece: Piece<'_>| match piece {
            Piece::Row { key, value, .. } => on_row(key, value),
            Piece::Replaces { .. } => Ok(()),
        };
        let seen = &mut self.no_pages();
        Salvage { store: self, seen, replaces: false, in_orphan: false, on_piece, on_loss }.page(
            top,
            &[],
            None,
        )
    }
}

struct Salvage<'s> {
    store: &'s BaseStore,
    seen: &'s mut PageSet,
    /// Whether leaves say that what they hold replaces what came before.
    replaces: bool,
    /// Whether a leaf without a parent is being read.
    in_orphan: bool,
    on_piece: OnPiece<'s>,
    on_loss: &'s mut dyn FnMut(Loss),
}

impl Salvage<'_> {
    fn lose(&mut self, at: &Expected, error: BaseError, lower: &[u8], upper: Option<&[u8]>, rows: u64) {
        let upper = upper.map(<[u8]>::to_vec);
        let page = match error {
            BaseError::Corrupt { page, .. } => page,
            _ => at.child.page,
        };
        let found = self.in_orphan;
        (self.on_loss)(Loss { tree: at.tree, page, error, lower: lower.to_vec(), upper, rows, found });
    }

    fn page(&mut self, at: &Expected, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        if let Some(page) = self.seen.add(at.child.page.0, 1) {
            self.lose(at, two_parents(page), lower, upper, at.child.rows);
            return Ok(());
        }
        let page = match self.store.read_page(at) {
            Ok(page) => page,
            Err(error) => {
                self.lose(at, error, lower, upper, at.child.rows);
                return Ok(());
            }
        };
        if at.level == 0 && self.replaces {
            let to = upper.map_or(Bound::Unbounded, Bound::Excluded);
            (self.on_piece)(Piece::Replaces { from: lower, to })?;
        }
        let mut key = lower.to_vec();
        let mut next = Vec::new();
        for index in 0..page.entries() {
            if at.level > 0 {
                let last = index + 1 == page.entries();
                if !last {
                    page.copy_separator(index + 1, &mut next);
                }
                let child = Expected { tree: at.tree, child: page.child(index), level: at.level - 1 };
                self.page(&child, &key, if last { upper } else { Some(&next) })?;
                std::mem::swap(&mut key, &mut next);
                continue;
            }
            page.copy_key(index, &mut key);
            match page.value(index) {
                Value::Inline(value) => (self.on_piece)(Piece::Row { key: &key, value, found: false })?,
                Value::Overflow(run) => {
                    let read = match self.seen.add(run.page.0, run.pages) {
                        Some(page) => Err(two_parents(page)),
                        None => self.store.read_overflow(at.tree, &run),
                    };
                    match read {
                        Ok(read) => {
                            (self.on_piece)(Piece::Row { key: &key, value: read.value(), found: false })?;
                        }
                        Err(error) => self.lose(at, error, &key, Some(&key), 1),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Salvage<'_> {
    /// Reads a leaf without a parent. What it holds replaces the rows between its first and its last key.
    fn orphan(&mut self, tree: TreeId, leaf: &ChildRef, orphans: &Orphans) -> Result<()> {
        let at = Expected { tree, child: *leaf, level: 0 };
        // It was whole a moment ago.
        let Ok(page) = self.store.read_page(&at) else { return Ok(()) };
        let (mut key, mut last) = (Vec::new(), Vec::new());
        page.copy_key(0, &mut key);
        page.copy_key(page.entries() - 1, &mut last);
        (self.on_piece)(Piece::Replaces { from: &key, to: Bound::Included(&last) })?;
        for index in 0..page.entries() {
            page.copy_key(index, &mut key);
            let run = match page.value(index) {
                Value::Inline(value) => {
                    (self.on_piece)(Piece::Row { key: &key, value, found: true })?;
                    continue;
                }
                Value::Overflow(run) => run,
            };
            let left = orphans.budget.get().checked_sub(u64::from(run.pages));
            let read = match left {
                Some(left) => {
                    orphans.budget.set(left);
                    self.store.read_overflow(tree, &run)
                }
                None => Err(two_parents(run.page.0)),
            };
            match read {
                Ok(read) => (self.on_piece)(Piece::Row { key: &key, value: read.value(), found: true })?,
                Err(error) => self.lose(&at, error, &key, Some(&key), 1),
            }
        }
        Ok(())
    }
}

fn two_parents(page: u32) -> BaseError {
    BaseError::Corrupt { page: PageId(page), what: "it has two parents or is outside the file" }
}
