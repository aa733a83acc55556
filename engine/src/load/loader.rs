//! The loader: takes rows in any order, and makes a table of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use braid_mvstore::TableId;
use braid_vfs::events::tell;
use braid_vfs::survive;
use braid_vfs::sync::Arc;

use super::chunk::{Chunk, ChunkChanges};
use super::merge::{Merge, Step};
use super::run::RunFile;
use crate::core::Commit;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Durability, TransactionOptions};
use crate::retry::{RetryPolicy, transact};
use crate::schema;
use crate::table::Table;

/// Rows that come in order go into the tree when they take so much memory: little enough to be used again and again while it
/// is in the processor's cache, and enough for the syncs of a step not to count.
const STEP_BYTES: usize = 16 << 20;

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
/// after a crash nothing of it is left. An error costs no row that was put before: the call can be made again, after
/// making room on a full disk, say. Dropping the loader gives the load up. Others read and write meanwhile, a
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
#[must_use = "only `finish` keeps the rows"]
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
    /// earlier rows could not be written, which the next call tries again; [`Error::LoadFinished`]. In no case the row is
    /// added.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let core = self.handle.core();
        core.check_process()?;
        self.check_unfinished()?;
        let (key, value) = (key.as_ref(), value.as_ref());
        core.check_row(key, value)?;
        // Before the row is taken: whoever goes on after errors fills no memory.
        let memory = self.chunk.memory();
        if memory >= core.options.row_store_bytes || memory >= STEP_BYTES && self.goes_on() {
            self.empty_chunk()?;
        }
        self.chunk.push(key, value);
        Ok(())
    }

    /// Makes the table. Where that fails, there is no table, and the rows wait for the next call; once it has succeeded the
    /// loader is of no further use.
    ///
    /// # Errors
    /// [`Error::TableExists`] when somebody made one of that name meanwhile; [`Error::Busy`] with
    /// [`ConflictKind::Timeout`](crate::ConflictKind::Timeout) when its commit's turn did not come within `busy_timeout`;
    /// everything else as for [`put`](Self::put). [`Error::CommitUnknown`] as for a commit: there may be a table after
    /// the next open, and then with all rows. [`Error::NoSuchTable`] when somebody dropped it already.
    pub fn finish(&mut self) -> Result<(Table, LoadReport)> {
        self.handle.core().check_process()?;
        self.check_unfinished()?;
        self.fold_rest()?;
        let core = Arc::clone(self.handle.core());
        core.confirm_load()?;
        // Before others can add to them.
        let rows = core.base.count(&core.current_view().base, self.id.into());
        let commit = self.name_it()?;
        let table = core.tables.by_id(self.id).map(|info| Table::new(info, self.name.as_str()));
        let table = table.ok_or_else(|| Error::NoSuchTable(self.name.clone()))?;
        let duration = core.env.clock.now().saturating_sub(self.began);
        let name = self.name.clone();
        tell(move || tracing::info!(table = name, rows, ?duration, "loaded"));
        Ok((table, LoadReport { rows, commit, duration }))
    }

    /// Whether the rows of the chunk come after all that is in the tree, and in order, so that they can go there too.
    fn goes_on(&self) -> bool {
        let first = || self.chunk.ends().unwrap_or_default().0;
        self.chunk.ascends()
            && self.runs.is_none()
            && self.folded_to.as_deref().is_none_or(|folded| folded < first())
    }

    /// Brings the rows of the chunk into the tree or into a run.
    fn empty_chunk(&mut self) -> Result<()> {
        let core = Arc::clone(self.handle.core());
        match &core.path {
            Some(path) if !self.goes_on() => {
                self.chunk.sort();
                let failed = |error| Error::io("writing sorted rows beside the database", error);
                let runs = match &mut self.runs {
                    Some(runs) => runs,
                    None => {
                        let file = RunFile::create(&*core.env.files, &run_path(path));
                        self.runs.insert(file.map_err(failed)?)
                    }
                };
                let written = runs.write(self.chunk.rows()).map_err(failed);
                written.inspect_err(|error| _ = core.make_room_after(error))?;
            }
            // What is in memory as a whole needs no runs.
            _ => {
                self.chunk.sort();
                let last = self.chunk.ends().map(|(_, last)| last.to_vec());
                core.load(&mut ChunkChanges { tree: self.id.into(), rows: self.chunk.rows() })?;
                self.folded_to = std::mem::take(&mut self.folded_to).max(last);
            }
        }
        self.chunk.clear();
        Ok(())
    }

    fn check_unfinished(&self) -> Result<()> {
        if self.over { Err(Error::LoadFinished(self.name.clone())) } else { Ok(()) }
    }

    /// Brings all that is left into the tree. A step that fails is made again, with all before it, by the next call: what
    /// is in the tree already comes there once more.
    fn fold_rest(&mut self) -> Result<()> {
        self.chunk.sort();
        let core = self.handle.core();
        let tree = self.id.into();
        let rows = self.chunk.rows();
        match &self.runs {
            None if self.chunk.is_empty() => {}
            None => core.load(&mut ChunkChanges { tree, rows })?,
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
            }
        }
        self.runs = None;
        self.chunk.clear();
        Ok(())
    }

    /// Makes the catalog's rows.
    fn name_it(&mut self) -> Result<Commit> {
        let (id, name) = (self.id, &self.name);
        let durably =
            TransactionOptions { durability: Some(Durability::Sync), ..TransactionOptions::default() };
        let policy = RetryPolicy { transaction: durably, ..RetryPolicy::default() };
        let named = transact(&self.handle, &policy, |tx| tx.name_table(id, name));
        self.over = matches!(named, Ok(_) | Err(Error::CommitUnknown { .. }));
        named.map(|outcome| outcome.commit)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        if self.over || self.handle.core().check_process().is_err() {
            return;
        }
        // Where a file has panicked, another panic would end the process.
        let abandoned = survive(|| self.handle.core().abandon_load(self.id));
        if let Err(error) = abandoned.unwrap_or_else(|| Err(Error::panicked("abandoning a load"))) {
            let table = self.name.clone();
            tell(move || {
                tracing::warn!(error = %error.in_full(), table, "the rows of an unfinished load stay until the next open");
            });
        }
    }
}

/// Where the runs of a database's load are made.
fn run_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-load");
    name.into()
}
