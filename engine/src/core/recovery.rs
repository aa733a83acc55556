//! Replay: the log after the base becomes the row store.
//!
//! The scan reads and never writes. Rows go, by a [thread of their own](filling), into a generation with the timestamps
//! they were committed at. When that is as large as one becomes it is sealed, and the rest goes into another: the row store is
//! as it was, or as a checkpoint that did not end had left it, and the first checkpoint folds what is sealed while the
//! database is in use. So an open does not pay for a fold, however the log came about, unless it holds more than the row
//! store may.
//!
//! Then the rest of the log is only looked through, unless the file is open read-only. When the log is on the disk and goes on,
//! what there was no room for is read once more, from where the rows ended, and all is folded on the way. Not earlier: what a scan
//! reads may be in the page cache alone. After a power cut the base would hold commits that the log has not, and whoever
//! follows the log would miss them.
//!
//! A fold that fails, on a full disk or over a page that cannot be read, is no reason not to open: the database file is as it
//! was, and the rest of the log goes into memory, however much it is, as it does at a read-only open. The checkpoint that the open
//! asks for tries again. After a failed sync nobody knows what is in the file, and the open fails.
//!
//! Such a fold does not move the place where replay starts, and replay passes over commits that the base holds already. The
//! log is let go only by later checkpoints.

use std::iter;
use std::path::{Path, PathBuf};

use braid_mvstore::{Generation, InstallRights, TableId, Timestamp};
use braid_vfs::Env;
use braid_vfs::events::tell;
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_wal::{Appender, Log, LogOptions, Lsn, ReadError, RecordKind, Recovered, Recovery, ScanError};

use self::filling::Filling;
use super::clock::timestamp;
use super::tables::{FIRST_USER_TABLE, TABLES, is_table};
use crate::base::{Base, BaseError, BaseStore, EngineState};
use crate::error::{Error, Result};
use crate::options::JournalMode;
use crate::record::{self, Malformed, changes, decode_mode, decode_timestamp, kind};

mod filling;

/// Where the log of the database at `path` lies, or would lie: in a directory beside the file, of its name with `-wal` behind.
/// For whoever has no handle: who looks whether a path is free, or moves both. [`Database::log_dir`] knows it of a database
/// that is open.
///
/// The log lies beside the file itself: where `path` is a symbolic link, it is the path that the link leads to that counts.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(braid::log_dir("shops/main.braid"), Path::new("shops/main.braid-wal"));
/// ```
///
/// [`Database::log_dir`]: crate::Database::log_dir
#[must_use]
pub fn log_dir(path: impl AsRef<Path>) -> PathBuf {
    let mut name = path.as_ref().as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// What a log says, replayed.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) base: Arc<Base>,
    /// What came after the base, newest first, for a checkpoint to fold.
    pub(super) sealed: Vec<Arc<Generation>>,
    /// Everything after that. It takes the commits to come.
    pub(super) generation: Arc<Generation>,
    pub(super) rights: InstallRights,
    pub(super) said: Said,
}

/// What a log says beside its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The newest commit.
    pub(super) last_ts: Timestamp,
    /// No timestamp up to here may be issued again.
    pub(super) clock_floor: Timestamp,
    pub(super) mode: JournalMode,
    pub(super) next_table_id: u32,
    pub(super) commits: u64,
}

/// What the rows of a log may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// A generation, before it is sealed.
    pub(super) generation: usize,
    /// All of them together, before they are folded; `None` for a file that is not written.
    pub(super) row_store: Option<usize>,
}

/// A replay that is under way.
struct Replay<'a> {
    store: &'a BaseStore,
    path: &'a Path,
    base: Arc<Base>,
    /// A generation between the base and `rows`.
    sealed: Option<Arc<Generation>>,
    rows: Filling,
    room: Room,
    said: Said,
    /// The newest commit that the scan has delivered.
    last_read: Timestamp,
    /// What the base held before the scan.
    in_base: Timestamp,
    /// From where on there was no room for rows.
    rest: Option<Rest>,
    max_key_bytes: usize,
}

/// Where a replay goes on when what it has is folded, and how it stood there.
#[derive(Clone, Copy)]
struct Rest {
    from: Lsn,
    said: Said,
    last_read: Timestamp,
}

impl Replayed {
    /// What there is before the log.
    pub(super) fn nothing_after(base: Arc<Base>, path: &Path, generation_bytes: usize) -> Result<Self> {
        let said = Said::before_the_log(base.state(), path)?;
        let (generation, rights) = Generation::new(said.last_ts, generation_bytes);
        Ok(Self { base, sealed: Vec::new(), generation, rights, said })
    }
}

impl Said {
    fn before_the_log(state: &EngineState, path: &Path) -> Result<Self> {
        let last_ts = timestamp(state.checkpoint_ts);
        let mode = decode_mode(state.journal_mode).ok_or_else(|| {
            Error::Corrupt(format!("{} names a journal mode that does not exist", path.display()))
        })?;
        Ok(Self {
            last_ts,
            clock_floor: timestamp(state.clock_reserved).max(last_ts),
            mode,
            next_table_id: state.next_table_id.max(FIRST_USER_TABLE),
            commits: 0,
        })
    }
}

impl<'a> Replay<'a> {
    fn new(env: &Env, store: &'a BaseStore, base: Arc<Base>, path: &'a Path, room: Room) -> Result<Self> {
        let said = Said::before_the_log(base.state(), path)?;
        Ok(Self {
            store,
            path,
            base,
            sealed: None,
            rows: Filling::new(Arc::clone(&env.spawn), said.last_ts, room.generation),
            room,
            said,
            last_read: Timestamp::ZERO,
            in_base: said.last_ts,
            rest: None,
            max_key_bytes: store.max_key_bytes(),
        })
    }

    /// Looks through the whole log, and takes what there is room for.
    fn scan(&mut self, env: &Env, options: &LogOptions) -> Result<Recovered> {
        let state = *self.base.state();
        let (start, durable) = (Lsn::new(state.checkpoint_lsn), Lsn::new(state.log_durable));
        let (files, dir, uuid) = (&*env.files, log_dir(self.path), self.store.uuid());
        let recovered = Recovery::scan(files, &dir, uuid, start, durable, options, |record| {
            self.take(record.lsn, record.kind, record.tag, record.payload)?;
            self.care(record.end)
        })
        .map_err(|error| match error {
            ScanError::Recovery(error) => Error::from_recovery(error, self.path),
            ScanError::Stopped(error) => error,
        })?;
        self.rows.settle()?;
        // The rows of a batch may take more in a generation than was counted for them.
        self.care(recovered.end)?;
        Ok(recovered)
    }

    /// Reads what there was no room for once more, now that the log is on the disk, and folds what is too much.
    fn go_on(&mut self, log: &Arc<Log>) -> Result<()> {
        while let Some(Rest { from, said, last_read }) = self.rest.take() {
            (self.said, self.last_read) = (said, last_read);
            self.fold()?;
            let mut reader = log.history().reader(from);
            let failed = |error: ReadError| match error {
                ReadError::Io { .. } => Error::from_history(error, last_read, last_read),
                lost => Error::Corrupt(lost.to_string()),
            };
            while self.rest.is_none()
                && let Some(record) = reader.advance().map_err(failed)?
            {
                let mut payload = reader.payload().map_err(failed)?;
                let bytes = usize::try_from(payload.bytes()).unwrap_or(usize::MAX);
                self.take(record.lsn, record.kind, record.tag, payload.get(0, bytes).map_err(failed)?)?;
                self.care(record.end)?;
            }
            if self.rest.is_none() {
                self.rows.settle()?;
                self.care(reader.position())?;
            }
        }
        Ok(())
    }

    fn take(&mut self, lsn: Lsn, kind: RecordKind, tag: u64, payload: &[u8]) -> Result<()> {
        self.understand(kind, tag, payload).map_err(|Malformed(what)| {
            Error::Corrupt(format!("the log record at {lsn} of {} holds {what}", self.path.display()))
        })
    }

    fn understand(&mut self, kind: RecordKind, tag: u64, payload: &[u8]) -> Result<(), Malformed> {
        let said = &mut self.said;
        match kind {
            kind::COMMIT => self.commit(tag, payload)?,
            kind::CLOCK_RESERVE if planted!(ReservationForgotten) => {}
            kind::CLOCK_RESERVE => said.clock_floor = said.clock_floor.max(decode_timestamp(payload)?),
            kind::CLOCK_EXACT => said.clock_floor = decode_timestamp(payload)?,
            kind::JOURNAL_MODE => {
                let mode = payload.first().copied().and_then(decode_mode);
                said.mode = mode.ok_or(Malformed("an unknown journal mode"))?;
            }
            _ => return Err(Malformed("a kind of record that this version does not know")),
        }
        Ok(())
    }

    fn commit(&mut self, tag: u64, payload: &[u8]) -> Result<(), Malformed> {
        let ts = Timestamp::new(tag).filter(|ts| *ts > self.last_read);
        let ts = ts.ok_or(Malformed("a commit out of order"))?;
        self.last_read = ts;
        if ts <= self.in_base {
            return Ok(());
        }
        let mut last: Option<(TableId, &[u8])> = None;
        for change in changes(payload) {
            let change = change?;
            // A row is in a record once. So what its rows take in memory has to do with its length.
            if last.replace((change.table, change.key)) >= Some((change.table, change.key)) {
                return Err(Malformed("rows out of order"));
            }
            if !is_table(change.table) {
                return Err(Malformed("a change of a table that cannot be"));
            }
            if change.key.len() > self.max_key_bytes {
                return Err(Malformed("a key that is too long for the database file"));
            }
            if change.table == TABLES
                && let Ok(id) = change.key.try_into()
            {
                let next = u32::from_be_bytes(id).saturating_add(1);
                self.said.next_table_id = self.said.next_table_id.max(next);
            }
            if self.rest.is_none() {
                self.rows.push(change.table, change.key, change.value, ts);
            }
        }
        self.said.last_ts = ts;
        self.said.commits += 1;
        Ok(())
    }

    /// To be called after each record, which ends at `end`: seals a generation that is as large as one becomes, and takes no more
    /// rows when there is no more room.
    fn care(&mut self, end: Lsn) -> Result<()> {
        self.rows.care()?;
        let Some(most) = self.room.row_store.filter(|_| self.rest.is_none()) else { return Ok(()) };
        if self.sealed.is_none() && self.rows.bytes() >= self.room.generation {
            let settled = self.rows.settle()?;
            // One transaction may be larger than all there is room for: nothing is to be kept beside that.
            if settled.bytes() < most {
                self.sealed = Some(Arc::clone(settled));
                self.rows.renew(self.said.last_ts);
            }
        }
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.bytes());
        if sealed.saturating_add(self.rows.bytes()) >= most {
            if planted!(FoldedBeforeTheLog) {
                return self.fold();
            }
            self.rest = Some(Rest { from: end, said: self.said, last_read: self.last_read });
        }
        Ok(())
    }

    fn end(self) -> Result<Replayed> {
        let Self { base, sealed, rows, mut said, .. } = self;
        let (generation, rights) = rows.finish()?;
        said.clock_floor = said.clock_floor.max(said.last_ts);
        Ok(Replayed { base, sealed: sealed.into_iter().collect(), generation, rights, said })
    }

    /// Puts what was replayed so far into the base. Where that fails, but for a failed sync, all is as it was, and there is no bound any
    /// more to what is kept.
    fn fold(&mut self) -> Result<()> {
        let Said { last_ts, clock_floor, mode, next_table_id, .. } = self.said;
        let state = EngineState {
            checkpoint_ts: last_ts.get(),
            clock_reserved: clock_floor.max(last_ts).get(),
            journal_mode: record::encode_mode(mode),
            next_table_id,
            ..*self.base.state()
        };
        let newest = Arc::clone(self.rows.settle()?);
        let sealed: Vec<_> = iter::once(newest).chain(self.sealed.clone()).collect();
        let folded = super::checkpoint::fold(self.store, &self.base, &sealed, state, &|| Ok(()));
        let (base, rows) = match folded {
            Ok(folded) => folded,
            Err(error) => return self.do_without(error),
        };
        self.sealed = None;
        tell(move || tracing::info!(timestamp = %last_ts, rows, "folded a part of the log"));
        self.base = base;
        self.rows.renew(last_ts);
        Ok(())
    }

    /// Goes on after a fold that failed: with the rows that it was to fold, and without a bound for those to come.
    fn do_without(&mut self, error: BaseError) -> Result<()> {
        let poisons = matches!(error, BaseError::SyncFailed { .. } | BaseError::Poisoned { .. });
        let error = Error::from_base(error, "folding the log into the database file");
        if poisons {
            return Err(error);
        }
        tell(move || {
            tracing::warn!(error = %error.in_full(), "the log could not be folded; all that is left of it stays in memory");
        });
        if planted!(RowsOfAFailedFoldLost) {
            self.sealed = None;
            self.rows.renew(self.said.last_ts);
        }
        self.room.row_store = None;
        Ok(())
    }
}

/// Scans the log of `base` and replays it, all of it in memory. Writes nothing.
pub(super) fn replay(
    env: &Env,
    store: &BaseStore,
    base: Arc<Base>,
    path: &Path,
    options: &LogOptions,
    generation_bytes: usize,
) -> Result<(Replayed, Recovered)> {
    let room = Room { generation: generation_bytes, row_store: None };
    let mut replay = Replay::new(env, store, base, path, room)?;
    let recovered = replay.scan(env, options)?;
    Ok((replay.end()?, recovered))
}

/// The same with the log going on, and what there is no room for folded.
pub(super) fn replay_into_log(
    env: &Env,
    store: &BaseStore,
    base: Arc<Base>,
    path: &Path,
    options: LogOptions,
    room: Room,
) -> Result<(Replayed, (Arc<Log>, Appender))> {
    let mut replay = Replay::new(env, store, base, path, room)?;
    let recovered = replay.scan(env, &options)?;
    let (log, appender) =
        recovered.into_log(env, options).map_err(|error| Error::from_log(error, "starting the log"))?;
    replay.go_on(&log)?;
    Ok((replay.end()?, (log, appender)))
}
