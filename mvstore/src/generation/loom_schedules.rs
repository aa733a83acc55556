//! What a reader finds of a generation once a commit is published. The checker sees the filter, the index, the counters and
//! the chains.

use std::sync::atomic::Ordering::{Acquire, Release};

use braid_vfs::sync::{Mutex, thread};

use super::*;
use crate::WriteSet;
use crate::epoch::pin;
use crate::testing::{check_index, ts};

const TABLE: TableId = TableId(1);

struct Store {
    generation: Arc<Generation>,
    section: Mutex<InstallRights>,
    installed: AtomicU64,
}

impl Store {
    fn new() -> Arc<Self> {
        let (generation, rights) = Generation::new(Timestamp::ZERO, 0);
        Arc::new(Self { generation, section: Mutex::new(rights), installed: AtomicU64::new(0) })
    }

    /// As the engine does: chains outside the section, versions in it, the timestamp after them.
    fn commit(&self, key: &[u8]) -> u64 {
        let mut writes = WriteSet::new();
        writes.put(TABLE, key, key);
        let guard = pin();
        let prepared = self.generation.prepare(&writes, &guard);
        let mut rights = self.section.lock();
        let commit_ts = self.installed.load(Acquire) + 1;
        prepared.install(&mut rights, &mut writes, ts(commit_ts), || Timestamp::ZERO);
        self.installed.store(commit_ts, Release);
        commit_ts
    }

    fn has(&self, key: &[u8], at: u64) -> bool {
        self.generation.get(TABLE, key, ts(at), &pin()) == Some(Found::Value(key))
    }
}

fn spawn<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let store = Arc::clone(store);
    thread::spawn(move || work(&store))
}

#[test]
fn loom_a_published_row_is_found() {
    check_index(|| {
        let store = Store::new();
        let reader = spawn(&store, |store| {
            let at = store.installed.load(Acquire);
            assert_eq!(store.has(b"a", at), at == 1);
        });
        store.commit(b"a");
        reader.join().unwrap();
        assert!(store.has(b"a", 1));
    });
}

/// The second committer of a key finds its bits set in the filter, by one whose commit nobody has been told of.
#[test]
fn loom_a_row_that_two_commit_is_found_from_the_first_on() {
    check_index(|| {
        let store = Store::new();
        let committer = spawn(&store, |store| store.commit(b"a"));
        let reader = spawn(&store, |store| {
            let at = store.installed.load(Acquire);
            assert_eq!(store.has(b"a", at), at > 0);
        });
        let commits = store.commit(b"a") + committer.join().unwrap();
        reader.join().unwrap();
        assert_eq!((commits, store.generation.rows()), (3, 1));
    });
}

/// What validation asks in the section: every commit before is seen there.
#[test]
fn loom_the_section_sees_the_last_commit_of_a_row() {
    check_index(|| {
        let store = Store::new();
        let looker = spawn(&store, |store| {
            let _section = store.section.lock();
            let last = store.generation.last_ts();
            let newest = store.generation.newest(TABLE, b"a", &pin());
            assert_eq!(newest.unwrap_or(Timestamp::ZERO), last);
            assert_eq!(store.generation.is_empty(), last == Timestamp::ZERO);
        });
        store.commit(b"a");
        looker.join().unwrap();
    });
}
