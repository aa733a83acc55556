//! The integrity check: the file page by page, then the catalog against it.

use std::collections::{BTreeMap, BTreeSet};

use braid_mvstore::{Direction, TableId, Timestamp};
use braid_vfs::events::tell;
use braid_vfs::sync::Arc;

use crate::base::{BaseError, TreeId};
use crate::core::{Core, FIRST_USER_TABLE, NAMES, SEQUENCES, TABLES, View, sequence_row};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::transaction::{Layers, begin_own_snapshot};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what is damaged"]
pub struct CheckReport {
    /// What is wrong, a sentence each: nothing, one hopes.
    pub findings: Vec<String>,
    /// How much more is wrong than `findings` keeps.
    pub more_findings: u64,
    /// Pages read.
    pub pages: u64,
    /// Rows of the database file; what is newer is in the log and was checked at the open.
    pub rows: u64,
    /// Tables.
    pub tables: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks what a snapshot sees, which the check holds meanwhile; readers and writers go on.
pub(crate) fn check(handle: &Arc<Handle>, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport> {
    // Registered like any reader's: catalog rows that it is to see are not trimmed under it.
    let snapshot = begin_own_snapshot(handle, Some("check"))?;
    handle.core().check(snapshot.view()?, snapshot.timestamp(), progress)
}

impl Core {
    fn check(&self, view: &View, at: Timestamp, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport> {
        let mut on_progress = |done, total| -> Result<(), BaseError> {
            progress(done, total);
            Ok(())
        };
        let found = self
            .base
            .check(&view.base, &mut on_progress)
            .map_err(|error| Error::from_base(error, "checking the database file"))?;
        let mut report = CheckReport {
            findings: found.findings.iter().map(ToString::to_string).collect(),
            more_findings: found.more_findings,
            pages: found.pages,
            rows: found.rows,
            tables: 0,
        };
        if report.is_ok() {
            self.check_catalog(view, at, &mut report)?;
        }
        let (pages, findings) = (report.pages, report.findings.len());
        tell(move || tracing::info!(pages, findings, "checked"));
        Ok(report)
    }

    /// Names and ids must tell of the same tables, and every tree must be a table's.
    fn check_catalog(&self, view: &View, at: Timestamp, report: &mut CheckReport) -> Result<()> {
        let by_name = self.catalog_rows(view, NAMES, at)?;
        let by_id = self.catalog_rows(view, TABLES, at)?;
        let names: BTreeMap<_, _> = by_id.iter().map(|(id, name)| (&id[..], name)).collect();
        let mut ids = BTreeSet::new();
        for (name, id) in &by_name {
            let id: Option<[u8; 4]> = id.as_slice().try_into().ok();
            let Some(id) = id.map(u32::from_le_bytes) else {
                report.findings.push(format!("the catalog gives {name:?} no table id"));
                continue;
            };
            ids.insert(id);
            if names.get(&id.to_be_bytes()[..]) != Some(&name) {
                report.findings.push(format!("table {id} is in the catalog by name only"));
            }
        }
        if by_id.len() != by_name.len() {
            report.findings.push(format!("the catalog has {} names and {} ids", by_name.len(), by_id.len()));
        }
        for TreeId(tree) in view.base.trees() {
            // A tree outlives its table until the checkpoint that folds the drop.
            let dropped = view.base.state().checkpoint_ts < at.get();
            let loaded = self.is_unnamed(TableId(tree));
            if tree >= FIRST_USER_TABLE && !ids.contains(&tree) && !dropped && !loaded {
                report.findings.push(format!("tree {tree} belongs to no table"));
            }
        }
        for (name, next) in self.catalog_rows(view, SEQUENCES, at)? {
            if std::str::from_utf8(&name).is_err() || sequence_row(&next).is_none() {
                report.findings.push(format!("the row of the sequence {name:?} is malformed"));
            }
        }
        report.tables = by_name.len() as u64;
        Ok(())
    }

    fn catalog_rows(&self, view: &View, table: TableId, at: Timestamp) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Layers::over(&self.base, view, table, at);
        let mut all = Vec::new();
        while rows.step(view, None, Direction::Forward)? {
            let Some((key, value)) = rows.row()? else { break };
            all.push((key.to_vec(), value.to_vec()));
        }
        Ok(all)
    }
}
