//! Pages: the immutable blocks that trees are made of.
//!
//! A page is `page_size` bytes. All start with one header; numbers are little-endian:
//!
//! | bytes | holds |
//! | --- | --- |
//! | 0..4 | CRC-32 of every byte after it, to the end of the page (of an overflow run: to the end of the run) |
//! | 4 | type: 1 leaf, 2 branch, 3 overflow run, 4 free list |
//! | 5 | level: 0 for a leaf, one more than its children for a branch |
//! | 6..8 | number of entries: rows, children or extents |
//! | 8..12 | page id |
//! | 12..16 | tree |
//! | 16..24 | generation: the checkpoint that wrote the page |
//! | 24..26 | length of the key prefix that all its keys share |
//! | 26..28 | zero |
//! | 28..32 | end of the used bytes; an overflow run keeps the length of its value here |
//!
//! A **leaf** goes on with the prefix, one 8-byte slot a row, then the rows without a gap, in key order: the key without
//! the prefix, then the value, which ends where the next row starts. A **branch** goes on with the prefix, one slot for
//! every child but the first, one 24-byte child reference each, then the separators. A child's separator is greater
//! than every key left of it and at most its own first key.
//!
//! | slot, bytes | holds |
//! | --- | --- |
//! | 0..4 | head: the first four bytes of the key after the prefix, padded with zeros |
//! | 4..6 | where the key starts in the page |
//! | 6..8 | its length in bits 0..15; bit 15 says that the value is a reference to an overflow run |
//!
//! Heads are big-endian numbers, so a search compares numbers that lie side by side and looks at a key only when two
//! heads are equal.
//!
//! Invariants: a [`Page`] exists only of bytes that were checked in full (checksum, identity, every offset, key order,
//! sums), or that the builder of this process has just laid out, so its accessors index without a further check. Levels
//! fall by one from parent to child, so no path comes to one page twice, and none is longer than [`MAX_LEVEL`].

mod build;
mod counted;
mod frame;
mod header;
mod prefetch;
mod search;
mod validate;
mod view;

pub(crate) use build::{Entry, Measure, PageBuilder, PageIdentity, put_header};
pub(crate) use frame::Frame;
pub(crate) use header::{
    HEADER_BYTES, MAX_LEVEL, PageKind, PageSize, SLOT_BYTES, at, overflow_pages, seal, sealed_checksum,
};
pub(crate) use validate::Expected;
pub use view::Page;
pub(crate) use view::{RowPlace, Value};
