//! How much there may be of everything. [`docs/limits.md`](https://github.com/braid-db/braid/blob/main/docs/limits.md) says where
//! each limit is enforced and what the error is.
//!
//! ```
//! use braid::limits::{MAX_VALUE_BYTES, max_key_bytes};
//!
//! assert_eq!(MAX_VALUE_BYTES, 1 << 30);
//! assert_eq!(max_key_bytes(braid::Options::default().page_bytes), 1024);
//! ```

/// The smallest page that a file can have.
pub const MIN_PAGE_BYTES: usize = 512;

/// The largest page that a file can have.
pub const MAX_PAGE_BYTES: usize = 65_536;

/// The longest key in a file with pages of `page_bytes`: a quarter of a page.
#[must_use]
pub const fn max_key_bytes(page_bytes: usize) -> usize {
    page_bytes / 4
}

/// The longest value: 1 GiB. A transaction counts more than its values, so one of this length needs a
/// [`max_transaction_bytes`](crate::Options::max_transaction_bytes) above the default.
pub const MAX_VALUE_BYTES: usize = 1 << 30;

/// The longest name of a table. It is a key of the catalog, and must fit the smallest page.
pub const MAX_TABLE_NAME_BYTES: usize = 120;

/// The longest idempotency token. It is a key of a system table, and must fit the smallest page.
pub const MAX_TOKEN_BYTES: usize = 120;
/// The longest name of a consumer of the change feed.
pub const MAX_CONSUMER_NAME_BYTES: usize = 120;

/// Tables that a file can have had, dropped ones counted: their ids have 32 bits and are never used again.
pub const MAX_TABLE_IDS: u32 = u32::MAX - FIRST_TABLE_ID;

/// The longest name of a sequence: see [`MAX_TABLE_NAME_BYTES`].
pub const MAX_SEQUENCE_NAME_BYTES: usize = MAX_TABLE_NAME_BYTES;

/// The largest block of ids that a handle of a sequence can reserve at once.
pub const MAX_SEQUENCE_BLOCK: u64 = 1 << 32;

/// Ids below this one are the engine's own.
pub(crate) const FIRST_TABLE_ID: u32 = 16;

/// What each row that a transaction writes counts beside its key and value: what it costs in memory.
pub const ROW_OVERHEAD_BYTES: usize = braid_mvstore::WriteSet::row_bytes(0, 0);

/// The most that [`max_transaction_bytes`](crate::Options::max_transaction_bytes) can be raised to: what one record of the
/// log can hold, 65 bytes short of 4 GiB.
pub const MAX_TRANSACTION_BYTES: u64 = u32::MAX as u64 - 64;

/// The most that [`max_snapshots`](crate::Options::max_snapshots) can be raised to.
pub const MAX_SNAPSHOTS: usize = 4_194_240;

/// How many open snapshots [`Stats::snapshots`](crate::Stats::snapshots) lists.
pub const MAX_LISTED_SNAPSHOTS: usize = 32;

/// The smallest [`row_store_bytes`](crate::Options::row_store_bytes).
pub const MIN_ROW_STORE_BYTES: usize = 64 << 10;

/// The smallest [`log_segment_bytes`](crate::Options::log_segment_bytes).
pub const MIN_LOG_SEGMENT_BYTES: u64 = 64 << 10;

/// The largest [`log_segment_bytes`](crate::Options::log_segment_bytes): 1 TiB.
pub const MAX_LOG_SEGMENT_BYTES: u64 = 1 << 40;

/// Pages of a file: their ids have 32 bits. With pages of the default size that is 16 TiB, with the largest 256 TiB.
pub const MAX_PAGES: u32 = u32::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_counts_covers_its_log_record() {
        // Table, key length and value length of one row in the log: see `record.rs`.
        const RECORD_OVERHEAD: usize = 5 + 5 + 5;
        const { assert!(ROW_OVERHEAD_BYTES >= RECORD_OVERHEAD) };
        const { assert!(MAX_TRANSACTION_BYTES == braid_wal::LogOptions::MAX_RECORD_BYTES) };
        const { assert!((MAX_VALUE_BYTES as u64) < MAX_TRANSACTION_BYTES) };
        const { assert!(MAX_TABLE_NAME_BYTES <= max_key_bytes(MIN_PAGE_BYTES)) };
        const { assert!(MAX_TOKEN_BYTES <= max_key_bytes(MIN_PAGE_BYTES)) };
    }
}
