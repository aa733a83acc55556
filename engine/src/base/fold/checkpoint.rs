//! One checkpoint at work: it takes pages, writes them, and publishes or leaves no trace.
//!
//! Order of a checkpoint: pages, free list → sync → the meta block that the newest base does not use → sync → the new
//! base is handed out, and what this checkpoint freed may be used by the next, save for what live bases reach.
//!
//! When a write fails, the pages taken are free again, and the file is as short again as it was: on a full disk the log needs
//! that space. When the write of the meta block fails, the block may be in the
//! file all the same, and a crash would make it the newest; so its pages wait until the next meta block, in the same
//! slot and of a higher generation, is durable. When a sync fails, nothing is known any more, and the store writes no
//! more. While the file is open no generation is tried twice, so a page that a failed attempt left, in the file or in the
//! cache, never passes for a good one. The open after a crash tries the generation again that was under way. It has a cache
//! of its own, and of what the first attempt left in the file nothing is read: whatever a base reaches was written, and
//! synced, by the attempt that published it.

use std::cell::Cell;
use std::sync::Arc;
use std::{io, mem, thread};

use braid_vfs::events::tell;
use braid_vfs::planted;

use super::write_buffer::{WriteBuffer, WriteTarget};
use crate::base::error::{BaseError, Result};
use crate::base::ids::{PageGeneration, PageId, TreeId};
use crate::base::meta::{EngineState, META_BYTES, Meta, PAGES_AT};
use crate::base::overflow::{build_run, pages_for};
use crate::base::page::{Entry, Expected, Frame, Page, PageBuilder, PageIdentity, PageSize, Value};
use crate::base::refs::{ChildRef, OverflowRef, Root};
use crate::base::space::{Extent, Freed, extents_per_page, without, write_free_list};
use crate::base::store::{Base, BaseStore, Writer};

/// A file may be longer than needed by this part before a checkpoint cuts it.
const SLACK_DIVISOR: u32 = 4;
const SLACK_PAGES: u32 = 256;

/// A checkpoint under way. Dropped before its end, it gives back what it took.
pub(in crate::base) struct Checkpoint<'w> {
    store: &'w BaseStore,
    writer: &'w mut Writer,
    generation: PageGeneration,
    builder: PageBuilder,
    buffer: WriteBuffer,
    physical_end: Cell<u32>,
    /// Where the file ended before it; `None` once it is published.
    end_before: Option<u32>,
    allocated: Vec<Extent>,
    freed: Freed,
}

impl<'w> Checkpoint<'w> {
    /// Starts a checkpoint on top of `from`, which must be the newest base.
    pub(in crate::base) fn begin(store: &'w BaseStore, writer: &'w mut Writer, from: &Base) -> Result<Self> {
        if store.read_only {
            return Err(BaseError::ReadOnly);
        }
        if let Some(source) = &writer.poisoned {
            return Err(BaseError::Poisoned { source: Arc::clone(source) });
        }
        if from.meta != writer.current {
            return Err(BaseError::Mismatch);
        }
        let Some(generation) = writer.next_generation else {
            return Err(BaseError::Exhausted { what: "generations" });
        };
        writer.next_generation = generation.next();
        let live = writer.live();
        writer.space.release(&live);
        store.publish_space(&writer.space);
        Ok(Self {
            store,
            generation,
            builder: PageBuilder::new(store.page_size.bytes()),
            buffer: WriteBuffer::new(store.page_size),
            physical_end: Cell::new(writer.physical_end),
            end_before: Some(writer.space.end()),
            allocated: Vec::new(),
            freed: Freed::default(),
            writer,
        })
    }

    pub(in crate::base) fn page_size(&self) -> PageSize {
        self.store.page_size
    }

    /// Pages that this checkpoint frees so far. More than the file has means that some have two parents.
    pub(in crate::base) fn check_freed(&self, page: PageId) -> Result<()> {
        if self.freed.pages() > u64::from(self.writer.space.end()) {
            return Err(BaseError::Corrupt { page, what: "some page of its tree has two parents" });
        }
        Ok(())
    }

    /// The page that compaction moves others before: where all pages in use, and some more, would fit; and where the
    /// file could end now.
    pub(in crate::base) fn compaction_limit(&self, headroom_divisor: u32, headroom: u32) -> (u32, u32) {
        let space = &self.writer.space;
        let in_use = space.end() - space.free_pages();
        let limit = in_use.saturating_add(in_use / headroom_divisor).saturating_add(headroom);
        (limit, space.needed_end())
    }

    /// Whether the newest durable free list has a page at or beyond `limit`.
    pub(in crate::base) fn free_list_reaches(&self, limit: u32) -> bool {
        self.writer.chain.iter().any(|page| page.0 >= limit)
    }

    fn note_allocated(&mut self, start: PageId, pages: u32) {
        match self.allocated.last_mut() {
            Some(last) if last.end() == start.0 => last.pages += pages,
            _ => self.allocated.push(Extent { start: start.0, pages }),
        }
    }

    fn allocate(&mut self, pages: u32) -> Result<PageId> {
        let start = self.writer.space.allocate(pages)?;
        self.note_allocated(start, pages);
        Ok(start)
    }

    /// Takes pages that all lie below `limit`, if there are such.
    fn allocate_below(&mut self, pages: u32, limit: u32) -> Option<PageId> {
        let start = self.writer.space.allocate_below(pages, limit)?;
        self.note_allocated(start, pages);
        Some(start)
    }

    fn note_freed(&mut self, born: PageGeneration, extent: Extent) {
        if planted!(PagesReusedAtOnce) {
            return self.writer.space.give_back([extent]);
        }
        self.freed.add(born, extent);
    }

    /// The new base will not reach this page.
    pub(in crate::base) fn free(&mut self, child: &ChildRef) {
        self.note_freed(child.generation, Extent { start: child.page.0, pages: 1 });
    }

    /// The new base will not reach this run.
    pub(in crate::base) fn free_run(&mut self, run: &OverflowRef) {
        self.note_freed(run.generation, Extent { start: run.page.0, pages: run.pages });
    }

    /// The new base will not have a row's value. The row's page is freed by itself.
    pub(in crate::base) fn free_value(&mut self, page: &Page, row: usize) {
        if let Value::Overflow(run) = page.value(row) {
            self.free_run(&run);
        }
    }

    /// Reads a page of the old base, or one that this checkpoint wrote. It does not enter the cache: it will be freed.
    pub(in crate::base) fn read(&mut self, expected: &Expected) -> Result<Page> {
        let ChildRef { page, generation, .. } = expected.child;
        if let Some(found) = self.store.cache.get(page, generation)
            && found.is(expected, self.store.number)
        {
            return Ok(found.into_shared());
        }
        if generation != self.generation {
            return self.store.read_page(expected);
        }
        let mut frame = Frame::of(self.page_size());
        match self.buffer.find(page) {
            Some(buffered) => frame.fill(|bytes| bytes.copy_from_slice(buffered)),
            None => frame
                .fill(|bytes| self.store.file.read_exact_at(bytes, self.store.offset(page)))
                .map_err(|source| BaseError::Io { doing: "reading a page back", source })?,
        }
        Page::check_read(frame, expected, self.page_size(), self.store.number)
    }

    /// Writes a page of these entries.
    pub(in crate::base) fn write_entries<'a, I>(
        &mut self,
        tree: TreeId,
        level: u8,
        entries: I,
    ) -> Result<ChildRef>
    where
        I: Iterator<Item = Entry<'a>> + Clone,
    {
        let page = self.allocate(1)?;
        let (mut rows, mut overflow) = (0_u64, false);
        for entry in entries.clone() {
            if level == 0 {
                rows += 1;
                overflow |= entry.overflow;
            } else {
                let child = ChildRef::decode(entry.body);
                let sum = rows.checked_add(child.rows);
                rows =
                    sum.ok_or(BaseError::Corrupt { page: child.page, what: "its rows cannot be so many" })?;
                overflow |= child.overflow;
            }
        }
        let identity = PageIdentity { page, tree, generation: self.generation, level };
        let checksum = self.builder.build(&identity, entries);
        self.write_built(&identity, checksum, rows, overflow)
    }

    /// Writes a copy of a page with other references, below `limit` if there is room. Without room it is written
    /// elsewhere, or not at all (`None`).
    pub(in crate::base) fn write_copy(
        &mut self,
        page: &Page,
        tree: TreeId,
        limit: u32,
        or_elsewhere: bool,
        patch: impl FnOnce(&mut [u8]),
    ) -> Result<Option<ChildRef>> {
        let id = match self.allocate_below(1, limit) {
            Some(id) => id,
            None if or_elsewhere => self.allocate(1)?,
            None => return Ok(None),
        };
        let identity = PageIdentity { page: id, tree, generation: self.generation, level: page.level() };
        let checksum = self.builder.copy(page.bytes(), &identity, patch);
        let old = page.reference();
        self.write_built(&identity, checksum, old.rows, old.overflow).map(Some)
    }

    /// Begins a copy of a leaf, of which the rows stay where they are.
    pub(in crate::base) fn start_patched(&mut self, leaf: &Page) {
        self.builder.start_copy(leaf.bytes());
    }

    /// Puts a value over one of the same length in the copy.
    pub(in crate::base) fn patch(&mut self, at: usize, value: &[u8]) {
        self.builder.patch(at, value);
    }

    /// The copy as a page that goes on being merged.
    pub(in crate::base) fn patched(&self, leaf: &Page, tree: TreeId) -> Result<Page> {
        let expected = Expected { tree, child: leaf.reference(), level: leaf.level() };
        Page::built(self.builder.bytes(), &expected, self.store.page_size, self.store.number)
    }

    /// Writes the copy.
    pub(in crate::base) fn write_patched(&mut self, leaf: &Page, tree: TreeId) -> Result<ChildRef> {
        let page = self.allocate(1)?;
        let identity = PageIdentity { page, tree, generation: self.generation, level: leaf.level() };
        let checksum = self.builder.finish_copy(&identity);
        let old = leaf.reference();
        self.write_built(&identity, checksum, old.rows, old.overflow)
    }

    /// Writes the page that the builder holds. Branches enter the cache, and leaves while there is room.
    fn write_built(
        &mut self,
        identity: &PageIdentity,
        checksum: u32,
        rows: u64,
        overflow: bool,
    ) -> Result<ChildRef> {
        let PageIdentity { page, tree, generation, level } = *identity;
        let child = ChildRef { page, checksum, generation, rows, overflow };
        let bytes = self.builder.bytes();
        let target = WriteTarget { file: &*self.store.file, physical_end: &self.physical_end };
        self.buffer.make_room(&target, page, bytes.len())?.extend_from_slice(bytes);
        let cache = &self.store.cache;
        if level > 0 || cache.resident_bytes() + 2 * bytes.len() <= cache.capacity_bytes() {
            let expected = Expected { tree, child, level };
            let built = Page::built(bytes, &expected, self.store.page_size, self.store.number)?;
            cache.insert(built);
        }
        Ok(child)
    }

    /// Writes a long value.
    pub(in crate::base) fn write_value(&mut self, tree: TreeId, value: &[u8]) -> Result<OverflowRef> {
        let pages = pages_for(value, self.page_size())?;
        let page = self.allocate(pages)?;
        let bytes = pages as usize * self.page_size().bytes();
        let identity = PageIdentity { page, tree, generation: self.generation, level: 0 };
        let target = WriteTarget { file: &*self.store.file, physical_end: &self.physical_end };
        let out = self.buffer.make_room(&target, page, bytes)?;
        let checksum = build_run(out, value, &identity, bytes);
        Ok(OverflowRef { page, checksum, generation: self.generation, pages, len: value.len() as u64 })
    }

    /// Writes a long value again, below `limit`; `None` where there is no room for it there.
    pub(in crate::base) fn move_value(
        &mut self,
        tree: TreeId,
        run: &OverflowRef,
        limit: u32,
    ) -> Result<Option<OverflowRef>> {
        let Some(page) = self.allocate_below(run.pages, limit) else { return Ok(None) };
        let (bytes, checksum) = self.store.read_overflow(tree, run)?.moved(tree, self.generation, page);
        let target = WriteTarget { file: &*self.store.file, physical_end: &self.physical_end };
        self.buffer.make_room(&target, page, bytes.len())?.extend_from_slice(&bytes);
        self.free_run(run);
        Ok(Some(OverflowRef { page, checksum, generation: self.generation, ..*run }))
    }

    /// Makes the new base stand.
    pub(in crate::base) fn publish(
        mut self,
        roots: Vec<(TreeId, Root)>,
        directory: Option<Root>,
        state: EngineState,
        exact_length: bool,
    ) -> Result<Arc<Base>> {
        let listed_by = self.writer.current.generation;
        for page in self.writer.chain.clone() {
            self.note_freed(listed_by, Extent { start: page.0, pages: 1 });
        }
        let (end, free_list, chain) = self.write_free_list()?;
        if !planted!(DataNotSynced) {
            self.sync()?;
        }
        let (page_size, uuid) = (self.store.page_size, self.store.uuid);
        let generation = self.generation;
        let memo = Arc::clone(&self.writer.memo);
        let meta = Meta { page_size, uuid, generation, end, directory, free_list, state, memo };
        let slot = if planted!(MetaPageOverwritten) { self.writer.slot } else { 1 - self.writer.slot };
        // A file that panics from here on leaves nobody knowing which meta block stands.
        self.writer.poisoned = Some(panicked());
        if let Err(source) = self.store.file.write_all_at(&meta.encode(), (slot * META_BYTES) as u64) {
            let taken = mem::take(&mut self.allocated);
            self.writer.space.keep_in_limbo(taken);
            self.writer.poisoned = None;
            return Err(BaseError::from_write("writing a meta block", source));
        }
        if !planted!(MetaPageNotSynced) {
            self.sync()?;
        }
        self.allocated.clear();
        // What follows does not fail, and leaves the length as it should be.
        self.end_before = None;
        let live = self.writer.live();
        let writer = &mut *self.writer;
        writer.current = meta.clone();
        let base = Arc::new(Base::new(meta, roots));
        writer.slot = slot;
        writer.chain = chain;
        writer.bases.insert(generation, Arc::downgrade(&base));
        writer.space.published(generation, mem::take(&mut self.freed), &live);
        writer.space.trim();
        self.shorten(exact_length);
        self.store.publish_space(&self.writer.space);
        self.writer.poisoned = None;
        Ok(base)
    }

    /// After a failed sync, or one that panics, nothing is known of what the file holds, and asking again proves nothing.
    fn sync(&mut self) -> Result<()> {
        let in_case = (!planted!(PanickedSyncForgotten)).then(panicked);
        let before = mem::replace(&mut self.writer.poisoned, in_case);
        self.store.file.sync_data().map_err(|source| {
            let source = Arc::new(source);
            self.writer.poisoned = Some(Arc::clone(&source));
            BaseError::SyncFailed { source }
        })?;
        self.writer.poisoned = before;
        Ok(())
    }

    /// Writes everything up to the meta block: where the file ends for the new base, and its free list.
    fn write_free_list(&mut self) -> Result<(u32, Option<crate::base::space::FreeListRef>, Vec<PageId>)> {
        // Each page taken for the list may split a run in two, so it must have room for one more run than it lists.
        let free = self.writer.space.free_with(&self.freed)?;
        let count = free.len().div_ceil(extents_per_page(self.page_size()) - 1);
        let chain = (0..count).map(|_| self.allocate(1)).collect::<Result<Vec<_>>>()?;
        let mut free = without(&free, chain.iter().map(|page| page.0).collect());
        let mut end = self.writer.space.end();
        if let Some(tail) = free.pop_if(|last| last.end() == end) {
            end = tail.start;
        }
        let target = WriteTarget { file: &*self.store.file, physical_end: &self.physical_end };
        let buffer = &mut self.buffer;
        let list =
            write_free_list(&free, &chain, self.generation, self.store.page_size, &mut |page, bytes| {
                buffer.make_room(&target, page, bytes.len())?.extend_from_slice(bytes);
                Ok(())
            })?;
        self.buffer.flush(&target)?;
        if self.physical_end.get() < end {
            self.set_length(end)?;
        }
        Ok((end, list, chain))
    }

    fn set_length(&self, end: u32) -> Result<()> {
        let len = PAGES_AT + u64::from(end) * u64::from(self.store.page_size.get());
        let set = self.store.file.set_len(len);
        set.map_err(|source| BaseError::from_write("changing the length of the file", source))?;
        self.physical_end.set(end);
        Ok(())
    }

    /// Cuts the file behind its last page in use, if that is worth it. The next checkpoint tries again.
    fn shorten(&mut self, exact: bool) {
        let end = self.writer.space.end();
        let slack = if exact { 0 } else { (end / SLACK_DIVISOR).max(SLACK_PAGES) };
        if self.physical_end.get() > end.saturating_add(slack)
            && let Err(error) = self.set_length(end)
        {
            tell(move || tracing::warn!(%error, "the database file keeps its length"));
        }
    }

    /// Cuts what a failed checkpoint made the file longer by. Pages that a meta block may name, which may be in the file,
    /// stay: they are not free.
    fn give_length_back(&mut self) {
        let Some(end_before) = self.end_before else { return };
        self.writer.space.trim_to(end_before);
        let end = self.writer.space.end().max(self.writer.physical_end);
        // A file that has just panicked is not called: another panic would end the process. The next checkpoint cuts it.
        if self.writer.poisoned.is_none()
            && !thread::panicking()
            && self.physical_end.get() > end
            && let Err(error) = self.set_length(end)
        {
            tell(move || {
                tracing::warn!(%error, "the database file keeps the length that a failed checkpoint gave it");
            });
        }
    }
}

impl Drop for Checkpoint<'_> {
    fn drop(&mut self) {
        self.writer.space.give_back(self.allocated.drain(..));
        self.give_length_back();
        self.writer.physical_end = self.physical_end.get();
        self.store.publish_space(&self.writer.space);
    }
}

/// Why nothing is known of the file when a call of it has not come back.
fn panicked() -> Arc<io::Error> {
    Arc::new(io::Error::other("the file panicked while it was written or synced"))
}
