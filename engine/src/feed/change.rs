//! What a transaction did to one row or one table.

use std::sync::Arc;

/// The table of a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ChangedTable {
    /// Its number, which never changes and is never given to another.
    pub id: u32,
    /// Its name, as far as the feed knows it: as of this transaction once the feed has come by a change of it; before that,
    /// the name that the table had when the feed began. `None` for a table that was dropped before the feed began and
    /// whose creation lies before the feed's start.
    pub name: Option<Arc<str>>,
}

/// One change of a transaction. Changes of tables come before those of rows; rows come by table and key, each once, with
/// what the transaction left of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// A row has a new value.
    #[non_exhaustive]
    Put {
        /// Of this table.
        table: ChangedTable,
        /// The row.
        key: Vec<u8>,
        /// All of its value.
        value: Vec<u8>,
    },
    /// A row is gone, if it was there.
    #[non_exhaustive]
    Delete {
        /// From this table.
        table: ChangedTable,
        /// The row.
        key: Vec<u8>,
    },
    /// A table was made, and is empty before the rows that follow.
    Create(ChangedTable),
    /// A table was made by [`Database::load_table`](crate::Database::load_table). Its rows are not in the log, and do not follow:
    /// read them from a snapshot that begins now. That may be newer than this transaction; changes of the table that the feed
    /// gives later are whole rows, and to apply one again changes nothing.
    Load(ChangedTable),
    /// A table got another name, which it has here.
    #[non_exhaustive]
    Rename {
        /// The table, by its new name.
        table: ChangedTable,
        /// What it was called before, where the feed knows it.
        from: Option<Arc<str>>,
    },
    /// A table was dropped with all its rows. None follow, not even what the transaction wrote to it before.
    Drop(ChangedTable),
}

impl Change {
    /// The table that it is about.
    #[must_use]
    pub fn table(&self) -> &ChangedTable {
        match self {
            Self::Put { table, .. }
            | Self::Delete { table, .. }
            | Self::Create(table)
            | Self::Load(table)
            | Self::Rename { table, .. }
            | Self::Drop(table) => table,
        }
    }
}
