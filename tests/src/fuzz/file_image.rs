//! A database file and its log without their zeros. Pages have 512 bytes.
//!
//! ```text
//! meta blocks  two of 180 bytes each: the first 176 bytes, and the checksum
//! pages        their number (1), then each: length (2), bytes up to the last that is not zero
//! log          a LogImage
//! ```

use std::path::Path;

use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::{FileSystem, OpenMode, OpenOptions};
use braid_wal::Lsn;
use fastrand::Rng;

use super::LogImage;
use super::bytes::{get, put, take, telling, u16_at, u32_at, u64_at};
use super::log_image::UUID;

const META: usize = 180;
const META_FIELDS: usize = 176;
const BLOCK: usize = 4096;
const PAGE: usize = 512;
const CHILD: usize = 24;
const DIRECTORY: u32 = u32::MAX;
/// Where the meta block keeps the roots of the directory and of the free list, and where replay starts.
const DIRECTORY_AT: usize = 48;
const FREE_LIST_AT: usize = 80;
const LSN_AT: usize = 120;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileImage {
    metas: [[u8; META]; 2],
    pages: Vec<[u8; PAGE]>,
    log: LogImage,
}

impl FileImage {
    /// Any bytes are an image.
    #[must_use]
    pub fn parse(mut data: &[u8]) -> Self {
        let metas = [get(take(&mut data, META), 0), get(take(&mut data, META), 0)];
        let count = take(&mut data, 1).first().copied().unwrap_or(0);
        let pages = (0..count).map(|_| {
            let len = u16_at(take(&mut data, 2), 0).min(PAGE);
            let mut page = [0; PAGE];
            put(&mut page, 0, take(&mut data, len));
            page
        });
        let pages = pages.collect();
        Self { metas, pages, log: LogImage::parse(data) }
    }

    /// The image of a database with pages of 512 bytes.
    ///
    /// # Panics
    /// When its files cannot be read.
    #[must_use]
    pub fn of(files: &dyn FileSystem, path: &Path, log: &Path) -> Self {
        let file = files.open(path, OpenOptions::new(OpenMode::ReadOnly)).expect("the file is there");
        let len = usize::try_from(file.len().expect("it has a length")).expect("it fits in memory");
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0).expect("it can be read");
        let metas = [0, BLOCK].map(|at| {
            let mut meta = [0; META];
            put(&mut meta, 0, &get::<META_FIELDS>(&bytes, at));
            put(&mut meta, META_FIELDS, &get::<4>(&bytes, at + BLOCK - 4));
            meta
        });
        let newest = usize::from(u64_at(&metas[1], 32) > u64_at(&metas[0], 32));
        // The older block may name pages behind the end of the newer one.
        let end = metas.iter().map(|meta| u32_at(meta, 40) as usize).max().unwrap_or(0);
        let pages = (0..end).map(|page| get(&bytes, 2 * BLOCK + page * PAGE)).collect();
        let start = Lsn::new(u64_at(&metas[newest], LSN_AT));
        let mut image = Self { metas, pages, log: LogImage::of(files, log, start, Lsn::ZERO) };
        image.repair(true);
        image
    }

    /// The bytes that [`parse`](Self::parse) reads as this image.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.metas.concat();
        out.push(u8::try_from(self.pages.len()).unwrap_or(u8::MAX));
        for page in self.pages.iter().take(255) {
            let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            out.extend_from_slice(&u16::try_from(used).unwrap_or(0).to_le_bytes());
            out.extend_from_slice(page.get(..used).unwrap_or_default());
        }
        out.extend_from_slice(&self.log.encode());
        out
    }

    /// Whether the first meta block is all zeros, as in a file whose creation was cut short.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.metas[0] == [0; META]
    }

    /// The length of the database file.
    #[must_use]
    pub fn file_bytes(&self) -> usize {
        2 * BLOCK + self.pages.len() * PAGE
    }

    /// Bytes of the log's records, good or bad.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.log.record_bytes()
    }

    /// Lays out the files.
    ///
    /// # Panics
    /// Never: memory takes what it is given.
    pub fn mount(&self, files: &MemoryFileSystem, path: &Path, log: &Path) {
        let options = OpenOptions::new(OpenMode::CreateNew);
        let file = files.open(path, options).expect("memory takes a file");
        let mut bytes = vec![0; 2 * BLOCK];
        for (slot, meta) in self.metas.iter().enumerate() {
            put(&mut bytes, slot * BLOCK, &meta[..META_FIELDS]);
            put(&mut bytes, (slot + 1) * BLOCK - 4, &meta[META_FIELDS..]);
        }
        self.pages.iter().for_each(|page| bytes.extend_from_slice(page));
        file.write_all_at(&bytes, 0).expect("memory takes bytes");
        self.log.mount(files, log);
    }

    /// Changes something that a database is made of.
    pub fn vary(&mut self, rng: &mut Rng) {
        let count = self.pages.len();
        match rng.u8(0..8) {
            0 => {
                let meta = &mut self.metas[rng.usize(0..2)];
                let at = *rng
                    .choice(&[12, 32, 40, 44, 48, 56, 64, 72, 80, 88, 112, 120, 128, 136, 144, 148])
                    .unwrap_or(&40);
                let value = telling(rng, u64_at(meta, at)).to_le_bytes();
                put(meta, at, &value[..if at == 148 { 1 } else { 4 }]);
            }
            1 => self.log.vary(rng),
            2 if (1..64).contains(&count) => {
                let copy = self.pages[rng.usize(..count)];
                if rng.bool() {
                    self.pages[rng.usize(..count)] = copy;
                } else {
                    self.pages.push(copy);
                }
            }
            3 if count > 1 => {
                self.pages.pop();
            }
            _ if count > 0 => {
                let page = &mut self.pages[rng.usize(..count)];
                vary_page(page, u32::try_from(count).unwrap_or(0), rng);
            }
            _ => self.pages.push([0; PAGE]),
        }
    }

    /// Makes right what random changes always break. `all`: identities and counts too; otherwise the checksums alone.
    pub fn repair(&mut self, all: bool) {
        self.log.repair(all);
        let newest = usize::from(u64_at(&self.metas[1], 32) > u64_at(&self.metas[0], 32));
        let mut meta = self.metas[newest];
        // A few pages can have very many ways to them.
        let mut work = Repair { pages: &mut self.pages, all, visits_left: 2000 };
        let level = meta[DIRECTORY_AT + CHILD];
        let mut child: [u8; CHILD] = get(&meta, DIRECTORY_AT);
        if child != [0; CHILD] {
            work.tree(&mut child, level, DIRECTORY);
            put(&mut meta, DIRECTORY_AT, &child);
        }
        let mut child: [u8; CHILD] = get(&meta, FREE_LIST_AT);
        work.free_list(&mut child, u32_at(&meta, 44));
        put(&mut meta, FREE_LIST_AT, &child);
        self.metas[newest] = meta;
        let end = u32::try_from(self.pages.len()).unwrap_or(0);
        for meta in self.metas.iter_mut().filter(|meta| meta.iter().any(|byte| *byte != 0)) {
            put(meta, 0, b"BRAIDDB\0");
            put(meta, 8, &1_u32.to_le_bytes());
            put(meta, 16, &UUID);
            if all {
                put(meta, 12, &512_u32.to_le_bytes());
                let known = u32_at(meta, 40).min(end);
                put(meta, 40, &known.to_le_bytes());
            }
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&meta[..META_FIELDS]);
            hasher.update(&[0; BLOCK - META_FIELDS - 4]);
            put(meta, META_FIELDS, &hasher.finalize().to_le_bytes());
        }
    }
}

fn vary_page(page: &mut [u8; PAGE], pages: u32, rng: &mut Rng) {
    let (entries, prefix, leaf) = (u16_at(page, 6), u16_at(page, 24), page[5] == 0);
    let slots = 32 + prefix;
    let keyed = if leaf { entries } else { entries.saturating_sub(1) };
    match rng.u8(0..8) {
        0 => {
            let (at, len) = *rng
                .choice(&[(4, 1), (5, 1), (6, 2), (8, 4), (12, 4), (16, 8), (24, 2), (28, 4)])
                .unwrap_or(&(6, 2));
            let value = telling(rng, u64_at(page, at)).to_le_bytes();
            put(page, at, &value[..len]);
        }
        1 if keyed > 0 => {
            let at = slots + rng.usize(..keyed) * 8 + rng.usize(4..8);
            let value = telling(rng, u64_at(page, at)).to_le_bytes();
            put(page, at, &value[..1]);
        }
        2 | 3 if !leaf && entries > 0 => {
            let at = slots + keyed * 8 + rng.usize(..entries) * CHILD;
            match rng.u8(0..3) {
                0 => put(page, at, &rng.u32(..pages.max(1)).to_le_bytes()),
                1 => {
                    let value = telling(rng, u64_at(page, at + 8));
                    put(page, at + 8, &value.to_le_bytes());
                }
                _ => {
                    let value = telling(rng, u64_at(page, at + 16));
                    put(page, at + 16, &value.to_le_bytes());
                }
            }
        }
        4 => {
            let value = telling(rng, 0).to_le_bytes();
            put(page, rng.usize(32..PAGE), &value[..rng.usize(1..8)]);
        }
        5 => put(page, rng.usize(32..PAGE), &rng.u32(..pages.max(1)).to_le_bytes()),
        _ => page[rng.usize(..PAGE)] = rng.u8(..),
    }
}

struct Repair<'p> {
    pages: &'p mut Vec<[u8; PAGE]>,
    all: bool,
    visits_left: u32,
}

impl Repair<'_> {
    /// Seals a page and all below it, and has its reference agree with it.
    fn tree(&mut self, child: &mut [u8; CHILD], level: u8, tree: u32) {
        let id = u32_at(child, 0);
        let Some(mut page) = self.pages.get(id as usize).copied() else { return };
        let Some(left) = self.visits_left.checked_sub(1) else { return };
        self.visits_left = left;
        let (entries, prefix) = (u16_at(&page, 6).min(80), u16_at(&page, 24));
        let slots = 32 + prefix;
        let keyed = if level == 0 { entries } else { entries.saturating_sub(1) };
        let (mut rows, mut overflow) = (0_u64, false);
        for entry in 0..entries {
            if level > 0 {
                let at = slots + keyed * 8 + entry * CHILD;
                let mut below: [u8; CHILD] = get(&page, at);
                self.tree(&mut below, level - 1, tree);
                put(&mut page, at, &below);
                let count = u64_at(&below, 16);
                rows = rows.wrapping_add(count & !(1 << 63));
                overflow |= count >> 63 == 1;
            } else {
                rows += 1;
                overflow |= self.row(&mut page, slots, entry, entries, tree);
            }
        }
        if self.all {
            put(&mut page, 4, &[if level == 0 { 1 } else { 2 }, level]);
            put(&mut page, 8, &id.to_le_bytes());
            put(&mut page, 12, &tree.to_le_bytes());
            put(child, 16, &(rows & !(1 << 63) | u64::from(overflow) << 63).to_le_bytes());
            for slot in 0..keyed {
                let (at, len) =
                    (u16_at(&page, slots + slot * 8 + 4), u16_at(&page, slots + slot * 8 + 6) & 0x7fff);
                let mut head = [0; 4];
                put(&mut head, 0, page.get(at..(at + len.min(4)).min(PAGE)).unwrap_or_default());
                put(&mut page, slots + slot * 8, &head);
            }
        }
        self.store(child, page);
    }

    /// Repairs what a row of a leaf leads to; whether that is a long value.
    fn row(&mut self, page: &mut [u8; PAGE], slots: usize, row: usize, rows: usize, tree: u32) -> bool {
        let slot = slots + row * 8;
        let (at, len) = (u16_at(page, slot + 4), u16_at(page, slot + 6));
        let (overflow, len) = (len >> 15 == 1, len & 0x7fff);
        let body = at + len;
        if overflow {
            let (first, pages) = (u32_at(page, body) as usize, u32_at(page, body + 16) as usize);
            if let Some(run) =
                self.pages.get_mut(first..first.saturating_add(pages)).filter(|run| !run.is_empty())
            {
                if self.all {
                    let value_len = get::<4>(page, body + 24);
                    put(&mut run[0], 4, &[3, 0, 0, 0]);
                    put(&mut run[0], 8, &get::<4>(page, body));
                    put(&mut run[0], 12, &tree.to_le_bytes());
                    put(&mut run[0], 16, &get::<8>(page, body + 8));
                    put(&mut run[0], 28, &value_len);
                }
                let checksum = crc32fast::hash(run.concat().get(4..).unwrap_or_default());
                put(&mut run[0], 0, &checksum.to_le_bytes());
                put(page, body + 4, &checksum.to_le_bytes());
            }
        } else if tree == DIRECTORY {
            let prefix = slots - 32;
            let mut key = page.get(32..slots).unwrap_or_default().to_vec();
            key.extend_from_slice(page.get(at..body).unwrap_or_default());
            let end = if row + 1 < rows { u16_at(page, slot + 12) } else { u32_at(page, 28) as usize };
            if prefix + len == 4 && end == body + 32 {
                let mut root: [u8; CHILD] = get(page, body);
                let level = get::<1>(page, body + CHILD)[0];
                self.tree(&mut root, level, u32::from_be_bytes(get(&key, 0)));
                put(page, body, &root);
            }
        }
        overflow
    }

    fn free_list(&mut self, first: &mut [u8; CHILD], pages: u32) {
        let Some(mut page) = self.pages.get(u32_at(first, 0) as usize).copied() else { return };
        if pages == 0 || self.visits_left == 0 {
            return;
        }
        self.visits_left -= 1;
        let mut next: [u8; CHILD] = get(&page, 32);
        if next != [0; CHILD] {
            self.free_list(&mut next, pages - 1);
            put(&mut page, 32, &next);
        }
        if self.all {
            put(&mut page, 4, &[4, 0]);
            put(&mut page, 8, &get::<4>(first, 0));
        }
        self.store(first, page);
    }

    fn store(&mut self, child: &mut [u8; CHILD], mut page: [u8; PAGE]) {
        if self.all {
            put(&mut page, 16, &get::<8>(child, 8));
        }
        let checksum = crc32fast::hash(&page[4..]);
        put(&mut page, 0, &checksum.to_le_bytes());
        put(child, 4, &checksum.to_le_bytes());
        if let Some(place) = self.pages.get_mut(u32_at(child, 0) as usize) {
            *place = page;
        }
    }
}
