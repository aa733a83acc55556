//! Making pages.

use super::header::{HEADER_BYTES, PageKind, SLOT_BYTES, at, seal};
use super::search::head;
use crate::base::bytes::{common_prefix, put, to_u16, to_u32};
use crate::base::ids::{PageGeneration, PageId, TreeId};
use crate::base::refs::ChildRef;

/// What becomes an entry of a page: a row of a leaf, or a child of a branch with the separator before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    /// The value, a reference to an overflow run, or a reference to a child.
    pub(crate) body: &'a [u8],
    /// Whether the body is a reference to an overflow run.
    pub(crate) overflow: bool,
}

/// Who a new page is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageIdentity {
    pub(crate) page: PageId,
    pub(crate) tree: TreeId,
    pub(crate) generation: PageGeneration,
    pub(crate) level: u8,
}

/// The exact size of a page as entries are added to it in key order.
///
/// The separator before the first child of a branch stands in the parent alone, so it counts for nothing here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    entries: usize,
    keys: usize,
    key_bytes: usize,
    body_bytes: usize,
    prefix: usize,
}

impl Measure {
    /// The measure with one more entry. `first_key` is the first key that the page keeps, if it has one already.
    pub(crate) fn with(mut self, leaf: bool, entry: &Entry<'_>, first_key: Option<&[u8]>) -> Self {
        self.entries += 1;
        self.body_bytes += entry.body.len();
        if leaf || self.entries > 1 {
            self.prefix = match first_key {
                Some(first) if self.keys > 0 => common_prefix(first, entry.key).min(self.prefix),
                _ => entry.key.len(),
            };
            self.keys += 1;
            self.key_bytes += entry.key.len();
        }
        self
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes of the page up to its end of use.
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.prefix + self.keys * SLOT_BYTES + self.key_bytes - self.keys * self.prefix
            + self.body_bytes
    }
}

/// Lays out pages in one buffer that is used again and again.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    bytes: Vec<u8>,
}

impl PageBuilder {
    pub(crate) fn new(page_bytes: usize) -> Self {
        Self { bytes: vec![0; page_bytes] }
    }

    /// The page that was made last.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lays out a page of entries in key order, which must fit (see [`Measure`]); its checksum.
    pub(crate) fn build<'a, I>(&mut self, identity: &PageIdentity, entries: I) -> u32
    where
        I: Iterator<Item = Entry<'a>> + Clone,
    {
        let leaf = identity.level == 0;
        let keyed = entries.clone().skip(usize::from(!leaf));
        let count = entries.clone().count();
        let mut ends = keyed.clone().map(|entry| entry.key);
        let prefix = match (ends.next(), ends.last()) {
            (Some(first), Some(last)) => &first[..common_prefix(first, last)],
            (Some(only), None) => only,
            (None, _) => &[],
        };
        let bytes = &mut self.bytes;
        bytes.fill(0);
        put(bytes, HEADER_BYTES, prefix);
        let mut slot_at = HEADER_BYTES + prefix.len();
        let mut child_at = slot_at + keyed.clone().count() * SLOT_BYTES;
        let mut at = child_at;
        if !leaf {
            at += count * ChildRef::BYTES;
            for entry in entries {
                put(bytes, child_at, entry.body);
                child_at += ChildRef::BYTES;
            }
        }
        for entry in keyed {
            let suffix = &entry.key[prefix.len()..];
            let flag = u16::from(entry.overflow) << 15;
            put(bytes, slot_at, &head(suffix).to_be_bytes());
            put(bytes, slot_at + 4, &to_u16(at).to_le_bytes());
            put(bytes, slot_at + 6, &(to_u16(suffix.len()) | flag).to_le_bytes());
            slot_at += SLOT_BYTES;
            put(bytes, at, suffix);
            at += suffix.len();
            if leaf {
                put(bytes, at, entry.body);
                at += entry.body.len();
            }
        }
        let kind = if leaf { PageKind::Leaf } else { PageKind::Branch };
        put_header(bytes, kind, identity, count);
        put(bytes, at::PREFIX, &to_u16(prefix.len()).to_le_bytes());
        put(bytes, at::END, &to_u32(at).to_le_bytes());
        seal(bytes)
    }

    /// Copies a page under another identity, after `patch` has changed its references; its checksum.
    pub(crate) fn copy(
        &mut self,
        page: &[u8],
        identity: &PageIdentity,
        patch: impl FnOnce(&mut [u8]),
    ) -> u32 {
        self.start_copy(page);
        patch(&mut self.bytes);
        self.finish_copy(identity)
    }

    /// Begins a copy of a page, to be changed step by step.
    pub(crate) fn start_copy(&mut self, page: &[u8]) {
        self.bytes.copy_from_slice(page);
    }

    /// Puts bytes of the same length over those at a place of the copy.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.bytes, at, bytes);
    }

    /// Ends a copy, which has another identity; its checksum.
    pub(crate) fn finish_copy(&mut self, identity: &PageIdentity) -> u32 {
        put_identity(&mut self.bytes, identity);
        seal(&mut self.bytes)
    }
}

fn put_identity(bytes: &mut [u8], identity: &PageIdentity) {
    put(bytes, at::LEVEL, &[identity.level]);
    put(bytes, at::PAGE, &identity.page.0.to_le_bytes());
    put(bytes, at::TREE, &identity.tree.0.to_le_bytes());
    put(bytes, at::GENERATION, &identity.generation.0.to_le_bytes());
}

/// Puts the header of a page, but for its prefix, its end and its checksum.
pub(crate) fn put_header(bytes: &mut [u8], kind: PageKind, identity: &PageIdentity, entries: usize) {
    put_identity(bytes, identity);
    put(bytes, at::KIND, &[kind as u8]);
    put(bytes, at::ENTRIES, &to_u16(entries).to_le_bytes());
}
