//! The catalog: which tables there are.
//!
//! Two system tables hold it as ordinary rows, so that creating, dropping and renaming tables is part of any transaction:
//!
//! * [`NAMES`]: name → table id (u32, little-endian); two creators of one name conflict on this row.
//! * [`TABLES`]: table id (u32, big-endian) → name.
//!
//! Invariants:
//!
//! 1. The map of names mirrors the newest committed rows. It is changed inside the commit section, by what the rows of the
//!    commit itself say, and never by a transaction that is open or lost.
//! 2. What a transaction calls a table by is what its snapshot and its own rows say, not this map; that finds the
//!    [`TableInfo`] of an id, which all handles of the table share. So a dropped table stays in the map as long as a
//!    snapshot is older than the drop.
//! 3. An id is given out once: what a transaction that is rolled back has taken is lost.

use std::collections::{BTreeMap, HashMap, VecDeque};

use braid_mvstore::{TableId, Timestamp};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex};

use super::clock::timestamp;
use super::schema::SchemaChanges;
use super::sequences::SEQUENCES;
use crate::base::TreeId;
use crate::error::{Error, Result};

/// Name → id.
pub(crate) const NAMES: TableId = TableId(1);
/// Id → name.
pub(crate) const TABLES: TableId = TableId(2);
/// Idempotency token → when it was committed; see `tokens`.
pub(crate) const TOKENS: TableId = TableId(4);
/// Name → position of a named consumer of the change feed: see `feed/place.rs`.
pub(crate) const CONSUMERS: TableId = TableId(5);
/// All tables of the engine's own.
pub(crate) const SYSTEM_TABLES: [TableId; 5] = [NAMES, TABLES, SEQUENCES, TOKENS, CONSUMERS];
/// The first id of a user's table.
pub(crate) const FIRST_USER_TABLE: u32 = crate::limits::FIRST_TABLE_ID;

/// Whether a table of the users' can have this id: the last one is the directory of the trees.
pub(super) fn is_users_table(id: &TableId) -> bool {
    id.0 >= FIRST_USER_TABLE && TreeId::from(*id) != TreeId::DIRECTORY
}

/// Whether rows of this table can be in the log.
pub(super) fn is_table(id: TableId) -> bool {
    SYSTEM_TABLES.contains(&id) || is_users_table(&id)
}

/// `TableInfo::visible_from` of a table whose transaction is open: later than any snapshot.
const UNCOMMITTED: u64 = u64::MAX;
/// The same of a table that never came to be.
const NEVER: u64 = u64::MAX - 1;

/// One table, shared by all its handles.
#[derive(Debug)]
pub(crate) struct TableInfo {
    pub(crate) id: TableId,
    /// The core that the table belongs to.
    pub(crate) core: u64,
    /// What committed transactions call it; before the first of them, what its own does.
    name: Mutex<Arc<str>>,
    /// Older snapshots must not look for it: [`UNCOMMITTED`] until its transaction commits. From then on 0, as the rows'
    /// own timestamps hide them, or for a loaded table, whose rows have none, the commit that gave it its name.
    visible_from: AtomicU64,
    /// The commit that dropped it; `u64::MAX` while it stands.
    dropped_at: AtomicU64,
    /// The newest commit that renamed it since the open.
    renamed_at: AtomicU64,
    /// Tells the transaction that makes it from all others that are open.
    maker: usize,
}

impl TableInfo {
    fn new(id: TableId, core: u64, name: Arc<str>, visible_from: u64, maker: usize) -> Self {
        Self {
            id,
            core,
            name: Mutex::new(name),
            visible_from: AtomicU64::new(visible_from),
            dropped_at: AtomicU64::new(u64::MAX),
            renamed_at: AtomicU64::new(0),
            maker,
        }
    }

    /// Its newest name.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name.lock())
    }

    /// The commit that dropped the table.
    pub(crate) fn dropped_at(&self) -> Option<Timestamp> {
        match self.dropped_at.load(Ordering::Acquire) {
            u64::MAX => None,
            ts => Some(timestamp(ts)),
        }
    }

    /// The newest commit that dropped the table or gave it another name, if that was after `ts`.
    pub(crate) fn changed_after(&self, ts: Timestamp) -> Option<Timestamp> {
        let renamed = self.renamed_at.load(Ordering::Acquire);
        let renamed = (renamed > ts.get() && !planted!(RenameNotValidated)).then(|| timestamp(renamed));
        self.dropped_at().or(renamed)
    }

    /// Whether a snapshot at `ts` is too new to see the table, or too old.
    #[inline]
    pub(crate) fn is_missing_at(&self, ts: Timestamp) -> bool {
        ts.get() >= self.dropped_at.load(Ordering::Acquire)
            || (ts.get() < self.visible_from.load(Ordering::Acquire) && !planted!(LoadSeenEarly))
    }

    /// Whether another transaction than this one makes it, and is still open.
    pub(crate) fn is_made_by_another(&self, maker: usize) -> bool {
        self.is_uncommitted() && self.maker != maker
    }

    fn is_uncommitted(&self) -> bool {
        self.visible_from.load(Ordering::Acquire) == UNCOMMITTED
    }
}

#[derive(Debug, Default)]
struct Maps {
    by_name: BTreeMap<Arc<str>, Arc<TableInfo>>,
    /// Dropped tables stay here while somebody holds a handle, or a snapshot may ask for them; those of open transactions
    /// are here already.
    by_id: HashMap<TableId, Arc<TableInfo>>,
    /// Those of `by_id` that were dropped, in the order in which they are looked at.
    dropped: VecDeque<TableId>,
    /// How many were looked at so far.
    #[cfg(test)]
    looked_at: usize,
}

/// Dropped tables that a commit which changes the catalog looks at, beside those that it drops itself: what it costs has to do
/// with what it changes, and not with how many tables there are.
const LOOKED_AT: usize = 8;

impl Maps {
    /// Forgets dropped tables that nobody holds, and no snapshot at `watermark` or later asks for: of the next `many`.
    fn forget_dropped(&mut self, many: usize, watermark: Timestamp) {
        for _ in 0..many.min(self.dropped.len()) {
            let Some(id) = self.dropped.pop_front() else { break };
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            let is_needed = self.by_id.get(&id).is_some_and(|info| {
                info.dropped_at().is_none_or(|dropped| dropped > watermark) || Arc::strong_count(info) > 1
            });
            if is_needed {
                self.dropped.push_back(id);
            } else {
                self.by_id.remove(&id);
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tables {
    core: u64,
    next_id: AtomicU32,
    /// The newest commit that dropped or renamed a table: a transaction that began at or after it has nothing to check.
    last_withdrawal: AtomicU64,
    /// The newest commit that changed the map; raised before the map is.
    last_change: AtomicU64,
    maps: Mutex<Maps>,
}

impl Tables {
    pub(crate) fn new(core: u64) -> Self {
        Self {
            core,
            next_id: AtomicU32::new(FIRST_USER_TABLE),
            last_withdrawal: AtomicU64::new(0),
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
            NAMES | TABLES | SEQUENCES => "catalog".to_owned(),
            TOKENS => "tokens".to_owned(),
            CONSUMERS => "consumers".to_owned(),
            id => self.by_id(id).map_or_else(|| format!("#{}", id.0), |info| info.name().to_string()),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.maps.lock().by_name.keys().map(ToString::to_string).collect()
    }

    /// Every table that is known, dropped ones too while somebody holds a handle.
    pub(crate) fn known(&self) -> Vec<(TableId, Arc<str>)> {
        self.maps.lock().by_id.iter().map(|(id, info)| (*id, info.name())).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.maps.lock().by_name.len()
    }

    /// A table for a transaction that makes it, and that says so when it is [over](Self::end_creation).
    pub(crate) fn begin_creation(&self, name: &str, maker: usize) -> Result<Arc<TableInfo>> {
        let id = self.allocate_id()?;
        let info = Arc::new(TableInfo::new(id, self.core, name.into(), UNCOMMITTED, maker));
        self.maps.lock().by_id.insert(id, Arc::clone(&info));
        Ok(info)
    }

    /// The transaction that made a table is over, or has taken that back: if it did not commit, the table never was.
    pub(crate) fn end_creation(&self, info: &TableInfo) {
        let left =
            info.visible_from.compare_exchange(UNCOMMITTED, NEVER, Ordering::AcqRel, Ordering::Relaxed);
        if left.is_ok() {
            self.maps.lock().by_id.remove(&info.id);
        }
    }

    /// A table was found at the open; `false` if there is one of that id already.
    #[must_use]
    pub(super) fn insert_found(&self, id: TableId, name: &str) -> bool {
        let name: Arc<str> = name.into();
        let info = Arc::new(TableInfo::new(id, self.core, Arc::clone(&name), 0, 0));
        self.reserve_ids(id.0.saturating_add(1));
        let mut maps = self.maps.lock();
        maps.by_name.insert(name, Arc::clone(&info));
        maps.by_id.insert(id, info).is_none()
    }

    /// The commit at `ts` has changed the catalog. `loaded` tells the tables whose rows are in the base already, and no
    /// snapshot reads before `watermark`. In the commit section.
    pub(super) fn apply(
        &self,
        changes: &SchemaChanges,
        loaded: impl Fn(TableId) -> bool,
        ts: Timestamp,
        watermark: Timestamp,
    ) {
        let mut withdrawn = false;
        let mut guard = self.maps.lock();
        let maps = &mut *guard;
        let dropped_before = maps.dropped.len();
        self.last_change.fetch_max(ts.get(), Ordering::Release);
        for (id, name) in &changes.tables {
            match (name, maps.by_id.get(id)) {
                // Made and dropped by one transaction.
                (None, None) => {}
                (None, Some(info)) if info.is_uncommitted() => {}
                (None, Some(info)) => {
                    info.dropped_at.store(ts.get(), Ordering::Release);
                    maps.dropped.push_back(*id);
                    withdrawn = true;
                }
                (Some(name), Some(info)) if info.is_uncommitted() => {
                    *info.name.lock() = Arc::clone(name);
                    info.visible_from.store(0, Ordering::Release);
                }
                (Some(name), Some(info)) => {
                    let mut old = info.name.lock();
                    if *old != *name {
                        *old = Arc::clone(name);
                        info.renamed_at.store(ts.get(), Ordering::Release);
                        withdrawn = true;
                    }
                }
                (Some(name), None) => {
                    let visible_from = if loaded(*id) { ts.get() } else { 0 };
                    let info = TableInfo::new(*id, self.core, Arc::clone(name), visible_from, 0);
                    maps.by_id.insert(*id, Arc::new(info));
                }
            }
        }
        for (name, id) in &changes.names {
            match id.and_then(|id| maps.by_id.get(&id).cloned()) {
                Some(info) => drop(maps.by_name.insert(Arc::clone(name), info)),
                None => drop(maps.by_name.remove(name)),
            }
        }
        maps.forget_dropped(LOOKED_AT + maps.dropped.len() - dropped_before, watermark);
        drop(guard);
        if withdrawn {
            self.last_withdrawal.fetch_max(ts.get(), Ordering::Release);
        }
    }

    /// The newest commit that changed what the map says; to be asked after the map.
    pub(crate) fn last_change(&self) -> Timestamp {
        timestamp(self.last_change.load(Ordering::Acquire))
    }

    /// Whether any table was dropped or renamed after `begin_ts`.
    #[inline]
    pub(crate) fn any_withdrawn_after(&self, begin_ts: Timestamp) -> bool {
        self.last_withdrawal.load(Ordering::Acquire) > begin_ts.get()
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const TABLES: u32 = 5000;

    fn id(table: u32) -> TableId {
        TableId(FIRST_USER_TABLE + table)
    }

    fn found() -> Tables {
        let tables = Tables::new(1);
        for table in 0..TABLES {
            assert!(tables.insert_found(id(table), &format!("t{table}")));
        }
        tables
    }

    /// The commit at `ts` drops a table.
    fn drop_table(tables: &Tables, table: u32, ts: u64, watermark: u64) {
        let name: Arc<str> = format!("t{table}").into();
        let changes = SchemaChanges { tables: vec![(id(table), None)], names: vec![(name, None)] };
        tables.apply(&changes, |_| false, timestamp(ts), timestamp(watermark));
    }

    fn rename(tables: &Tables, table: u32, ts: u64, watermark: u64) {
        let [old, new]: [Arc<str>; 2] = [format!("t{table}").into(), format!("new{table}").into()];
        let names = vec![(old, None), (Arc::clone(&new), Some(id(table)))];
        let changes = SchemaChanges { tables: vec![(id(table), Some(new))], names };
        tables.apply(&changes, |_| false, timestamp(ts), timestamp(watermark));
    }

    fn is_known(tables: &Tables, table: u32) -> bool {
        tables.by_id(id(table)).is_some()
    }

    #[test]
    fn a_change_of_the_catalog_looks_at_dropped_tables_only() {
        let tables = found();
        (0..100).for_each(|table| rename(&tables, table, 10 + u64::from(table), 9));
        assert_eq!(tables.maps.lock().looked_at, 0);
        drop_table(&tables, 200, 200, 200);
        assert!(!is_known(&tables, 200), "no snapshot asks for it");
        assert_eq!(tables.maps.lock().looked_at, 1);
    }

    #[test]
    fn a_dropped_table_stays_while_it_may_be_asked_for() {
        let tables = found();
        let handle = tables.by_id(id(7));
        drop_table(&tables, 7, 10, 10);
        drop_table(&tables, 8, 11, 10);
        assert!(is_known(&tables, 7) && is_known(&tables, 8), "a handle of one, a snapshot of the other");
        rename(&tables, 9, 12, 11);
        assert!(is_known(&tables, 7) && !is_known(&tables, 8));
        drop(handle);
        rename(&tables, 10, 13, 11);
        assert!(!is_known(&tables, 7));
        assert!(tables.maps.lock().dropped.is_empty());
    }

    /// However many dropped ones are held, a change looks at few, and each has its turn.
    #[test]
    fn dropped_tables_that_are_held_are_looked_at_in_turn() {
        let tables = found();
        let handles: Vec<_> = (0..1000).map(|table| tables.by_id(id(table))).collect();
        (0..1000).for_each(|table| drop_table(&tables, table, 10 + u64::from(table), 9));
        drop(handles);
        for change in 0..1000 / LOOKED_AT {
            let before = tables.maps.lock().looked_at;
            let table = 1000 + u32::try_from(change).unwrap_or(0);
            rename(&tables, table, 2000 + change as u64, 1999);
            assert_eq!(tables.maps.lock().looked_at - before, LOOKED_AT);
        }
        assert!((0..1000).all(|table| !is_known(&tables, table)));
        assert!(is_known(&tables, 1000));
    }
}
