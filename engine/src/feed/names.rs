//! What the tables are called, as far as a feed has read.

use std::collections::HashMap;
use std::sync::Arc;

use braid_mvstore::TableId;

use super::change::ChangedTable;
use crate::core::Core;

/// Names by table. A clone shares them until one of the two changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<HashMap<TableId, Arc<str>>>);

impl Names {
    /// As they are now.
    pub(super) fn of(core: &Core) -> Self {
        Self(Arc::new(core.tables.known().into_iter().map(|(id, name)| (id, Arc::from(&*name))).collect()))
    }

    pub(super) fn get(&self, id: TableId) -> Option<Arc<str>> {
        self.0.get(&id).cloned()
    }

    pub(super) fn table(&self, id: TableId) -> ChangedTable {
        ChangedTable { id: id.0, name: self.get(id) }
    }

    pub(super) fn insert(&mut self, id: TableId, name: &Arc<str>) {
        if self.0.get(&id) != Some(name) {
            Arc::make_mut(&mut self.0).insert(id, Arc::clone(name));
        }
    }

    pub(super) fn remove(&mut self, id: TableId) {
        if self.0.contains_key(&id) {
            Arc::make_mut(&mut self.0).remove(&id);
        }
    }
}
