//! What a commit does to the catalog: what the catalog's rows in its write set say.
//!
//! Nothing is kept beside the rows, so that whatever changes these, be it the rollback to a savepoint, has changed this too.

use std::ops::Bound;

use braid_mvstore::{TableId, Timestamp, WriteRow, WriteSet};
use braid_vfs::sync::Arc;

use super::commit::CommitRequest;
use super::shared::Core;
use super::tables::{NAMES, TABLES};
use crate::error::Result;

/// See the module.
#[derive(Debug)]
pub(crate) struct SchemaChanges {
    /// The tables that names stand for now.
    pub(super) names: Vec<(Arc<str>, Option<TableId>)>,
    /// The names that tables have now.
    pub(super) tables: Vec<(TableId, Option<Arc<str>>)>,
}

impl SchemaChanges {
    /// The changes that a write set makes; `None`, without a look at any row, where it makes none.
    #[inline]
    pub(crate) fn of(writes: &WriteSet) -> Option<Box<Self>> {
        // Ascending, and no other table comes before these two.
        let makes_some = writes.tables().first().is_some_and(|first| *first <= TABLES);
        makes_some.then(|| Box::new(Self::read(writes)))
    }

    #[cold]
    fn read(writes: &WriteSet) -> Self {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Arc::<str>::from);
        let rows = |table| writes.range(table, Bound::Unbounded, Bound::Unbounded);
        let name = |row: WriteRow<'_>| Some((text(row.key)?, row.value.value().and_then(named_id)));
        let table = |row: WriteRow<'_>| Some((table_id(row.key)?, row.value.value().and_then(text)));
        Self {
            names: rows(NAMES).filter_map(name).collect(),
            tables: rows(TABLES).filter_map(table).collect(),
        }
    }
}

/// The id in a row of [`NAMES`].
pub(crate) fn named_id(value: &[u8]) -> Option<TableId> {
    value.try_into().ok().map(u32::from_le_bytes).map(TableId)
}

/// The id that is the key of a row of [`TABLES`].
pub(crate) fn table_id(key: &[u8]) -> Option<TableId> {
    key.try_into().ok().map(u32::from_be_bytes).map(TableId)
}

impl Core {
    /// In the commit section, with the rows.
    #[inline]
    pub(super) fn apply_schema(&self, request: &CommitRequest<'_>, ts: Timestamp) {
        let Some(changes) = &request.schema else { return };
        let watermark = self.registry.watermark(self.acked_ts());
        self.tables.apply(changes, |id| self.is_unnamed(id), ts, watermark);
    }

    /// Waits until what the map of tables says stands: it changes with the installation of a commit, not with its
    /// acknowledgement.
    pub(crate) fn acknowledge_tables(&self) -> Result<()> {
        self.acknowledge_reads(self.tables.last_change()).map(drop)
    }
}
