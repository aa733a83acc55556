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
    /// Gives every readable row of a tree to `on_row`, in order, and what is lost to `on_loss`.
    ///
    /// # Errors
    /// Only those of `on_row`.
    pub(crate) fn salvage(
        &self,
        base: &Base,
        tree: TreeId,
        on_row: OnRow<'_>,
        on_loss: &mut dyn FnMut(Loss),
    ) -> Result<()> {
        match base.top(tree) {
            Some(top) => self.salvage_rows(&top, on_row, on_loss),
            None => Ok(()),
        }
    }

    /// [`salvage`](Self::salvage) below one page.
    pub(super) fn salvage_rows(
        &self,
        top: &Expected,
        on_row: OnRow<'_>,
        on_loss: &mut dyn FnMut(Loss),
    ) -> Result<()> {
        let seen = PageSet::new(self.space_stats().file_pages);
        Salvage { store: self, seen, on_row, on_loss }.page(top, &[], None)
    }
}

struct Salvage<'s> {
    store: &'s BaseStore,
    seen: PageSet,
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

    /// Every page is read once: what has many names would otherwise come out as often.
    fn see(&mut self, start: PageId, pages: u32) -> Result<()> {
        match self.seen.add(start.0, pages).map(PageId) {
            Some(page) => Err(BaseError::Corrupt { page, what: "it has two parents or is outside the file" }),
            None => Ok(()),
        }
    }

    fn page(&mut self, at: &Expected, lower: &[u8], upper: Option<&[u8]>) -> Result<()> {
        if let Err(error) = self.see(at.child.page, 1) {
            self.lose(at, error, lower, upper, at.child.rows);
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
                    let read =
                        self.see(run.page, run.pages).and_then(|()| self.store.read_overflow(at.tree, &run));
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
