//! Creating, dropping and renaming one table: a transaction of its own.

use braid_vfs::sync::Arc;

use crate::core::Commit;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::limits::MAX_TABLE_NAME_BYTES;
use crate::retry::{RetryPolicy, transact};
use crate::table::Table;

/// Refuses what cannot be a table's name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check_length(name, "the table name's length in bytes")
}

/// The same of a sequence.
pub(crate) fn check_sequence_name(name: &str) -> Result<()> {
    check_length(name, "the sequence name's length in bytes")
}

fn check_length(name: &str, what: &'static str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_TABLE_NAME_BYTES {
        return Err(Error::Limit {
            what,
            actual: name.len() as u64,
            limit: if name.is_empty() { 1 } else { MAX_TABLE_NAME_BYTES as u64 },
        });
    }
    Ok(())
}

/// Makes a table, or finds the one that somebody else made first.
pub(crate) fn create_table(handle: &Arc<Handle>, name: &str) -> Result<Table> {
    transact(handle, &RetryPolicy::default(), |tx| tx.table(name)).map(|made| made.value)
}

/// Drops a table; whether there was one.
pub(crate) fn drop_table(handle: &Arc<Handle>, name: &str) -> Result<bool> {
    transact(handle, &RetryPolicy::default(), |tx| tx.drop_table(name)).map(|dropped| dropped.value)
}

/// Gives a table another name.
pub(crate) fn rename_table(handle: &Arc<Handle>, from: &str, to: &str) -> Result<Commit> {
    transact(handle, &RetryPolicy::default(), |tx| tx.rename_table(from, to)).map(|renamed| renamed.commit)
}
