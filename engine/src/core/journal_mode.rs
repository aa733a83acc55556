//! The journal mode: who may write, and how that changes.
//!
//! The bad interleaving: a transaction looks at the mode (`Mvcc`), the mode changes to `Wal` as no write transaction is
//! open, the transaction registers and commits beside an exclusive one. So a transaction registers first and looks at
//! the mode second, and a change stores the mode first and looks for registered transactions second, both in one total
//! order: one of the two sees the other.

use braid_mvstore::SnapshotKind;
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicU8, Ordering};

use super::shared::Core;
use crate::error::{Error, Result};
use crate::options::JournalMode;
use crate::record::{self, decode_mode, encode_mode, kind};

const CHANGING: u8 = u8::MAX;

/// The mode of a core; `None` while it changes.
#[derive(Debug)]
pub(crate) struct ModeCell(AtomicU8);

impl ModeCell {
    pub(crate) fn new(mode: JournalMode) -> Self {
        Self(AtomicU8::new(encode_mode(mode)))
    }

    /// The mode, or `None` while a change of it looks for open write transactions.
    pub(crate) fn get(&self) -> Option<JournalMode> {
        decode_mode(self.0.load(Ordering::SeqCst))
    }

    fn set(&self, mode: Option<JournalMode>) {
        self.0.store(mode.map_or(CHANGING, encode_mode), Ordering::SeqCst);
    }
}

impl Core {
    /// The mode that stands; a change under way counts once it is done.
    pub(crate) fn journal_mode(&self) -> JournalMode {
        loop {
            if let Some(mode) = self.mode.get() {
                return mode;
            }
            // A change holds the gate while the mode is in flux, and does little.
            braid_vfs::sync::thread::yield_now();
        }
    }

    /// Changes the mode, once no write transaction is open.
    pub(crate) fn set_journal_mode(&self, mode: JournalMode) -> Result<()> {
        let writer = self.writer()?;
        writer.check()?;
        if self.journal_mode() == mode {
            return Ok(());
        }
        if !writer.gate.acquire(self.options.busy_timeout) {
            return Err(Self::locked_out(writer, self.installed_ts()));
        }
        let changed = self.change_mode(mode);
        writer.gate.release();
        changed
    }

    /// With the gate held: no exclusive transaction is open.
    fn change_mode(&self, mode: JournalMode) -> Result<()> {
        let before = self.journal_mode();
        if before == mode {
            return Ok(());
        }
        self.mode.set(None);
        let mut open = 0;
        self.registry.for_each(|info| open += usize::from(info.kind == SnapshotKind::ReadWrite));
        let logged = if open > 0 { Err(Error::WriteTransactionsOpen { open }) } else { self.log_mode(mode) };
        self.mode.set(Some(if logged.is_ok() { mode } else { before }));
        tracing::info!(?mode, ok = logged.is_ok(), "journal mode");
        logged
    }

    fn log_mode(&self, mode: JournalMode) -> Result<()> {
        if planted!(ModeNotLogged) {
            return Ok(());
        }
        let writer = self.writer()?;
        let mut record = record::of_kind(kind::JOURNAL_MODE, &[encode_mode(mode)]);
        let end = self.append_record(writer, &mut record, |section| section.mode = mode)?;
        writer.log.sync_through(end).map_err(|_| Error::Poisoned)
    }
}
