//! Replay: the log after the base becomes the row store.
//!
//! The scan reads and never writes. Rows go, by a [thread of their own](filling), into a generation with the timestamps
//! they were committed at. When that is as large as one becomes it is sealed, and the rest goes into another: the row store is
//! as it was, or as a checkpoint that did not end had left it, and the first checkpoint folds what is sealed while the
//! database is in use. So an open does not pay for a fold, however the log came about, unless it holds more than the row
//! store may.
//!
//! Then all is folded on the way, unless the file is open read-only. A fold is durable by itself, and what the scan has
//! delivered it has also proven whole, so folding before the scan ends is safe. What the scan reads may be in the page
//! cache alone, so such a fold must not move the place where replay starts: a power cut right after it may leave a log that
//! ends before that place, or does not even have its segment. The base may therefore be ahead of the log, and replay passes
//! over commits that the base holds already. The log is let go only by later checkpoints.

use std::iter;
use std::path::{Path, PathBuf};

use braid_mvstore::{Generation, InstallRights, TableId, Timestamp};
use braid_vfs::Env;
use braid_vfs::events::tell;
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_wal::{LogOptions, Lsn, Recovered, RecoveredRecord, Recovery, ScanError};

use self::filling::Filling;
use super::clock::timestamp;
use super::tables::{FIRST_USER_TABLE, TABLES, is_table};
use crate::base::{Base, BaseStore, EngineState};
use crate::error::{Error, Result};
use crate::options::JournalMode;
use crate::record::{self, Malformed, changes, decode_mode, decode_timestamp, kind};

mod filling;

/// Where the log of a database lies.
pub(crate) fn log_dir(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
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
    max_key_bytes: usize,
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

impl Replay<'_> {
    fn take(&mut self, record: &RecoveredRecord<'_>) -> Result<(), Malformed> {
        let said = &mut self.said;
        match record.kind {
            kind::COMMIT => self.commit(record)?,
            kind::CLOCK_RESERVE if planted!(ReservationForgotten) => {}
            kind::CLOCK_RESERVE => said.clock_floor = said.clock_floor.max(decode_timestamp(record.payload)?),
            kind::CLOCK_EXACT => said.clock_floor = decode_timestamp(record.payload)?,
            kind::JOURNAL_MODE => {
                let mode = record.payload.first().copied().and_then(decode_mode);
                said.mode = mode.ok_or(Malformed("an unknown journal mode"))?;
            }
            _ => return Err(Malformed("a kind of record that this version does not know")),
        }
        Ok(())
    }

    fn commit(&mut self, record: &RecoveredRecord<'_>) -> Result<(), Malformed> {
        let ts = Timestamp::new(record.tag).filter(|ts| *ts > self.last_read);
        let ts = ts.ok_or(Malformed("a commit out of order"))?;
        self.last_read = ts;
        if ts <= self.in_base {
            return Ok(());
        }
        let mut last: Option<(TableId, &[u8])> = None;
        for change in changes(record.payload) {
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
            self.rows.push(change.table, change.key, change.value, ts);
        }
        self.said.last_ts = ts;
        self.said.commits += 1;
        Ok(())
    }

    /// To be called after each record: seals a generation that is as large as one becomes, and folds what there is no room for.
    fn care(&mut self) -> Result<()> {
        self.rows.care()?;
        let Some(most) = self.room.row_store else { return Ok(()) };
        if self.sealed.is_none() && self.rows.bytes() >= self.room.generation {
            let settled = self.rows.settle()?;
            // One transaction may be larger than all there is room for: nothing is to be kept beside that.
            if settled.bytes() < most {
                self.sealed = Some(Arc::clone(settled));
                self.rows.renew(self.said.last_ts);
            }
        }
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.bytes());
        if sealed.saturating_add(self.rows.bytes()) < most { Ok(()) } else { self.fold() }
    }

    /// To be called after the last record: the rows of a batch may take more in a generation than was counted for them.
    fn end(&mut self) -> Result<()> {
        self.rows.settle()?;
        self.care()
    }

    /// Puts what was replayed so far into the base.
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
        let sealed: Vec<_> = iter::once(newest).chain(self.sealed.take()).collect();
        let (base, rows) = super::checkpoint::fold(self.store, &self.base, &sealed, state, &|| Ok(()))
            .map_err(|error| Error::from_base(error, "folding the log into the database file"))?;
        tell(move || tracing::info!(timestamp = %last_ts, rows, "folded a part of the log"));
        self.base = base;
        self.rows.renew(last_ts);
        Ok(())
    }
}

/// Scans the log of `base` and replays it. Folds what there is no room for; otherwise nothing is written.
pub(super) fn replay(
    env: &Env,
    store: &BaseStore,
    base: Arc<Base>,
    path: &Path,
    options: &LogOptions,
    room: Room,
) -> Result<(Replayed, Recovered)> {
    let (start, durable) = (Lsn::new(base.state().checkpoint_lsn), Lsn::new(base.state().log_durable));
    let said = Said::before_the_log(base.state(), path)?;
    let mut replay = Replay {
        store,
        base,
        sealed: None,
        rows: Filling::new(Arc::clone(&env.spawn), said.last_ts, room.generation),
        room,
        said,
        last_read: Timestamp::ZERO,
        in_base: said.last_ts,
        max_key_bytes: store.max_key_bytes(),
    };
    let (files, dir) = (&*env.files, log_dir(path));
    let recovered = Recovery::scan(files, &dir, store.uuid(), start, durable, options, |record| {
        replay.take(&record).map_err(|Malformed(what)| {
            Error::Corrupt(format!("the log record at {} of {} holds {what}", record.lsn, path.display()))
        })?;
        replay.care()
    })
    .map_err(|error| match error {
        ScanError::Recovery(error) => Error::from_recovery(error, path),
        ScanError::Stopped(error) => error,
    })?;
    replay.end()?;
    let Replay { base, sealed, rows, mut said, .. } = replay;
    let sealed = sealed.into_iter().collect();
    let (generation, rights) = rows.finish()?;
    said.clock_floor = said.clock_floor.max(said.last_ts);
    Ok((Replayed { base, sealed, generation, rights, said }, recovered))
}
