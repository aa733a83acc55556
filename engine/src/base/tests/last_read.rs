//! The leaf that a thread read last, where the cache did not take it.

use std::sync::Arc;

use super::file::TestFile;
use super::kit::*;
use crate::base::*;

const TREE: TreeId = TreeId(1);

/// Some ten of them have room in a leaf.
fn rows(value: u8) -> Changes {
    (0..5_000_u32).map(|n| ((TREE, n.to_be_bytes().to_vec()), Some(vec![value; 30]))).collect()
}

/// Pages that the file is asked for by reads of these rows, one after the other, which all have this value.
fn reads(file: &TestFile, store: &BaseStore, base: &Base, rows: &[u32], value: u8) -> u64 {
    let before = file.reads();
    for n in rows {
        let found = store.get(base, TREE, &n.to_be_bytes(), <[u8]>::to_vec).unwrap();
        assert_eq!(found, Some(vec![value; 30]), "row {n}");
    }
    file.reads() - before
}

#[test]
fn rows_of_one_leaf_are_one_read_of_the_file() {
    // Room for the branches, and some leaves that nobody asks for again.
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 100 * 512);
    let base = fold(&store, &base, &rows(1), &[]).unwrap();
    let _ = reads(&file, &store, &base, &(0..5_000).step_by(5).collect::<Vec<_>>(), 1);
    let misses = store.cache_stats().misses;
    assert_eq!(reads(&file, &store, &base, &[2_001, 2_002, 2_001, 2_001], 1), 1);
    assert_eq!(store.cache_stats().misses, misses + 1);
    std::thread::scope(|scope| {
        // Another thread has not read it; and it comes the second time, so the cache takes it.
        scope.spawn(|| assert_eq!(reads(&file, &store, &base, &[2_001, 2_002, 3_000, 2_002], 1), 2));
    });
    assert_eq!(reads(&file, &store, &base, &[3_000, 2_001, 3_001, 2_002], 1), 1);
}

#[test]
fn it_is_not_taken_for_what_a_fold_made_of_it() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 0);
    let mut base = fold(&store, &base, &rows(0), &[]).unwrap();
    for value in 1..20 {
        let new = fold(&store, &base, &rows(value), &[]).unwrap();
        for _ in 0..2 {
            let _ = reads(&file, &store, &base, &[2_001, 2_002], value - 1);
            let _ = reads(&file, &store, &new, &[2_001, 2_002], value);
        }
        base = new;
    }
}

#[test]
fn it_is_not_taken_for_a_page_of_another_file() {
    let of = |value| {
        let file = TestFile::new();
        let (store, base) = create(&file, 512, 0);
        let base = fold(&store, &base, &rows(value), &[]).unwrap();
        (file, store, base)
    };
    let (one, other) = (of(1), of(2));
    assert!(!Arc::ptr_eq(&one.1, &other.1));
    for n in 0..100 {
        let _ = reads(&one.0, &one.1, &one.2, &[n], 1);
        let _ = reads(&other.0, &other.1, &other.2, &[n], 2);
    }
}
