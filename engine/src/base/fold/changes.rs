//! Where the changes of a fold come from.

use crate::base::error::{BaseError, Result};
use crate::base::ids::TreeId;

/// What becomes of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// The tree.
    pub(crate) tree: TreeId,
    /// The row's key.
    pub(crate) key: &'a [u8],
    /// Its value from now on, or `None` when the row goes.
    pub(crate) value: Option<&'a [u8]>,
}

/// A stream of changes, strictly ascending by tree and then by key.
pub(crate) trait ChangeSource {
    /// The next change; what it borrows is done with at the next call.
    ///
    /// # Errors
    /// Whatever keeps the source from going on; the fold ends with it.
    fn next(&mut self) -> Result<Option<Change<'_>>>;
}

/// No changes: the fold publishes what there is once more, in the other meta block.
#[derive(Debug)]
pub(crate) struct NoChanges;

impl ChangeSource for NoChanges {
    fn next(&mut self) -> Result<Option<Change<'_>>> {
        Ok(None)
    }
}

/// Changes that are asked about the work after this many.
const CHANGES_BETWEEN_CHECKS: u32 = 1024;

/// Looks one change ahead, in buffers of its own, and checks the order.
pub(super) struct ChangeReader<'a> {
    source: &'a mut dyn ChangeSource,
    check: &'a dyn Fn() -> Result<()>,
    until_check: u32,
    tree: Option<TreeId>,
    key: Vec<u8>,
    value: Vec<u8>,
    has_value: bool,
}

impl<'a> ChangeReader<'a> {
    pub(super) fn new(source: &'a mut dyn ChangeSource, check: &'a dyn Fn() -> Result<()>) -> Result<Self> {
        let until_check = CHANGES_BETWEEN_CHECKS;
        let (key, value) = (Vec::new(), Vec::new());
        let mut reader = Self { source, check, until_check, tree: None, key, value, has_value: false };
        reader.read(None)?;
        Ok(reader)
    }

    /// The tree of the next change.
    pub(super) fn tree(&self) -> Option<TreeId> {
        self.tree
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&self.value)
    }

    /// Whether the next change is one of this tree and before `upper`.
    pub(super) fn is_before(&self, tree: TreeId, upper: Option<&[u8]>) -> bool {
        self.tree == Some(tree) && upper.is_none_or(|upper| self.key.as_slice() < upper)
    }

    pub(super) fn advance(&mut self) -> Result<()> {
        self.until_check -= 1;
        if self.until_check == 0 {
            self.until_check = CHANGES_BETWEEN_CHECKS;
            (self.check)()?;
        }
        self.read(self.tree)
    }

    pub(super) fn check(&self) -> Result<()> {
        (self.check)()
    }

    fn read(&mut self, last: Option<TreeId>) -> Result<()> {
        let Some(change) = self.source.next()? else {
            self.tree = None;
            return Ok(());
        };
        if last.is_some_and(|last| (last, self.key.as_slice()) >= (change.tree, change.key)) {
            return Err(BaseError::OutOfOrder { tree: change.tree });
        }
        self.tree = Some(change.tree);
        self.key.clear();
        self.key.extend_from_slice(change.key);
        self.value.clear();
        self.value.extend_from_slice(change.value.unwrap_or_default());
        self.has_value = change.value.is_some();
        Ok(())
    }
}
