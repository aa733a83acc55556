//! What a commit does to the catalog.

use braid_mvstore::{TableId, Timestamp};

use super::shared::Core;
use super::tables::Tables;
use crate::error::Result;

/// One change of the catalog. Its rows are in the write set like any other.
#[derive(Clone, Debug)]
pub(crate) enum SchemaChange {
    /// A table came to be.
    Create(TableId, String),
    /// A table came to be whose rows are in the base already.
    Load(TableId, String),
    /// A table ceased to be.
    Drop(TableId),
}

impl SchemaChange {
    /// In the commit section, with the rows.
    pub(super) fn apply(self, tables: &Tables, ts: Timestamp) {
        match self {
            Self::Create(id, name) => tables.insert(id, &name, ts, Timestamp::ZERO),
            Self::Load(id, name) => tables.insert(id, &name, ts, ts),
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
}
