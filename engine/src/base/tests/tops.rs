//! The uppermost pages of trees, which a base holds once they were read.

use std::sync::Arc;

use super::file::TestFile;
use super::kit::*;
use crate::base::meta::PAGES_AT;
use crate::base::page::Page;
use crate::base::*;

/// Rows of 34 bytes, so that a page of 512 has ten or so, and a branch fourteen children.
fn rows(tree: TreeId, count: u32) -> Changes {
    (0..count).map(|n| ((tree, n.to_be_bytes().to_vec()), Some(vec![n as u8; 30]))).collect()
}

/// A store whose cache has no room for a single page.
fn without_cache(changes: &Changes) -> (Arc<TestFile>, Arc<BaseStore>, Arc<Base>) {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 0);
    let base = fold(&store, &base, changes, &[]).unwrap();
    (file, store, base)
}

/// The pages that the file is asked for by a read of one row.
fn pages_of_a_read(file: &TestFile, store: &BaseStore, base: &Base, tree: TreeId, n: u32) -> u64 {
    Page::forget_last();
    let before = file.reads();
    let value = store.get(base, tree, &n.to_be_bytes(), <[u8]>::to_vec).unwrap();
    assert_eq!(value, Some(vec![n as u8; 30]));
    file.reads() - before
}

#[test]
fn what_all_reads_pass_is_read_once() {
    for (count, levels, read_again) in [(5, 1, 1), (100, 2, 1), (400, 3, 1), (10_000, 4, 2)] {
        let (file, store, base) = without_cache(&rows(TreeId(1), count));
        assert_eq!(u64::from(base.root(TreeId(1)).unwrap().level) + 1, levels);
        for n in 0..count {
            let _ = pages_of_a_read(&file, &store, &base, TreeId(1), n);
        }
        for n in 0..count {
            assert_eq!(pages_of_a_read(&file, &store, &base, TreeId(1), n), read_again, "of {count}");
        }
        let stats = store.cache_stats();
        assert_eq!(stats.hits + stats.misses, levels * u64::from(2 * count));
    }
}

#[test]
fn no_more_is_held_than_a_base_may() {
    const TREES: u32 = 200;
    let changes = (1..=TREES).flat_map(|tree| rows(TreeId(tree), 100)).collect();
    let (file, store, base) = without_cache(&changes);
    let sum_of_reads =
        || -> u64 { (1..=TREES).map(|tree| pages_of_a_read(&file, &store, &base, TreeId(tree), 50)).sum() };
    assert_eq!(sum_of_reads(), u64::from(2 * TREES));
    assert_eq!(sum_of_reads(), u64::from(2 * TREES) - 64);

    // Children of roots are counted too.
    let changes = (1..=TREES).flat_map(|tree| rows(TreeId(tree), 400)).collect();
    let (file, store, base) = without_cache(&changes);
    let sum_of_reads = || -> u64 {
        let of_tree =
            |tree| (0..400).map(|n| pages_of_a_read(&file, &store, &base, TreeId(tree), n)).sum::<u64>();
        (1..=TREES).map(of_tree).sum()
    };
    let _ = sum_of_reads();
    let held = |tree| 3 - pages_of_a_read(&file, &store, &base, TreeId(tree), 399);
    let reads: Vec<_> = (1..=TREES).map(held).collect();
    // A root and its three children, or so, of each.
    assert!(reads[..10].iter().all(|held| *held == 2), "{reads:?}");
    assert!(reads[64..].iter().all(|held| *held == 0), "{reads:?}");
}

#[test]
fn a_bad_page_is_not_held() {
    let (file, _, base) = without_cache(&rows(TreeId(1), 400));
    let root = base.root(TreeId(1)).unwrap().child;
    let mut image = file.image();
    image[(PAGES_AT + u64::from(root.page.0) * 512) as usize + 40] ^= 1;
    let opened = open_ready(image);
    for _ in 0..3 {
        let read = opened.store.get(&opened.base, TreeId(1), &[0; 4], <[u8]>::len);
        assert!(matches!(read, Err(BaseError::Corrupt { page, .. }) if page == root.page), "{read:?}");
    }
}

#[test]
fn threads_that_come_at_once_hold_a_page_once() {
    for _ in 0..20 {
        let (file, store, base) = without_cache(&rows(TreeId(1), 400));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in (0..400_u32).step_by(10) {
                        let value = store.get(&base, TreeId(1), &n.to_be_bytes(), <[u8]>::to_vec).unwrap();
                        assert_eq!(value, Some(vec![n as u8; 30]));
                    }
                });
            }
        });
        for n in (0..400_u32).step_by(10) {
            assert_eq!(pages_of_a_read(&file, &store, &base, TreeId(1), n), 1);
        }
        let root = base.root(TreeId(1)).unwrap();
        let top = store.page(&base.top(TreeId(1)).unwrap()).unwrap();
        assert_eq!((root.level, base.tops.held()), (2, 1 + top.entries()));
    }
}
