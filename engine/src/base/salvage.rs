//! Reads what is readable of a damaged tree.

use super::error::{BaseError, Result};
use super::ids::{PageId, TreeId};
use super::page::{Expected, Value};
use super::page_set::PageSet;
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
}

/// Receives a row that could be read.
pub(crate) type OnRow<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

impl BaseStore {
    /// Gives every readable row of a tree to `on_row`, in order, and what is lost to `on_loss`. `seen` is what was read
    /// already, of this tree and of others: nothing is read twice, so what comes out is no more than the file is long.
    ///
    /// # Errors
    /// Only those of `on_row`.
    pub(crate) fn salvage(
        &self,
        base: &Base,
        tree: TreeId,
        seen: &mut PageSet,
        on_row: OnRow<'_>,
        on_loss: &mut dyn FnMut(Loss),
    ) -> Result<()> {
        match base.top(tree) {
            Some(top) => Salvage { store: self, seen, on_row, on_loss }.page(&top, &[], None),
            None => Ok(()),
        }
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
        Salvage { store: self, seen: &mut self.no_pages(), on_row, on_loss }.page(top, &[], None)
    }
}

struct Salvage<'s> {
    store: &'s BaseStore,
    seen: &'s mut PageSet,
    on_row: OnRow<'s>,
    on_loss: &'s mut dyn FnMut(Loss),
}

impl Salvage<'_> {
    fn lose(&mut self, at: &Expected, error: BaseError, lower: &[u8], upper: Option<&[u8]>, rows: u64) {
        let upper = upper.map(<[u8]>::to_vec);
        let page = match error {
            BaseError::Corrupt { page, .. } => page,
            _ => at.child.page,
        };
        (self.on_loss)(Loss { tree: at.tree, page, error, lower: lower.to_vec(), upper, rows });
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
                Value::Inline(value) => (self.on_row)(&key, value)?,
                Value::Overflow(run) => {
                    let read = match self.seen.add(run.page.0, run.pages) {
                        Some(page) => Err(two_parents(page)),
                        None => self.store.read_overflow(at.tree, &run),
                    };
                    match read {
                        Ok(read) => (self.on_row)(&key, read.value())?,
                        Err(error) => self.lose(at, error, &key, Some(&key), 1),
                    }
                }
            }
        }
        Ok(())
    }
}

fn two_parents(page: u32) -> BaseError {
    BaseError::Corrupt { page: PageId(page), what: "it has two parents or is outside the file" }
}
