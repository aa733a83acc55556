//! What one page says of another.
//!
//! A reference carries everything needed to know the page when it is read: its id, the checkpoint that wrote it, and
//! its checksum. So a write that was lost, went elsewhere, or was overtaken by an older one is found, not only a
//! rotten bit. Both encodings stand inside pages:
//!
//! | child, bytes | holds |
//! | --- | --- |
//! | 0..4 | page id |
//! | 4..8 | checksum of the page |
//! | 8..16 | generation of the page |
//! | 16..24 | rows below it in bits 0..63; bit 63 says that some of them have overflow values |
//!
//! | overflow, bytes | holds |
//! | --- | --- |
//! | 0..4 | first page id of the run |
//! | 4..8 | checksum of the run |
//! | 8..16 | generation of the run |
//! | 16..20 | number of pages |
//! | 20..24 | zero |
//! | 24..32 | length of the value in bytes |

use super::bytes::{get_u32, get_u64, put};
use super::ids::{PageGeneration, PageId};

const OVERFLOW_BIT: u64 = 1 << 63;

/// A page of a tree as its parent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChildRef {
    pub(crate) page: PageId,
    pub(crate) checksum: u32,
    pub(crate) generation: PageGeneration,
    /// Rows in the subtree.
    pub(crate) rows: u64,
    /// Whether some row of the subtree has an overflow value.
    pub(crate) overflow: bool,
}

impl ChildRef {
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        put(&mut out, 0, &self.page.0.to_le_bytes());
        put(&mut out, 4, &self.checksum.to_le_bytes());
        put(&mut out, 8, &self.generation.0.to_le_bytes());
        let flag = if self.overflow { OVERFLOW_BIT } else { 0 };
        put(&mut out, 16, &(self.rows | flag).to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let rows = get_u64(bytes, 16);
        Self {
            page: PageId(get_u32(bytes, 0)),
            checksum: get_u32(bytes, 4),
            generation: PageGeneration(get_u64(bytes, 8)),
            rows: rows & !OVERFLOW_BIT,
            overflow: rows & OVERFLOW_BIT != 0,
        }
    }
}

/// A value that has a run of pages of its own, as its leaf knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverflowRef {
    pub(crate) page: PageId,
    pub(crate) checksum: u32,
    pub(crate) generation: PageGeneration,
    pub(crate) pages: u32,
    /// Length of the value in bytes.
    pub(crate) len: u64,
}

impl OverflowRef {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        put(&mut out, 0, &self.page.0.to_le_bytes());
        put(&mut out, 4, &self.checksum.to_le_bytes());
        put(&mut out, 8, &self.generation.0.to_le_bytes());
        put(&mut out, 16, &self.pages.to_le_bytes());
        put(&mut out, 24, &self.len.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            page: PageId(get_u32(bytes, 0)),
            checksum: get_u32(bytes, 4),
            generation: PageGeneration(get_u64(bytes, 8)),
            pages: get_u32(bytes, 16),
            len: get_u64(bytes, 24),
        }
    }
}

/// The top page of a tree. A tree without rows has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) child: ChildRef,
    /// Levels below it: zero where the root is a leaf.
    pub(crate) level: u8,
}

impl Root {
    /// The encoding in the directory and in the meta block: the child, the level, seven zero bytes.
    pub(crate) const BYTES: usize = ChildRef::BYTES + 8;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        put(&mut out, 0, &self.child.encode());
        put(&mut out, ChildRef::BYTES, &[self.level]);
        out
    }

    /// `None` when the bytes cannot be a root.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let level = *bytes.get(ChildRef::BYTES)?;
        let rest_is_zero = bytes.get(ChildRef::BYTES + 1..)?.iter().all(|b| *b == 0);
        let sound = bytes.len() == Self::BYTES && level <= super::page::MAX_LEVEL && rest_is_zero;
        sound.then(|| Self { child: ChildRef::decode(bytes), level })
    }
}
