//! The meta blocks: where everything in the file is found, kept twice.
//!
//! Two blocks of 4096 bytes stand at offsets 0 and 4096; pages follow at 8192. A checkpoint writes the block that the
//! newest base does not use. Numbers are little-endian:
//!
//! | bytes | holds |
//! | --- | --- |
//! | 0..8 | `BRAIDDB` and a zero |
//! | 8..12 | format version |
//! | 12..16 | page size |
//! | 16..32 | uuid of the database |
//! | 32..40 | generation |
//! | 40..44 | pages of the file: every page that this block reaches has a lower id |
//! | 44..48 | pages of the free list |
//! | 48..80 | root of the directory; zeros when there is no tree |
//! | 80..104 | first page of the free list; zeros when nothing is free |
//! | 104..112 | zero |
//! | 112..176 | what the engine keeps, see [`EngineState`] |
//! | 176..178 | bytes of the memo |
//! | 178.. | the memo: what the engine likes to find again and can do without; zeros after it |
//! | 4092..4096 | CRC-32 of all bytes before it |
//!
//! Magic, version and checksum stand where they do in every version of the format, so any version can tell a newer
//! block from a damaged one.

use std::sync::Arc;

use braid_vfs::planted;

use super::bytes::{get_u16, get_u32, get_u64, put};
use super::error::{BaseError, Result};
use super::ids::PageGeneration;
use super::page::PageSize;
use super::refs::{ChildRef, Root};
use super::space::FreeListRef;

/// Bytes of one meta block.
pub(crate) const META_BYTES: usize = 4096;
/// Where page 0 starts.
pub(crate) const PAGES_AT: u64 = 2 * META_BYTES as u64;
/// The format that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"BRAIDDB\0";
const CHECKSUM_AT: usize = META_BYTES - 4;
const ENGINE_AT: usize = 112;
const MEMO_AT: usize = 178;
/// The longest memo.
pub(crate) const MEMO_BYTES: usize = CHECKSUM_AT - MEMO_AT;

/// What the engine keeps in the meta block; the base only carries it.
///
/// | bytes from 112 | holds |
/// | --- | --- |
/// | 0..8, 8..16 | `checkpoint_ts`, `checkpoint_lsn` |
/// | 16..24, 24..32 | `log_durable`, `clock_reserved` |
/// | 32..36, 36 | `next_table_id`, `journal_mode` |
/// | 37..64 | `reserved` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EngineState {
    /// The newest commit that the base holds.
    pub(crate) checkpoint_ts: u64,
    /// Where in the log replay starts.
    pub(crate) checkpoint_lsn: u64,
    /// Where the log was known durable to.
    pub(crate) log_durable: u64,
    /// Timestamps up to this one may have been issued.
    pub(crate) clock_reserved: u64,
    /// The next id that a table gets.
    pub(crate) next_table_id: u32,
    /// The engine's code for the journal mode.
    pub(crate) journal_mode: u8,
    /// Kept as they are.
    pub(crate) reserved: [u8; 27],
}

impl EngineState {
    const BYTES: usize = 64;

    fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        put(&mut out, 0, &self.checkpoint_ts.to_le_bytes());
        put(&mut out, 8, &self.checkpoint_lsn.to_le_bytes());
        put(&mut out, 16, &self.log_durable.to_le_bytes());
        put(&mut out, 24, &self.clock_reserved.to_le_bytes());
        put(&mut out, 32, &self.next_table_id.to_le_bytes());
        put(&mut out, 36, &[self.journal_mode]);
        put(&mut out, 37, &self.reserved);
        out
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut reserved = [0; 27];
        put(&mut reserved, 0, bytes.get(37..Self::BYTES).unwrap_or_default());
        Self {
            checkpoint_ts: get_u64(bytes, 0),
            checkpoint_lsn: get_u64(bytes, 8),
            log_durable: get_u64(bytes, 16),
            clock_reserved: get_u64(bytes, 24),
            next_table_id: get_u32(bytes, 32),
            journal_mode: bytes.get(36).copied().unwrap_or(0),
            reserved,
        }
    }
}

/// One meta block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_size: PageSize,
    pub(crate) uuid: [u8; 16],
    pub(crate) generation: PageGeneration,
    pub(crate) end: u32,
    pub(crate) directory: Option<Root>,
    pub(crate) free_list: Option<FreeListRef>,
    pub(crate) state: EngineState,
    /// At most [`MEMO_BYTES`]; empty for none.
    pub(crate) memo: Arc<[u8]>,
}

/// What stands where a meta block should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A meta block.
    Valid(Meta),
    /// Nothing but zeros.
    Blank,
    /// A meta block that does not have its checksum, or not its magic.
    Damaged {
        /// Whether the first bytes are those of a meta block, or could be on their way to become them.
        ours: bool,
    },
}

impl Meta {
    pub(crate) fn encode(&self) -> Box<[u8]> {
        let mut out = vec![0; META_BYTES].into_boxed_slice();
        put(&mut out, 0, &MAGIC);
        put(&mut out, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut out, 12, &self.page_size.get().to_le_bytes());
        put(&mut out, 16, &self.uuid);
        put(&mut out, 32, &self.generation.0.to_le_bytes());
        put(&mut out, 40, &self.end.to_le_bytes());
        if let Some(root) = self.directory {
            put(&mut out, 48, &root.encode());
        }
        if let Some(list) = self.free_list {
            put(&mut out, 44, &list.pages.to_le_bytes());
            put(&mut out, 80, &list.first.encode());
        }
        put(&mut out, ENGINE_AT, &self.state.encode());
        if let Ok(bytes) = u16::try_from(self.memo.len())
            && self.memo.len() <= MEMO_BYTES
        {
            put(&mut out, MEMO_AT - 2, &bytes.to_le_bytes());
            put(&mut out, MEMO_AT, &self.memo);
        }
        let checksum = checksum(&out);
        put(&mut out, CHECKSUM_AT, &checksum.to_le_bytes());
        out
    }

    /// Gives a block the magic and the checksum of a real one.
    #[cfg(any(test, fuzzing))]
    pub(super) fn seal(block: &mut [u8]) {
        put(block, 0, &MAGIC);
        let checksum = checksum(block);
        put(block, CHECKSUM_AT, &checksum.to_le_bytes());
    }

    /// Reads one block: magic, checksum, version, and only then the rest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Slot> {
        if bytes.iter().all(|b| *b == 0) {
            return Ok(Slot::Blank);
        }
        let start = bytes.get(..MAGIC.len()).unwrap_or_default();
        if start != MAGIC {
            let ours = start.iter().zip(&MAGIC).all(|(b, magic)| *b == 0 || b == magic);
            return Ok(Slot::Damaged { ours });
        }
        let sound = get_u32(bytes, CHECKSUM_AT) == checksum(bytes) || planted!(MetaPageUnchecked);
        if bytes.len() != META_BYTES || !sound {
            return Ok(Slot::Damaged { ours: true });
        }
        let version = get_u32(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(BaseError::NewerFormat { found: version, supported: FORMAT_VERSION });
        }
        Self::decode_fields(bytes).map(Slot::Valid)
    }

    fn decode_fields(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what| Err(BaseError::CorruptHead { what });
        if get_u32(bytes, 8) == 0 {
            return corrupt("there is no format version 0");
        }
        let Ok(page_size) = PageSize::new(get_u32(bytes, 12)) else {
            return corrupt("the page size is not a power of two from 512 to 65536");
        };
        let generation = PageGeneration(get_u64(bytes, 32));
        if generation < PageGeneration::FIRST {
            return corrupt("there is no generation 0");
        }
        let end = get_u32(bytes, 40);
        let sound =
            |child: &ChildRef| child.page.0 < end && child.generation.0 > 0 && child.generation <= generation;
        let directory = bytes.get(48..80).unwrap_or_default();
        let directory = if directory.iter().all(|b| *b == 0) {
            None
        } else {
            let root = Root::decode(directory).filter(|root| sound(&root.child) && root.child.rows > 0);
            let Some(root) = root else { return corrupt("the directory cannot be where it is said to be") };
            Some(root)
        };
        let list = FreeListRef {
            first: ChildRef::decode(bytes.get(80..104).unwrap_or_default()),
            pages: get_u32(bytes, 44),
        };
        let free_list = if list.pages == 0 {
            None
        } else if sound(&list.first) && list.pages <= end {
            Some(list)
        } else {
            return corrupt("the free list cannot be where it is said to be");
        };
        let mut uuid = [0; 16];
        put(&mut uuid, 0, bytes.get(16..32).unwrap_or_default());
        let state = EngineState::decode(bytes.get(ENGINE_AT..ENGINE_AT + 64).unwrap_or_default());
        // Nothing depends on the memo: one that cannot be is none.
        let memo_bytes = Some(usize::from(get_u16(bytes, MEMO_AT - 2))).filter(|bytes| *bytes <= MEMO_BYTES);
        let memo = memo_bytes.and_then(|len| bytes.get(MEMO_AT..MEMO_AT + len)).unwrap_or_default().into();
        Ok(Self { page_size, uuid, generation, end, directory, free_list, state, memo })
    }
}

fn checksum(block: &[u8]) -> u32 {
    crc32fast::hash(block.get(..CHECKSUM_AT).unwrap_or_default())
}
