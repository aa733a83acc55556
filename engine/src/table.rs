//! Table handles.

use std::fmt;

use braid_vfs::sync::Arc;

use crate::core::TableInfo;

/// A table: ordered byte keys, each with a byte value. A cheap handle, good for as long as the table stands, in every
/// transaction of its database.
///
/// A table made by a transaction is there for that transaction alone until it commits. If that never happens the handle is
/// of no use: [`Error::NoSuchTable`](crate::Error::NoSuchTable).
#[derive(Clone)]
pub struct Table {
    info: Arc<TableInfo>,
    name: Arc<str>,
}

impl Table {
    pub(crate) fn new(info: Arc<TableInfo>, name: impl Into<Arc<str>>) -> Self {
        Self { info, name: name.into() }
    }

    pub(crate) fn info(&self) -> &Arc<TableInfo> {
        &self.info
    }

    /// The name by which the handle came about. It stays what it is when the table is renamed, and the handle stays good.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, which lasts as long as the table, whatever its name, and is never given to another.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("id", &self.id()).field("name", &self.name).finish()
    }
}
