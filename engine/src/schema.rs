//! Creating and dropping tables: ordinary transactions over the catalog's rows.
//!
//! The rows say what is, and not what happened: a table that was made, one that was loaded and one that has a new name
//! look the same. So whoever changes the catalog leaves a *note* for the change feed beside the row in `TABLES`: the deletion of
//! a row that never exists, with the table's id, a number and, for a drop, the name as its key. It is in the log and
//! nowhere else. A row in `TABLES` without a note is a new name.

use braid_mvstore::TableId;
use braid_vfs::sync::Arc;

use crate::core::{NAMES, SchemaChange, TABLES};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::limits::MAX_TABLE_NAME_BYTES;
use crate::retry::{RetryPolicy, transact};
use crate::table::Table;
use crate::transaction::Transaction;

/// Makes a table, or finds the one that somebody else made first.
pub(crate) fn create_table(handle: &Arc<Handle>, name: &str) -> Result<Table> {
    check_name(name)?;
    let tables = &handle.core().tables;
    loop {
        create_row(handle, name)?;
        // Somebody may have dropped it again since.
        if let Some(info) = tables.by_name(name) {
            return Ok(Table::new(info));
        }
    }
}

/// Refuses what cannot be a table's name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_TABLE_NAME_BYTES {
        return Err(Error::Limit {
            what: "the table name's length in bytes",
            actual: name.len() as u64,
            limit: if name.is_empty() { 1 } else { MAX_TABLE_NAME_BYTES as u64 },
        });
    }
    Ok(())
}

/// Gives a table its rows in the catalog, where nothing may have its name.
pub(crate) fn put_catalog_rows(tx: &mut Transaction, id: TableId, name: &str) -> Result<()> {
    if tx.get_row(NAMES, name.as_bytes())?.is_some() {
        return Err(Error::TableExists(name.to_owned()));
    }
    tx.put_row(NAMES, name.as_bytes(), &id.0.to_le_bytes())?;
    tx.put_row(TABLES, &id.0.to_be_bytes(), name.as_bytes())
}

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note<'a> {
    /// The table was made.
    Created,
    /// The table was made with rows that are not in the log.
    Loaded,
    /// The table was dropped, and had this name.
    Dropped(&'a str),
}

/// Leaves a note about a table.
pub(crate) fn leave_note(tx: &mut Transaction, id: TableId, note: Note<'_>) -> Result<()> {
    let (number, name) = match note {
        Note::Created => (1, ""),
        Note::Loaded => (2, ""),
        Note::Dropped(name) => (3, name),
    };
    let mut key = id.0.to_be_bytes().to_vec();
    key.push(number);
    key.extend_from_slice(name.as_bytes());
    tx.delete_row(TABLES, &key)
}

/// The note in a key of `TABLES`, if it is one.
pub(crate) fn note_of(key: &[u8]) -> Option<(TableId, Note<'_>)> {
    let (id, rest) = key.split_first_chunk()?;
    let note = match rest.split_first()? {
        (1, []) => Note::Created,
        (2, []) => Note::Loaded,
        (3, name) => Note::Dropped(std::str::from_utf8(name).ok()?),
        _ => return None,
    };
    Some((TableId(u32::from_be_bytes(*id)), note))
}

/// Makes the catalog's rows of a table, unless there are some.
fn create_row(handle: &Arc<Handle>, name: &str) -> Result<()> {
    let tables = &handle.core().tables;
    transact(handle, &RetryPolicy::default(), |tx| {
        if tx.get_row(NAMES, name.as_bytes())?.is_some() {
            return Ok(());
        }
        let id = tables.allocate_id()?;
        put_catalog_rows(tx, id, name)?;
        leave_note(tx, id, Note::Created)?;
        tx.set_schema_change(SchemaChange::Create(id, name.to_owned()));
        Ok(())
    })
    .map(drop)
}

/// Drops a table; whether there was one.
pub(crate) fn drop_table(handle: &Arc<Handle>, name: &str) -> Result<bool> {
    let dropped = transact(handle, &RetryPolicy::default(), |tx| {
        let Some(id) = tx.get_row(NAMES, name.as_bytes())? else { return Ok(false) };
        let id = id
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| Error::Corrupt("a row of the catalog is malformed".to_owned()))?;
        tx.delete_row(NAMES, name.as_bytes())?;
        tx.delete_row(TABLES, &id.to_be_bytes())?;
        leave_note(tx, TableId(id), Note::Dropped(name))?;
        tx.set_schema_change(SchemaChange::Drop(TableId(id)));
        Ok(true)
    })?;
    Ok(dropped.value)
}
