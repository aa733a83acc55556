//! Rows that are put in while others look. Blocks have two slots here, so that every third row splits one.

use std::ops::Bound;
use std::sync::Arc;

use braid_vfs::sync::thread;

use super::*;
use crate::TableId;
use crate::testing::check_schedules;

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
    check_schedules(|| {
        let store = Store::with("ac");
        let reader = spawn(&store, |store| assert!(store.has("ca")));
        store.insert("b");
        reader.join().unwrap();
        assert!(store.has("abc"));
    });
}

#[test]
fn loom_a_walk_meets_a_split() {
    check_schedules(|| {
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
    check_schedules(|| {
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
    check_schedules(|| {
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
    check_schedules(|| {
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
    check_schedules(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("d"));
        store.insert("be");
        other.join().unwrap();
        assert!(store.has("abcde"));
        assert_eq!(store.all(), "abcde");
    });
}

#[test]
fn loom_one_key_has_one_row() {
    check_schedules(|| {
        let store = Store::with("a");
        let other = spawn(&store, |store| store.insert("b"));
        let own = store.insert("b");
        assert_eq!(other.join().unwrap(), own);
        assert_eq!(store.all(), "ab");
    });
}

#[test]
fn loom_one_key_has_one_row_across_a_split() {
    check_schedules(|| {
        let store = Store::with("ac");
        let other = spawn(&store, |store| store.insert("b"));
        let own = store.insert("b");
        assert_eq!(other.join().unwrap(), own);
        assert_eq!(store.all(), "abc");
    });
}
