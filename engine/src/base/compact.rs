//! Gives space back to the file system: pages at the end of the file move into free ones before, and the file is cut.
//!
//! A step copies pages beyond a limit, and the ancestors that name them, like any checkpoint: nothing is changed in
//! place. What they leave is withheld until the older base is dropped, so the file gets shorter with the step after.
//! Leaves need no reading unless they move or some of their rows have long values, as their parents know both.

use std::sync::Arc;

use super::error::{BaseError, Result};
use super::fold::{Checkpoint, Directory};
use super::ids::TreeId;
use super::page::{Expected, Value};
use super::refs::{ChildRef, Root};
use super::store::{Base, BaseStore};

/// Room beyond the pages in use that a step leaves, so that copies of ancestors find a place.
const HEADROOM_DIVISOR: u32 = 64;
const HEADROOM_PAGES: u32 = 16;

/// What a step of compaction did.
#[derive(Debug)]
pub(crate) struct Compacted {
    /// The newest base: another one if anything moved or was given back.
    pub(crate) base: Arc<Base>,
    /// Pages that moved towards the start of the file. When none did and none was given back, the work is done, or waits
    /// for what is held.
    pub(crate) moved_pages: u32,
    /// Pages that the file became shorter by.
    pub(crate) returned_pages: u32,
    /// Pages that are held only for older bases that somebody has.
    pub(crate) held_pages: u32,
}

impl BaseStore {
    /// Moves up to about `max_pages` pages from the end of the file towards its start, and cuts it where nothing is left.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    pub(crate) fn compact_step(
        &self,
        from: &Arc<Base>,
        max_pages: u32,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Compacted> {
        let mut writer = self.writer.lock();
        let long = writer.physical_end;
        let mut checkpoint = Checkpoint::begin(self, &mut writer, from)?;
        let (limit, needed_end) = checkpoint.compaction_limit(HEADROOM_DIVISOR, HEADROOM_PAGES);
        let visits_left = u64::from(needed_end) + 1;
        let mut moving =
            Moving { checkpoint: &mut checkpoint, limit, left: max_pages, moved: 0, visits_left, check };
        let mut directory = Directory::new(from);
        if limit < needed_end {
            for (tree, root) in &from.roots {
                let root = moving.tree(*tree, *root)?;
                directory.set(*tree, Some(root));
            }
            if let Some(root) = directory.own_root() {
                *root = moving.tree(TreeId::DIRECTORY, *root)?;
            }
        }
        let mut moved_pages = moving.moved;
        // The free list is written anew with every base, into the lowest pages there are.
        let listed_beyond = checkpoint.free_list_reaches(limit);
        let base = if moved_pages > 0 || listed_beyond || long > needed_end {
            directory.publish(checkpoint, from.meta.state, true)?
        } else {
            drop(checkpoint);
            Arc::clone(from)
        };
        if listed_beyond && !writer.chain.iter().any(|page| page.0 >= limit) {
            moved_pages += 1;
        }
        let returned_pages = long.saturating_sub(writer.physical_end);
        Ok(Compacted { base, moved_pages, returned_pages, held_pages: writer.space.withheld_pages() })
    }
}

struct Moving<'m, 'w> {
    checkpoint: &'m mut Checkpoint<'w>,
    /// Pages at or after this one are to move before it.
    limit: u32,
    /// Pages that may still be moved.
    left: u32,
    moved: u32,
    /// Pages that there can be to visit; a file in which pages have two parents would have more.
    visits_left: u64,
    check: &'m dyn Fn() -> Result<()>,
}

impl Moving<'_, '_> {
    fn tree(&mut self, tree: TreeId, root: Root) -> Result<Root> {
        let moved = self.page(&Expected { tree, child: root.child, level: root.level })?;
        Ok(Root { child: moved.unwrap_or(root.child), ..root })
    }

    /// Moves what lies beyond the limit of a page and all below; the page's new place, if it has one.
    fn page(&mut self, at: &Expected) -> Result<Option<ChildRef>> {
        let beyond = at.child.page.0 >= self.limit;
        if self.left == 0 || (at.level == 0 && !beyond && !at.child.overflow) {
            return Ok(None);
        }
        self.visits_left = self.visits_left.checked_sub(1).ok_or(BaseError::Corrupt {
            page: at.child.page,
            what: "some page of its tree has two parents",
        })?;
        (self.check)()?;
        let page = self.checkpoint.read(at)?;
        let mut patches: Vec<(usize, Vec<u8>)> = Vec::new();
        for index in 0..page.entries() {
            if at.level > 0 {
                let child = Expected { tree: at.tree, child: page.child(index), level: at.level - 1 };
                if let Some(moved) = self.page(&child)? {
                    patches.push((page.child_at(index), moved.encode().to_vec()));
                }
            } else if let Value::Overflow(run) = page.value(index)
                && run.page.0.saturating_add(run.pages) > self.limit
                && self.left > 0
                && let Some(moved) = self.checkpoint.move_value(at.tree, &run, self.limit)?
                && let Some(place) = page.overflow_at(index)
            {
                self.moved += run.pages;
                self.left = self.left.saturating_sub(run.pages);
                patches.push((place, moved.encode().to_vec()));
            }
        }
        let anywhere = !patches.is_empty();
        if !anywhere && !beyond {
            return Ok(None);
        }
        let patch = |bytes: &mut [u8]| {
            for (at, patch) in &patches {
                super::bytes::put(bytes, *at, patch);
            }
        };
        let copy = self.checkpoint.write_copy(&page, at.tree, self.limit, anywhere, patch)?;
        if let Some(copy) = copy {
            self.checkpoint.free(&at.child);
            self.left = self.left.saturating_sub(1);
            self.moved += u32::from(beyond && copy.page.0 < self.limit);
        }
        Ok(copy)
    }
}
