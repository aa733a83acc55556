//! Table handles.

use braid_vfs::sync::Arc;

use crate::core::TableInfo;

/// A table: ordered byte keys, each with a byte value. A cheap handle, good for as long as the table stands, in every
/// transaction of its database.
#[derive(Clone, Debug)]
pub struct Table(Arc<TableInfo>);

impl Table {
    pub(crate) fn new(info: Arc<TableInfo>) -> Self {
        Self(info)
    }

    pub(crate) fn info(&self) -> &TableInfo {
        &self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its number, which lasts as long as the table and is never given to another.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id.0
    }
}
