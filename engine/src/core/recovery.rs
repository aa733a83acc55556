//! Replay: the log after the base becomes the row store.
//!
//! The scan reads and never writes. Rows go into a generation with the timestamps they were committed at; when that
//! exceeds the row-store budget it is folded on the way, unless the file is open read-only. A fold is durable by itself,
//! and what the scan has delivered it has also proven whole, so folding before the scan ends is safe.
//!
//! What the scan reads may be in the page cache alone, so such a fold must not move the place where replay starts: a
//! power cut right after it may leave a log that ends before that place, or does not even have its segment. The base may
//! therefore be ahead of the log, and replay passes over commits that the base holds already. The log is let go only by
//! later checkpoints.

use std::path::{Path, PathBuf};

use braid_mvstore::{Generation, InstallRights, ReplayBatch, TableId, Timestamp, pin};
use braid_vfs::FileSystem;
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_wal::{LogOptions, Lsn, Recovered, RecoveredRecord, Recovery, ScanError};

use super::clock::timestamp;
use super::tables::{FIRST_USER_TABLE, TABLES, is_table};
use crate::base::{Base, BaseStore, EngineState};
use crate::error::{Error, Result};
use crate::options::JournalMode;
use crate::record::{self, Malformed, changes, decode_mode, decode_timestamp, kind};

/// Where the log of a database lies.
pub(crate) fn log_dir(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Rows are gathered up to so much memory before they go into the generation, in key order.
const BATCH_BYTES: usize = 32 << 20;

/// What a log says, replayed.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) base: Arc<Base>,
    /// Everything after the base. It takes the commits to come.
    pub(super) generation: Arc<Generation>,
    pub(super) rights: InstallRights,
    /// Not yet in the generation.
    batch: ReplayBatch,
    /// The newest commit.
    pub(super) last_ts: Timestamp,
    /// The newest commit that the scan has delivered.
    last_read: Timestamp,
    /// What the base held before the scan.
    in_base: Timestamp,
    /// No timestamp up to here may be issued again.
    pub(super) clock_floor: Timestamp,
    pub(super) mode: JournalMode,
    pub(super) next_table_id: u32,
    pub(super) commits: u64,
    /// What a generation may grow to.
    generation_bytes: usize,
    max_key_bytes: usize,
}

impl Replayed {
    /// What there is before the log.
    pub(super) fn nothing_after(
        store: &BaseStore,
        base: Arc<Base>,
        path: &Path,
        generation_bytes: usize,
    ) -> Result<Self> {
        let state = *base.state();
        let last_ts = timestamp(state.checkpoint_ts);
        let mode = decode_mode(state.journal_mode).ok_or_else(|| {
            Error::Corrupt(format!("{} names a journal mode that does not exist", path.display()))
        })?;
        let (generation, rights) = Generation::new(last_ts, generation_bytes);
        Ok(Self {
            base,
            generation,
            rights,
            batch: ReplayBatch::new(),
            last_ts,
            last_read: Timestamp::ZERO,
            in_base: last_ts,
            clock_floor: timestamp(state.clock_reserved).max(last_ts),
            mode,
            next_table_id: state.next_table_id.max(FIRST_USER_TABLE),
            commits: 0,
            generation_bytes,
            max_key_bytes: store.max_key_bytes(),
        })
    }

    fn take(&mut self, record: &RecoveredRecord<'_>) -> Result<(), Malformed> {
        match record.kind {
            kind::COMMIT => self.commit(record)?,
            kind::CLOCK_RESERVE if planted!(ReservationForgotten) => {}
            kind::CLOCK_RESERVE => self.clock_floor = self.clock_floor.max(decode_timestamp(record.payload)?),
            kind::CLOCK_EXACT => self.clock_floor = decode_timestamp(record.payload)?,
            kind::JOURNAL_MODE => {
                let mode = record.payload.first().copied().and_then(decode_mode);
                self.mode = mode.ok_or(Malformed("an unknown journal mode"))?;
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
                self.next_table_id = self.next_table_id.max(u32::from_be_bytes(id).saturating_add(1));
            }
            self.batch.push(change.table, change.key, change.value, ts);
        }
        self.last_ts = ts;
        self.commits += 1;
        if self.batch.bytes() >= BATCH_BYTES {
            self.settle();
        }
        Ok(())
    }

    /// Puts what was gathered into the generation.
    fn settle(&mut self) {
        self.rights.replay(&mut self.batch, &pin());
    }

    /// Memory of the rows so far.
    fn bytes(&self) -> usize {
        self.generation.bytes().saturating_add(self.batch.bytes())
    }

    /// Puts what was replayed so far into the base.
    fn fold(&mut self, store: &BaseStore) -> Result<()> {
        self.settle();
        let state = EngineState {
            checkpoint_ts: self.last_ts.get(),
            clock_reserved: self.clock_floor.max(self.last_ts).get(),
            journal_mode: record::encode_mode(self.mode),
            next_table_id: self.next_table_id,
            ..*self.base.state()
        };
        let sealed = [Arc::clone(&self.generation)];
        let (base, rows) = super::checkpoint::fold(store, &self.base, &sealed, state, &|| Ok(()))
            .map_err(|error| Error::from_base(error, "folding the log into the database file"))?;
        tracing::info!(timestamp = %self.last_ts, rows, "folded a part of the log");
        self.base = base;
        (self.generation, self.rights) = Generation::new(self.last_ts, self.generation_bytes);
        Ok(())
    }
}

/// Scans the log of `base` and replays it. Folds when so many bytes have gathered, if it may; otherwise nothing is
/// written.
pub(super) fn replay(
    files: &dyn FileSystem,
    store: &BaseStore,
    base: Arc<Base>,
    path: &Path,
    options: &LogOptions,
    generation_bytes: usize,
    may_fold: bool,
) -> Result<(Replayed, Recovered)> {
    let (start, durable) = (Lsn::new(base.state().checkpoint_lsn), Lsn::new(base.state().log_durable));
    let mut replayed = Replayed::nothing_after(store, base, path, generation_bytes)?;
    let recovered = Recovery::scan(files, &log_dir(path), store.uuid(), start, durable, options, |record| {
        replayed.take(&record).map_err(|Malformed(what)| {
            Error::Corrupt(format!("the log record at {} of {} holds {what}", record.lsn, path.display()))
        })?;
        if may_fold && replayed.bytes() >= generation_bytes {
            replayed.fold(store)?;
        }
        Ok(())
    })
    .map_err(|error| match error {
        ScanError::Recovery(error) => Error::from_recovery(error, path),
        ScanError::Stopped(error) => error,
    })?;
    replayed.settle();
    replayed.clock_floor = replayed.clock_floor.max(replayed.last_ts);
    Ok((replayed, recovered))
}
