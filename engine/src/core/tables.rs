//! The catalog: which tables there are.
//!
//! Two system tables hold it as ordinary rows, so that creating and dropping a table is an ordinary transaction:
//!
//! * [`NAMES`]: name → table id (u32, little-endian); two creators of one name conflict on this row.
//! * [`TABLES`]: table id (u32, big-endian) → name.
//!
//! Ids are never used again. What this map holds is what is committed; it is changed inside the commit section, together
//! with the rows.

use std::collections::{BTreeMap, HashMap};

use braid_mvstore::{TableId, Timestamp};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex};

use super::clock::timestamp;
use crate::base::TreeId;
use crate::error::{Error, Result};

/// Name → id.
pub(crate) const NAMES: TableId = TableId(1);
/// Id → name.
pub(crate) const TABLES: TableId = TableId(2);
/// Name → position of a named consumer of the change feed: see `feed/position.rs`.
pub(crate) const CONSUMERS: TableId = TableId(5);
/// The first id of a user's table.
pub(crate) const FIRST_USER_TABLE: u32 = crate::limits::FIRST_TABLE_ID;

/// Whether a table of the users' can have this id: the last one is the directory of the trees.
pub(super) fn is_users_table(id: &TableId) -> bool {
    id.0 >= FIRST_USER_TABLE && TreeId::from(*id) != TreeId::DIRECTORY
}

/// Whether rows of this table can be in the log.
pub(super) fn is_table(id: TableId) -> bool {
    id == NAMES || id == TABLES || id == CONSUMERS || is_users_table(&id)
}

/// One table, shared by all its handles.
#[derive(Debug)]
pub(crate) struct TableInfo {
    pub(crate) id: TableId,
    pub(crate) name: Arc<str>,
    /// The core that the table belongs to.
    pub(crate) core: u64,
    /// The commit that gave a loaded table its name, if that was since the open. Its rows have no timestamps of their own: an
    /// older snapshot must not look for them.
    loaded_at: Timestamp,
    /// The commit that dropped it; `u64::MAX` while it stands.
    dropped_at: AtomicU64,
}

impl TableInfo {
    /// The commit that dropped the table.
    pub(crate) fn dropped_at(&self) -> Option<Timestamp> {
        match self.dropped_at.load(Ordering::Acquire) {
            u64::MAX => None,
            ts => Some(timestamp(ts)),
        }
    }

    /// Whether a snapshot at `ts` is too new to see the table, or too old.
    pub(crate) fn is_missing_at(&self, ts: Timestamp) -> bool {
        ts.get() >= self.dropped_at.load(Ordering::Acquire)
            || (ts < self.loaded_at && !planted!(LoadSeenEarly))
    }
}

#[derive(Debug, Default)]
struct Maps {
    by_name: BTreeMap<Arc<str>, Arc<TableInfo>>,
    /// Dropped tables stay here while somebody holds a handle.
    by_id: HashMap<TableId, Arc<TableInfo>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tables {
    core: u64,
    next_id: AtomicU32,
    /// The newest commit that dropped a table: a transaction that began at or after it has nothing to check.
    last_drop: AtomicU64,
    /// The newest commit that changed the map; raised before the map is.
    last_change: AtomicU64,
    maps: Mutex<Maps>,
}

impl Tables {
    pub(crate) fn new(core: u64) -> Self {
        Self {
            core,
            next_id: AtomicU32::new(FIRST_USER_TABLE),
            last_drop: AtomicU64::new(0),
            last_change: AtomicU64::new(0),
            maps: Mutex::new(Maps::default()),
        }
    }

    /// No id below `next` will be given to a new table.
    pub(crate) fn reserve_ids(&self, next: u32) {
        self.next_id.fetch_max(next, Ordering::Relaxed);
    }

    /// The id that the next new table would get.
    pub(crate) fn next_id(&self) -> u32 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// An id for a new table.
    pub(crate) fn allocate_id(&self) -> Result<TableId> {
        self.next_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| next.checked_add(1))
            .map(TableId)
            .map_err(|_| Error::Exhausted("table id"))
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<TableInfo>> {
        self.maps.lock().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: TableId) -> Option<Arc<TableInfo>> {
        self.maps.lock().by_id.get(&id).cloned()
    }

    /// The name of a table for an error; system tables have theirs too.
    pub(crate) fn name_of(&self, id: TableId) -> String {
        match id {
            NAMES | TABLES => "catalog".to_owned(),
            CONSUMERS => "consumers".to_owned(),
            id => self.by_id(id).map_or_else(|| format!("#{}", id.0), |info| info.name.to_string()),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.maps.lock().by_name.keys().map(ToString::to_string).collect()
    }

    /// Every table that is known, dropped ones too while somebody holds a handle.
    pub(crate) fn known(&self) -> Vec<(TableId, Arc<str>)> {
        self.maps.lock().by_id.iter().map(|(id, info)| (*id, Arc::clone(&info.name))).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.maps.lock().by_name.len()
    }

    /// The commit at `ts` created a table; or it was found at the open. Nobody sees it before `loaded_at`.
    pub(crate) fn insert(&self, id: TableId, name: &str, ts: Timestamp, loaded_at: Timestamp) {
        let name: Arc<str> = name.into();
        let info = Arc::new(TableInfo {
            id,
            name: Arc::clone(&name),
            core: self.core,
            loaded_at,
            dropped_at: AtomicU64::new(u64::MAX),
        });
        let mut maps = self.maps.lock();
        self.last_change.fetch_max(ts.get(), Ordering::Release);
        maps.by_name.insert(name, Arc::clone(&info));
        maps.by_id.insert(id, info);
        drop(maps);
        self.reserve_ids(id.0.saturating_add(1));
    }

    /// The commit at `ts` dropped a table.
    pub(crate) fn remove(&self, id: TableId, ts: Timestamp) {
        let mut maps = self.maps.lock();
        self.last_change.fetch_max(ts.get(), Ordering::Release);
        if let Some(info) = maps.by_id.get(&id).cloned() {
            info.dropped_at.store(ts.get(), Ordering::Release);
            maps.by_name.remove(&info.name);
        }
        maps.by_id.retain(|_, info| info.dropped_at().is_none() || Arc::strong_count(info) > 1);
        drop(maps);
        self.last_drop.fetch_max(ts.get(), Ordering::Release);
    }

    /// The newest commit that changed what the map says; to be asked after the map.
    pub(crate) fn last_change(&self) -> Timestamp {
        timestamp(self.last_change.load(Ordering::Acquire))
    }

    /// Whether any table was dropped after `begin_ts`.
    pub(crate) fn any_dropped_after(&self, begin_ts: Timestamp) -> bool {
        self.last_drop.load(Ordering::Acquire) > begin_ts.get()
    }
}
