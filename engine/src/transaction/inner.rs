//! What a snapshot or transaction shares with the cursors that were opened on it.

use std::fmt;

use braid_mvstore::{Registration, TableId, Timestamp, WriteSet, pin};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex, MutexGuard};

use super::read_set::ReadSet;
use crate::core::{Core, TableInfo, View};
use crate::error::{Error, Result};
use crate::handle::Handle;

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
    /// Committed or rolled back.
    over: AtomicBool,
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
            over: AtomicBool::new(false),
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

    /// Whether it has not ended, and this is the process that began it.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        !self.is_closed() && self.core().is_own_process()
    }

    /// Says what [`check`](Self::check) has found.
    #[cold]
    fn refuse(&self, table: &TableInfo) -> Result<()> {
        if self.is_closed() {
            return Err(Error::TransactionClosed);
        }
        let core = self.core();
        core.check_process()?;
        if table.core != core.id {
            return Err(Error::ForeignTable(table.name.to_string()));
        }
        Err(Error::NoSuchTable(table.name.to_string()))
    }

    /// When it began, by the coarse clock.
    pub(super) fn started_at(&self) -> u64 {
        let registry = &self.core().registry;
        self.registration.as_ref().map_or(u64::MAX, |registration| registry.started_at(registration))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Release);
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
