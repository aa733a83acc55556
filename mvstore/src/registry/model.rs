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

impl<V> SnapshotRegistry<V> {
    /// Whether no snapshot is open that was not revoked.
    pub(super) fn is_empty(&self) -> bool {
        let mut empty = true;
        self.slots.each_pin(|_| empty = false);
        empty
    }
}

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
    /// Reads that were answered in spite of a revocation on its way, and reads that were refused.
    pub(super) answered: AtomicU64,
    pub(super) refused: AtomicU64,
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
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
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

    /// Begins with a lease and reads as often as it may: what is answered is right, and nothing is after a refusal.
    pub(super) fn read_leased(&self, kind: SnapshotKind, reads: u32, between: impl Fn()) {
        let snapshot = self.registry.begin(kind, self, 0).expect("there is room");
        let snapshot = self.registry.lease(snapshot, Some(7));
        let (expected, mut over) = (snapshot.begin_ts().get(), false);
        for _ in 0..reads {
            match read_held(&snapshot) {
                Some(found) => {
                    assert!(!over, "a revoked snapshot reads again");
                    assert_eq!(found, (expected, expected), "{kind:?} snapshot at {expected}");
                    self.answered.fetch_add(1, SeqCst);
                }
                None => {
                    over = true;
                    self.refused.fetch_add(1, SeqCst);
                }
            }
            between();
        }
        drop(self.registry.end_leased(snapshot, self));
    }

    /// Revokes every lease that is open now.
    pub(super) fn revoke_all(&self) {
        let mut leases = Vec::new();
        self.registry.for_each_lease(|info, lease| {
            assert_eq!((info.max_age, lease.max_age()), (Some(7), Some(7)));
            leases.push(Arc::clone(lease));
        });
        for lease in leases {
            drop(self.registry.revoke(&lease, Revoked::TooOld { age: 8, limit: 7 }));
        }
    }

    /// What must hold once everybody is done: nothing is registered, and nothing holds a view that was replaced.
    pub(super) fn check_quiet(&self) {
        assert!(self.registry.is_empty() && self.registry.revoked() == 0);
        let held = self.replaced.lock().iter().filter(|view| view.upgrade().is_some()).count();
        assert_eq!(held, 0, "idle slots hold replaced views");
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().expect("values are eight bytes"))
}

/// As the engine does it: the view held, two reads, and a look whether they count.
fn read_held(snapshot: &LeasedRegistration<View>) -> Option<(u64, u64)> {
    let held = snapshot.lease().hold();
    let view = held.as_ref()?;
    let found = (get_in(view, snapshot.begin_ts()), scan_in(view, snapshot.begin_ts()));
    let counts = snapshot.lease().revoked().is_none() || planted!(RevokedDuringRead);
    counts.then_some(found)
}

fn get(snapshot: &Registration<View>) -> u64 {
    get_in(snapshot.view(), snapshot.begin_ts())
}

fn scan(snapshot: &Registration<View>) -> u64 {
    scan_in(snapshot.view(), snapshot.begin_ts())
}

fn get_in(view: &View, at: Timestamp) -> u64 {
    assert!(view.base.ts <= at, "the base holds the future");
    let guard = pin();
    let found = view.generations.iter().find_map(|generation| generation.get(TABLE, KEY, at, &guard));
    found.map_or(view.base.value, |found| number(found.value().unwrap_or_default()))
}

fn scan_in(view: &View, at: Timestamp) -> u64 {
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
