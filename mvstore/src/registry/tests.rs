use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use super::SnapshotKind::{ReadOnly, ReadWrite};
use super::model::Core;
use super::*;
use crate::testing::ts;

/// Horizons and a view that a test moves by hand.
struct Source {
    acked: AtomicU64,
    installed: AtomicU64,
    view: std::sync::Mutex<Arc<u64>>,
    fetched: AtomicU64,
}

impl Source {
    fn new(acked: u64, installed: u64) -> Self {
        Self {
            acked: acked.into(),
            installed: installed.into(),
            view: std::sync::Mutex::new(Arc::new(1)),
            fetched: AtomicU64::new(0),
        }
    }

    fn publish(&self, view: u64) -> std::sync::Weak<u64> {
        Arc::downgrade(&std::mem::replace(&mut *self.view.lock().unwrap(), Arc::new(view)))
    }
}

impl SnapshotSource<u64> for Source {
    fn view_id(&self) -> u64 {
        **self.view.lock().unwrap()
    }

    fn view(&self) -> Arc<u64> {
        self.fetched.fetch_add(1, SeqCst);
        Arc::clone(&self.view.lock().unwrap())
    }

    fn read_point(&self, kind: SnapshotKind) -> Timestamp {
        ts(match kind {
            ReadOnly => self.acked.load(SeqCst),
            ReadWrite => self.installed.load(SeqCst),
        })
    }
}

impl<V> SnapshotRegistry<V> {
    fn has_read_write(&self) -> bool {
        let mut has = false;
        self.slots.each_pin(|pin| has |= pin.kind() == ReadWrite);
        has
    }

    /// How many snapshots are open and were not revoked.
    fn len(&self) -> usize {
        let mut count = 0;
        self.slots.each_pin(|_| count += 1);
        count
    }
}

#[test]
fn a_writer_that_is_over_still_reads() {
    let source = Source::new(5, 8);
    let registry = SnapshotRegistry::new(10);
    let writer = registry.begin(ReadWrite, &source, 0).unwrap();
    assert!(registry.has_read_write());
    registry.stop_writing(&writer);
    assert!(!registry.has_read_write());
    assert_eq!(registry.oldest_read_write(ts(20)), ts(20));
    assert_eq!(registry.watermark(ts(20)), ts(8), "what it reads is still pinned");
    drop(registry.end(writer, &source));
    assert_eq!((registry.len(), registry.watermark(ts(20))), (0, ts(20)));
}

#[test]
fn a_snapshot_pins_its_begin_ts_until_it_ends() {
    let source = Source::new(5, 8);
    let registry = SnapshotRegistry::new(10);
    assert_eq!(registry.watermark(ts(5)), ts(5));
    let reader = registry.begin(ReadOnly, &source, 0).unwrap();
    let writer = registry.begin(ReadWrite, &source, 0).unwrap();
    assert_eq!((reader.begin_ts(), reader.kind(), **reader.view()), (ts(5), ReadOnly, 1));
    assert_eq!((writer.begin_ts(), writer.kind()), (ts(8), ReadWrite));
    assert_eq!(registry.watermark(ts(20)), ts(5));
    assert_eq!(registry.watermark(ts(3)), ts(3), "a snapshot may begin at acked_ts");
    assert_eq!(registry.oldest_read_write(ts(20)), ts(8));
    assert!(registry.has_read_write());
    assert_eq!(registry.len(), 2);
    assert!(!registry.is_empty());
    assert!(registry.end(writer, &source).is_none());
    assert!(!registry.has_read_write());
    assert_eq!(registry.oldest_read_write(ts(20)), ts(20));
    assert_eq!(registry.watermark(ts(20)), ts(5));
    assert!(registry.end(reader, &source).is_none());
    assert!(registry.is_empty());
    assert_eq!(registry.watermark(ts(20)), ts(20));
}

#[test]
fn an_old_reader_does_not_hold_back_later_generations() {
    let source = Source::new(5, 5);
    let registry = SnapshotRegistry::new(10);
    let old = registry.begin(ReadOnly, &source, 0).unwrap();
    source.acked.store(12, SeqCst);
    let young = registry.begin(ReadOnly, &source, 0).unwrap();
    assert_eq!(registry.watermark_since(ts(4), ts(20)), ts(5));
    assert_eq!(registry.watermark_since(ts(5), ts(20)), ts(12), "a snapshot at its start sees nothing of it");
    assert_eq!(registry.watermark_since(ts(10), ts(20)), ts(12));
    assert_eq!(registry.watermark_since(ts(10), ts(11)), ts(11));
    assert_eq!(registry.watermark_since(ts(12), ts(20)), ts(20));
    assert_eq!(registry.oldest_at_or_after(ts(5)), Some(ts(5)));
    assert_eq!(registry.oldest_at_or_after(ts(6)), Some(ts(12)));
    assert_eq!(registry.oldest_at_or_after(ts(13)), None);
    drop((registry.end(old, &source), registry.end(young, &source)));
}

/// Publishes its second view the first time that somebody asks where to read, as a checkpoint may.
struct Sealing {
    source: Source,
    is_sealed: std::sync::atomic::AtomicBool,
}

impl SnapshotSource<u64> for Sealing {
    fn lower_bound(&self, kind: SnapshotKind) -> Timestamp {
        self.source.read_point(kind)
    }

    fn view_id(&self) -> u64 {
        self.source.view_id()
    }

    fn view(&self) -> Arc<u64> {
        self.source.view()
    }

    fn read_point(&self, kind: SnapshotKind) -> Timestamp {
        if !self.is_sealed.swap(true, SeqCst) {
            drop(self.source.publish(2));
            self.source.acked.store(6, SeqCst);
            self.source.installed.store(6, SeqCst);
        }
        self.source.read_point(kind)
    }
}

#[test]
fn a_begin_whose_view_is_replaced_takes_the_new_one() {
    for kind in [ReadOnly, ReadWrite] {
        let source = Sealing { source: Source::new(5, 5), is_sealed: false.into() };
        let registry = SnapshotRegistry::new(10);
        let snapshot = registry.begin(kind, &source, 0).unwrap();
        assert_eq!(
            (snapshot.begin_ts(), **snapshot.view()),
            (ts(6), 2),
            "commit 6 went into the second view"
        );
        drop(registry.end(snapshot, &source));
    }
}

/// Looks at the registry in the middle of a begin, when the pin is only a lower bound.
struct Spy<'a> {
    registry: &'a SnapshotRegistry<u64>,
    source: &'a Source,
}

impl SnapshotSource<u64> for Spy<'_> {
    fn lower_bound(&self, _: SnapshotKind) -> Timestamp {
        ts(5)
    }

    fn view_id(&self) -> u64 {
        self.source.view_id()
    }

    fn view(&self) -> Arc<u64> {
        self.source.view()
    }

    fn read_point(&self, _: SnapshotKind) -> Timestamp {
        assert_eq!(self.registry.watermark(ts(20)), ts(5));
        assert_eq!(self.registry.watermark_since(ts(9), ts(20)), ts(9), "it may settle anywhere after 9");
        assert_eq!(self.registry.watermark_since(ts(3), ts(20)), ts(5));
        assert_eq!(self.registry.oldest_at_or_after(ts(9)), Some(ts(9)));
        assert_eq!(self.registry.oldest_read_write(ts(20)), ts(5));
        ts(11)
    }
}

#[test]
fn a_begin_in_progress_counts_for_every_generation() {
    let source = Source::new(0, 0);
    let registry = SnapshotRegistry::new(10);
    let spy = Spy { registry: &registry, source: &source };
    let snapshot = registry.begin(ReadWrite, &spy, 0).unwrap();
    assert_eq!(registry.watermark_since(ts(9), ts(20)), ts(11));
    drop(registry.end(snapshot, &source));
}

#[test]
fn a_current_view_is_reused_and_a_replaced_one_is_given_up() {
    let source = Source::new(1, 1);
    let registry = SnapshotRegistry::new(10);
    for _ in 0..5 {
        let snapshot = registry.begin(ReadOnly, &source, 0).unwrap();
        assert!(registry.end(snapshot, &source).is_none());
    }
    assert_eq!(source.fetched.load(SeqCst), 1, "one thread comes back to its slot, and its view with it");

    // Replaced while idle: the sweep gets it.
    let old = source.publish(2);
    assert!(old.upgrade().is_some());
    let mut swept = Vec::new();
    registry.sweep_stale(2, |view| swept.push(*view));
    assert_eq!(swept, [1]);
    assert!(old.upgrade().is_none());

    // Replaced while in use: the end gives it back.
    let snapshot = registry.begin(ReadOnly, &source, 0).unwrap();
    assert_eq!(**snapshot.view(), 2);
    let old = source.publish(3);
    registry.sweep_stale(3, |_| panic!("the slot is empty"));
    assert_eq!(registry.end(snapshot, &source).as_deref(), Some(&2));
    assert!(old.upgrade().is_none());

    let snapshot = registry.begin(ReadOnly, &source, 0).unwrap();
    assert_eq!(**snapshot.view(), 3);
    drop(registry.end(snapshot, &source));
}

#[test]
fn a_begin_before_the_sweep_does_not_read_the_replaced_view() {
    let source = Source::new(1, 1);
    let registry = SnapshotRegistry::new(10);
    let first = registry.begin(ReadOnly, &source, 0).unwrap();
    let slot = first.slot;
    assert!(registry.end(first, &source).is_none(), "the slot keeps the view");
    let old = source.publish(2);
    let second = registry.begin(ReadOnly, &source, 0).unwrap();
    assert_eq!((second.slot, **second.view()), (slot, 2));
    assert!(old.upgrade().is_none(), "and nothing holds the one before");
    assert!(registry.end(second, &source).is_none());
}

#[test]
fn slots_grow_by_chunks_up_to_the_limit_and_are_used_again() {
    const LIMIT: usize = 300;
    let source = Source::new(1, 1);
    let registry = SnapshotRegistry::new(LIMIT);
    let begin = || registry.begin(ReadOnly, &source, 0);
    let mut open: Vec<_> = (0..LIMIT).map(|_| begin().unwrap()).collect();
    assert_eq!(registry.len(), LIMIT);
    assert_eq!(begin().unwrap_err(), TooManySnapshots { limit: LIMIT });
    let mut slots: Vec<_> = open.iter().map(|snapshot| snapshot.slot).collect();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), LIMIT, "each has its own");

    let freed = open.swap_remove(17);
    let slot = freed.slot;
    drop(registry.end(freed, &source));
    let again = begin().unwrap();
    assert_eq!(again.slot, slot);
    open.push(again);
    for snapshot in open {
        drop(registry.end(snapshot, &source));
    }
    assert!(registry.is_empty());
    let snapshot = begin().unwrap();
    assert!(snapshot.slot < LIMIT);
    drop(registry.end(snapshot, &source));
}

#[test]
fn a_thread_that_comes_from_another_registry_is_in_a_slot_that_is_looked_at() {
    let source = Source::new(5, 5);
    let (here, there) = (SnapshotRegistry::new(10), SnapshotRegistry::new(10));
    let first = here.begin(ReadOnly, &source, 0).unwrap();
    // The thread now remembers the slot there that would be the next one here.
    let others = [0, 1].map(|_| there.begin(ReadOnly, &source, 0).unwrap());
    assert_eq!(others[1].slot, 1);
    let second = here.begin(ReadOnly, &source, 0).unwrap();
    assert_eq!(here.len(), 2);
    for snapshot in [first, second] {
        drop(here.end(snapshot, &source));
    }
    for snapshot in others {
        drop(there.end(snapshot, &source));
    }
}

#[test]
fn live_snapshots_are_listed() {
    let source = Source::new(3, 4);
    let registry = SnapshotRegistry::new(10);
    let reader = registry.begin(ReadOnly, &source, 70).unwrap();
    let writer = registry.begin(ReadWrite, &source, 80).unwrap();
    registry.set_name(&writer, "import");
    let list = || {
        let mut list = Vec::new();
        registry.for_each(|live| {
            let name = live.name.map(str::to_owned);
            list.push((live.kind, live.begin_ts, live.view_id, live.started_at, name));
        });
        list.sort_by_key(|live| live.3);
        list
    };
    let import = (ReadWrite, ts(4), 1, 80, Some("import".to_owned()));
    assert_eq!(list(), [(ReadOnly, ts(3), 1, 70, None), import]);
    drop(registry.end(writer, &source));
    let unnamed = registry.begin(ReadWrite, &source, 90).unwrap();
    assert_eq!(list(), [(ReadOnly, ts(3), 1, 70, None), (ReadWrite, ts(4), 1, 90, None)]);
    drop((registry.end(reader, &source), registry.end(unnamed, &source)));
}

#[test]
fn the_limit_is_said_in_words() {
    assert_eq!(
        TooManySnapshots { limit: 3 }.to_string(),
        "3 transactions are open, which is the limit; end some of them, or raise the limit on open transactions"
    );
}

#[test]
fn every_snapshot_reads_its_own_moment() {
    let core = Core::new();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..3000).for_each(|_| core.commit()));
        scope.spawn(|| (0..3000).for_each(|_| core.commit()));
        scope.spawn(|| (0..300).for_each(|_| core.checkpoint()));
        for kind in [ReadOnly, ReadWrite] {
            let core = &core;
            scope.spawn(move || (0..5000).for_each(|_| core.read(kind, std::thread::yield_now)));
        }
    });
    core.check_quiet();
}

#[test]
fn those_with_a_lease_are_visited_until_they_are_revoked() {
    let source = Source::new(5, 8);
    let registry = SnapshotRegistry::new(10);
    let plain = registry.begin(ReadOnly, &source, 70).unwrap();
    let [young, old] =
        [90, 80].map(|at| registry.lease(registry.begin(ReadOnly, &source, at).unwrap(), Some(at + 1)));
    assert_eq!(registry.started_at(&plain), 70);
    assert_eq!((registry.leased_started_at(&young), registry.leased_started_at(&old)), (90, 80));
    let visited = || {
        let mut visited = Vec::new();
        registry.for_each_lease(|info, lease| visited.push((info.started_at, lease.max_age())));
        visited.sort_unstable();
        visited
    };
    assert_eq!(visited(), [(80, Some(81)), (90, Some(91))]);
    drop(registry.revoke(old.lease(), Revoked::TooOld { age: 82, limit: 81 }));
    assert_eq!(visited(), [(90, Some(91))]);
    drop((registry.end_leased(old, &source), registry.end_leased(young, &source)));
    assert!(visited().is_empty());
    drop(registry.end(plain, &source));
}

#[test]
fn a_revoked_snapshot_counts_for_nothing_and_ends_like_any_other() {
    let source = Source::new(5, 8);
    let registry = SnapshotRegistry::new(10);
    let view = Arc::downgrade(&source.view());
    let writer = registry.lease(registry.begin(ReadWrite, &source, 3).unwrap(), Some(7));
    registry.for_each_lease(|info, lease| {
        assert_eq!((info.kind, info.started_at, info.max_age), (ReadWrite, 3, Some(7)));
        assert!(Arc::ptr_eq(lease, writer.lease()));
    });
    assert_eq!((registry.watermark(ts(20)), registry.oldest_read_write(ts(20))), (ts(8), ts(8)));
    source.publish(2);
    let held = writer.lease().hold();
    assert!(held.is_some());
    let why = Revoked::TooOld { age: 9, limit: 7 };
    drop(registry.revoke(writer.lease(), why));
    assert!(view.upgrade().is_some(), "a read under way holds it");
    drop(held);
    assert!(view.upgrade().is_none() && writer.lease().hold().is_none());
    assert_eq!(writer.lease().revoked(), Some(why));
    assert!(registry.revoke(writer.lease(), Revoked::TooOld { age: 0, limit: 0 }).is_none());
    assert_eq!(writer.lease().revoked(), Some(why), "once");
    assert_eq!((registry.watermark(ts(20)), registry.oldest_read_write(ts(20))), (ts(20), ts(20)));
    assert!(registry.is_empty() && !registry.has_read_write() && registry.revoked() == 1);
    registry.for_each(|info| panic!("{info:?}"));
    registry.for_each_lease(|info, _| panic!("{info:?}"));
    registry.stop_writing_leased(&writer);
    assert!(registry.is_empty(), "nothing brings it back");

    let lease = Arc::clone(writer.lease());
    assert!(registry.end_leased(writer, &source).is_none());
    assert_eq!(registry.revoked(), 0);
    // The slot is another's now, and the old lease is nobody's.
    let other = registry.lease(registry.begin(ReadWrite, &source, 0).unwrap(), None);
    assert!(registry.revoke(&lease, why).is_none());
    assert!(other.lease().revoked().is_none() && registry.has_read_write());
    registry.stop_writing_leased(&other);
    assert!(!registry.has_read_write() && registry.len() == 1);
    assert!(registry.end_leased(other, &source).is_none(), "its view is current, and stays in the slot");
}

#[test]
fn threads_read_right_or_not_at_all_while_others_revoke() {
    let core = Core::new();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20_000).for_each(|_| core.commit()));
        scope.spawn(|| (0..200).for_each(|_| core.checkpoint()));
        scope.spawn(|| (0..5_000).for_each(|_| core.revoke_all()));
        for kind in [ReadOnly, ReadWrite] {
            let core = &core;
            scope.spawn(move || (0..3_000).for_each(|_| core.read_leased(kind, 3, std::thread::yield_now)));
        }
    });
    core.check_quiet();
    assert_eq!(core.answered.load(SeqCst) + core.refused.load(SeqCst), 2 * 3_000 * 3);
}

#[test]
fn a_replaced_view_is_given_back_by_a_lease_that_ends() {
    let source = Source::new(5, 5);
    let registry = SnapshotRegistry::new(10);
    let registration = registry.begin(ReadOnly, &source, 0).unwrap();
    let leased = registry.lease(registration, None);
    let replaced = source.publish(2);
    let given_back = registry.end_leased(leased, &source);
    assert_eq!(given_back.as_deref(), Some(&1));
    assert!(registry.is_empty());
    drop(given_back);
    assert!(replaced.upgrade().is_none(), "nobody else has kept it");
}
