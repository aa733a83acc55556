//! Creating and opening the file.
//!
//! **Creating** writes block 1 (generation 1), syncs, writes block 0 (generation 2), syncs. Both describe an empty
//! database. Until the first sync is over, block 0 is zeros or missing and block 1 may be torn: such a file is told
//! from a damaged database by its length, which has room for the meta blocks only, and by its blank block 0, which no
//! finished database has. From then on, block 1 is valid and the file opens.
//!
//! **Opening** takes the valid block of the highest generation. Whether the other one is damaged is reported: it may be
//! the one that a crash tore while it was written, and then the log for the older one is still there; or it may be the
//! newer one, damaged after its log was recycled. Only the engine, which knows the log, can tell.
//!
//! What was found may be in the system's cache alone: if the sync of the newest block failed, the system has dropped it
//! from what it will write, and shows it all the same. Its pages are durable, as they were synced before it was written;
//! the block itself is made so by writing it once more ([`BaseStore::confirm`]), before a page is written that only the
//! block before it reaches, or the log before it let go.
//!
//! The caller holds the lock on the file before either.

use std::io;
use std::sync::Arc;

use braid_vfs::File;
use braid_vfs::planted;

use super::cache::PageCache;
use super::error::{BaseError, Result};
use super::ids::{PageGeneration, TreeId};
use super::meta::{EngineState, META_BYTES, Meta, PAGES_AT, Slot};
use super::page::{Expected, PageSize};
use super::refs::Root;
use super::salvage::Loss;
use super::space::{Extents, Space, read_free_list};
use super::store::{Base, BaseStore, Writer};

/// What a new file gets for its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreateParams {
    /// Bytes of a page: a power of two from 512 to 65536.
    pub(crate) page_bytes: u32,
    /// The identity of the database.
    pub(crate) uuid: [u8; 16],
    /// What the engine keeps in the meta block.
    pub(crate) state: EngineState,
}

/// What was found in a file.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Nothing: it is empty, or its creation was never finished. It may be created.
    Unfinished,
    /// A database.
    Ready(OpenedBase),
}

/// An open store, its newest base, and how they were found.
#[derive(Debug)]
pub(crate) struct OpenedBase {
    /// The store.
    pub(crate) store: Arc<BaseStore>,
    /// The base of the valid meta block with the highest generation.
    pub(crate) base: Arc<Base>,
    /// Whether the other meta block is damaged. It may have been newer, unless the base is the one a file is created
    /// with: the caller compares with its log.
    pub(crate) other_damaged: bool,
    /// Whether the file goes on behind the meta blocks, though the base knows of no page.
    pub(crate) has_unknown_pages: bool,
}

impl BaseStore {
    /// Makes a database of an empty file, or of one whose creation was never finished. The caller makes its name
    /// durable.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotABraidFile`, `InvalidParameter`, and what writing gives.
    pub(crate) fn create(
        file: Arc<dyn File>,
        cache: Arc<dyn PageCache>,
        params: &CreateParams,
    ) -> Result<(Arc<Self>, Arc<Base>)> {
        let page_size = PageSize::new(params.page_bytes)?;
        if !matches!(read_slots(&*file)?, Slots::Unfinished) {
            return Err(BaseError::AlreadyExists);
        }
        let older = Meta {
            page_size,
            uuid: params.uuid,
            generation: PageGeneration::FIRST,
            end: 0,
            directory: None,
            free_list: None,
            state: params.state,
            memo: Arc::default(),
        };
        let newer = Meta { generation: PageGeneration(PageGeneration::FIRST.0 + 1), ..older.clone() };
        let write = |doing, source| BaseError::from_write(doing, source);
        file.set_len(0).map_err(|e| write("emptying a new database file", e))?;
        for (slot, meta) in [(1, &older), (0, &newer)] {
            file.write_all_at(&meta.encode(), (slot * META_BYTES) as u64)
                .map_err(|e| write("writing the head of a new database file", e))?;
            file.sync_all().map_err(BaseError::from_sync)?;
        }
        let opened = Self::assemble(file, cache, false, 0, newer, false)?;
        Ok((opened.store, opened.base))
    }

    /// Opens a file. Nothing is written.
    ///
    /// # Errors
    /// `NotABraidFile`, `NewerFormat`, `CorruptHead`, `Corrupt`, and what reading gives.
    pub(crate) fn open(file: Arc<dyn File>, cache: Arc<dyn PageCache>, read_only: bool) -> Result<Opened> {
        match read_slots(&*file)? {
            Slots::Unfinished => Ok(Opened::Unfinished),
            Slots::Found { slot, meta, other_damaged } => {
                Self::assemble(file, cache, read_only, slot, *meta, other_damaged).map(Opened::Ready)
            }
        }
    }

    /// Makes the meta block that the store was opened with durable, whatever became of its own sync. Where it is durable
    /// already the same bytes are written over themselves: a crash in between harms nothing.
    ///
    /// # Errors
    /// `SyncFailed`, and what writing gives.
    pub(crate) fn confirm(&self) -> Result<()> {
        let writer = self.writer.lock();
        self.file
            .write_all_at(&writer.current.encode(), (writer.slot * META_BYTES) as u64)
            .map_err(|source| BaseError::from_write("writing the newest meta block again", source))?;
        self.file.sync_data().map_err(BaseError::from_sync)
    }

    /// Opens what can be opened of a file whose directory, free list or one meta block is damaged or cannot be read, for reading
    /// only; with what is lost.
    ///
    /// # Errors
    /// When not even a meta block is valid: what reading gave, if that failed.
    pub(crate) fn open_damaged(
        file: Arc<dyn File>,
        cache: Arc<dyn PageCache>,
    ) -> Result<(OpenedBase, Vec<Loss>)> {
        let Slots::Found { slot, meta, other_damaged } = read_damaged_slots(&*file)? else {
            return Err(BaseError::CorruptHead { what: "nothing was ever stored" });
        };
        // A base that only the damaged block knew of may reach beyond the end of this one.
        let known = if other_damaged { u32::MAX } else { meta.end };
        let end = pages_within(&*file, meta.page_size)?.min(known);
        let store = Arc::new(Self::new(
            file,
            cache,
            true,
            writer(&meta, slot, Space::new(Extents::default(), end), end),
        ));
        let mut roots: Vec<(TreeId, Root)> = Vec::new();
        let mut losses = Vec::new();
        if let Some(root) = meta.directory {
            let top = Expected { tree: TreeId::DIRECTORY, child: root.child, level: root.level };
            store.salvage_rows(
                &top,
                &mut |key, value| {
                    let last = roots.last().map(|(tree, _)| *tree);
                    roots.extend(
                        directory_row(key, value).filter(|(tree, _)| last.is_none_or(|last| last < *tree)),
                    );
                    Ok(())
                },
                &mut |loss| losses.push(loss),
            )?;
        }
        let has_unknown_pages = meta.end == 0 && end > 0;
        let base = Arc::new(Base::new(*meta, roots));
        Ok((OpenedBase { store, base, other_damaged, has_unknown_pages }, losses))
    }

    fn assemble(
        file: Arc<dyn File>,
        cache: Arc<dyn PageCache>,
        read_only: bool,
        slot: usize,
        meta: Meta,
        other_damaged: bool,
    ) -> Result<OpenedBase> {
        let physical_end = pages_within(&*file, meta.page_size)?;
        let len = length(&*file)?;
        if len < PAGES_AT || physical_end < meta.end {
            return Err(BaseError::CorruptHead { what: "the file is shorter than it says" });
        }
        let space = Space::new(Extents::default(), meta.end);
        let store = Self::new(file, cache, read_only, writer(&meta, slot, space, physical_end));
        let (free, chain) = read_free_list(meta.free_list, meta.end, meta.page_size, &mut |page, bytes| {
            store.read_bytes(page, bytes)
        })?;
        let mut roots: Vec<(TreeId, Root)> = Vec::new();
        if let Some(root) = meta.directory {
            if root.child.rows > u64::from(meta.end) {
                return Err(BaseError::CorruptHead { what: "it has more trees than pages" });
            }
            let top = Expected { tree: TreeId::DIRECTORY, child: root.child, level: root.level };
            store.for_each_row(&top, &mut |page, key, value| {
                let last = roots.last().map(|(tree, _)| *tree);
                let root = directory_row(key, value).filter(|(tree, root)| {
                    root.child.page.0 < meta.end && last.is_none_or(|last| last < *tree)
                });
                roots.push(
                    root.ok_or(BaseError::Corrupt { page, what: "a root in the directory cannot be" })?,
                );
                Ok(())
            })?;
        }
        let has_unknown_pages = meta.end == 0 && len > PAGES_AT;
        let base = Arc::new(Base::new(meta, roots));
        {
            let mut writer = store.writer.lock();
            writer.space = Space::new(free, base.meta.end);
            writer.chain = chain.iter().map(|page| page.page).collect();
            writer.bases.insert(base.meta.generation, Arc::downgrade(&base));
            store.publish_space(&writer.space);
        }
        Ok(OpenedBase { store: Arc::new(store), base, other_damaged, has_unknown_pages })
    }
}

fn writer(meta: &Meta, slot: usize, space: Space, physical_end: u32) -> Writer {
    Writer {
        space,
        current: meta.clone(),
        memo: if planted!(MemoNotCarried) { Arc::default() } else { Arc::clone(&meta.memo) },
        slot,
        next_generation: meta.generation.next(),
        chain: Vec::new(),
        physical_end,
        poisoned: None,
        bases: std::collections::BTreeMap::new(),
    }
}

/// A row of the directory: the tree in big-endian order, and its root.
pub(super) fn directory_row(key: &[u8], value: &[u8]) -> Option<(TreeId, Root)> {
    let tree = TreeId(u32::from_be_bytes(key.try_into().ok()?));
    (tree != TreeId::DIRECTORY).then_some(tree).zip(Root::decode(value).filter(|root| root.child.rows > 0))
}

enum Slots {
    Unfinished,
    Found { slot: usize, meta: Box<Meta>, other_damaged: bool },
}

fn length(file: &dyn File) -> Result<u64> {
    file.len().map_err(|source| BaseError::Io { doing: "asking for the length of the file", source })
}

/// Pages that a file is long enough for.
fn pages_within(file: &dyn File, page_size: PageSize) -> Result<u32> {
    let pages = length(file)?.saturating_sub(PAGES_AT) / u64::from(page_size.get());
    Ok(u32::try_from(pages).unwrap_or(super::space::MAX_PAGES))
}

fn read_slots(file: &dyn File) -> Result<Slots> {
    let len = file_length(file)?;
    choose(len, &[read_slot(file, len, 0)?, read_slot(file, len, 1)?])
}

/// The same for a rescue: a block that cannot be read, at the second attempt either, is a damaged one, as long as the other one
/// is whole.
fn read_damaged_slots(file: &dyn File) -> Result<Slots> {
    let len = file_length(file)?;
    let mut unreadable = None;
    let blocks = [0, 1].map(|slot| {
        let read = read_slot(file, len, slot).or_else(|_| read_slot(file, len, slot));
        read.unwrap_or_else(|error| {
            unreadable.get_or_insert(error);
            vec![UNREADABLE; META_BYTES]
        })
    });
    match (choose(len, &blocks), unreadable) {
        (found @ (Ok(Slots::Found { .. }) | Err(BaseError::NewerFormat { .. })), _) | (found, None) => found,
        (_, Some(unreadable)) => Err(unreadable),
    }
}

/// What stands for each byte of a meta block that cannot be read: neither a block nor the zeros of one that was never written.
const UNREADABLE: u8 = 0xFF;

fn reading_the_head(source: io::Error) -> BaseError {
    BaseError::Io { doing: "reading the head of the file", source }
}

fn file_length(file: &dyn File) -> Result<u64> {
    file.len().map_err(reading_the_head)
}

/// The bytes of a meta block, with zeros where the file of this length ends before.
fn read_slot(file: &dyn File, len: u64, slot: u64) -> Result<Vec<u8>> {
    let mut block = vec![0; META_BYTES];
    let start = slot * META_BYTES as u64;
    let here = usize::try_from(len.saturating_sub(start)).unwrap_or(META_BYTES).min(META_BYTES);
    file.read_exact_at(&mut block[..here], start).map_err(reading_the_head)?;
    Ok(block)
}

fn choose(len: u64, blocks: &[Vec<u8>; 2]) -> Result<Slots> {
    let mut slots = Vec::new();
    let mut newer = None;
    for block in blocks {
        match Meta::decode(block) {
            Ok(slot) => slots.push(slot),
            Err(error @ BaseError::NewerFormat { .. }) => newer = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(newer) = newer {
        return Err(newer);
    }
    match slots.as_slice() {
        [Slot::Valid(a), Slot::Valid(b)] if a.uuid != b.uuid || a.page_size != b.page_size => {
            Err(BaseError::CorruptHead { what: "its two meta blocks belong to different databases" })
        }
        [Slot::Valid(a), Slot::Valid(b)] if a.generation == b.generation => {
            Err(BaseError::CorruptHead { what: "its two meta blocks claim the same generation" })
        }
        [Slot::Valid(a), Slot::Valid(b)] => {
            let (slot, meta) = if a.generation > b.generation { (0, a) } else { (1, b) };
            Ok(Slots::Found { slot, meta: Box::new(meta.clone()), other_damaged: false })
        }
        [Slot::Valid(meta), _] => {
            Ok(Slots::Found { slot: 0, meta: Box::new(meta.clone()), other_damaged: true })
        }
        [_, Slot::Valid(meta)] => {
            Ok(Slots::Found { slot: 1, meta: Box::new(meta.clone()), other_damaged: true })
        }
        [Slot::Blank, Slot::Blank | Slot::Damaged { ours: true }] if len <= PAGES_AT => Ok(Slots::Unfinished),
        [Slot::Damaged { ours: true }, _] | [_, Slot::Damaged { ours: true }] => {
            Err(BaseError::CorruptHead { what: "neither of its two meta blocks has its checksum" })
        }
        _ => Err(BaseError::NotABraidFile),
    }
}
