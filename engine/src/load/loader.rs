//! The loader: takes rows in any order, and makes a table of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use braid_mvstore::TableId;
use braid_vfs::sync::Arc;

use super::chunk::{Chunk, ChunkChanges};
use super::merge::{Merge, Step};
use super::run::RunFile;
use crate::core::{Commit, SchemaChange};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Durability, TransactionOptions};
use crate::retry::{RetryPolicy, transact};
use crate::schema;
use crate::table::Table;

/// What a load did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Rows of the table; of those that were put with one key the last counts.
    pub rows: u64,
    /// The commit that gave the table its name.
    pub commit: Commit,
    /// From the beginning of the load to its commit.
    pub duration: Duration,
}

/// Makes a table of many rows at once, several times faster than transactions and without filling the log.
///
/// The table comes to be with [`finish`](Self::finish), durably and with all its rows: until then nobody sees any of it, and
/// after a crash or an error nothing of it is left. Dropping the loader gives it up. Others read and write meanwhile, a
/// step of the load only holds checkpoints back.
///
/// Rows may come in any order; in ascending order they cost least. Otherwise they are sorted in memory, and beyond
/// [`Options::row_store_bytes`](crate::Options::row_store_bytes) in a temporary file of about the size of all rows, beside the
/// database and without a name.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let mut load = db.load_table("squares")?;
/// for number in 0..1000_u64 {
///     load.put(number.to_be_bytes(), (number * number).to_le_bytes())?;
/// }
/// let (squares, report) = load.finish()?;
/// assert_eq!(report.rows, 1000);
/// assert_eq!(db.get(&squares, 30_u64.to_be_bytes())?, Some(900_u64.to_le_bytes().to_vec()));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Loader {
    handle: Arc<Handle>,
    name: String,
    id: TableId,
    chunk: Chunk,
    runs: Option<RunFile>,
    /// The greatest key that is in the tree.
    folded_to: Option<Vec<u8>>,
    began: Duration,
    /// The tree is a table's, or may be.
    over: bool,
}

impl Loader {
    pub(crate) fn new(handle: &Arc<Handle>, name: &str) -> Result<Self> {
        schema::check_name(name)?;
        let core = handle.core();
        core.check_process()?;
        core.writer()?.check()?;
        if core.tables.by_name(name).is_some() {
            return Err(Error::TableExists(name.to_owned()));
        }
        Ok(Self {
            handle: Arc::clone(handle),
            name: name.to_owned(),
            id: core.begin_load()?,
            chunk: Chunk::default(),
            runs: None,
            folded_to: None,
            began: core.env.clock.now(),
            over: false,
        })
    }

    /// The number that the table is going to have.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.0
    }

    /// Adds a row. A later one with the same key takes its place.
    ///
    /// # Errors
    /// [`Error::Limit`] for a key or value that is too long; [`Error::NoSpace`], [`Error::Io`] and [`Error::Poisoned`] when
    /// earlier rows could not be written, which the next call tries again. In no case the row is added.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let core = self.handle.core();
        core.check_process()?;
        let (key, value) = (key.as_ref(), value.as_ref());
        core.check_row(key, value)?;
        // Before the row is taken: whoever goes on after errors fills no memory.
        if self.chunk.memory() >= core.options.row_store_bytes {
            self.empty_chunk()?;
        }
        self.chunk.push(key, value);
        Ok(())
    }

    /// Makes the table.
    ///
    /// # Errors
    /// [`Error::TableExists`] when somebody made one of that name meanwhile; [`Error::Busy`] with
    /// [`ConflictKind::Locked`](crate::ConflictKind::Locked) when an exclusive transaction stood in the way of the commit for
    /// half a minute; [`Error::CommitUnknown`] as for a commit; everything else as for [`put`](Self::put). There is no table
    /// then, or after `CommitUnknown` perhaps all of it. [`Error::NoSuchTable`] when somebody dropped it already.
    pub fn finish(mut self) -> Result<(Table, LoadReport)> {
        self.fold_rest()?;
        let core = Arc::clone(self.handle.core());
        core.confirm_load()?;
        // Before others can add to them.
        let rows = core.base.count(&core.current_view().base, self.id.into());
        let commit = self.name_it()?;
        let table = core.tables.by_id(self.id).map(Table::new);
        let table = table.ok_or_else(|| Error::NoSuchTable(self.name.clone()))?;
        let duration = core.env.clock.now().saturating_sub(self.began);
        tracing::info!(table = self.name, rows, ?duration, "loaded");
        Ok((table, LoadReport { rows, commit, duration }))
    }

    /// Brings the rows of the chunk into the tree or into a run.
    fn empty_chunk(&mut self) -> Result<()> {
        let (first, last) = self.chunk.ends().unwrap_or_default();
        let after_all = self.folded_to.as_deref().is_none_or(|folded| folded < first);
        let last = last.to_vec();
        let core = Arc::clone(self.handle.core());
        match &core.path {
            Some(path) if !(self.runs.is_none() && self.chunk.ascends() && after_all) => {
                self.chunk.sort();
                let failed = |error| Error::io("writing sorted rows beside the database", error);
                let runs = match &mut self.runs {
                    Some(runs) => runs,
                    None => {
                        let file = RunFile::create(&*core.env.files, &run_path(path));
                        self.runs.insert(file.map_err(failed)?)
                    }
                };
                runs.write(self.chunk.rows()).map_err(failed)?;
            }
            // What is in memory as a whole needs no runs.
            _ => {
                self.chunk.sort();
                core.load(&mut ChunkChanges { tree: self.id.into(), rows: self.chunk.rows() })?;
                self.folded_to = Some(last);
            }
        }
        self.chunk.clear();
        Ok(())
    }

    /// Brings all that is left into the tree.
    fn fold_rest(&mut self) -> Result<()> {
        self.chunk.sort();
        let core = self.handle.core();
        let tree = self.id.into();
        let rows = self.chunk.rows();
        match &self.runs {
            None if self.chunk.is_empty() => Ok(()),
            None => core.load(&mut ChunkChanges { tree, rows }),
            Some(file) => {
                let merge = Merge::new(tree, file.readers(core.options.row_store_bytes), rows);
                let mut merge = merge.map_err(|error| Error::from_base(error, "merging sorted rows"))?;
                // Writers wait for checkpoints, and these for a step.
                let mut more = true;
                while more {
                    let mut step = Step::new(&mut merge, core.options.row_store_bytes);
                    core.load(&mut step)?;
                    more = step.is_full();
                }
                Ok(())
            }
        }
    }

    /// Makes the catalog's rows.
    fn name_it(&mut self) -> Result<Commit> {
        let (id, name) = (self.id, &self.name);
        let durably =
            TransactionOptions { durability: Some(Durability::Sync), ..TransactionOptions::default() };
        let policy = RetryPolicy { transaction: durably, ..RetryPolicy::default() };
        let named = transact(&self.handle, &policy, |tx| {
            schema::put_catalog_rows(tx, id, name)?;
            schema::leave_note(tx, id, schema::Note::Loaded)?;
            tx.set_schema_change(SchemaChange::Load(id, name.clone()));
            Ok(())
        });
        self.over = matches!(named, Ok(_) | Err(Error::CommitUnknown { .. }));
        named.map(|outcome| outcome.commit)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        if self.over || self.handle.core().check_process().is_err() {
            return;
        }
        if let Err(error) = self.handle.core().abandon_load(self.id) {
            tracing::warn!(%error, table = self.name, "the rows of an unfinished load stay until the next open");
        }
    }
}

/// Where the runs of a database's load are made.
fn run_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-load");
    name.into()
}
