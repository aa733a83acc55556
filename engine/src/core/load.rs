//! Trees that no table names yet: rows that come into the base without passing through the log.
//!
//! A load writes into a tree that has a table's id, but no row of the catalog says so: nobody reads it, however much of
//! it stands. Each step is a checkpoint of its own over the newest base, like a step of compaction; of what the engine
//! stored with the base it changes the next table id alone, so that the id goes to nobody else. A transaction that
//! comes when all of the tree is durable, for both meta blocks, makes it a table. Where none comes, the tree is an
//! orphan: the load itself removes it, and after the death of the process the next open does.

use std::collections::BTreeSet;

use braid_mvstore::TableId;
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::shared::Core;
use super::tables::is_users_table;
use crate::base::{ChangeSource, EngineState, NoChanges, TreeId};
use crate::error::{Error, Result};

impl Core {
    /// An id for a table to be loaded.
    pub(crate) fn begin_load(&self) -> Result<TableId> {
        let id = self.tables.allocate_id()?;
        self.unnamed.lock().insert(id);
        Ok(id)
    }

    /// Folds rows into trees that no table names.
    pub(crate) fn load(&self, rows: &mut dyn ChangeSource) -> Result<()> {
        self.fold_aside(rows, &[]).inspect_err(|error| _ = self.make_room_after(error))
    }

    /// Has the other meta block know all trees too. The log goes on from the same place for both, so either may be the one
    /// that an open finds whole: a table that was named when one of them had its rows could be without them.
    pub(crate) fn confirm_load(&self) -> Result<()> {
        if planted!(LoadInOneMetaBlock) {
            return Ok(());
        }
        self.fold_aside(&mut NoChanges, &[])
    }

    /// Removes a tree that is to have no name, if any of it was folded.
    pub(crate) fn abandon_load(&self, id: TableId) -> Result<()> {
        if self.current_view().base.root(id.into()).is_none() {
            return Ok(());
        }
        self.fold_aside(&mut NoChanges, &[id.into()])
    }

    /// Removes the trees of loads that a death of the process cut short. A core that only reads passes them over. What
    /// cannot be removed stays until the next open, unless the core takes no writes after that.
    pub(super) fn drop_orphans(&self) -> Result<()> {
        let base = Arc::clone(&self.current_view().base);
        // A table that the log drops keeps its tree until the next fold; removed here it is gone a little earlier.
        let orphans: BTreeSet<_> = base
            .trees()
            .map(|TreeId(tree)| TableId(tree))
            .filter(|id| is_users_table(id) && self.tables.by_id(*id).is_none())
            .collect();
        let Some(last) = orphans.last().filter(|_| !planted!(OrphanTreeKept)) else { return Ok(()) };
        // Where they cannot be removed, no table is to come into their rows.
        self.tables.reserve_ids(last.0.saturating_add(1));
        let trees: Vec<_> = orphans.iter().copied().map(TreeId::from).collect();
        *self.unnamed.lock() = orphans;
        let Some(writer) = &self.writer else { return Ok(()) };
        if let Err(error) = self.fold_aside(&mut NoChanges, &trees) {
            let trees = trees.len();
            tell(move || {
                tracing::warn!(error = %error.in_full(), trees, "trees of unfinished loads stay until the next open");
            });
            writer.check()?;
        }
        Ok(())
    }

    /// Whether a tree may be there without a table: it was made by a load. A base may be older than the end of that.
    pub(crate) fn is_unnamed(&self, id: TableId) -> bool {
        self.unnamed.lock().contains(&id)
    }

    /// Refuses a row that no table takes.
    pub(crate) fn check_row(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let at_most = |what, actual: usize, limit: usize| {
            let (actual, limit) = (actual as u64, limit as u64);
            if actual > limit { Err(Error::Limit { what, actual, limit }) } else { Ok(()) }
        };
        at_most(
            "the key's length in bytes (a quarter of the page's, which is fixed when the file is made)",
            key.len(),
            self.base.max_key_bytes(),
        )?;
        at_most("the value's length in bytes", value.len(), crate::limits::MAX_VALUE_BYTES)
    }

    fn fold_aside(&self, rows: &mut dyn ChangeSource, dropped: &[TreeId]) -> Result<()> {
        let writer = self.writer()?;
        later(|| {
            let _one_at_a_time = writer.checkpoint.lock();
            writer.check()?;
            let from = Arc::clone(&self.current_view().base);
            let state = EngineState { next_table_id: self.tables.next_id(), ..*from.state() };
            let base = self
                .base
                .fold(&from, rows, dropped, state, &|| self.keep_on(writer))
                .map_err(|error| self.base_failed(writer, error))?;
            self.publish_fold(writer, base, &[]);
            Ok(())
        })
    }
}
