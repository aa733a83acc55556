//! The uppermost pages of trees, held by their base: every point read passes them, and comes by them here without the
//! cache.
//!
//! They are held from the first read that passes them until the base goes, whatever the cache lets go meanwhile. So there is
//! a limit, whatever the number of trees and the size of the cache: [`MOST`] pages.

use std::sync::OnceLock;

use braid_vfs::sync::atomic::{AtomicUsize, Ordering};

use super::error::Result;
use super::page::{Expected, Page};
use super::store::BaseStore;

/// Pages that one base holds at most.
const MOST: usize = 64;
/// Children of a root that are held beside it, if it has no more and they are branches: more are seldom all in use.
const CHILDREN: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Tops {
    /// In the order of the base's trees: of those that come first, as there are no more than pages.
    roots: Box<[OnceLock<Top>]>,
    held: AtomicUsize,
}

/// A root that is held.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) page: Page,
    children: Box<[OnceLock<Page>]>,
}

impl Tops {
    /// For a base with so many trees.
    pub(super) fn new(trees: usize) -> Self {
        let roots = (0..trees.min(MOST)).map(|_| OnceLock::new()).collect();
        Self { roots, held: AtomicUsize::new(0) }
    }

    /// The root of the tree at a place among the trees, if it may be held.
    ///
    /// # Errors
    /// What reading it gives; then nothing is held.
    #[inline]
    pub(super) fn root(&self, store: &BaseStore, place: usize, at: &Expected) -> Result<Option<&Top>> {
        match self.roots.get(place) {
            Some(root) if root.get().is_some() => Ok(root.get()),
            Some(root) if self.have_room() => self.hold_root(store, root, at),
            _ => Ok(None),
        }
    }

    /// The child of a root at an index, the same way.
    ///
    /// # Errors
    /// As for [`root`](Self::root).
    #[inline]
    pub(super) fn child<'a>(
        &self,
        store: &BaseStore,
        top: &'a Top,
        index: usize,
        at: &Expected,
    ) -> Result<Option<&'a Page>> {
        match top.children.get(index) {
            Some(child) if child.get().is_some() => Ok(child.get()),
            Some(child) if self.have_room() => self.hold(store, child, at, |page| page),
            _ => Ok(None),
        }
    }

    #[cold]
    fn hold_root<'a>(
        &self,
        store: &BaseStore,
        root: &'a OnceLock<Top>,
        at: &Expected,
    ) -> Result<Option<&'a Top>> {
        self.hold(store, root, at, |page| {
            let has_branches = at.level > 1 && page.entries() <= CHILDREN;
            let children = if has_branches { page.entries() } else { 0 };
            Top { page, children: (0..children).map(|_| OnceLock::new()).collect() }
        })
    }

    /// Reads a page into its place. Of two threads that do so at once one comes too late and takes back its count; while
    /// that is too high a page may be refused that there would be room for, never one held beyond it.
    #[cold]
    fn hold<'a, T>(
        &self,
        store: &BaseStore,
        place: &'a OnceLock<T>,
        at: &Expected,
        of: impl FnOnce(Page) -> T,
    ) -> Result<Option<&'a T>> {
        let page = store.page(at)?.into_shared();
        let is_within = self.held.fetch_add(1, Ordering::Relaxed) < MOST;
        if !is_within || place.set(of(page)).is_err() {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(place.get())
    }

    /// Looked at first, as a counter that all readers raise would be where they meet.
    fn have_room(&self) -> bool {
        self.held.load(Ordering::Relaxed) < MOST
    }

    /// Pages that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}
