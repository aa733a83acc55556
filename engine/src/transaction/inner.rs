//! What a snapshot or transaction shares with the cursors that were opened on it.

use std::fmt;

use braid_mvstore::{Registration, TableId, Timestamp, WriteSet, pin};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex, MutexGuard};

use super::read_set::ReadSet;
use crate::core::{Core, TABLES, TableInfo, View};
use crate::error::{Error, Result};
use crate::handle::Handle;

/// A row of a system table, to be written or deleted.
pub(super) type SystemRow<'a> = (TableId, &'a [u8], Option<&'a [u8]>);

/// It is open, and the catalog is as its snapshot has it.
const PLAIN: u8 = 0;
/// It is open and has changed the catalog: each use of a table asks its own rows first.
const SCHEMA: u8 = 1;
/// Committed or rolled back.
const OVER: u8 = 2;

/// See the module. The last holder lets the snapshot go.
pub(crate) struct Inner {
    pub(super) handle: Arc<Handle>,
    pub(super) begin_ts: Timestamp,
    /// Given back at the end.
    registration: Option<Registration<View>>,
    /// Private writes; unused by a snapshot.
    writes: Mutex<WriteSet>,
    /// [`WriteSet::version`], readable without the lock; 0 as long as nothing was written.
    writes_version: AtomicU64,
    /// What was read, for `Serializable`.
    reads: Option<Mutex<ReadSet>>,
    /// [`PLAIN`], [`SCHEMA`] or [`OVER`].
    state: AtomicU8,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("begin_ts", &self.begin_ts).finish_non_exhaustive()
    }
}

impl Inner {
    #[inline]
    pub(super) fn new(handle: Arc<Handle>, registration: Registration<View>, track_reads: bool) -> Arc<Self> {
        Arc::new(Self {
            handle,
            begin_ts: registration.begin_ts(),
            registration: Some(registration),
            writes: Mutex::new(WriteSet::new()),
            writes_version: AtomicU64::new(0),
            reads: track_reads.then(Mutex::default),
            state: AtomicU8::new(PLAIN),
        })
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        self.handle.core()
    }

    /// The view, which is there until the snapshot is let go.
    pub(super) fn view(&self) -> Result<&Arc<View>> {
        self.registration.as_ref().map(Registration::view).ok_or(Error::TransactionClosed)
    }

    /// Refuses use after the end, in a forked process, and of a table that is not of this database or not of this time.
    #[inline]
    pub(super) fn check(&self, table: &TableInfo) -> Result<()> {
        if self.is_sound(table) { Ok(()) } else { self.refuse(table) }
    }

    /// Whether [`check`](Self::check) lets it pass.
    #[inline]
    pub(super) fn is_sound(&self, table: &TableInfo) -> bool {
        self.is_live() && table.core == self.core().id && !table.is_missing_at(self.begin_ts)
    }

    /// Whether it has not ended and has not changed the catalog, and this is the process that began it.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.state.load(Ordering::Acquire) == PLAIN && self.core().is_own_process()
    }

    /// Refuses use after the end, and in a forked process.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::TransactionClosed);
        }
        self.core().check_process()
    }

    /// Whatever [`is_sound`](Self::is_sound) does not let pass at once.
    #[cold]
    fn refuse(&self, table: &TableInfo) -> Result<()> {
        self.check_open()?;
        if table.core != self.core().id {
            return Err(Error::ForeignTable(table.name().to_string()));
        }
        match self.own_table(table.id) {
            Some(true) => Ok(()),
            None if !table.is_missing_at(self.begin_ts) => Ok(()),
            None if table.is_made_by_another(self.as_maker()) => {
                Err(Error::UncommittedTable(table.name().to_string()))
            }
            Some(false) | None => Err(Error::NoSuchTable(table.name().to_string())),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == OVER
    }

    pub(super) fn close(&self) {
        self.state.store(OVER, Ordering::Release);
    }

    /// From here on its own rows are asked for tables.
    pub(super) fn begin_schema_change(&self) {
        let _ = self.state.compare_exchange(PLAIN, SCHEMA, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// What tells it from every other transaction that is open: where it is.
    pub(super) fn as_maker(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether its own rows say that a table is there; `None` where they do not speak of it.
    fn own_table(&self, id: TableId) -> Option<bool> {
        if self.state.load(Ordering::Acquire) == PLAIN {
            return None;
        }
        self.writes.lock().get(TABLES, &id.0.to_be_bytes()).map(|found| found.value().is_some())
    }

    /// Lets the snapshot go.
    pub(super) fn end(&mut self) {
        if let Some(registration) = self.registration.take() {
            let core = self.handle.core();
            drop(core.registry.end(registration, &**core));
        }
    }

    pub(super) fn writes(&self) -> MutexGuard<'_, WriteSet> {
        self.writes.lock()
    }

    /// The transaction is over, and a cursor still holds its snapshot: that counts as a reader's from now on.
    pub(super) fn stop_writing(&self) {
        if let Some(registration) = &self.registration {
            self.core().registry.stop_writing(registration);
        }
    }

    /// Writes a row, or its deletion; one that is too much for the transaction changes nothing.
    pub(super) fn write(&self, table: TableId, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let value_len = value.map_or(0, <[u8]>::len);
        let mut writes = self.writes.lock();
        // Near the limit it matters whether the row is there already.
        let most = writes.bytes().saturating_add(WriteSet::row_bytes(key.len(), value_len));
        if self.check_size(most).is_err() {
            self.check_size(writes.bytes_after(writes.bytes(), table, key, value_len))?;
        }
        match value {
            Some(value) => writes.put(table, key, value),
            None => writes.delete(table, key),
        }
        self.writes_version.store(writes.version(), Ordering::Release);
        Ok(())
    }

    /// Writes rows of the system's, all or none.
    pub(super) fn write_catalog(&self, rows: &[SystemRow<'_>]) -> Result<()> {
        self.begin_schema_change();
        let mut writes = self.writes.lock();
        let bytes = rows.iter().fold(writes.bytes(), |bytes, (table, key, value)| {
            writes.bytes_after(bytes, *table, key, value.map_or(0, <[u8]>::len))
        });
        self.check_size(bytes)?;
        for (table, key, value) in rows {
            match value {
                Some(value) => writes.put(*table, key, value),
                None => writes.delete(*table, key),
            }
        }
        self.writes_version.store(writes.version(), Ordering::Release);
        Ok(())
    }

    /// Changes the write set; the caller has seen to its size.
    pub(super) fn change(&self, change: impl FnOnce(&mut WriteSet)) {
        let mut writes = self.writes.lock();
        change(&mut writes);
        self.writes_version.store(writes.version(), Ordering::Release);
    }

    /// Refuses what is more than one transaction may hold.
    pub(super) fn check_size(&self, bytes: usize) -> Result<()> {
        let limit = self.core().options.max_transaction_bytes;
        if bytes > limit {
            return Err(Error::TransactionTooLarge { bytes: bytes as u64, limit: limit as u64 });
        }
        Ok(())
    }

    /// Changes with every write; 0 before the first.
    pub(super) fn writes_version(&self) -> u64 {
        self.writes_version.load(Ordering::Acquire)
    }

    pub(super) fn tracks_reads(&self) -> bool {
        self.reads.is_some()
    }

    pub(super) fn reads(&self) -> Option<MutexGuard<'_, ReadSet>> {
        self.reads.as_ref().map(Mutex::lock)
    }

    /// What the transaction itself wrote to a row, `None` within standing for deleted. A copy, as the caller's code must not
    /// run under the lock: it may well read on in the same transaction.
    fn own(&self, table: TableId, key: &[u8]) -> Option<Option<Vec<u8>>> {
        if self.writes_version() == 0 {
            return None;
        }
        self.writes.lock().get(table, key).map(|found| found.value().map(<[u8]>::to_vec))
    }

    /// Looks a row up: own writes, generations from the newest, base.
    pub(super) fn get<R>(
        &self,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if let Some(own) = self.own(table, key)
            && !(planted!(OwnTombstoneOverlooked) && own.is_none())
        {
            return Ok(own.as_deref().map(read));
        }
        if let Some(mut reads) = self.reads().filter(|_| !planted!(LookupNotRecorded)) {
            self.check_size(reads.bytes_with(key.len()))?;
            reads.key(table, key);
        }
        let view = self.view()?;
        for generation in view.generations() {
            if !generation.may_hold(self.begin_ts) || !generation.may_have(table, key) {
                continue;
            }
            let guard = pin();
            if let Some(found) = generation.get(table, key, self.begin_ts, &guard) {
                return Ok(found.value().map(read));
            }
        }
        let core = self.core();
        core.base
            .get(&view.base, table.into(), key, read)
            .map_err(|error| Error::from_base(error, "reading the database file"))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}
