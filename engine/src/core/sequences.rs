//! Sequences: numbers that are given out once.
//!
//! [`SEQUENCES`] holds a row for each: name → the first id that nobody has reserved (u64, little-endian). A handle reserves a
//! block by raising that number, in a commit of its own, and gives out the block's ids without asking anybody.
//!
//! Invariants:
//!
//! 1. No id of a block is given out before the commit that reserved it is durable. So the number after a crash lies beyond
//!    every id that was ever given out, whatever durability others ask for.
//! 2. The number that counts is the one in memory; the row is what the next open begins with. It is changed under the lock
//!    of its sequence, and only by the commits of this module, so none of them writes a smaller one than those before.
//! 3. These commits pass the writer gate. They touch no row that a transaction can see or write, so nobody who holds the
//!    gate can tell that they happened; and a thread that holds it itself does not wait for itself.
//! 4. The floor only rises, under the same lock. It is looked at for each id, so what a handle has left of a block from
//!    before is not given out below it.
//!
//! The locks here come before the commit section. They are held until the commit is installed, not until it is durable:
//!
//! * the map's, to make or drop a sequence; whoever opens a handle, asks for the names or asks for statistics looks into it;
//! * that of one sequence, to reserve from it, raise it or drop it; [`Core::unreserved_id`] looks into it.
//!
//! Whoever holds one waits for the disk or a checkpoint at most. So where the row store is full, these questions may stall
//! behind a writer, and wait with it for the checkpoint. An id of a block that is reserved already waits for none of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use braid_mvstore::{Direction, TableId, WriteSet};
use braid_vfs::events::later;
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex};

use super::clock::timestamp;
use super::commit::{CommitRequest, Installed};
use super::shared::Core;
use super::updates::Made;
use crate::error::{Error, Result};
use crate::options::Durability;

/// Name → the first id that is not reserved.
pub(crate) const SEQUENCES: TableId = TableId(3);

/// No id is reserved from here on, so this one is never given out.
const END: u64 = u64::MAX;

/// One sequence, shared by its handles.
#[derive(Debug)]
pub(crate) struct SequenceInfo {
    pub(crate) name: Arc<str>,
    /// The first id that is not reserved.
    next: Mutex<u64>,
    /// What it was raised to: no id below is given out. [`END`] when there is nothing to give out any more, because it was
    /// raised so far or dropped.
    floor: AtomicU64,
    dropped: AtomicBool,
}

impl SequenceInfo {
    /// The least id that may be given out. Refuses a sequence that gives out nothing any more.
    #[inline]
    pub(crate) fn floor(&self) -> Result<u64> {
        let floor = self.floor.load(Ordering::Acquire);
        if floor == END { self.refuse() } else { Ok(floor) }
    }

    #[cold]
    fn refuse(&self) -> Result<u64> {
        self.exists().and_then(|()| Err(Error::SequenceExhausted(self.name.to_string())))
    }

    fn exists(&self) -> Result<()> {
        let dropped = self.dropped.load(Ordering::Acquire);
        if dropped { Err(Error::NoSuchSequence(self.name.to_string())) } else { Ok(()) }
    }
}

/// The sequences of a core. See the module.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    by_name: Mutex<BTreeMap<Arc<str>, Arc<SequenceInfo>>>,
    /// The newest commit that made or dropped one.
    last_change: AtomicU64,
}

impl Sequences {
    pub(crate) fn len(&self) -> usize {
        self.by_name.lock().len()
    }
}

/// The number in a row of [`SEQUENCES`].
pub(crate) fn sequence_row(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}

impl Core {
    /// Fills the map of sequences from their rows.
    pub(super) fn load_sequences(&self) -> Result<()> {
        let view = self.current_view();
        let mut rows = crate::transaction::Layers::over(&self.base, &view, SEQUENCES, self.installed_ts());
        let mut map = self.sequences.by_name.lock();
        while rows.step(&view, None, Direction::Forward)? {
            let Some((name, next)) = rows.row()? else { break };
            let (Ok(name), Some(next)) = (std::str::from_utf8(name), sequence_row(next)) else {
                return Err(Error::Corrupt("the row of a sequence is malformed".to_owned()));
            };
            let info = SequenceInfo::new(name.into(), next);
            map.insert(Arc::clone(&info.name), info);
        }
        Ok(())
    }

    /// Finds a sequence, or makes it.
    pub(crate) fn sequence(&self, name: &str, start: u64) -> Result<Arc<SequenceInfo>> {
        later(|| self.find_or_make_sequence(name, start))
    }

    fn find_or_make_sequence(&self, name: &str, start: u64) -> Result<Arc<SequenceInfo>> {
        let mut map = self.sequences.by_name.lock();
        let (info, installed) = match map.entry(name.into()) {
            Entry::Occupied(found) => (Arc::clone(found.get()), None),
            Entry::Vacant(place) => {
                let installed = self.install_aside(name, Some(start), Durability::Sync)?;
                self.sequences.last_change.store(installed.timestamp().get(), Ordering::Release);
                let info = SequenceInfo::new(Arc::clone(place.key()), start);
                (Arc::clone(place.insert(info)), Some(installed))
            }
        };
        drop(map);
        match installed {
            Some(installed) => self.acknowledge(installed).map(drop)?,
            None => self.acknowledge_sequences()?,
        }
        Ok(info)
    }

    /// Drops a sequence; whether there was one.
    pub(crate) fn drop_sequence(&self, name: &str) -> Result<bool> {
        later(|| self.remove_sequence(name))
    }

    fn remove_sequence(&self, name: &str) -> Result<bool> {
        let mut map = self.sequences.by_name.lock();
        let Some(info) = map.get(name).cloned() else {
            drop(map);
            return self.acknowledge_sequences().map(|()| false);
        };
        // Who reserves at this moment is through, or comes too late.
        let next = info.next.lock();
        let row = planted!(DroppedInMemory).then_some(*next);
        let installed = self.install_aside(name, row, Durability::Sync)?;
        self.sequences.last_change.store(installed.timestamp().get(), Ordering::Release);
        info.dropped.store(true, Ordering::Release);
        if !planted!(BlocksOutliveDrop) {
            info.floor.store(END, Ordering::Release);
        }
        map.remove(name);
        drop((next, map));
        self.acknowledge(installed).map(|_| true)
    }

    /// The names of all sequences, in order.
    pub(crate) fn sequence_names(&self) -> Result<Vec<String>> {
        let names = self.sequences.by_name.lock().keys().map(ToString::to_string).collect();
        self.acknowledge_sequences()?;
        Ok(names)
    }

    /// The first id of a sequence that nobody has reserved.
    pub(crate) fn unreserved_id(&self, name: &str) -> Result<Option<u64>> {
        let info = self.sequences.by_name.lock().get(name).cloned();
        let next = info.map(|info| *info.next.lock());
        self.acknowledge_sequences()?;
        Ok(next)
    }

    /// Has no id below `first` given out any more, for good.
    pub(crate) fn raise_sequence(&self, info: &SequenceInfo, first: u64) -> Result<()> {
        later(|| self.raise_row(info, first))
    }

    fn raise_row(&self, info: &SequenceInfo, first: u64) -> Result<()> {
        let mut next = info.next.lock();
        info.exists()?;
        let raised = first.max(*next);
        // Also where it stands so far already: the commit that brought it there may not be durable yet, this one will be.
        let row = if planted!(RaisedInMemory) { *next } else { raised };
        let installed = self.install_aside(&info.name, Some(row), Durability::Sync)?;
        *next = raised;
        if !planted!(BlocksOutliveRaise) {
            info.floor.fetch_max(first, Ordering::AcqRel);
        }
        drop(next);
        self.acknowledge(installed).map(drop)
    }

    /// Reserves up to `count` ids: the first one and how many, which is one at least.
    pub(crate) fn reserve_ids(&self, info: &SequenceInfo, count: u64) -> Result<(u64, u64)> {
        later(|| self.take_ids(info, count))
    }

    fn take_ids(&self, info: &SequenceInfo, count: u64) -> Result<(u64, u64)> {
        let mut next = info.next.lock();
        info.exists()?;
        let first = *next;
        let count = count.min(END - first);
        if count == 0 {
            return Err(Error::SequenceExhausted(info.name.to_string()));
        }
        if planted!(BlockNotReserved) {
            *next = first + count;
            return Ok((first, count));
        }
        let durability = if planted!(BlockNotSynced) { Durability::Deferred } else { Durability::Sync };
        let installed = self.install_aside(&info.name, Some(first + count), durability)?;
        if !planted!(BlockGivenTwice) || !first.is_multiple_of(3) {
            *next = first + count;
        }
        drop(next);
        self.acknowledge(installed)?;
        self.counters.sequence_blocks.add(1);
        Ok((first, count))
    }

    /// Commits the row of a sequence, past the gate.
    fn install_aside(&self, name: &str, next: Option<u64>, durability: Durability) -> Result<Installed> {
        let mut writes = WriteSet::new();
        match next {
            Some(next) => writes.put(SEQUENCES, name.as_bytes(), &next.to_le_bytes()),
            None => writes.delete(SEQUENCES, name.as_bytes()),
        }
        self.install(&mut CommitRequest {
            // Every commit of the row up to now is: its lock is held.
            begin_ts: self.installed_ts(),
            view: None,
            exclusive: true,
            durability,
            busy_timeout: self.options.busy_timeout,
            writes: &mut writes,
            token: None,
            reserved: 0,
            made: Made::default(),
            reads: None,
            looks: None,
            schema: None,
        })
    }

    /// Waits until what the map says stands.
    fn acknowledge_sequences(&self) -> Result<()> {
        let last_change = timestamp(self.sequences.last_change.load(Ordering::Acquire));
        self.acknowledge_reads(last_change).map(drop)
    }
}

impl SequenceInfo {
    fn new(name: Arc<str>, next: u64) -> Arc<Self> {
        let (next, floor, dropped) = (Mutex::new(next), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { name, next, floor, dropped })
    }
}
