//! What a log does on a full disk: it makes its segments shorter.

use std::io;

use crate::bytes::round_up;
use crate::segment::BLOCK_BYTES;

/// No segment is made shorter for want of space than this, or than the first one is.
pub(super) const LEAST_SEGMENT_BYTES: u64 = 64 << 10;

/// Whether there was no room for what was to be written.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The length to try next where there is no room for `length`, which is more than `least`.
pub(super) fn half(length: u64, least: u64) -> u64 {
    let half = round_up(length / 2, BLOCK_BYTES).unwrap_or(length);
    half.clamp(least, length.saturating_sub(BLOCK_BYTES).max(least))
}
