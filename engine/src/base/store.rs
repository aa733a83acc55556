//! The database file: pages through the cache, and who may change it.
//!
//! Readers touch the file, the cache and nothing else. Whoever writes (a fold, a step of compaction) holds the writer
//! lock from start to end, so there is one at a time; no reader ever takes it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use braid_vfs::File;
use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::{AtomicU32, Ordering};

use super::cache::{CacheStats, CachedPage, PageCache, Striped};
use super::error::{BaseError, Result};
use super::ids::{PageGeneration, PageId, StoreNumber, TreeId};
use super::meta::{EngineState, Meta, PAGES_AT};
use super::page::{Expected, Frame, Page, PageSize};
use super::refs::Root;
use super::space::Space;
use super::tops::Tops;

/// Every tree as one checkpoint left it. Immutable; as long as it lives, the pages that it reaches are kept.
#[derive(Debug)]
pub(crate) struct Base {
    pub(super) meta: Meta,
    /// Ascending by tree; a tree without rows is not in it.
    pub(super) roots: Vec<(TreeId, Root)>,
    /// What of them is held in memory.
    pub(super) tops: Tops,
}

impl Base {
    /// The roots ascend by tree.
    pub(super) fn new(meta: Meta, roots: Vec<(TreeId, Root)>) -> Self {
        let tops = Tops::new(roots.len());
        Self { meta, roots, tops }
    }

    /// The checkpoint that wrote it.
    pub(crate) fn generation(&self) -> PageGeneration {
        self.meta.generation
    }

    /// What the engine stored with it.
    pub(crate) fn state(&self) -> &EngineState {
        &self.meta.state
    }

    /// What the engine liked to find again.
    pub(crate) fn memo(&self) -> &[u8] {
        &self.meta.memo
    }

    /// The trees that have rows.
    pub(crate) fn trees(&self) -> impl Iterator<Item = TreeId> + '_ {
        self.roots.iter().map(|(tree, _)| *tree)
    }

    /// The root of a tree. Ids are nearly dense, so the place to look at first is known.
    pub(crate) fn root(&self, tree: TreeId) -> Option<Root> {
        self.place(tree).map(|(_, root)| *root)
    }

    /// A tree's root, and its place among the roots.
    #[inline]
    pub(super) fn place(&self, tree: TreeId) -> Option<(usize, &Root)> {
        let first = self.roots.first()?.0;
        let guess = tree.0.checked_sub(first.0)? as usize;
        match self.roots.get(guess) {
            Some((found, root)) if *found == tree => Some((guess, root)),
            _ => {
                let at = self.roots.binary_search_by_key(&tree, |(tree, _)| *tree).ok()?;
                self.roots.get(at).map(|(_, root)| (at, root))
            }
        }
    }

    /// What a reader must find at the top of a tree.
    pub(super) fn top(&self, tree: TreeId) -> Option<Expected> {
        self.root(tree).map(|root| Expected { tree, child: root.child, level: root.level })
    }
}

/// An open database file.
#[derive(Debug)]
pub(crate) struct BaseStore {
    pub(super) number: StoreNumber,
    pub(super) file: Arc<dyn File>,
    pub(super) page_size: PageSize,
    pub(super) uuid: [u8; 16],
    pub(super) read_only: bool,
    pub(super) cache: Arc<dyn PageCache>,
    lookups: Striped,
    misses: Striped,
    /// Pages of the file that may be read.
    pub(super) end: AtomicU32,
    pub(super) free: AtomicU32,
    pub(super) withheld: AtomicU32,
    /// Withheld pages by the oldest base that needs them.
    withheld_by_base: Mutex<Vec<(PageGeneration, u32)>>,
    pub(super) writer: Mutex<Writer>,
}

/// What only the one who writes may touch.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) space: Space,
    /// The newest durable meta block, and the slot that has it.
    pub(super) current: Meta,
    pub(super) slot: usize,
    /// The memo that the next meta block gets.
    pub(super) memo: Arc<[u8]>,
    /// The generation of the next attempt; one that failed is not used again.
    pub(super) next_generation: Option<PageGeneration>,
    /// Pages of the free list that `current` names.
    pub(super) chain: Vec<PageId>,
    /// Pages that the file is long enough for.
    pub(super) physical_end: u32,
    /// What the system said when a sync failed: nothing more is written.
    pub(super) poisoned: Option<Arc<io::Error>>,
    /// The bases of this store that may live.
    pub(super) bases: BTreeMap<PageGeneration, Weak<Base>>,
}

impl Writer {
    /// The generations of live bases, ascending.
    pub(super) fn live(&mut self) -> Vec<PageGeneration> {
        self.bases.retain(|_, base| base.strong_count() > 0);
        self.bases.keys().copied().collect()
    }
}

/// The file's pages by what they are used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpaceStats {
    /// Bytes of a page.
    pub(crate) page_bytes: u32,
    /// Pages of the file.
    pub(crate) file_pages: u32,
    /// Pages that the next checkpoint may write.
    pub(crate) free_pages: u32,
    /// Pages that only older bases, which somebody holds, still reach; counted when last looked at.
    pub(crate) withheld_pages: u32,
}

impl BaseStore {
    /// Has the next meta block, and those after it, keep a memo of at most [`MEMO_BYTES`](super::meta::MEMO_BYTES).
    pub(crate) fn keep_memo(&self, memo: Arc<[u8]>) {
        self.writer.lock().memo = memo;
    }

    pub(super) fn new(
        file: Arc<dyn File>,
        cache: Arc<dyn PageCache>,
        read_only: bool,
        writer: Writer,
    ) -> Self {
        let store = Self {
            number: StoreNumber::take(),
            file,
            page_size: writer.current.page_size,
            uuid: writer.current.uuid,
            read_only,
            cache,
            lookups: Striped::default(),
            misses: Striped::default(),
            end: AtomicU32::new(0),
            free: AtomicU32::new(0),
            withheld: AtomicU32::new(0),
            withheld_by_base: Mutex::default(),
            writer: Mutex::new(writer),
        };
        store.publish_space(&store.writer.lock().space);
        store
    }

    /// The identity that the file was created with.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The file's page size in bytes.
    pub(crate) fn page_bytes(&self) -> u32 {
        self.page_size.get()
    }

    /// The longest key that a tree of this file takes, in bytes.
    pub(crate) fn max_key_bytes(&self) -> usize {
        self.page_size.max_key()
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// What the cache did and holds.
    pub(crate) fn cache_stats(&self) -> CacheStats {
        let misses = self.misses.sum();
        CacheStats {
            hits: self.lookups.sum().saturating_sub(misses),
            misses,
            evictions: self.cache.evictions(),
            resident_bytes: self.cache.resident_bytes() as u64,
            capacity_bytes: self.cache.capacity_bytes() as u64,
        }
    }

    /// How the file's pages are used.
    pub(crate) fn space_stats(&self) -> SpaceStats {
        SpaceStats {
            page_bytes: self.page_size.get(),
            file_pages: self.end.load(Ordering::Relaxed),
            free_pages: self.free.load(Ordering::Relaxed),
            withheld_pages: self.withheld.load(Ordering::Relaxed),
        }
    }

    /// Lets readers and statistics see how the space is used now.
    pub(super) fn publish_space(&self, space: &Space) {
        self.end.store(space.end(), Ordering::Release);
        self.free.store(space.free_pages(), Ordering::Relaxed);
        self.withheld.store(space.withheld_pages(), Ordering::Relaxed);
        *self.withheld_by_base.lock() = space.withheld_by_base();
    }

    /// Pages that only older bases reach, counted for the oldest that does; as of when it was last looked at.
    pub(crate) fn withheld_by_base(&self) -> Vec<(PageGeneration, u32)> {
        self.withheld_by_base.lock().clone()
    }

    /// Frees the pages that only bases reached which nobody holds any more; `false` when somebody is writing: then that
    /// has been done, or will be by the next who writes.
    pub(crate) fn release_withheld(&self) -> bool {
        let Some(mut writer) = self.writer.try_lock() else { return false };
        let live = writer.live();
        writer.space.release(&live);
        self.publish_space(&writer.space);
        true
    }

    pub(super) fn offset(&self, page: PageId) -> u64 {
        PAGES_AT + u64::from(page.0) * u64::from(self.page_size.get())
    }

    /// Counts page reads, found in the cache or not. Once for a whole descent, to touch one counter.
    pub(super) fn count_lookups(&self, n: u64) {
        self.lookups.add(n);
    }

    /// A page, from the cache or the file. The caller counts the lookup.
    pub(super) fn page(&self, expected: &Expected) -> Result<CachedPage> {
        if let Some(page) = self.cache.get(expected.child.page, expected.child.generation) {
            page.prefetch_slots(expected.level);
            if page.is(expected, self.number) {
                return Ok(page);
            }
        }
        if let Some(page) = Page::last_read(expected, self.number) {
            return Ok(page.into());
        }
        self.misses.add(1);
        let page = self.read_page(expected)?;
        self.cache.insert(page.clone());
        page.keep_as_last();
        Ok(page.into())
    }

    /// A page from the file, checked in full; the cache is left alone.
    pub(super) fn read_page(&self, expected: &Expected) -> Result<Page> {
        let mut frame = Frame::of(self.page_size);
        frame.fill(|bytes| self.read_bytes(expected.child.page, bytes))?;
        Page::check_read(frame, expected, self.page_size, self.number)
    }

    /// Fills `bytes` from the start of a page.
    pub(super) fn read_bytes(&self, page: PageId, bytes: &mut [u8]) -> Result<()> {
        let pages = bytes.len().div_ceil(self.page_size.bytes()) as u64;
        if u64::from(page.0) + pages > u64::from(self.end.load(Ordering::Acquire)) {
            return Err(BaseError::Corrupt { page, what: "it lies outside the file" });
        }
        self.file.read_exact_at(bytes, self.offset(page)).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                BaseError::Corrupt { page, what: "the file ends before it" }
            } else {
                BaseError::Io { doing: "reading a page", source }
            }
        })
    }
}
