//! The journal mode: who may write, and how that changes.
//!
//! The bad interleaving: a transaction looks at the mode (`Mvcc`), the mode changes to `Wal` as no write transaction is
//! open, the transaction registers and commits beside an exclusive one. So a transaction registers first and looks at
//! the mode second, and a change stores first that it is under way and looks for registered transactions second, both in one
//! total order: one of the two sees the other.
//!
//! While a change is under way whoever asks for the mode waits, for a lock. All that is done meanwhile is the look, and the
//! append of a record: the segment for that is made before, and the sync comes after. So a transaction may begin in a mode that a
//! power cut takes back, with the transaction: its record is behind that of the change.

use braid_mvstore::SnapshotKind;
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::{AtomicU8, Ordering};
use braid_wal::{EncodedRecord, Lsn};

use super::append::Left;
use super::gate::Gate;
use super::shared::{Core, Writer};
use crate::error::{Error, Result};
use crate::options::JournalMode;
use crate::record::{self, decode_mode, encode_mode, kind};

const CHANGING: u8 = u8::MAX;

/// The mode of a core; `None` while it changes.
#[derive(Debug)]
pub(crate) struct ModeCell {
    mode: AtomicU8,
    /// Held while a change is under way.
    changing: Mutex<()>,
}

impl ModeCell {
    pub(crate) fn new(mode: JournalMode) -> Self {
        Self { mode: AtomicU8::new(encode_mode(mode)), changing: Mutex::new(()) }
    }

    /// The mode, or `None` while a change of it looks for open write transactions.
    pub(crate) fn get(&self) -> Option<JournalMode> {
        decode_mode(self.mode.load(Ordering::SeqCst))
    }

    fn set(&self, mode: JournalMode) {
        self.mode.store(encode_mode(mode), Ordering::SeqCst);
    }

    /// Begins a change.
    fn change(&self, before: JournalMode) -> Change<'_> {
        self.mode.store(CHANGING, Ordering::SeqCst);
        Change { cell: self, before }
    }
}

/// A change under way, with the lock held; dropped before it is done, it leaves the mode as it was.
struct Change<'a> {
    cell: &'a ModeCell,
    before: JournalMode,
}

impl Change<'_> {
    fn done(self, mode: JournalMode) {
        self.cell.set(mode);
        std::mem::forget(self);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.cell.set(self.before);
    }
}

/// The gate, held.
struct Held<'a>(&'a Gate);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Core {
    /// The mode that stands; a change under way counts once it is done.
    #[inline]
    pub(crate) fn journal_mode(&self) -> JournalMode {
        match self.mode.get() {
            Some(mode) => mode,
            None => self.changed_mode(),
        }
    }

    #[cold]
    fn changed_mode(&self) -> JournalMode {
        loop {
            drop(self.mode.changing.lock());
            if let Some(mode) = self.mode.get() {
                return mode;
            }
        }
    }

    /// Changes the mode, once no write transaction is open.
    pub(crate) fn set_journal_mode(&self, mode: JournalMode) -> Result<()> {
        let writer = self.writer()?;
        writer.check()?;
        if self.journal_mode() == mode {
            return Ok(());
        }
        let changed = later(|| {
            if !writer.gate.acquire(self.options.busy_timeout) {
                return Err(Self::locked_out(writer, self.installed_ts()));
            }
            let _no_exclusive_transaction_is_open = Held(&writer.gate);
            let before = self.journal_mode();
            if before == mode {
                return Ok(None);
            }
            let changed = self.change_mode(writer, before, mode);
            let ok = changed.is_ok();
            tell(move || tracing::info!(?mode, ok, "journal mode"));
            changed.map(Some)
        })?;
        // Behind it others go on.
        changed.map_or(Ok(()), |end| writer.log.sync_through(end).map_err(Error::from_sync))
    }

    /// With the gate held. Where the record ends that tells it.
    fn change_mode(&self, writer: &Writer, before: JournalMode, mode: JournalMode) -> Result<Lsn> {
        let mut record = record::of_kind(kind::JOURNAL_MODE, &[encode_mode(mode)]);
        loop {
            match self.try_to_change_mode(writer, before, mode, &mut record) {
                Ok(end) => return Ok(end),
                Err(Left::SegmentNeeded(bytes)) => self.prepare_log(writer, bytes)?,
                Err(Left::Failed(error)) => return Err(error),
                Err(_) => unreachable!("an append fails or needs a segment"),
            }
        }
    }

    fn try_to_change_mode(
        &self,
        writer: &Writer,
        before: JournalMode,
        mode: JournalMode,
        record: &mut EncodedRecord,
    ) -> Result<Lsn, Left> {
        let _others_wait = self.mode.changing.lock();
        let change = self.mode.change(before);
        let mut open = 0;
        self.registry.for_each(|info| open += usize::from(info.kind == SnapshotKind::ReadWrite));
        if open > 0 {
            return Err(Error::WriteTransactionsOpen { open }.into());
        }
        let end = if planted!(ModeNotLogged) {
            writer.log.durable()
        } else {
            self.try_to_append(writer, record, |section| section.mode = mode)?
        };
        if planted!(ModeChangeSyncedInside) {
            writer.log.sync_through(end).map_err(Error::from_sync)?;
        }
        change.done(mode);
        Ok(end)
    }
}
