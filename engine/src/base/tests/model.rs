//! Whatever is folded, reads give what a map would.

use super::file::TestFile;
use super::kit::*;
use crate::base::error::Result;
use crate::base::*;

fn run(seed: u64, page_bytes: u32, cache_bytes: usize, shape: &Shape, folds: u64, changes: u64) {
    let mut rng = Rng::new(seed);
    let file = TestFile::new();
    let (store, mut base) = create(&file, page_bytes, cache_bytes);
    let mut model = Model::new();
    for round in 0..folds {
        let shape = Shape { deletes: if round % 7 == 6 { 95 } else { shape.deletes }, ..*shape };
        let count = 1 + rng.below(changes);
        let changed = random_changes(&shape, count, &mut rng);
        let dropped =
            if rng.below(10) == 0 { vec![TreeId(rng.below(shape.trees) as u32 * 3 + 1)] } else { vec![] };
        base = fold(&store, &base, &changed, &dropped).unwrap();
        apply(&mut model, &changed, &dropped);
        assert_sound(&store, &base);
        assert_eq!(base.trees().collect::<Vec<_>>(), model.keys().copied().collect::<Vec<_>>());
        if round % 4 == 0 {
            for tree in 0..shape.trees as u32 {
                let tree = TreeId(tree * 3 + 1);
                assert_same(&store, &base, tree, model.get(&tree).unwrap_or(&Rows::new()), &mut rng);
            }
        }
        if round % 5 == 0 {
            let opened = open_ready(file.image());
            assert_eq!(opened.base.generation(), base.generation());
            assert_eq!(opened.base.state(), base.state());
            assert!(!opened.other_damaged);
            assert!(content(&opened.store, &opened.base).unwrap() == model);
            assert_sound(&opened.store, &opened.base);
        }
    }
}

const SMALL: Shape = Shape { trees: 3, key_space: 500, max_key: 40, max_value: 900, deletes: 30 };

#[test]
fn tiny_pages_and_a_tiny_cache() {
    for seed in 0..6 {
        run(seed, 512, 2048, &SMALL, 24, 150);
    }
}

#[test]
fn long_keys() {
    let shape = Shape { trees: 2, key_space: 400, max_key: 128, max_value: 50, deletes: 35 };
    for seed in 10..14 {
        run(seed, 512, 1 << 16, &shape, 24, 120);
    }
}

#[test]
fn ordinary_pages() {
    let shape = Shape { trees: 2, key_space: 4000, max_key: 60, max_value: 12_000, deletes: 20 };
    run(20, 4096, 1 << 18, &shape, 12, 1500);
}

#[test]
fn the_largest_pages() {
    let shape = Shape { trees: 1, key_space: 4000, max_key: 300, max_value: 40_000, deletes: 20 };
    run(30, 65536, 1 << 20, &shape, 6, 2000);
}

#[test]
fn no_cache_at_all() {
    run(40, 512, 0, &SMALL, 10, 100);
}

#[test]
fn many_trees_come_and_go() {
    let shape = Shape { trees: 300, key_space: 3, max_key: 8, max_value: 40, deletes: 50 };
    run(50, 512, 1 << 16, &shape, 25, 400);
}

#[test]
fn rows_in_order_lie_dense() {
    let file = TestFile::new();
    let (store, mut base) = create(&file, 4096, 1 << 20);
    let tree = TreeId(1);
    let mut bytes = 0;
    for part in 0..20_u64 {
        let changes: Changes = (part * 1000..(part + 1) * 1000)
            .map(|n| ((tree, n.to_be_bytes().to_vec()), Some(vec![1; 100])))
            .collect();
        bytes += changes.len() * (8 + 100);
        base = fold(&store, &base, &changes, &[]).unwrap();
    }
    assert_sound(&store, &base);
    let stats = store.space_stats();
    let used = (stats.file_pages - stats.free_pages) as usize * 4096;
    assert!(bytes * 100 > used * 92, "{bytes} bytes of rows take {used}");
}

#[test]
fn deletions_shrink_a_tree() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 20);
    let tree = TreeId(1);
    let all: Changes = (0..5000_u32).map(|n| ((tree, n.to_be_bytes().to_vec()), Some(vec![1; 20]))).collect();
    let mut base = fold(&store, &base, &all, &[]).unwrap();
    let full = store.space_stats();
    // Round after round, half of what is left goes.
    for round in 1..10 {
        let gone: Changes = all
            .keys()
            .enumerate()
            .filter(|(n, _)| n % (1 << round) != 0)
            .map(|(_, key)| (key.clone(), None))
            .collect();
        base = fold(&store, &base, &gone, &[]).unwrap();
        assert_sound(&store, &base);
        let stats = store.space_stats();
        let in_use = stats.file_pages - stats.free_pages - stats.withheld_pages;
        let share = (full.file_pages - full.free_pages) / (1 << round);
        assert!(in_use <= share * 5 / 2 + 8, "{in_use} pages after round {round}, {share} would do");
    }
    let rest: Changes = all.keys().map(|key| (key.clone(), None)).collect();
    base = fold(&store, &base, &rest, &[]).unwrap();
    assert_eq!(base.trees().count(), 0);
    base = fold(&store, &base, &Changes::new(), &[]).unwrap();
    assert_sound(&store, &base);
    assert!(store.space_stats().file_pages <= 8, "{:?}", store.space_stats());
}

#[test]
fn changes_must_ascend() {
    struct Twice(u32);
    impl ChangeSource for Twice {
        fn next(&mut self) -> Result<Option<Change<'_>>> {
            self.0 += 1;
            Ok((self.0 < 3).then_some(Change { tree: TreeId(1), key: b"same", value: Some(b"v") }))
        }
    }
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let folded = store.fold(&base, &mut Twice(0), &[], EngineState::default(), &|| Ok(()));
    assert!(matches!(folded, Err(BaseError::OutOfOrder { tree: TreeId(1) })));
    let long = Changes::from([((TreeId(1), vec![0; 129]), Some(vec![]))]);
    assert!(matches!(fold(&store, &base, &long, &[]), Err(BaseError::KeyTooLong { len: 129, max: 128 })));
    let longest =
        Changes::from([((TreeId(1), vec![0; 128]), Some(vec![])), ((TreeId(1), vec![]), Some(vec![1]))]);
    let folded = fold(&store, &base, &longest, &[]).unwrap();
    assert_eq!(store.count(&folded, TreeId(1)), 2);
    assert!(matches!(fold(&store, &base, &longest, &[]), Err(BaseError::Mismatch)));
    assert_sound(&store, &folded);
}

#[test]
fn a_fold_that_is_called_off_leaves_nothing() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let all: Changes =
        (0..5000_u32).map(|n| ((TreeId(1), n.to_be_bytes().to_vec()), Some(vec![1; 20]))).collect();
    let folded =
        store.fold(&base, &mut FromMap(all.iter()), &[], EngineState::default(), &|| Err(BaseError::Aborted));
    assert!(matches!(folded, Err(BaseError::Aborted)));
    let again = fold(&store, &base, &all, &[]).unwrap();
    assert_sound(&store, &again);
    assert!(store.space_stats().free_pages < 300, "{:?}", store.space_stats());
}

#[test]
fn values_of_the_same_length_are_put_in_their_places() {
    for (seed, page_bytes) in [(60, 512), (61, 4096)] {
        let mut rng = Rng::new(seed);
        let file = TestFile::new();
        let (store, base) = create(&file, page_bytes, 1 << 16);
        let tree = TreeId(1);
        // Some values have pages of their own.
        let len = |n: u64| if n.is_multiple_of(50) { page_bytes as usize } else { 20 + n as usize % 3 };
        let row = |n: u64, byte: u8, len: usize| ((tree, n.to_be_bytes().to_vec()), Some(vec![byte; len]));
        let all: Changes = (0..3000).map(|n| row(2 * n, 1, len(n))).collect();
        let mut base = fold(&store, &base, &all, &[]).unwrap();
        let mut model = Model::new();
        apply(&mut model, &all, &[]);
        for round in 0..30_u8 {
            let before = leaves(&store, &base, tree);
            // Each third round other changes come in between: of other lengths, of rows that are new, and deletions.
            let others = round % 3 == 2;
            let changes: Changes = (0..rng.below(900))
                .map(|_| match rng.below(3000) {
                    n if others && n % 7 == 0 => row(2 * n + 1, round, 20),
                    n if others && n % 7 == 1 => row(2 * n, round, 30),
                    n if others && n % 7 == 2 => (row(2 * n, 0, 0).0, None),
                    n if n % 50 == 0 => row(2 * n + 2, round, len(n + 1)),
                    n => row(2 * n, round, len(n)),
                })
                .collect();
            base = fold(&store, &base, &changes, &[]).unwrap();
            apply(&mut model, &changes, &[]);
            assert_sound(&store, &base);
            assert!(content(&store, &base).unwrap() == model);
            if round < 2 {
                let after = leaves(&store, &base, tree);
                // The last leaf may have been too small to stay by itself.
                let kept = before.len() - 2;
                assert_eq!(before[..kept], after[..kept], "every row is in the leaf where it was");
            }
        }
        assert!(content(&open_ready(file.image()).store, &open_ready(file.image()).base).unwrap() == model);
    }
}

/// The rows of each leaf.
fn leaves(store: &BaseStore, base: &Base, tree: TreeId) -> Vec<u64> {
    let mut rows = Vec::new();
    let mut last = None;
    let mut each = |page, _: &[u8], _: &[u8]| {
        if last != Some(page) {
            rows.push(0);
        }
        last = Some(page);
        *rows.last_mut().unwrap() += 1;
        Ok(())
    };
    store.for_each_row(&base.top(tree).unwrap(), &mut each).unwrap();
    rows
}
