//! Makes database files and logs by hand, with every checksum right: what a damaged disk never does, and an attacker does.

use crc32fast::Hasher;

pub(crate) const PAGE: usize = 512;
pub(crate) const UUID: [u8; 16] = [9; 16];
pub(crate) const DIRECTORY: u32 = u32::MAX;
const GENERATION: u64 = 2;

/// A page as its parent knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) page: u32,
    pub(crate) checksum: u32,
    pub(crate) rows: u64,
    pub(crate) overflow: bool,
    pub(crate) level: u8,
}

impl Child {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.page.to_le_bytes().to_vec();
        out.extend(self.checksum.to_le_bytes());
        out.extend(GENERATION.to_le_bytes());
        out.extend((self.rows | u64::from(self.overflow) << 63).to_le_bytes());
        out
    }

    pub(crate) fn encode_root(&self) -> Vec<u8> {
        let mut out = self.encode();
        out.extend([self.level, 0, 0, 0, 0, 0, 0, 0]);
        out
    }
}

/// A file under construction.
#[derive(Debug, Default)]
pub(crate) struct Forge {
    pages: Vec<u8>,
}

impl Forge {
    pub(crate) fn len(&self) -> u32 {
        (self.pages.len() / PAGE) as u32
    }

    fn push(
        &mut self,
        mut page: Vec<u8>,
        kind: u8,
        level: u8,
        entries: usize,
        tree: u32,
        end: usize,
    ) -> Child {
        let id = self.len();
        page[4] = kind;
        page[5] = level;
        page[6..8].copy_from_slice(&(entries as u16).to_le_bytes());
        page[8..12].copy_from_slice(&id.to_le_bytes());
        page[12..16].copy_from_slice(&tree.to_le_bytes());
        page[16..24].copy_from_slice(&GENERATION.to_le_bytes());
        page[28..32].copy_from_slice(&(end as u32).to_le_bytes());
        let checksum = crc32fast::hash(&page[4..]);
        page[0..4].copy_from_slice(&checksum.to_le_bytes());
        self.pages.extend(page);
        Child { page: id, checksum, rows: 0, overflow: false, level }
    }

    /// A leaf of rows in order; a body may be a reference to a run.
    pub(crate) fn leaf(&mut self, tree: u32, rows: &[(&[u8], Vec<u8>, bool)]) -> Child {
        let (mut slots, mut bodies) = (Vec::new(), Vec::new());
        let at = 32 + 8 * rows.len();
        for (key, body, overflow) in rows {
            slots.extend(slot(key, at + bodies.len(), *overflow));
            bodies.extend_from_slice(key);
            bodies.extend_from_slice(body);
        }
        let child = self.push(joined(&[&slots, &bodies]), 1, 0, rows.len(), tree, at + bodies.len());
        Child { rows: rows.len() as u64, overflow: rows.iter().any(|row| row.2), ..child }
    }

    /// A branch whose children are all the same page.
    pub(crate) fn branch(&mut self, tree: u32, child: &Child, count: u8) -> Child {
        let (mut slots, mut children, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let at = 32 + 8 * usize::from(count - 1) + 24 * usize::from(count);
        for index in 0..count {
            children.extend(child.encode());
            if index > 0 {
                slots.extend(slot(&[index], at + keys.len(), false));
                keys.push(index);
            }
        }
        let body = joined(&[&slots, &children, &keys]);
        let made = self.push(body, 2, child.level + 1, count.into(), tree, at + keys.len());
        let rows = child.rows.saturating_mul(count.into()).min((1 << 63) - 1);
        Child { rows, overflow: child.overflow, ..made }
    }

    /// A long value, and the reference to it.
    pub(crate) fn run(&mut self, tree: u32, pages: u32) -> Vec<u8> {
        let (id, len) = (self.len(), pages as usize * PAGE - 32);
        let mut run = vec![7; pages as usize * PAGE];
        run[..32].fill(0);
        run[4] = 3;
        run[8..12].copy_from_slice(&id.to_le_bytes());
        run[12..16].copy_from_slice(&tree.to_le_bytes());
        run[16..24].copy_from_slice(&GENERATION.to_le_bytes());
        run[28..32].copy_from_slice(&(len as u32).to_le_bytes());
        let checksum = crc32fast::hash(&run[4..]);
        run[0..4].copy_from_slice(&checksum.to_le_bytes());
        self.pages.extend(run);
        run_reference(id, checksum, pages, len as u64)
    }

    /// A page that claims to begin a long value over so many pages.
    pub(crate) fn head_of_run(&mut self, tree: u32, pages: u32) {
        self.push(vec![0; PAGE], 3, 0, 0, tree, pages as usize * PAGE - 32);
    }

    /// The directory of some trees.
    pub(crate) fn directory(&mut self, roots: &[(u32, Child)]) -> Child {
        let keys: Vec<_> = roots.iter().map(|(tree, _)| tree.to_be_bytes()).collect();
        let rows: Vec<_> =
            roots.iter().zip(&keys).map(|((_, root), key)| (&key[..], root.encode_root(), false)).collect();
        self.leaf(DIRECTORY, &rows)
    }

    /// A directory whose page is not what its parent says.
    pub(crate) fn lost_directory(&mut self) -> Child {
        let leaf = self.leaf(17, &[(b"k", b"value".to_vec(), false)]);
        let directory = self.directory(&[(17, leaf)]);
        Child { checksum: !directory.checksum, ..directory }
    }

    /// The catalog of one table `t`, number 16, and its tree.
    pub(crate) fn with_table(&mut self, tree: Child) -> Child {
        let names = self.leaf(1, &[(b"t", 16_u32.to_le_bytes().to_vec(), false)]);
        let tables = self.leaf(2, &[(&16_u32.to_be_bytes(), b"t".to_vec(), false)]);
        self.directory(&[(1, names), (2, tables), (16, tree)])
    }

    pub(crate) fn finish(&self, directory: Option<&Child>) -> Vec<u8> {
        let meta = Meta { end: self.len(), ..Meta::default() };
        [meta.encode(1, directory), meta.encode(2, directory), self.pages.clone()].concat()
    }

    pub(crate) fn finish_with(&self, meta: &Meta, directory: Option<&Child>) -> Vec<u8> {
        [meta.encode(1, directory), meta.encode(2, directory), self.pages.clone()].concat()
    }
}

/// What a meta block says beside its directory.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) end: u32,
    pub(crate) free_pages: u32,
    pub(crate) generation_offset: u64,
    pub(crate) checkpoint_ts: u64,
    pub(crate) checkpoint_lsn: u64,
    pub(crate) clock_reserved: u64,
    pub(crate) next_table: u32,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            end: 0,
            free_pages: 0,
            generation_offset: 0,
            checkpoint_ts: 5,
            checkpoint_lsn: 0,
            clock_reserved: 5,
            next_table: 17,
        }
    }
}

impl Meta {
    pub(crate) fn encode(&self, generation: u64, directory: Option<&Child>) -> Vec<u8> {
        let mut out = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"BRAIDDB\0");
        put(8, &1_u32.to_le_bytes());
        put(12, &(PAGE as u32).to_le_bytes());
        put(16, &UUID);
        put(32, &(generation + 1 + self.generation_offset).to_le_bytes());
        put(40, &self.end.to_le_bytes());
        put(44, &self.free_pages.to_le_bytes());
        if let Some(directory) = directory {
            put(48, &directory.encode_root());
        }
        if self.free_pages > 0 {
            put(80, &Child { page: 0, checksum: 1, rows: 1, overflow: false, level: 0 }.encode());
        }
        put(112, &self.checkpoint_ts.to_le_bytes());
        put(120, &self.checkpoint_lsn.to_le_bytes());
        put(136, &self.clock_reserved.to_le_bytes());
        put(144, &self.next_table.to_le_bytes());
        let checksum = crc32fast::hash(&out[..4092]);
        out[4092..].copy_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// A reference to a run, which need not be there.
pub(crate) fn run_reference(page: u32, checksum: u32, pages: u32, len: u64) -> Vec<u8> {
    let mut out = page.to_le_bytes().to_vec();
    out.extend(checksum.to_le_bytes());
    out.extend(GENERATION.to_le_bytes());
    out.extend(pages.to_le_bytes());
    out.extend([0; 4]);
    out.extend(len.to_le_bytes());
    out
}

fn slot(key: &[u8], offset: usize, overflow: bool) -> Vec<u8> {
    let mut head = [0; 4];
    let known = key.len().min(4);
    head[..known].copy_from_slice(&key[..known]);
    let mut out = head.to_vec();
    out.extend((offset as u16).to_le_bytes());
    out.extend((key.len() as u16 | u16::from(overflow) << 15).to_le_bytes());
    out
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut page = vec![0; 32];
    parts.iter().for_each(|part| page.extend_from_slice(part));
    assert!(page.len() <= PAGE, "the page is too full");
    page.resize(PAGE, 0);
    page
}

/// The header of a log segment.
pub(crate) fn segment_header(sequence: u64, base: u64, salt: u64, bytes: u64) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"BRAIDLOG");
    put(8, &1_u32.to_le_bytes());
    put(16, &UUID);
    put(32, &sequence.to_le_bytes());
    put(40, &base.to_le_bytes());
    put(48, &salt.to_le_bytes());
    put(76, &bytes.to_le_bytes());
    let checksum = crc32fast::hash(&out[..128]);
    out[12..16].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The header of a log record.
pub(crate) fn record_header(
    lsn: u64,
    salt: u64,
    tag: u64,
    kind: u8,
    payload_len: u32,
    payload_crc: u32,
) -> Vec<u8> {
    let mut out = vec![0; 48];
    out[4..8].copy_from_slice(&payload_len.to_le_bytes());
    out[8..16].copy_from_slice(&lsn.to_le_bytes());
    out[24..32].copy_from_slice(&salt.to_le_bytes());
    out[32..40].copy_from_slice(&tag.to_le_bytes());
    out[40..44].copy_from_slice(&payload_crc.to_le_bytes());
    out[44] = kind;
    let mut hasher = Hasher::new();
    hasher.update(&UUID);
    hasher.update(&out[4..]);
    let checksum = hasher.finalize();
    out[0..4].copy_from_slice(&checksum.to_le_bytes());
    out
}
