//! A whole fold: every tree that has changes, then the directory, then the meta block.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::{Change, ChangeReader, ChangeSource};
use super::checkpoint::Checkpoint;
use super::tree::TreeFold;
use crate::base::error::{BaseError, Result};
use crate::base::ids::TreeId;
use crate::base::meta::EngineState;
use crate::base::page::Expected;
use crate::base::refs::Root;
use crate::base::store::{Base, BaseStore};

impl BaseStore {
    /// Writes the next base: `from`, the newest one, without the trees in `dropped`, and then with the changes.
    ///
    /// `check` is asked now and then; its error ends the fold. Whatever the error, nothing was published and `from`
    /// stands. One fold runs at a time; a second one waits.
    ///
    /// # Errors
    /// `SyncFailed` and `Poisoned`, after which the database is to be opened anew; everything else leaves the store as
    /// it was: `NoSpace`, `Io`, `Corrupt`, `Mismatch`, `ReadOnly`, `OutOfOrder`, `KeyTooLong`, `ValueTooLong`,
    /// `Exhausted`, and what the source and `check` give.
    pub(crate) fn fold(
        &self,
        from: &Arc<Base>,
        changes: &mut dyn ChangeSource,
        dropped: &[TreeId],
        state: EngineState,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Arc<Base>> {
        let mut writer = self.writer.lock();
        let mut checkpoint = Checkpoint::begin(self, &mut writer, from)?;
        let mut directory = Directory::new(from);
        for tree in dropped {
            if let Some(root) = directory.set(*tree, None) {
                checkpoint
                    .free_tree(&Expected { tree: *tree, child: root.child, level: root.level }, check)?;
            }
        }
        let mut reader = ChangeReader::new(changes, check)?;
        while let Some(tree) = reader.tree() {
            if tree == TreeId::DIRECTORY {
                return Err(BaseError::OutOfOrder { tree });
            }
            let root = TreeFold::new(&mut checkpoint, &mut reader, tree).run(directory.get(tree))?;
            directory.set(tree, root);
        }
        reader.check()?;
        directory.publish(checkpoint, state, false)
    }
}

impl Checkpoint<'_> {
    /// Frees all pages of a tree. Leaves are read only where some value has pages of its own.
    fn free_tree(&mut self, top: &Expected, check: &dyn Fn() -> Result<()>) -> Result<()> {
        self.free(&top.child);
        self.check_freed(top.child.page)?;
        if top.level == 0 && !top.child.overflow {
            return Ok(());
        }
        check()?;
        let page = self.read(top)?;
        for index in 0..page.entries() {
            if top.level == 0 {
                self.free_value(&page, index);
            } else {
                let child = Expected { tree: top.tree, child: page.child(index), level: top.level - 1 };
                self.free_tree(&child, check)?;
            }
        }
        Ok(())
    }
}

/// The roots of the base to come, and which of them changed.
pub(in crate::base) struct Directory<'b> {
    from: &'b Base,
    root: Option<Root>,
    changed: BTreeMap<TreeId, Option<Root>>,
}

impl<'b> Directory<'b> {
    pub(in crate::base) fn new(from: &'b Base) -> Self {
        Self { from, root: from.meta.directory, changed: BTreeMap::new() }
    }

    /// The root of a tree as it is now.
    pub(in crate::base) fn get(&self, tree: TreeId) -> Option<Root> {
        self.changed.get(&tree).copied().unwrap_or_else(|| self.from.root(tree))
    }

    /// Gives a tree another root; the one it had.
    pub(in crate::base) fn set(&mut self, tree: TreeId, root: Option<Root>) -> Option<Root> {
        let old = self.get(tree);
        if old != root {
            self.changed.insert(tree, root);
        }
        old
    }

    /// The root of the directory itself.
    pub(in crate::base) fn own_root(&mut self) -> &mut Option<Root> {
        &mut self.root
    }

    /// Writes the directory and makes the new base stand.
    pub(in crate::base) fn publish(
        self,
        mut checkpoint: Checkpoint<'_>,
        state: EngineState,
        exact_length: bool,
    ) -> Result<Arc<Base>> {
        let mut root = self.root;
        if !self.changed.is_empty() {
            let mut source = Roots { changed: self.changed.iter(), key: [0; 4], value: None };
            let check = || Ok(());
            let mut reader = ChangeReader::new(&mut source, &check)?;
            root = TreeFold::new(&mut checkpoint, &mut reader, TreeId::DIRECTORY).run(root)?;
        }
        let mut roots = self.from.roots.clone();
        for (tree, root) in self.changed {
            match (roots.binary_search_by_key(&tree, |(tree, _)| *tree), root) {
                (Ok(at), Some(root)) => roots[at].1 = root,
                (Ok(at), None) => drop(roots.remove(at)),
                (Err(at), Some(root)) => roots.insert(at, (tree, root)),
                (Err(_), None) => {}
            }
        }
        checkpoint.publish(roots, root, state, exact_length)
    }
}

/// Changed roots as changes of the directory.
struct Roots<'a> {
    changed: std::collections::btree_map::Iter<'a, TreeId, Option<Root>>,
    key: [u8; 4],
    value: Option<[u8; Root::BYTES]>,
}

impl ChangeSource for Roots<'_> {
    fn next(&mut self) -> Result<Option<Change<'_>>> {
        let Some((tree, root)) = self.changed.next() else { return Ok(None) };
        self.key = tree.0.to_be_bytes();
        self.value = root.map(|root| root.encode());
        let value = self.value.as_ref().map(<[u8; Root::BYTES]>::as_slice);
        Ok(Some(Change { tree: TreeId::DIRECTORY, key: &self.key, value }))
    }
}
