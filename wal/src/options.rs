//! What a caller may choose about a log.

use crate::bytes::round_up;
use crate::segment::BLOCK_BYTES;

/// Whether appends go through a mapping of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapPolicy {
    /// Mapped where the file system offers it, plain writes elsewhere.
    #[default]
    Auto,
    /// Plain writes always, for file systems that copy on write.
    Never,
}

/// Sizes, permissions and the way of appending. The format is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Length in bytes of the first segment after an open; each further one is twice as long as the one before.
    pub first_segment_bytes: u64,
    /// Length in bytes at which segments stop growing. A record that does not fit gets a longer one of its own.
    pub max_segment_bytes: u64,
    /// The longest payload in bytes that is accepted, by append and by recovery. At most
    /// [`MAX_RECORD_BYTES`](Self::MAX_RECORD_BYTES), which is the default: a log must be readable whatever it was written with.
    pub max_record_bytes: u64,
    /// The bytes of released segments that are kept ready for use again: as many as were lately filled from one release to the
    /// next, and no more than this, of which the last may take a part only; others are removed. One is kept always.
    pub max_spare_bytes: u64,
    /// How appends reach the file.
    pub mapping: MapPolicy,
    /// Permission bits of segment files (those of the database file).
    pub permissions: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            first_segment_bytes: 1 << 20,
            max_segment_bytes: 32 << 20,
            max_record_bytes: Self::MAX_RECORD_BYTES,
            max_spare_bytes: 0,
            mapping: MapPolicy::Auto,
            permissions: 0o600,
        }
    }
}

impl LogOptions {
    /// The shortest segment: the header block and one block of records.
    const MIN_SEGMENT_BYTES: u64 = 2 * BLOCK_BYTES;

    /// The longest payload that the record header can describe.
    pub const MAX_RECORD_BYTES: u64 = u32::MAX as u64 - 64;

    /// The same with every size within what the format can hold, in whole blocks.
    pub(crate) fn normalized(self) -> Self {
        let blocks = |bytes: u64| {
            let bytes = bytes.clamp(Self::MIN_SEGMENT_BYTES, 1 << 40);
            round_up(bytes, BLOCK_BYTES).unwrap_or(Self::MIN_SEGMENT_BYTES)
        };
        let first_segment_bytes = blocks(self.first_segment_bytes);
        Self {
            first_segment_bytes,
            max_segment_bytes: blocks(self.max_segment_bytes).max(first_segment_bytes),
            max_record_bytes: self.max_record_bytes.min(Self::MAX_RECORD_BYTES),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_the_format_cannot_hold_are_brought_within_it() {
        let extreme = |bytes| LogOptions {
            first_segment_bytes: bytes,
            max_segment_bytes: bytes,
            max_record_bytes: bytes,
            ..LogOptions::default()
        };
        let least = extreme(0).normalized();
        assert_eq!((least.first_segment_bytes, least.max_segment_bytes), (2 * BLOCK_BYTES, 2 * BLOCK_BYTES));
        assert_eq!(least.max_record_bytes, 0);
        let most = extreme(u64::MAX).normalized();
        assert_eq!((most.first_segment_bytes, most.max_segment_bytes), (1 << 40, 1 << 40));
        assert_eq!(most.max_record_bytes, LogOptions::MAX_RECORD_BYTES);
        assert_eq!(
            LogOptions::MAX_RECORD_BYTES,
            (1 << 32) - 65,
            "what a record's header can say, less its own size"
        );
        let odd = LogOptions { max_segment_bytes: 1, ..extreme(100_001) }.normalized();
        assert_eq!((odd.first_segment_bytes, odd.max_segment_bytes), (102_400, 102_400));
    }
}
