//! Segment files: their names, their header blocks, and how one is made ready.

mod file;
mod header;
mod name;

pub use header::LOG_FORMAT_VERSION;

pub(crate) use file::{FillWriter, SegmentFile, open_mapping, prepare, recycle};
pub(crate) use header::{BLOCK, BLOCK_BYTES, HEADER_FIELD_BYTES, HeaderState, SegmentHeader};
pub(crate) use name::{SEGMENT_SUFFIX, TEMPORARY_SUFFIX, path_of, sequence_of};
