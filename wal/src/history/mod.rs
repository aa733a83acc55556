//! Reading the log back while it takes appends, or without.
//!
//! # Invariants
//!
//! 1. Nothing at or after the durable position is read, not even into a buffer: what a reader holds is final, and it meets
//!    no append. It reads files, never a mapping.
//! 2. What is given out is a record at its own position, of the salt that the segment's header says, whole by its
//!    checksums; or a piece of one that was found so, from a segment that was still part of the log after the piece was
//!    read. A segment leaves the log before its file is used again, so a reader that was overtaken says [`ReadError::Gone`].
//! 3. A reader takes the list of segments for a moment when it enters one, and no other lock: it keeps nobody waiting.
//!
//! Memory is 128 KiB, or the piece that is asked for where that is longer; a piece is no longer than its record, and a record
//! no longer than its segment.

mod payload;
mod reader;
mod source;
mod window;

pub use payload::Payload;
pub use reader::{LogReader, LogRecord};
pub(crate) use source::Extent;
pub use source::LogHistory;
