//! Opening and closing a core.
//!
//! A new database is made in this order, so that a crash leaves nothing, or something that the next open finishes:
//!
//! 1. the empty file, locked;
//! 2. its meta pages, which say that there is no log yet (`checkpoint_lsn` 0), synced with the directory;
//! 3. the log's directory and first segment, synced;
//! 4. a meta page that says where the log begins.
//!
//! Locked are the file and the directory of its log: a file that was replaced by another leaves the name of the log where
//! it was, and two cores of two files must not share it. The file that is locked is the one that the caller asked for, and
//! still has the name; otherwise it was replaced meanwhile.
//!
//! A log that lies beside an empty file belongs to a database that is no longer there: it is refused, not overwritten.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use braid_mvstore::{Direction, TableId, Timestamp};
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_vfs::sync::atomic::Ordering;
use braid_vfs::{Env, File, FileIdentity, FileSystem, LockAttempt, LockKind, OpenMode, OpenOptions, survive};
use braid_wal::{Appender, Log, LogHistory, LogOptions, Lsn, MapPolicy, Recovery, RecoveryError, ScanError};

use super::append::append_outside_section;
use super::budget::{rows_bytes, seal_bytes};
use super::clock::{CommitClock, RESERVATION, timestamp};
use super::recovery::{self, Replayed, Room, log_dir};
use super::sequences::SEQUENCES;
use super::shared::{Core, Parts, Writer, WriterParts};
use super::tables::{CONSUMERS, NAMES, Tables, is_users_table};
use super::view::View;
use crate::base::{Base, BaseCursor, BaseStore, ClockCache, CreateParams, EngineState, Opened};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::record::{self, kind};

static NEXT_CORE: AtomicU64 = AtomicU64::new(1);

/// What to open, and how.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) env: Env,
    /// Resolved: no symbolic link in it.
    pub(crate) path: PathBuf,
    /// Which file the caller has found there; `None` for one that nobody else can reach.
    pub(crate) identity: Option<FileIdentity>,
    pub(crate) options: Options,
    pub(crate) read_only: bool,
}

/// Opens the core of a file, making the file a database if it is empty and may become one.
pub(crate) fn open(request: OpenRequest) -> Result<Arc<Core>> {
    later(|| open_now(request))
}

fn open_now(request: OpenRequest) -> Result<Arc<Core>> {
    let began = request.env.clock.now();
    let mut locks = vec![lock(&request)?];
    let mut unless_opened = UnlockOnDrop(locks.clone());
    check_log_dir(&*request.env.files, &request.path)?;
    let kind = if request.read_only { LockKind::Shared } else { LockKind::Exclusive };
    locks.extend(lock_log(&*request.env.files, &request.path, kind)?);
    unless_opened.0.clone_from(&locks);
    let (store, base, other_damaged) = open_store(&request)?;
    let path = request.path.clone();
    let opened = if request.read_only {
        open_read_only(request, store, base, locks)
    } else {
        open_read_write(request, store, base, locks)
    };
    let core = Arc::new(opened.map_err(|error| match error {
        Error::Mismatch(_) if other_damaged => {
            newer_meta_page_lost(&path, "its log does not go with the other one")
        }
        error => error,
    })?);
    let start =
        || core.start_background().map_err(|error| Error::io("starting the background threads", error));
    let started = core.fold_after_short_lives().and_then(|()| start());
    if started.is_err()
        && let Err(error) = core.shut_down()
    {
        tell(move || tracing::warn!(error = %error.in_full(), "an open that failed was not closed cleanly"));
    }
    unless_opened.0.clear();
    started?;
    let (path, read_only, last_commit) = (core.path.clone(), core.writer.is_none(), core.installed_ts());
    let duration = core.env.clock.now().saturating_sub(began);
    tell(move || tracing::info!(?path, read_only, %last_commit, ?duration, "opened"));
    Ok(core)
}

/// Locks that an open gives up when it fails. At once: closing the descriptors may come too late, as a child process that was
/// forked meanwhile has them too until it starts its program.
struct UnlockOnDrop(Vec<Arc<dyn File>>);

impl Drop for UnlockOnDrop {
    fn drop(&mut self) {
        for locked in self.0.drain(..).rev() {
            // It may be a panic of the file's that ends the open: another would end the process.
            if let Some(Err(error)) = survive(|| locked.unlock()) {
                tell(move || tracing::debug!(%error, "a lock goes with its descriptor"));
            }
        }
    }
}

/// Takes the file's lock, on an open file of its own that is closed with the core.
fn lock(request: &OpenRequest) -> Result<Arc<dyn File>> {
    let (mode, kind) = if request.read_only {
        (OpenMode::ReadOnly, LockKind::Shared)
    } else {
        (OpenMode::ReadWrite, LockKind::Exclusive)
    };
    let context = || format!("opening {}", request.path.display());
    let file =
        request.env.files.open(&request.path, OpenOptions::new(mode).without_link()).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::NotFound(request.path.clone())
            } else {
                Error::io(context(), error)
            }
        })?;
    if planted!(LockNotTaken) {
        return Ok(file);
    }
    match file.try_lock(kind).map_err(|error| Error::io(context(), error))? {
        LockAttempt::Acquired => {}
        LockAttempt::HeldBy(holder) => return Err(Error::Locked { path: request.path.clone(), holder }),
    }
    let mut unless_right = UnlockOnDrop(vec![Arc::clone(&file)]);
    refuse_replaced(request, &*file)?;
    unless_right.0.clear();
    Ok(file)
}

/// Refuses a file that is not the one that was asked for, or that has lost its name since: nobody would find the commits.
fn refuse_replaced(request: &OpenRequest, file: &dyn File) -> Result<()> {
    let Some(wanted) = request.identity else { return Ok(()) };
    let context = || format!("opening {}", request.path.display());
    let opened = file.identity().map_err(|error| Error::io(context(), error))?;
    let named = request.env.files.identity(&request.path).map_err(|error| Error::io(context(), error))?;
    if opened == wanted && named == Some(wanted) {
        return Ok(());
    }
    let replaced = "the file was replaced by another while it was being opened; open it again";
    Err(Error::io(context(), io::Error::new(io::ErrorKind::ResourceBusy, replaced)))
}

/// Locks the directory of the log of the database at `path`, if there is one and the file system can: some lock files only.
pub(crate) fn lock_log(files: &dyn FileSystem, path: &Path, kind: LockKind) -> Result<Option<Arc<dyn File>>> {
    let dir = log_dir(path);
    let directory = match files.open_dir(&dir) {
        Ok(Some(directory)) => directory,
        Ok(None) => return Ok(None),
        // Who may not read it is told so by whoever has to.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::io(format!("opening {}", dir.display()), error)),
    };
    match directory.try_lock(kind) {
        Ok(LockAttempt::Acquired) => Ok(Some(directory)),
        Ok(LockAttempt::HeldBy(holder)) => Err(Error::Locked { path: dir, holder }),
        Err(error) => {
            tell(move || tracing::debug!(%error, "the directory of the log cannot be locked"));
            Ok(None)
        }
    }
}

/// Refuses a log directory that somebody may have planted, before anything is read from it or put into it.
pub(crate) fn check_log_dir(files: &dyn FileSystem, path: &Path) -> Result<()> {
    let dir = log_dir(path);
    match files.check_own_dir(&dir, path) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::NotADirectory => Err(Error::Untrusted {
                path: dir,
                reason: "the log lies in a directory of that name, and what is there is a symbolic link or a file",
            }),
            io::ErrorKind::PermissionDenied => Err(Error::Untrusted {
                path: dir,
                reason: "it belongs to another user, and everybody may put a directory there",
            }),
            _ => Err(Error::io(format!("looking at {}", dir.display()), error)),
        },
    }
}

/// What is said when nothing goes with the meta page that is whole: no other file was put there, this one is damaged.
fn newer_meta_page_lost(path: &Path, why: &str) -> Error {
    Error::Corrupt(format!(
        "{}: the newer one of its two meta pages is damaged ({why}); restore a backup, or save what it holds with `braid salvage`",
        path.display()
    ))
}

/// Opens the store or makes it; with whether one of its meta pages is damaged.
fn open_store(request: &OpenRequest) -> Result<(Arc<BaseStore>, Arc<Base>, bool)> {
    let path = &request.path;
    let from_base = |error| Error::from_opening(error, path);
    let mode = if request.read_only { OpenMode::ReadOnly } else { OpenMode::ReadWrite };
    let file = request
        .env
        .files
        .open(path, OpenOptions::new(mode).without_link())
        .map_err(|error| Error::io(format!("opening {}", path.display()), error))?;
    refuse_replaced(request, &*file)?;
    let page_bytes = u32::try_from(request.options.page_bytes).unwrap_or(u32::MAX);
    let cache = request
        .options
        .page_cache
        .clone()
        .unwrap_or_else(|| Arc::new(ClockCache::for_pages_of(page_bytes, request.options.cache_bytes)));
    match BaseStore::open(Arc::clone(&file), Arc::clone(&cache), request.read_only).map_err(from_base)? {
        Opened::Ready(opened) => {
            if opened.other_damaged {
                let path = path.clone();
                tell(move || {
                    tracing::warn!(
                        path = %path.display(),
                        "one of the two meta pages is damaged; the log tells if it matters"
                    );
                });
            }
            // A creation that was cut short leaves two meta pages and no more; and whatever comes after it has a log, or, as a
            // backup, both meta pages for its rows.
            if opened.other_damaged
                && opened.has_unknown_pages
                && !has_log(&opened.base)
                && !planted!(EmptyForALostMetaPage)
            {
                return Err(newer_meta_page_lost(path, "the other one is from before the first row"));
            }
            if !request.read_only {
                opened.store.confirm().map_err(from_base)?;
            }
            Ok((opened.store, opened.base, opened.other_damaged))
        }
        Opened::Unfinished if request.read_only || !request.options.create => {
            refuse_orphaned_log(request)?;
            let reason = "it is empty, or its creation was cut short".to_owned();
            Err(Error::NotABraidDatabase { path: path.clone(), reason })
        }
        Opened::Unfinished => {
            refuse_orphaned_log(request)?;
            let params = CreateParams {
                page_bytes,
                uuid: new_uuid(&request.env),
                state: EngineState {
                    journal_mode: record::encode_mode(request.options.journal_mode.unwrap_or_default()),
                    ..EngineState::default()
                },
            };
            let created = BaseStore::create(file, cache, &params).map_err(from_base)?;
            sync_parent(request)?;
            let (store, base) = created;
            Ok((store, base, false))
        }
    }
}

/// An identity that no other database has.
pub(crate) fn new_uuid(env: &Env) -> [u8; 16] {
    let high = u128::from(env.random.next_u64()) << 64;
    (high | u128::from(env.random.next_u64())).to_le_bytes()
}

fn sync_parent(request: &OpenRequest) -> Result<()> {
    let parent = request.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    request
        .env
        .files
        .sync_dir(parent)
        .map_err(|error| Error::io(format!("syncing the directory {}", parent.display()), error))
}

fn refuse_orphaned_log(request: &OpenRequest) -> Result<()> {
    let dir = log_dir(&request.path);
    if log_exists(&*request.env.files, &dir)? {
        return Err(Error::Mismatch(format!(
            "{} is empty or new, and {} holds the log of another database; put that database's file back, or remove the directory if the database was deleted",
            request.path.display(),
            dir.display()
        )));
    }
    Ok(())
}

fn log_options(options: &Options, permissions: u32) -> LogOptions {
    let usual = LogOptions::default();
    LogOptions {
        first_segment_bytes: usual.first_segment_bytes.min(options.log_segment_bytes),
        max_segment_bytes: options.log_segment_bytes,
        max_spare_bytes: options.log_bytes,
        mapping: if options.map_log { MapPolicy::Auto } else { MapPolicy::Never },
        permissions,
        ..usual
    }
}

fn open_read_only(
    request: OpenRequest,
    store: Arc<BaseStore>,
    base: Arc<Base>,
    locks: Vec<Arc<dyn File>>,
) -> Result<Core> {
    let generation_bytes = seal_bytes(request.options.row_store_bytes);
    let options = log_options(&request.options, 0o600);
    let (replayed, history) = if has_log(&base) {
        let (replayed, recovered) =
            recovery::replay(&request.env, &store, base, &request.path, &options, generation_bytes)?;
        (replayed, Some(recovered.into_history(&request.env, &options)))
    } else {
        find_unfinished_log(&request, &store, &options)?;
        (Replayed::nothing_after(base, &request.path, generation_bytes)?, None)
    };
    join(request, store, locks, replayed, history, None)
}

fn open_read_write(
    request: OpenRequest,
    store: Arc<BaseStore>,
    base: Arc<Base>,
    mut locks: Vec<Arc<dyn File>>,
) -> Result<Core> {
    read_system_trees(&store, &base)?;
    let permissions =
        store.file().mode().map_err(|error| Error::io("reading the file's permissions", error))?;
    let options = log_options(&request.options, permissions);
    let from_log = |error| Error::from_log(error, "starting the log");
    let generation_bytes = seal_bytes(request.options.row_store_bytes);
    let room =
        Room { generation: generation_bytes, row_store: Some(rows_bytes(request.options.row_store_bytes)) };
    let (replayed, (log, appender)) = if has_log(&base) {
        recovery::replay_into_log(&request.env, &store, base, &request.path, options, room)?
    } else {
        let dir = log_dir(&request.path);
        if find_unfinished_log(&request, &store, &options)? {
            Log::remove_segments(&*request.env.files, &dir)
                .map_err(|error| Error::from_log(error, "removing an unfinished log"))?;
        }
        let started = Log::create(&request.env, &dir, store.uuid(), options).map_err(from_log)?;
        // Its directory may be another one now, and not of our making if there was none before.
        check_log_dir(&*request.env.files, &request.path)?;
        for old in locks.drain(1..) {
            old.unlock().map_err(|error| Error::io("unlocking the directory of the log", error))?;
        }
        locks.extend(lock_log(&*request.env.files, &request.path, LockKind::Exclusive)?);
        let lsn = started.0.appended().get();
        let state = EngineState { checkpoint_lsn: lsn, log_durable: lsn, ..*base.state() };
        let (base, _) = super::checkpoint::fold(&store, &base, &[], state, &|| Ok(()))
            .map_err(|error| Error::from_opening(error, &request.path))?;
        (Replayed::nothing_after(base, &request.path, generation_bytes)?, started)
    };
    let (appender, clock) = reserve(&replayed, &log, appender)?;
    join(request, store, locks, replayed, None, Some((log, appender, clock)))
}

/// Reads what every open needs of the base, before the log is written: it begins a segment at each open, and whoever
/// tries again and again must not fill the disk because of a page that cannot be read.
fn read_system_trees(store: &Arc<BaseStore>, base: &Base) -> Result<()> {
    for tree in [NAMES, SEQUENCES, CONSUMERS] {
        let mut rows = BaseCursor::within(Arc::clone(store), base, tree.into());
        let mut more = rows.first();
        while more.map_err(|error| Error::from_base(error, "reading the catalog"))? {
            more = rows.next();
        }
    }
    Ok(())
}

/// Whether the base says where its log begins. A new database, and a backup, have none yet.
fn has_log(base: &Base) -> bool {
    base.state().checkpoint_lsn != 0
}

/// Looks beside a base that knows of no log: whether there is one of a creation that was cut short, which holds no record of
/// the engine's. Any other is refused: it belongs to another database, or to this one and its newest meta page is damaged.
fn find_unfinished_log(request: &OpenRequest, store: &BaseStore, options: &LogOptions) -> Result<bool> {
    let files = &*request.env.files;
    let dir = log_dir(&request.path);
    if !log_exists(files, &dir)? {
        return Ok(false);
    }
    let mut records = 0;
    let scanned = Recovery::scan(files, &dir, store.uuid(), Lsn::FIRST, Lsn::ZERO, options, |_| {
        records += 1;
        Ok::<_, Infallible>(())
    });
    if let Err(ScanError::Recovery(error @ RecoveryError::Io { .. })) = scanned {
        return Err(Error::from_recovery(error, &request.path));
    }
    if records > 0 || scanned.is_err() {
        return Err(Error::parted(format_args!(
            "{} says that it has no log yet, but {} holds one",
            request.path.display(),
            dir.display()
        )));
    }
    Ok(true)
}

fn log_exists(files: &dyn FileSystem, dir: &Path) -> Result<bool> {
    Log::exists(files, dir).map_err(|error| Error::from_log(error, "looking for a log"))
}

/// Reserves the first timestamps to come, durably.
fn reserve(replayed: &Replayed, log: &Log, mut appender: Appender) -> Result<(Appender, CommitClock)> {
    let last = replayed.said.clock_floor;
    let reserved = timestamp(last.get().saturating_add(RESERVATION));
    let mut record = record::of_kind(kind::CLOCK_RESERVE, &record::encode_timestamp(reserved));
    let end = append_outside_section(log, &mut appender, &mut record, replayed.said.last_ts)?;
    if !planted!(ReservationNotSynced) {
        log.sync_through(end).map_err(Error::from_sync)?;
    }
    Ok((appender, CommitClock::new(last, reserved)))
}

fn join(
    request: OpenRequest,
    store: Arc<BaseStore>,
    locks: Vec<Arc<dyn File>>,
    replayed: Replayed,
    history: Option<LogHistory>,
    writer: Option<(Arc<Log>, Appender, CommitClock)>,
) -> Result<Core> {
    if replayed.said.commits > 0 {
        let (path, commits) = (request.path.clone(), replayed.said.commits);
        tell(move || tracing::info!(path = %path.display(), commits, "replayed the log"));
    }
    let id = NEXT_CORE.fetch_add(1, Ordering::Relaxed);
    let view = View {
        id: 1,
        active: replayed.generation,
        sealed: replayed.sealed,
        base: replayed.base,
        retired: Vec::new(),
        validation_floor: Timestamp::ZERO,
    };
    let rights = replayed.rights;
    let core = Core::new(Parts {
        id,
        env: request.env,
        path: request.identity.map(|_| request.path),
        options: request.options,
        base: store,
        locks,
        tables: Tables::new(id),
        mode: replayed.said.mode,
        view,
        last_ts: replayed.said.last_ts,
        history,
        writer: writer.map(|(log, appender, clock)| WriterParts { log, appender, clock, rights }),
    });
    if !planted!(TableIdReused) {
        core.tables.reserve_ids(replayed.said.next_table_id);
    }
    core.load_catalog()?;
    core.load_sequences()?;
    core.load_consumers()?;
    core.drop_orphans()?;
    Ok(core)
}

impl Core {
    /// Fills the map of tables from their rows.
    fn load_catalog(&self) -> Result<()> {
        let view = self.current_view();
        let mut rows = crate::transaction::Layers::over(&self.base, &view, NAMES, self.installed_ts());
        while rows.step(&view, None, Direction::Forward)? {
            let Some((name, id)) = rows.row()? else { break };
            let id = id.try_into().map(|id| TableId(u32::from_le_bytes(id))).ok().filter(is_users_table);
            let (Ok(name), Some(id)) = (std::str::from_utf8(name), id) else {
                return Err(Error::Corrupt("a row of the catalog is malformed".to_owned()));
            };
            if !self.tables.insert_found(id, name) {
                return Err(Error::Corrupt(format!("the catalog gives table {id} two names")));
            }
        }
        Ok(())
    }

    /// Ends the core: background threads joined, log closed, lock released. Nothing is written by a fork of the process
    /// that opened it, nor after a failed sync.
    pub(crate) fn shut_down(&self) -> Result<()> {
        if self.check_process().is_err() {
            return Ok(());
        }
        self.shut.store(true, Ordering::SeqCst);
        later(|| {
            let closed = catch_unwind(AssertUnwindSafe(|| match &self.writer {
                Some(writer) if !writer.closed.swap(true, Ordering::AcqRel) => self.close_log(writer),
                _ => Ok(()),
            }));
            self.release_lock();
            closed.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn close_log(&self, writer: &Writer) -> Result<()> {
        writer.log.wake_watchers();
        writer.background.stop(&writer.log);
        let mut section = writer.section.lock();
        let last = section.clock.last();
        let Some(mut appender) = section.appender.take() else { return Ok(()) };
        drop(section);
        if writer.log.is_poisoned() {
            return Ok(());
        }
        let mut exact = record::of_kind(kind::CLOCK_EXACT, &record::encode_timestamp(last));
        // Without room for it the next open begins where the reservation ends. What was acknowledged is synced all the same, and
        // the log's own closing record has its room.
        let recorded = append_outside_section(&writer.log, &mut appender, &mut exact, last);
        let closed = writer.log.close(appender).map_err(|error| Error::from_log(error, "closing the log"));
        recorded.and(closed)?;
        let path = self.path.clone();
        tell(move || tracing::info!(?path, last_commit = %last, "closed"));
        Ok(())
    }
}
