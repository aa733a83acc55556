//! More threads and rows than `loom` has time for, in whatever turns. Blocks have two slots here.

use std::ops::Bound;

use braid_vfs::explore;
use braid_vfs::sync::{Arc, thread};

use super::*;
use crate::TableId;

const T: TableId = TableId(1);

fn insert(index: &RowIndex, key: u8) -> usize {
    let key = RowKey::new(T, &[key]);
    ptr::from_ref(index.get_or_insert(&key, key.hash())).addr()
}

fn get(index: &RowIndex, key: u8) -> Option<usize> {
    let probe = Probe::new(T, std::slice::from_ref(&key));
    index.get(&probe, probe.hash()).map(|row| ptr::from_ref(row).addr())
}

fn keys<'i>(rows: impl Iterator<Item = &'i Row>) -> Vec<u8> {
    rows.map(|row| row.key.bytes()[0]).collect()
}

/// Puts keys in one after the other; each, and all before it, are there from then on.
fn put(index: &RowIndex, mine: &[u8]) -> Vec<(u8, usize)> {
    let mut put: Vec<(u8, usize)> = Vec::new();
    for key in mine {
        put.push((*key, insert(index, *key)));
        for (key, row) in &put {
            assert_eq!(get(index, *key), Some(*row), "{}", char::from(*key));
        }
        let (ahead, mut back) =
            (keys(index.forward(Bound::Unbounded)), keys(index.backward(Bound::Unbounded)));
        back.reverse();
        for seen in [ahead, back] {
            assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
            assert!(put.iter().all(|(key, _)| seen.contains(key)), "{seen:?}");
        }
    }
    put
}

fn threads_put_in(mine: [&'static [u8]; 3]) {
    let index = Arc::new(RowIndex::new());
    let threads = mine.map(|mine| {
        let index = Arc::clone(&index);
        thread::spawn(move || put(&index, mine))
    });
    let mut all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    for (key, row) in &all {
        assert_eq!(get(&index, *key), Some(*row), "{}", char::from(*key));
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(keys(index.forward(Bound::Unbounded)), all.iter().map(|(key, _)| *key).collect::<Vec<_>>());
}

#[test]
fn rows_are_put_in_among_each_other() {
    explore!(|| threads_put_in([b"adg", b"hbe", b"cfi"]));
}

#[test]
fn rows_are_put_in_up_and_down() {
    explore!(|| threads_put_in([b"acegi", b"hfdb", b"ei"]));
}

#[test]
fn one_key_has_one_row_whoever_comes_first() {
    explore!(|| threads_put_in([b"bac", b"cab", b"dcb"]));
}

#[test]
fn pairs_of_keys_are_put_in_together() {
    explore!(|| {
        let index = Arc::new(RowIndex::new());
        let threads = [[b"ab", b"gh"], [b"ae", b"fg"], [b"cd", b"bh"]].map(|pairs| {
            let index = Arc::clone(&index);
            thread::spawn(move || {
                let mut put = Vec::new();
                for pair in pairs {
                    let keys = pair.map(|key| RowKey::new(T, &[key]));
                    let keys = keys.each_ref().map(|key| (key, key.hash()));
                    index.get_or_insert_all(&keys, |row| {
                        put.push((row.key.bytes()[0], ptr::from_ref(row).addr()))
                    });
                    for (key, row) in &put {
                        assert_eq!(get(&index, *key), Some(*row), "{}", char::from(*key));
                    }
                }
                put
            })
        });
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        for (key, row) in &all {
            assert_eq!(get(&index, *key), Some(*row), "{}", char::from(*key));
        }
        assert_eq!(keys(index.forward(Bound::Unbounded)), b"abcdefgh");
    });
}
