//! What the log says of a change of the catalog, beside its rows.
//!
//! The rows say what is, and not what happened: a table that was made, one that was loaded and one that has a new name
//! look the same. So whoever changes the catalog leaves a *note* for the change feed beside the row in
//! [`TABLES`](crate::core::TABLES): the deletion of a row that never exists, with the table's id, a number and, for a drop or
//! a new name, the old one as its key. It is in the log and nowhere else, and a rollback to a savepoint takes it back like any
//! row.

use braid_mvstore::TableId;

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note<'a> {
    /// The table was made.
    Created,
    /// The table was made with rows that are not in the log.
    Loaded,
    /// The table was dropped, and had this name.
    Dropped(&'a str),
    /// The table had this name before the transaction.
    Renamed(&'a str),
}

impl Note<'_> {
    /// The key of the row in [`TABLES`] whose deletion says so.
    pub(crate) fn key(self, id: TableId) -> Vec<u8> {
        let (number, name) = match self {
            Self::Created => (1, ""),
            Self::Loaded => (2, ""),
            Self::Dropped(name) => (3, name),
            Self::Renamed(name) => (4, name),
        };
        let mut key = id.0.to_be_bytes().to_vec();
        key.push(number);
        key.extend_from_slice(name.as_bytes());
        key
    }
}

/// The note in a key of `TABLES`, if it is one.
pub(crate) fn note_of(key: &[u8]) -> Option<(TableId, Note<'_>)> {
    let (id, rest) = key.split_first_chunk()?;
    let note = match rest.split_first()? {
        (1, []) => Note::Created,
        (2, []) => Note::Loaded,
        (3, name) => Note::Dropped(std::str::from_utf8(name).ok()?),
        (4, name) => Note::Renamed(std::str::from_utf8(name).ok()?),
        _ => return None,
    };
    Some((TableId(u32::from_be_bytes(*id)), note))
}
