//! The header that all pages share, and the limits that follow from the page size.

use crate::base::bytes::{get_u32, put};
use crate::base::error::{BaseError, Result};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 8;
/// No tree is deeper. With at least two children a branch, more could not be addressed.
pub(crate) const MAX_LEVEL: u8 = 40;

/// Where each field of the header is.
pub(crate) mod at {
    pub(crate) const CHECKSUM: usize = 0;
    pub(crate) const KIND: usize = 4;
    pub(crate) const LEVEL: usize = 5;
    pub(crate) const ENTRIES: usize = 6;
    pub(crate) const PAGE: usize = 8;
    pub(crate) const TREE: usize = 12;
    pub(crate) const GENERATION: usize = 16;
    pub(crate) const PREFIX: usize = 24;
    pub(crate) const ZERO: usize = 26;
    pub(crate) const END: usize = 28;
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PageKind {
    /// Rows.
    Leaf = 1,
    /// Children.
    Branch = 2,
    /// One long value, over as many pages as it needs.
    Overflow = 3,
    /// Extents of free pages.
    FreeList = 4,
}

/// A page size that was checked: a power of two from 512 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageSize(u32);

impl PageSize {
    /// The largest.
    pub(super) const MAX: Self = Self(65536);

    pub(crate) fn new(bytes: u32) -> Result<Self> {
        if bytes.is_power_of_two() && (512..=Self::MAX.0).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(BaseError::InvalidParameter {
                what: "the page size must be a power of two from 512 to 65536 bytes",
            })
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// How far entries may reach: offsets in a page have two bytes.
    pub(crate) const fn usable(self) -> usize {
        if self.0 > 65535 { 65535 } else { self.bytes() }
    }

    /// The longest key.
    pub(crate) const fn max_key(self) -> usize {
        crate::limits::max_key_bytes(self.bytes())
    }

    /// Whether a row is kept within its leaf. At least four such rows fit in one.
    pub(crate) const fn fits_inline(self, key: usize, value: usize) -> bool {
        SLOT_BYTES + key + value <= (self.usable() - HEADER_BYTES) / 4
    }
}

/// Pages of the run that a value of `len` bytes needs; `None` when there cannot be so many.
pub(crate) fn overflow_pages(len: u64, page_size: PageSize) -> Option<u32> {
    let bytes = len.checked_add(HEADER_BYTES as u64)?;
    u32::try_from(bytes.div_ceil(u64::from(page_size.get()))).ok()
}

/// Puts the checksum over everything else into a finished page or run, and returns it.
pub(crate) fn seal(page: &mut [u8]) -> u32 {
    let checksum = sealed_checksum(page);
    put(page, at::CHECKSUM, &checksum.to_le_bytes());
    checksum
}

/// The checksum that a page or run must have.
pub(crate) fn sealed_checksum(page: &[u8]) -> u32 {
    crc32fast::hash(page.get(at::KIND..).unwrap_or_default())
}

/// The checksum that it has.
pub(super) fn stored_checksum(page: &[u8]) -> u32 {
    get_u32(page, at::CHECKSUM)
}
