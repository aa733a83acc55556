//! Rows that are put in while others look. Blocks have two slots here, so that every third row splits one.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use braid_vfs::sync::thread;

use super::*;
use crate::TableId;
use crate::testing::check_index;

const T: TableId = TableId(1);

struct Store(RowIndex);

impl Store {
    fn with(keys: &str) -> Arc<Self> {
        let store = Arc::new(Self(RowIndex::new()));
        store.insert(keys);
        store
    }

    fn insert(&self, keys: &str) -> Vec<usize> {
        let insert = |key: &[u8]| {
            let key = RowKey::new(T, key);
            ptr::from_ref(self.0.get_or_insert(&key, key.hash())).addr()
        };
        keys.as_bytes().chunks(1).map(insert).collect()
    }

    fn has(&self, keys: &str) -> bool {
        keys.as_bytes().chunks(1).all(|key| {
            let probe = Probe::new(T, key);
            self.0.get(&probe, probe.hash()).is_some_and(|row| row.key.bytes() == key)
        })
    }

    fn all(&self) -> String {
        self.0.forward(Bound::Unbounded).map(|row| char::from(row.key.bytes()[0])).collect()
    }

    /// Nodes ascend on each level, and those above are all on level 0. Whether there are any above: of two who make the same
    /// node, the one whose dice say that it is low may be first.
    fn levels(&self) -> bool {
        let on = |level| {
            let (mut node, mut keys) = (None, Vec::new());
            // SAFETY: the walk stays on one level.
            while let Some(next) = unsafe { self.0.next_on(node, level) } {
                node = Some(next);
                keys.push(next.first().bytes().to_vec());
            }
            assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
            keys
        };
        let all = on(0);
        assert!(on(1).iter().all(|key| all.contains(key)));
        !on(1).is_empty()
    }

    fn all_backward(&self) -> String {
        self.0.backward(Bound::Unbounded).map(|row| char::from(row.key.bytes()[0])).collect()
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
fn loom_a_lookup_meets_a_split() {
    check_index(|| {
        let store = Store::with("ac");
        let reader = spawn(&store, |store| assert!(store.has("ca")));
        store.insert("b");
        reader.join().unwrap();
        assert!(store.has("abc"));
    });
}

#[test]
fn loom_a_walk_meets_a_split() {
    check_index(|| {
        let store = Store::with("ac");
        let reader = spawn(&store, |store| store.all());
        store.insert("b");
        let seen = reader.join().unwrap();
        assert!(["ac", "abc"].contains(&&*seen), "{seen}");
        assert_eq!(store.all(), "abc");
    });
}

#[test]
fn loom_a_walk_backward_meets_a_split() {
    check_index(|| {
        let store = Store::with("ac");
        let reader = spawn(&store, |store| store.all_backward());
        store.insert("b");
        let seen = reader.join().unwrap();
        assert!(["ca", "cba"].contains(&&*seen), "{seen}");
        assert_eq!(store.all_backward(), "cba");
    });
}

#[test]
fn loom_two_split_one_block() {
    check_index(|| {
        let store = Store::with("bd");
        let other = spawn(&store, |store| store.insert("c"));
        store.insert("a");
        other.join().unwrap();
        assert_eq!(store.all(), "abcd");
    });
}

/// One goes on behind the block, the other into it.
#[test]
fn loom_a_block_is_split_in_both_ways() {
    check_index(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("d"));
        store.insert("b");
        other.join().unwrap();
        assert_eq!(store.all(), "abcd");
        assert!(store.has("abcd"));
    });
}

/// One that is slow to go on behind the block, as another splits it and puts a row there.
#[test]
fn loom_a_late_split_has_no_effect() {
    check_index(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("d"));
        store.insert("be");
        other.join().unwrap();
        assert!(store.has("abcde"));
        assert_eq!(store.all(), "abcde");
    });
}

/// The same with the threads in each other's place: what the checker tries of one that reads and then writes is less.
#[test]
fn loom_a_split_in_the_middle_comes_late() {
    check_index(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("be"));
        store.insert("d");
        other.join().unwrap();
        assert!(store.has("abcde"));
        assert_eq!((store.all(), store.all_backward()), ("abcde".to_owned(), "edcba".to_owned()));
    });
}

/// Both ways of a walk, and rows that come in descending order, so that no empty node is made.
#[test]
fn loom_a_walk_backward_meets_splits_at_the_front() {
    check_index(|| {
        let store = Store::with("ed");
        let reader = spawn(&store, |store| (store.has("de"), store.all_backward()));
        store.insert("cb");
        let (has, seen) = reader.join().unwrap();
        // A walk may miss what is put in meanwhile, and only that.
        assert!(has && ["ed", "edc", "edb", "edcb"].contains(&&*seen), "{seen}");
        assert_eq!(store.all(), "bcde");
    });
}

/// Nodes that go into the same place, one of them on the upper level too.
#[test]
fn loom_two_nodes_are_linked_side_by_side() {
    check_index(|| {
        let store = Store::with("agm");
        let other = spawn(&store, |store| store.insert("bc"));
        store.insert("hi");
        other.join().unwrap();
        assert!(store.has("abcghim"));
        assert_eq!(store.all(), "abcghim");
        assert!(store.levels());
    });
}

/// A node that is not on the upper level yet, and a search that comes along there.
#[test]
fn loom_a_search_meets_a_tower_that_is_built() {
    static HAD_A_TOWER: AtomicBool = AtomicBool::new(false);
    check_index(|| {
        let store = Store::with("ac");
        let reader = spawn(&store, |store| {
            let told = store.has("b");
            assert!(store.has("ac") && (!told || store.all() == "abc"));
            store.insert("d");
        });
        store.insert("b");
        reader.join().unwrap();
        assert_eq!(store.all(), "abcd");
        HAD_A_TOWER.fetch_or(store.levels(), Relaxed);
    });
    assert!(HAD_A_TOWER.load(Relaxed));
}

/// One puts in, tells another, and a third walks after it was told by that one.
#[test]
fn loom_what_was_told_is_found() {
    use braid_vfs::sync::atomic::AtomicUsize;

    static KEYS: &str = "bd";
    check_index(|| {
        let store = Store::with("ac");
        let told = Arc::new(AtomicUsize::new(0));
        let hears = Arc::clone(&told);
        let reader = spawn(&store, move |store| {
            let count = hears.load(Acquire);
            assert!(store.has(&KEYS[..count]), "{count}");
            let (ahead, back) = (store.all(), store.all_backward());
            assert!(
                KEYS[..count].chars().all(|key| ahead.contains(key) && back.contains(key)),
                "{ahead} {back}"
            );
        });
        for (count, key) in KEYS.chars().enumerate() {
            store.insert(key.encode_utf8(&mut [0; 4]));
            told.store(count + 1, Release);
        }
        reader.join().unwrap();
    });
}

/// One that looked for its place before the split, and comes to the block after it.
#[test]
fn loom_a_row_behind_a_split_goes_there() {
    check_index(|| {
        let store = Store::with("ca");
        let other = spawn(&store, |store| store.insert("d"));
        store.insert("b");
        other.join().unwrap();
        assert!(store.has("abcd"));
        assert_eq!(store.all(), "abcd");
    });
}

#[test]
fn loom_the_first_rows_of_all() {
    check_index(|| {
        let store = Store::with("");
        let other = spawn(&store, |store| (store.insert("b"), store.all()).1);
        store.insert("a");
        let seen = other.join().unwrap();
        assert!(["b", "ab"].contains(&&*seen), "{seen}");
        assert_eq!(store.all(), "ab");
    });
}

#[test]
fn loom_one_key_has_one_row() {
    check_index(|| {
        let store = Store::with("a");
        let other = spawn(&store, |store| store.insert("b"));
        let own = store.insert("b");
        assert_eq!(other.join().unwrap(), own);
        assert_eq!(store.all(), "ab");
    });
}

#[test]
fn loom_one_key_has_one_row_across_a_split() {
    check_index(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("b"));
        let own = store.insert("b");
        assert_eq!(other.join().unwrap(), own);
        assert_eq!(store.all(), "abc");
    });
}
