//! Backup: a consistent copy while writers run.
//!
//! A snapshot is written, table by table and in key order, into a new file, and both meta blocks name it. The copy is compact, has an identity of its own
//! and no log yet: its first open makes one. It is written under a temporary name and takes its final one when it is
//! complete and synced.
//!
//! That takes as long as the database is large, and meanwhile both names are anybody's. A rename that replaces nothing
//! gives the final one: a database that was made there since stays, and its commits with it. And what is renamed is the
//! file that was written, not another backup's that has its temporary name by now.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use braid_mvstore::{Direction, TableId, Timestamp};
use braid_vfs::events::tell;
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_vfs::{Env, File, FileSystem, OpenMode, OpenOptions};

use crate::base::{
    BaseError, BaseStore, Change, ChangeSource, ClockCache, CreateParams, EngineState, NoChanges,
};
use crate::core::{CONSUMERS, Core, FIRST_USER_TABLE, SYSTEM_TABLES, TABLES, View, log_dir, new_uuid};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::record::encode_mode;
use crate::transaction::{Layers, begin_own_snapshot};

/// The copy is written once and not read: a small cache does.
const CACHE_BYTES: usize = 4 << 20;

/// What a backup wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The moment that the copy shows.
    pub timestamp: Timestamp,
    /// Rows.
    pub rows: u64,
    /// Tables.
    pub tables: u64,
    /// Bytes of the copy.
    pub bytes: u64,
}

/// Copies the database to `path`, which must not exist.
pub(crate) fn backup(handle: &Arc<Handle>, path: &Path) -> Result<BackupReport> {
    let core = handle.core();
    core.check_process()?;
    // What nobody can reach by a name is copied to where names are: into the system's files.
    let real = handle.is_private().then(|| Env::real().files);
    let files = real.as_ref().unwrap_or(&core.env.files);
    let path =
        files.resolve(path).map_err(|error| Error::io(format!("resolving {}", path.display()), error))?;
    refuse_what_is_there(&**files, &path)?;
    let temporary = temporary_name(&path);
    // Before anything is cleaned up: what exists already is somebody else's.
    let file = files.open(&temporary, OpenOptions::new(OpenMode::CreateNew)).map_err(|error| {
        let exists = error.kind() == io::ErrorKind::AlreadyExists;
        let error = if exists { taken(UNFINISHED) } else { error };
        Error::io(format!("creating {}", temporary.display()), error)
    })?;
    let made = write(handle, Arc::clone(&file)).and_then(|report| {
        refuse_what_is_there(&**files, &path)?;
        if !is_still_named(&**files, &*file, &temporary) {
            return Err(Error::io(format!("renaming a backup to {}", path.display()), taken(REPLACED)));
        }
        give_name(&**files, &temporary, &path)?;
        Ok(report)
    });
    if made.is_err()
        && is_still_named(&**files, &*file, &temporary)
        && let Err(error) = files.remove_file(&temporary)
    {
        let path = temporary.clone();
        tell(move || {
            tracing::warn!(%error, path = %path.display(), "an unfinished backup could not be removed");
        });
    }
    made
}

/// What is said of a name that is not free.
const EXISTS: &str = "there is something already; give the path of a new file";
const LOG_EXISTS: &str = "beside it there is a log directory already (`-wal`), which would be taken for the backup's; give another path, or move it away";
const UNFINISHED: &str =
    "a backup was not finished here; if nobody is writing one now, remove it and call again";
const REPLACED: &str = "somebody has removed or replaced the file while it was being written; call again when nobody else backs up to here";

fn taken(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, words)
}

/// Refuses a name that is taken, or that has the log of another database beside it.
fn refuse_what_is_there(files: &dyn FileSystem, path: &Path) -> Result<()> {
    let looking = |path: &Path| {
        let context = format!("looking at {}", path.display());
        move |error| Error::io(context, error)
    };
    if files.identity(path).map_err(looking(path))?.is_some() {
        return Err(Error::io(format!("writing a backup to {}", path.display()), taken(EXISTS)));
    }
    let log = log_dir(path);
    if files.identity(&log).map_err(looking(&log))?.is_some() {
        return Err(Error::io(format!("writing a backup to {}", path.display()), taken(LOG_EXISTS)));
    }
    Ok(())
}

/// Whether `name` still stands for `file`. Where that cannot be told, it is somebody else's.
fn is_still_named(files: &dyn FileSystem, file: &dyn File, name: &Path) -> bool {
    matches!((file.identity(), files.identity(name)), (Ok(file), Ok(Some(named))) if file == named)
}

/// Gives a backup that is complete its final name, durably. Somebody may have taken that since it was looked at.
fn give_name(files: &dyn FileSystem, temporary: &Path, path: &Path) -> Result<()> {
    let renamed = if planted!(BackupReplaces) {
        files.rename(temporary, path)
    } else {
        files.rename_new(temporary, path)
    };
    renamed.map_err(|error| {
        let exists = error.kind() == io::ErrorKind::AlreadyExists;
        let error = if exists { taken(EXISTS) } else { error };
        Error::io(format!("renaming a backup to {}", path.display()), error)
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !planted!(BackupNameNotSynced) {
        let context = || {
            format!(
                "syncing the directory {} (the backup is whole and has its name, {}, which a power cut may take)",
                parent.display(),
                path.display()
            )
        };
        files.sync_dir(parent).map_err(|error| Error::io(context(), error))?;
    }
    Ok(())
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn write(handle: &Arc<Handle>, file: Arc<dyn File>) -> Result<BackupReport> {
    let core = handle.core();
    let snapshot = begin_own_snapshot(handle, Some("backup"))?;
    let view = snapshot.view()?;
    let timestamp = snapshot.timestamp();
    let state = EngineState {
        checkpoint_ts: timestamp.get(),
        checkpoint_lsn: 0,
        log_durable: 0,
        clock_reserved: timestamp.get(),
        next_table_id: core.tables.next_id(),
        journal_mode: encode_mode(core.journal_mode()),
        ..EngineState::default()
    };
    let params = CreateParams { page_bytes: core.base.page_bytes(), uuid: new_uuid(&core.env), state };
    let writing = |error| Error::from_base(error, "writing the backup");
    let cache = Arc::new(ClockCache::new(CACHE_BYTES));
    let (store, empty) = BaseStore::create(file, cache, &params).map_err(writing)?;
    let mut rows = Rows::new(core, view, timestamp)?;
    let tables = rows.tables.iter().filter(|table| table.0 >= FIRST_USER_TABLE).count() as u64;
    let base = store.fold(&empty, &mut rows, &[], state, &|| Ok(())).map_err(writing)?;
    // There is no log to go on from for a meta block that knows of no rows: both of them are to know all.
    if !planted!(BackupInOneMetaBlock) {
        store.fold(&base, &mut NoChanges, &[], state, &|| Ok(())).map_err(writing)?;
    }
    let bytes =
        store.file().len().map_err(|error| Error::io("asking for the length of the backup", error))?;
    Ok(BackupReport { timestamp, rows: rows.count, tables, bytes })
}

/// Every row that a snapshot sees, by table and key.
struct Rows<'a> {
    core: &'a Core,
    view: &'a View,
    at: Timestamp,
    /// The tables to come, the next one last.
    tables: Vec<TableId>,
    current: Option<(TableId, Layers)>,
    count: u64,
}

impl<'a> Rows<'a> {
    fn new(core: &'a Core, view: &'a View, at: Timestamp) -> Result<Self> {
        let mut tables = SYSTEM_TABLES.to_vec();
        // Where consumers stand is a place in a log that the backup does not have.
        tables.retain(|table| *table != CONSUMERS);
        let mut catalog = Layers::over(&core.base, view, TABLES, at);
        while catalog.step(view, None, Direction::Forward)? {
            let id = catalog.key().and_then(|key| key.try_into().ok()).map(u32::from_be_bytes);
            tables.push(TableId(
                id.ok_or_else(|| Error::Corrupt("a row of the catalog is malformed".to_owned()))?,
            ));
        }
        tables.reverse();
        Ok(Self { core, view, at, tables, current: None, count: 0 })
    }

    /// Goes to the next row; whether there is one.
    fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some((_, rows)) = &mut self.current
                && rows.step(self.view, None, Direction::Forward)?
            {
                return Ok(true);
            }
            let Some(table) = self.tables.pop() else { return Ok(false) };
            self.current = Some((table, Layers::over(&self.core.base, self.view, table, self.at)));
        }
    }
}

impl ChangeSource for Rows<'_> {
    fn next(&mut self) -> Result<Option<Change<'_>>, BaseError> {
        let caller = |error: Error| BaseError::Caller(Box::new(error));
        if !self.advance().map_err(caller)? {
            return Ok(None);
        }
        let Some((table, rows)) = &self.current else { return Ok(None) };
        self.count += u64::from(table.0 >= FIRST_USER_TABLE);
        let row = rows.row().map_err(caller)?;
        Ok(row.map(|(key, value)| Change { tree: (*table).into(), key, value: Some(value) }))
    }
}
