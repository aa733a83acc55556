//! The journal mode: who may write, and how that changes.
//!
//! The bad interleaving: a transaction looks at the mode (`Mvcc`), the mode changes to `Wal` as no write transaction is
//! open, the transaction registers and commits beside an exclusive one. So a transaction registers first and looks at
//! the mode second, and a change stores first that it is under way and looks for registered transactions second, both in one
//! total order: one of the two sees the other.
//!
//! One that was revoked counts as open no more, though it may be on its way into the commit section, past its look at the lease. So
//! whoever has a lease looks at the mode in there once more. It does not change meanwhile: the gate is open, and a change holds
//! that until it is done.
//!
//! While a change is under way whoever asks for the mode waits, for a lock. All that is done meanwhile is the look, and the
//! append of a record: the segment for that is made before, and the sync comes after. So a transaction may begin in a mode that a
//! power cut takes back, with the transaction: its record is behind that of the change. Nobody is told that a mode stands before
//! its record is durable, who asks for the one that is set already neither. Where the sync fails the mode is what it was, and the
//! log poisoned: whoever began in between cannot commit.

use braid_mvstore::SnapshotKind;
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::{AtomicU8, AtomicU64, Ordering};
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
    /// Held while a change is under way. Changes that may not be durable, oldest first: where the record of each ends,
    /// and the mode before it.
    changing: Mutex<Vec<(Lsn, JournalMode)>>,
    /// Where the record of the last change ends.
    stands_at: AtomicU64,
}

impl ModeCell {
    pub(crate) fn new(mode: JournalMode) -> Self {
        Self {
            mode: AtomicU8::new(encode_mode(mode)),
            changing: Mutex::default(),
            stands_at: AtomicU64::new(0),
        }
    }

    /// The mode, or `None` while a change of it looks for open write transactions.
    pub(crate) fn get(&self) -> Option<JournalMode> {
        decode_mode(self.mode.load(Ordering::SeqCst))
    }

    fn set(&self, mode: JournalMode) {
        self.mode.store(encode_mode(mode), Ordering::SeqCst);
    }

    /// Begins a change, for who holds the lock.
    fn change(&self) -> Change<'_> {
        Change { cell: self, before: self.mode.swap(CHANGING, Ordering::SeqCst) }
    }

    /// Through where the log must be durable for the mode to stand.
    fn stands_at(&self) -> Lsn {
        Lsn::new(self.stands_at.load(Ordering::Acquire))
    }
}

/// A change under way, with the lock held; dropped before it is done, it leaves the mode as it was.
struct Change<'a> {
    cell: &'a ModeCell,
    /// Encoded.
    before: u8,
}

impl Change<'_> {
    fn done(self, mode: JournalMode, end: Lsn) {
        self.cell.stands_at.store(end.get(), Ordering::Release);
        self.cell.set(mode);
        std::mem::forget(self);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.cell.mode.store(self.before, Ordering::SeqCst);
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
            return self.have_mode_stand(writer);
        }
        let mut is_another = false;
        let changed = later(|| {
            if !writer.gate.acquire(self.options.busy_timeout) {
                return Err(Self::locked_out(writer, self.installed_ts()));
            }
            let _no_exclusive_transaction_is_open = Held(&writer.gate);
            is_another = self.journal_mode() != mode;
            if is_another { self.change_mode(writer, mode) } else { Ok(()) }
        });
        // Behind it others go on.
        let changed = changed.and_then(|()| self.have_mode_stand(writer));
        if is_another {
            let ok = changed.is_ok();
            tell(move || tracing::info!(?mode, ok, "journal mode"));
        }
        changed
    }

    /// Makes the last change durable. Where that fails, the mode is the one before the first change that may be lost,
    /// whoever made it.
    fn have_mode_stand(&self, writer: &Writer) -> Result<()> {
        writer.log.sync_through(self.mode.stands_at()).map_err(|error| {
            let durable = writer.log.durable();
            let mut changes = self.mode.changing.lock();
            if let Some((_, before)) = changes.drain(..).find(|(end, _)| *end > durable) {
                self.mode.set(before);
            }
            Error::from_sync(error)
        })
    }

    /// With the gate held.
    fn change_mode(&self, writer: &Writer, mode: JournalMode) -> Result<()> {
        let mut record = record::of_kind(kind::JOURNAL_MODE, &[encode_mode(mode)]);
        loop {
            match self.try_to_change_mode(writer, mode, &mut record) {
                Ok(()) => return Ok(()),
                Err(Left::SegmentNeeded(bytes)) => self.prepare_log(writer, bytes)?,
                Err(Left::Failed(error)) => return Err(error),
                Err(_) => unreachable!("an append fails or needs a segment"),
            }
        }
    }

    fn try_to_change_mode(
        &self,
        writer: &Writer,
        mode: JournalMode,
        record: &mut EncodedRecord,
    ) -> Result<(), Left> {
        let mut changes = self.mode.changing.lock();
        let durable = writer.log.durable();
        changes.retain(|(end, _)| *end > durable);
        let before = self.mode.get();
        let change = self.mode.change();
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
        change.done(mode, end);
        changes.extend(before.map(|before| (end, before)));
        Ok(())
    }
}
