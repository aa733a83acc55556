//! Salvage: everything readable of a damaged database, into a new one, with a list of what was not.
//!
//! The damaged files are only read, and a part of one that cannot be read is a damaged part. First the rows of the database file, tree by tree, passing over damaged pages; then
//! the whole records of the log, in order, on top. Where the way down to rows is damaged, the leaves that hold them are
//! searched for. What comes after a gap in the log may build on what is missing: the new database is what can be had,
//! not a moment of the old one's history.
//!
//! A tree that the catalog does not name was made by a load, whose name may still come from the log. If it does not, and
//! nothing of the catalog or the log is missing, the load was never finished, and no row of it is saved.
//!
//! A sequence goes on after the last block that is known to be reserved; where the log has a gap, ids may come again.
//!
//! Tables go by their ids until the log is read: a rename in it may give one the name that another had. Then all of them get
//! the names that they had last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::{Bound, RangeBounds as _};
use std::path::Path;

use braid_mvstore::TableId;
use braid_vfs::sync::Arc;
use braid_vfs::{Env, FileIdentity, LockAttempt, LockKind, OpenMode, OpenOptions};
use braid_wal::{Log, LogOptions, Lsn, Recovery, RecoveryError, Salvage, ScanError};

use crate::base::{Base, BaseError, BaseStore, ClockCache, Loss, Orphans, PageSet, Piece, TreeId};
use crate::core::{
    CONSUMERS, FIRST_USER_TABLE, NAMES, SEQUENCES, TABLES, TOKENS, check_log_dir, lock_log, log_dir,
    sequence_row,
};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::limits::{MAX_TABLE_NAME_BYTES, MAX_TRANSACTION_BYTES, ROW_OVERHEAD_BYTES};
use crate::options::{Durability, Options};
use crate::record::{changes, kind};
use crate::schema::check_sequence_name;
use crate::sequence::SequenceOptions;
use crate::table::Table;
use crate::transaction::Transaction;

const CACHE_BYTES: usize = 16 << 20;
/// Rows are written to the new database in transactions of about this size.
const BATCH_BYTES: usize = 1 << 20;

/// Losses beyond these are counted and not told.
const LOSSES_TOLD: usize = 10_000;

/// What a salvage kept, and what it could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what was lost"]
pub struct SalvageReport {
    /// Tables in the new database.
    pub tables: u64,
    /// Rows read from the database file.
    pub rows: u64,
    /// Of these, how many at least were in pages that no whole page leads to: their place was found by searching the file.
    pub rows_without_parent: u64,
    /// Whether rows that were found so may be older than the last checkpoint, or deleted before it: what tells that apart is
    /// damaged too.
    pub may_be_old: bool,
    /// Transactions read from the log.
    pub commits: u64,
    /// Rows of tables in the database file that are known to be lost.
    pub lost_rows: u64,
    /// Whether there may be more lost ones, and nobody knows how many.
    pub more_lost_rows: bool,
    /// What could not be read, a sentence each; the first 10,000.
    pub losses: Vec<String>,
    /// How many more there are.
    pub more_losses: u64,
}

/// Saves what is readable of the database at `path` into a new one at `out`, which must not exist. Where that fails, `out` and
/// `out-wal` stay as far as they came: remove both before another try.
///
/// # Errors
/// When neither meta page is whole, when a file of the log cannot be opened or nothing of the log can be read, when the database
/// is open elsewhere, or when `out` exists or cannot be written. What a failing disk does not give of its files is no error: it is
/// lost, and told.
pub fn salvage(path: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<SalvageReport> {
    salvage_in(&Env::real(), path, out)
}

/// [`salvage`] with files, clock, randomness and threads of the caller's, for tests and simulations.
///
/// # Errors
/// See [`salvage`].
pub fn salvage_in(env: &Env, path: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<SalvageReport> {
    let (path, out) = (path.as_ref(), out.as_ref());
    let path =
        env.files.resolve(path).map_err(|error| Error::io(format!("resolving {}", path.display()), error))?;
    let opening = |error| Error::io(format!("opening {}", path.display()), error);
    if env.files.identity(&path).map_err(opening)?.is_none() {
        return Err(Error::NotFound(path));
    }
    let file = env.files.open(&path, OpenOptions::new(OpenMode::ReadOnly).without_link()).map_err(opening)?;
    if let LockAttempt::HeldBy(holder) = file.try_lock(LockKind::Shared).map_err(opening)? {
        return Err(Error::Locked { path, holder });
    }
    check_log_dir(&*env.files, &path)?;
    // Held while the log is read: another file may have had this name when the log was opened.
    let _log_lock = lock_log(&*env.files, &path, LockKind::Shared)?;
    let cache = Arc::new(ClockCache::new(CACHE_BYTES));
    let (opened, losses) =
        BaseStore::open_damaged(file, cache).map_err(|error| Error::from_opening(error, &path))?;

    let out =
        env.files.resolve(out).map_err(|error| Error::io(format!("resolving {}", out.display()), error))?;
    // It must be new: nothing is salvaged into a database that somebody uses.
    let creating = |error| Error::io(format!("creating {}", out.display()), error);
    let created = env
        .files
        .open(&out, OpenOptions::new(OpenMode::CreateNew))
        .and_then(|file| file.identity())
        .map_err(creating)?;
    // The same pages: smaller ones might not take the longest keys.
    let options = Options {
        durability: Durability::Deferred,
        page_bytes: opened.store.page_bytes() as usize,
        max_transaction_bytes: usize::try_from(MAX_TRANSACTION_BYTES).unwrap_or(usize::MAX),
        ..Options::default()
    };
    let directory_damaged = !losses.is_empty();
    let orphans = opened.store.find_orphans(&opened.base, directory_damaged, opened.other_damaged);
    let names_lost = directory_damaged || opened.other_damaged;
    let mut rescue = Rescue {
        seen: opened.store.no_pages(),
        target: open_unused(env, &out, created, options)?,
        names: BTreeMap::new(),
        names_lost,
        unnamed: BTreeSet::new(),
        dropped: BTreeSet::new(),
        store: opened.store,
        base: opened.base,
        tables: BTreeMap::new(),
        sequences: BTreeMap::new(),
        batch: None,
        report: SalvageReport {
            // Rows that come back though they were deleted count as found, and hide that others are lost.
            more_lost_rows: names_lost || orphans.may_be_old(),
            may_be_old: orphans.may_be_old(),
            ..SalvageReport::default()
        },
        orphans,
    };
    for Loss { page, error, rows, .. } in losses {
        rescue.report.lose(|| {
            format!("the directory, page {page}: the roots of {rows} table(s), with an unknown number of rows: {error}")
        });
    }
    if opened.other_damaged {
        let loss =
            "one of the two meta pages is damaged or cannot be read; what only that one knew of is missing";
        rescue.report.losses.push(loss.to_owned());
    }
    rescue.read_names()?;
    rescue.read_sequences()?;
    rescue.read_trees()?;
    rescue.read_log(env, &path)?;
    rescue.finish()
}

/// Opens the database that was made for what is saved, unless somebody else had its name for a while: then it may hold rows
/// of theirs.
fn open_unused(env: &Env, out: &Path, created: FileIdentity, options: Options) -> Result<Database> {
    let target = Database::open_in(env.clone(), out, options)?;
    let named =
        env.files.identity(out).map_err(|error| Error::io(format!("looking at {}", out.display()), error))?;
    if named == Some(created) && target.tables()?.is_empty() && target.sequences()?.is_empty() {
        return Ok(target);
    }
    let used = "somebody has made a database there meanwhile; give the path of a new file";
    let used = io::Error::new(io::ErrorKind::AlreadyExists, used);
    Err(Error::io(format!("salvaging into {}", out.display()), used))
}

impl SalvageReport {
    fn losses_in_all(&self) -> u64 {
        self.losses.len() as u64 + self.more_losses
    }

    fn lose(&mut self, what: impl FnOnce() -> String) {
        if self.losses.len() < LOSSES_TOLD {
            self.losses.push(what());
        } else {
            self.more_losses += 1;
        }
    }
}

/// The rows of a small tree.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is lost of one tree.
#[derive(Default)]
struct Losses {
    told: Vec<Loss>,
    more: u64,
    more_rows: u64,
}

impl Losses {
    fn add(&mut self, loss: Loss) {
        if self.told.len() < LOSSES_TOLD {
            self.told.push(loss);
        } else {
            self.more += 1;
            self.more_rows = self.more_rows.saturating_add(loss.rows);
        }
    }
}

struct Rescue {
    /// The damaged file.
    store: Arc<BaseStore>,
    base: Arc<Base>,
    /// Leaves of it that no whole page leads to.
    orphans: Orphans,
    /// Pages of it that were read.
    seen: PageSet,
    target: Database,
    names: BTreeMap<TableId, String>,
    /// A name may be missing.
    names_lost: bool,
    /// Tables whose trees wait for the log to name them, or to hold a row of them.
    unnamed: BTreeSet<TableId>,
    /// Tables that the log drops: the rows that the same transaction wrote to them come after that.
    dropped: BTreeSet<TableId>,
    tables: BTreeMap<TableId, Table>,
    /// The first ids that are not reserved.
    sequences: BTreeMap<String, u64>,
    batch: Option<(Transaction, usize)>,
    report: SalvageReport,
}

impl Rescue {
    fn lose(&mut self, loss: &Loss, found: u64) {
        let table = match TableId(loss.tree.0) {
            TABLES => "the names of tables".to_owned(),
            SEQUENCES => "the sequences".to_owned(),
            table => format!("table {}", self.name(table)),
        };
        self.report.lose(|| {
            let upper = loss.upper.as_ref();
            let upper = upper.map_or_else(|| "the end".to_owned(), |key| key.escape_ascii().to_string());
            let (lower, page) = (loss.lower.escape_ascii(), loss.page);
            if loss.upper.as_ref() == Some(&loss.lower) {
                return format!("{table}, page {page}: the value of \"{lower}\": {}", loss.error);
            }
            let of = if found > 0 { "some of " } else { "" };
            format!(
                "{table}, page {page}: {of}{} row(s) from \"{lower}\" to \"{upper}\": {}",
                loss.rows, loss.error
            )
        });
    }

    /// Tells the losses of a tree, of whose rows some were found all the same.
    fn lose_all(&mut self, losses: &Losses, found: u64) {
        losses.told.iter().for_each(|loss| self.lose(loss, found));
        self.report.more_losses += losses.more;
    }

    /// The rows of a small tree, and whether some are lost.
    fn read_small(&mut self, tree: TreeId) -> Result<(Rows, bool)> {
        let mut losses = Losses::default();
        let mut rows = Rows::new();
        let mut descended = 0;
        self.store
            .salvage(
                &self.base,
                tree,
                &self.orphans,
                &mut self.seen,
                &mut |piece| {
                    match piece {
                        Piece::Row { key, value, found } => {
                            descended += u64::from(!found);
                            rows.insert(key.to_vec(), value.to_vec());
                        }
                        Piece::Replaces { from, to } => {
                            rows.retain(|key: &Vec<u8>, _| {
                                !(Bound::Included(from), to).contains(key.as_slice())
                            });
                        }
                    }
                    Ok(())
                },
                &mut |loss| losses.add(loss),
            )
            .map_err(reading)?;
        self.lose_all(&losses, (rows.len() as u64).saturating_sub(descended));
        Ok((rows, !losses.told.is_empty()))
    }

    /// The names of tables, as far as the catalog can be read; others are called by their number.
    fn read_names(&mut self) -> Result<()> {
        let (rows, lost) = self.read_small(TABLES.into())?;
        let mut malformed = false;
        for (key, name) in rows {
            if let (Ok(id), Ok(name)) = (key.as_slice().try_into(), String::from_utf8(name)) {
                self.names.insert(TableId(u32::from_be_bytes(id)), name);
            } else {
                malformed = true;
            }
        }
        self.names_lost |= malformed || lost;
        // A table without rows has no tree.
        let ids: Vec<_> = self.names.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.table(id).map(drop))
    }

    fn read_sequences(&mut self) -> Result<()> {
        let (rows, _) = self.read_small(SEQUENCES.into())?;
        for (name, next) in rows {
            keep_sequence(&mut self.sequences, &name, Some(&next));
        }
        Ok(())
    }

    fn read_trees(&mut self) -> Result<()> {
        let trees: BTreeSet<_> =
            self.base.trees().chain(self.orphans.trees()).map(|TreeId(tree)| tree).collect();
        for tree in trees.into_iter().filter(|tree| *tree >= FIRST_USER_TABLE) {
            let table = TableId(tree);
            if self.names_lost || self.names.contains_key(&table) {
                self.read_tree(table)?;
            } else {
                self.unnamed.insert(table);
            }
        }
        Ok(())
    }

    fn read_tree(&mut self, table: TableId) -> Result<()> {
        let (store, base) = (Arc::clone(&self.store), Arc::clone(&self.base));
        let mut losses = Losses::default();
        let mut seen = std::mem::take(&mut self.seen);
        let orphans = std::mem::take(&mut self.orphans);
        let mut descended = 0;
        let salvaged = store.salvage(
            &base,
            table.into(),
            &orphans,
            &mut seen,
            &mut |piece| {
                match piece {
                    Piece::Row { key, value, found } => {
                        descended += u64::from(!found);
                        self.put(table, key, Some(value))
                    }
                    Piece::Replaces { from, to } => self.clear(table, from, to),
                }
                .map_err(|error| BaseError::Caller(Box::new(error)))
            },
            &mut |loss| losses.add(loss),
        );
        self.seen = seen;
        let has_orphans = orphans.has(table.into());
        self.orphans = orphans;
        salvaged.map_err(reading)?;
        let mut rows = descended;
        if has_orphans {
            self.flush()?;
            let kept = self.table(table)?;
            rows = self.target.snapshot()?.count(&kept)?;
        }
        let found = rows.saturating_sub(descended);
        self.report.rows += rows;
        self.report.rows_without_parent += found;
        let lost = losses.told.iter().map(|loss| loss.rows).fold(losses.more_rows, u64::saturating_add);
        self.report.lost_rows = self.report.lost_rows.saturating_add(lost.saturating_sub(found));
        self.lose_all(&losses, found);
        Ok(())
    }

    /// The rows that a table has in the base come before those that the log has of it.
    fn read_awaited_tree(&mut self, table: TableId) -> Result<()> {
        if self.unnamed.remove(&table) { self.read_tree(table) } else { Ok(()) }
    }

    fn read_log(&mut self, env: &Env, path: &Path) -> Result<()> {
        let told = self.report.losses_in_all();
        self.read_records(env, path)?;
        if self.report.losses_in_all() > told {
            self.report.more_lost_rows = true;
            // Whether they were named is not known.
            let unnamed = std::mem::take(&mut self.unnamed);
            unnamed.into_iter().try_for_each(|table| self.read_tree(table))?;
        }
        Ok(())
    }

    fn read_records(&mut self, env: &Env, path: &Path) -> Result<()> {
        let dir = log_dir(path);
        let (store, state) = (Arc::clone(&self.store), *self.base.state());
        let start = match Lsn::new(state.checkpoint_lsn) {
            // A meta page from before the log. Where there is one all the same, the page that knows of it is damaged.
            Lsn::ZERO if Log::exists(&*env.files, &dir).is_ok_and(|exists| exists) => Lsn::FIRST,
            Lsn::ZERO => return Ok(()),
            start => start,
        };
        // A recovery that was cut short may have left a base that is ahead of where replay starts.
        let in_base = state.checkpoint_ts;
        // Where the base knows the log durable, it was on the disk once.
        let (uuid, proven, options) = (store.uuid(), Lsn::new(state.log_durable), LogOptions::default());
        let salvaged = Recovery::salvage(&*env.files, &dir, uuid, start, proven, &options, |piece| {
            match piece {
                Salvage::Record(record) if record.kind == kind::COMMIT && record.tag > in_base => {
                    self.replay(record.payload)?;
                }
                Salvage::Skipped { segment, offset, bytes, unreadable } => self.report.lose(|| {
                    let cause = match unreadable {
                        0 => String::new(),
                        unreadable => format!("; {unreadable} of them cannot be read"),
                    };
                    format!(
                        "log segment {segment:016x}: {bytes} byte(s) at {offset} hold no whole record{cause}"
                    )
                }),
                Salvage::SkippedSegment { segment } => {
                    self.report.lose(|| format!("log segment {segment:016x}: nothing could be read"));
                }
                Salvage::Missing { from, to: Some(to) } => {
                    self.report
                        .lose(|| format!("the log: what it held from position {from} to {to} is missing"));
                }
                Salvage::Missing { from, to: None } => {
                    self.report.lose(|| format!("the log: what it held from position {from} on is missing"));
                }
                _ => {}
            }
            Ok(())
        });
        match salvaged {
            Ok(_) => Ok(()),
            Err(ScanError::Stopped(error)) => Err(error),
            // Not a place of it that is damaged: what could be read elsewhere is not to pass for all that there is.
            Err(ScanError::Recovery(error)) => Err(cannot_read_log(error, &dir)),
        }
    }

    fn replay(&mut self, payload: &[u8]) -> Result<()> {
        self.report.commits += 1;
        for change in changes(payload) {
            let Ok(change) = change else {
                self.report.lose(|| "a log record is malformed".to_owned());
                break;
            };
            match (change.table, change.value) {
                (TABLES, Some(name)) => {
                    if let (Ok(id), Ok(name)) = (change.key.try_into(), std::str::from_utf8(name)) {
                        let id = TableId(u32::from_be_bytes(id));
                        self.names.insert(id, name.to_owned());
                        self.table(id)?;
                        self.read_awaited_tree(id)?;
                    }
                }
                (TABLES, None) => {
                    if let Ok(id) = change.key.try_into() {
                        self.drop_table(TableId(u32::from_be_bytes(id)))?;
                    }
                }
                // Names are the other half of the catalog; tokens and positions in the log tell of commits, of which some may be
                // lost.
                (NAMES | TOKENS | CONSUMERS, _) => {}
                (SEQUENCES, next) => keep_sequence(&mut self.sequences, change.key, next),
                (table, _) if self.dropped.contains(&table) => {}
                (table, value) => {
                    self.read_awaited_tree(table)?;
                    self.put(table, change.key, value)?;
                }
            }
        }
        Ok(())
    }

    fn name(&self, id: TableId) -> String {
        let possible = |name: &&String| (1..=MAX_TABLE_NAME_BYTES).contains(&name.len());
        self.names.get(&id).filter(possible).cloned().unwrap_or_else(|| format!("table-{id}"))
    }

    fn table(&mut self, id: TableId) -> Result<Table> {
        if let Some(table) = self.tables.get(&id) {
            return Ok(table.clone());
        }
        // Making a table is a transaction of its own, and the database takes one at a time.
        self.flush()?;
        let table = self.target.table(&provisional_name(id))?;
        self.tables.insert(id, table.clone());
        Ok(table)
    }

    fn drop_table(&mut self, id: TableId) -> Result<()> {
        self.flush()?;
        self.unnamed.remove(&id);
        self.dropped.insert(id);
        if let Some(table) = self.tables.remove(&id) {
            self.target.drop_table(table.name())?;
        }
        self.names.remove(&id);
        Ok(())
    }

    fn put(&mut self, id: TableId, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let table = self.table(id)?;
        let (tx, bytes) = match &mut self.batch {
            Some(batch) => batch,
            empty => empty.insert((self.target.begin_immediate()?, 0)),
        };
        match value {
            Some(value) => tx.put(&table, key, value)?,
            None => tx.delete(&table, key)?,
        }
        *bytes += ROW_OVERHEAD_BYTES + key.len() + value.map_or(0, <[u8]>::len);
        if *bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes back what older pages said of a range.
    fn clear(&mut self, id: TableId, from: &[u8], to: Bound<&[u8]>) -> Result<()> {
        let table = self.table(id)?;
        let (tx, bytes) = match &mut self.batch {
            Some(batch) => batch,
            empty => empty.insert((self.target.begin_immediate()?, 0)),
        };
        let cleared = tx.delete_range::<&[u8]>(&table, (Bound::Included(from), to))?;
        *bytes += ROW_OVERHEAD_BYTES * usize::try_from(cleared).unwrap_or(usize::MAX / ROW_OVERHEAD_BYTES);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if let Some((tx, _)) = self.batch.take() {
            tx.commit()?;
        }
        Ok(())
    }

    /// Gives the tables the names that they had. Where two had one, as no sound catalog says, the second is called by its
    /// number.
    fn rename_all(&mut self) -> Result<()> {
        let mut tx = self.target.begin_immediate()?;
        for (id, table) in &self.tables {
            let names = [self.name(*id), format!("table-{id}")];
            for name in names {
                match tx.rename_table(table.name(), &name) {
                    Err(Error::TableExists(_)) => {}
                    renamed => {
                        renamed?;
                        break;
                    }
                }
            }
        }
        tx.commit().map(drop)
    }

    fn finish(mut self) -> Result<SalvageReport> {
        self.flush()?;
        self.rename_all()?;
        for (name, next) in std::mem::take(&mut self.sequences) {
            let options = SequenceOptions { start: next, ..SequenceOptions::default() };
            self.target.sequence_with(&name, options)?;
        }
        self.report.tables = self.target.tables()?.len() as u64;
        self.tables.clear();
        self.target.close()?;
        Ok(self.report)
    }
}

/// What cannot be a sequence's row is passed over.
fn keep_sequence(sequences: &mut BTreeMap<String, u64>, name: &[u8], next: Option<&[u8]>) {
    let Ok(name) = std::str::from_utf8(name) else { return };
    match next.map(sequence_row) {
        Some(Some(next)) if check_sequence_name(name).is_ok() => {
            sequences.insert(name.to_owned(), next);
        }
        Some(_) => {}
        None => {
            sequences.remove(name);
        }
    }
}

fn provisional_name(id: TableId) -> String {
    format!("salvaged table {id}")
}

fn cannot_read_log(error: RecoveryError, dir: &Path) -> Error {
    let RecoveryError::Io { action, path, source } = error else {
        return Error::from_recovery(error, dir);
    };
    let what = format!(
        "could not {action} {}; let it be read, or move {} away to save what the database file holds without it",
        path.display(),
        dir.display()
    );
    Error::io(what, source)
}

fn reading(error: BaseError) -> Error {
    Error::from_base(error, "reading the damaged database file")
}
