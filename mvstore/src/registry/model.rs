//! A small engine around the registry and the row store: one row that every commit sets to its own commit_ts, so that a
//! snapshot is right exactly when it reads its own begin_ts.

use std::ops::Bound::Unbounded;
use std::sync::atomic::Ordering::SeqCst;

use braid_vfs::sync::atomic::AtomicU64;
use braid_vfs::sync::{Arc, Mutex, Weak};

use super::*;
use crate::testing::ts;
use crate::{
    Direction, FoldIter, Generation, InstallRights, Scan, ScanBatch, ScanLimit, TableId, WriteSet, pin,
};

const TABLE: TableId = TableId(1);
const KEY: &[u8] = b"the row";

/// As the engine's: generations newest first, over a base.
pub(super) struct View {
    generations: Vec<Arc<Generation>>,
    base: Base,
}

#[derive(Clone, Copy)]
struct Base {
    ts: Timestamp,
    value: u64,
}

pub(super) struct Core {
    pub(super) registry: SnapshotRegistry<View>,
    installed: AtomicU64,
    acked: AtomicU64,
    view_id: AtomicU64,
    view: Mutex<Arc<View>>,
    commit: Mutex<InstallRights>,
    /// Views that were replaced.
    replaced: Mutex<Vec<Weak<View>>>,
}

impl SnapshotSource<View> for Core {
    fn view_id(&self) -> u64 {
        self.view_id.load(SeqCst)
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    fn read_point(&self, kind: SnapshotKind) -> Timestamp {
        ts(match kind {
            SnapshotKind::ReadOnly => self.acked.load(SeqCst),
            SnapshotKind::ReadWrite => self.installed.load(SeqCst),
        })
    }
}

impl Core {
    pub(super) fn new() -> Self {
        let (generation, rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let base = Base { ts: Timestamp::ZERO, value: 0 };
        Self {
            registry: SnapshotRegistry::new(100),
            installed: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            view_id: AtomicU64::new(1),
            view: Mutex::new(Arc::new(View { generations: vec![generation], base })),
            commit: Mutex::new(rights),
            replaced: Mutex::new(Vec::new()),
        }
    }

    /// Commits, and acknowledges after the section as another thread may do in between.
    pub(super) fn commit(&self) {
        let mut writes = WriteSet::new();
        let mut rights = self.commit.lock();
        let generation = Arc::clone(rights.generation());
        let commit_ts = self.installed.load(SeqCst) + 1;
        writes.put(TABLE, KEY, &commit_ts.to_le_bytes());
        {
            let guard = pin();
            generation.prepare(&writes, &guard).install(&mut rights, &mut writes, ts(commit_ts), || {
                let acked = ts(self.acked.load(SeqCst));
                self.registry.watermark_since(generation.start_ts(), acked)
            });
        }
        self.installed.store(commit_ts, SeqCst);
        drop(rights);
        self.acked.fetch_max(commit_ts, SeqCst);
    }

    /// Seals the active generation, then folds what is sealed into the base. One thread at a time.
    pub(super) fn checkpoint(&self) {
        let mut rights = self.commit.lock();
        let seal_ts = ts(self.installed.load(SeqCst));
        let (generation, new_rights) = Generation::new(seal_ts, 1 << 16);
        let sealed = std::mem::replace(&mut *rights, new_rights).seal();
        assert_eq!(sealed.last_ts(), seal_ts);
        let old = self.view();
        let generations = [vec![Arc::clone(&generation)], old.generations.clone()].concat();
        self.publish(View { generations, base: old.base });
        drop(rights);

        self.acked.fetch_max(seal_ts.get(), SeqCst);
        let mut base = Base { ts: seal_ts, ..old.base };
        let mut fold = FoldIter::new(&old.generations, seal_ts);
        while let Some(row) = fold.next() {
            base.value = number(row.value.value().unwrap_or_default());
        }
        assert_eq!(base.value, seal_ts.get(), "the fold holds everything up to the seal");
        drop((fold, old));
        self.publish(View { generations: vec![generation], base });
    }

    fn publish(&self, view: View) {
        let old = std::mem::replace(&mut *self.view.lock(), Arc::new(view));
        self.replaced.lock().push(Arc::downgrade(&old));
        let id = self.view_id.load(SeqCst) + 1;
        self.view_id.store(id, SeqCst);
        self.registry.sweep_stale(id, drop);
    }

    /// Begins, reads twice what must be there, ends.
    pub(super) fn read(&self, kind: SnapshotKind, between: impl FnOnce()) {
        let snapshot = self.registry.begin(kind, self, 0).expect("there is room");
        let first = get(&snapshot);
        between();
        let second = scan(&snapshot);
        let expected = snapshot.begin_ts().get();
        assert_eq!((first, second), (expected, expected), "{kind:?} snapshot at {expected}");
        drop(self.registry.end(snapshot, self));
    }

    /// What must hold once everybody is done: nothing is registered, and nothing holds a view that was replaced.
    pub(super) fn check_quiet(&self) {
        assert!(self.registry.is_empty());
        let held = self.replaced.lock().iter().filter(|view| view.upgrade().is_some()).count();
        assert_eq!(held, 0, "idle slots hold replaced views");
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().expect("values are eight bytes"))
}

fn get(snapshot: &Registration<View>) -> u64 {
    let (view, at) = (snapshot.view(), snapshot.begin_ts());
    assert!(view.base.ts <= at, "the base holds the future");
    let guard = pin();
    let found = view.generations.iter().find_map(|generation| generation.get(TABLE, KEY, at, &guard));
    found.map_or(view.base.value, |found| number(found.value().unwrap_or_default()))
}

fn scan(snapshot: &Registration<View>) -> u64 {
    let (view, at) = (snapshot.view(), snapshot.begin_ts());
    let limit = ScanLimit { rows: 4, bytes: 100 };
    let scan =
        Scan { table: TABLE, from: Unbounded, to: Unbounded, direction: Direction::Forward, at, limit };
    let mut batch = ScanBatch::new();
    for generation in &view.generations {
        generation.scan(&scan, &mut batch, &pin());
        if let Some(row) = batch.row(0) {
            return number(row.value.value().unwrap_or_default());
        }
    }
    view.base.value
}
