//! What a commit does to the catalog, and the check that the tables it wrote to still stand.

use braid_mvstore::{TableId, Timestamp};

use super::commit::CommitRequest;
use super::shared::Core;
use super::tables::{FIRST_USER_TABLE, Tables};
use crate::error::{Conflict, ConflictKind, Error, Result};
use crate::transaction::ReadSet;

/// One change of the catalog. Its rows are in the write set like any other.
#[derive(Clone, Debug)]
pub(crate) enum SchemaChange {
    /// A table came to be.
    Create(TableId, String),
    /// A table ceased to be.
    Drop(TableId),
}

impl SchemaChange {
    /// In the commit section, with the rows.
    pub(super) fn apply(self, tables: &Tables, ts: Timestamp) {
        match self {
            Self::Create(id, name) => tables.insert(id, &name, ts),
            Self::Drop(id) => tables.remove(id, ts),
        }
    }
}

impl Core {
    /// Waits until what the map of tables says stands: it changes with the installation of a commit, not with its
    /// acknowledgement.
    pub(crate) fn acknowledge_tables(&self) -> Result<()> {
        self.acknowledge_reads(self.tables.last_change()).map(drop)
    }

    /// In the commit section: a table that was dropped after the transaction began takes no more rows, and what a
    /// `Serializable` transaction read of it no longer holds.
    pub(super) fn validate_schema(&self, request: &CommitRequest<'_>) -> Result<()> {
        if !self.tables.any_dropped_after(request.begin_ts) {
            return Ok(());
        }
        let written = request.writes.tables().iter().copied();
        let read = request.reads.into_iter().flat_map(ReadSet::tables);
        for table in written.chain(read) {
            if table.0 < FIRST_USER_TABLE {
                continue;
            }
            let info = self.tables.by_id(table);
            let dropped_at = info.as_ref().and_then(|info| info.dropped_at());
            if info.is_none() || dropped_at.is_some() {
                return Err(Error::Busy(Box::new(Conflict {
                    kind: ConflictKind::Schema,
                    table: Some(self.tables.name_of(table)),
                    key: None,
                    begin_ts: request.begin_ts,
                    winner_ts: dropped_at,
                })));
            }
        }
        Ok(())
    }
}
