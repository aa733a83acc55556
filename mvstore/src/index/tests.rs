use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::*;
use crate::TableId;
use crate::testing::Rng;

const T: TableId = TableId(1);

fn insert<'i>(index: &'i RowIndex, table: TableId, key: &[u8]) -> &'i Row {
    let key = RowKey::new(table, key);
    let row = index.get_or_insert(&key, key.hash());
    assert!(
        ptr::eq(row, index.search_or_insert(None, &key, key.hash())),
        "what is remembered is what is there"
    );
    row
}

fn get<'i>(index: &'i RowIndex, table: TableId, key: &[u8]) -> Option<&'i Row> {
    let probe = Probe::new(table, key);
    let remembered = index.get(&probe, probe.hash());
    let searched = index.search_row(&probe, probe.hash());
    // It may have come between the two.
    assert!(remembered.is_none() || remembered.map(ptr::from_ref) == searched.map(ptr::from_ref));
    searched
}

/// Orders of keys in which blocks fill and split in different ways.
fn orders(rows: u64) -> [Vec<u64>; 5] {
    let mut rng = Rng::new(rows);
    [
        (0..rows).collect(),
        (0..rows).rev().collect(),
        (0..rows).map(|_| rng.below(rows)).collect(),
        // Two ascending runs that take turns, the second one behind the first.
        (0..rows).map(|row| row / 2 + (row % 2) * rows).collect(),
        // A gap that is filled downwards.
        (0..rows / 2).chain((rows / 2..rows).rev()).collect(),
    ]
}

#[test]
fn it_holds_what_was_put_in_whatever_the_order() {
    let rows = if cfg!(miri) { 40 } else { 5000 };
    for order in orders(rows) {
        let index = RowIndex::new();
        assert_eq!((index.len(), index.bytes()), (0, 0));
        let mut model = BTreeMap::new();
        for number in &order {
            let key = number.to_be_bytes();
            let row = insert(&index, T, &key);
            let known: &mut *const Row = model.entry(key.to_vec()).or_insert(row);
            assert!(ptr::eq(*known, row), "a row stays where it is");
        }
        assert_eq!(index.len(), model.len());
        for (key, row) in &model {
            assert!(get(&index, T, key).is_some_and(|found| ptr::eq(found, *row)));
            assert!(get(&index, T, &[key, &[0][..]].concat()).is_none());
            assert!(get(&index, TableId(2), key).is_none());
        }
    }
}

#[test]
fn keys_are_put_in_together_as_they_are_alone() {
    let mut rng = Rng::new(5);
    for span in [20_u64, 3000, 1 << 40] {
        let index = RowIndex::new();
        let mut model = BTreeMap::new();
        for _ in 0..if cfg!(miri) { 6 } else { 600 } {
            let beside = rng.below(2) == 0;
            let first = rng.below(span);
            let keys: BTreeSet<_> = (0..rng.below(LANES as u64 + 1))
                .map(|number| {
                    let number = if beside { first + number } else { rng.below(span) };
                    // Some are too long to lie in the row.
                    let key = [&number.to_be_bytes()[..], &[7; 40][..if number % 5 == 0 { 40 } else { 0 }]]
                        .concat();
                    RowKey::new(TableId(u32::from(number % 7 == 0)), &key)
                })
                .collect();
            let keys: Vec<_> = keys.iter().map(|key| (key, key.hash())).collect();
            let mut rows = Vec::new();
            index.get_or_insert_all(&keys, |row| rows.push(row));
            assert_eq!(rows.len(), keys.len());
            for (row, (key, _)) in rows.into_iter().zip(keys) {
                assert_eq!(row.key, *key);
                let known: &mut *const Row = model.entry(key.clone()).or_insert(row);
                assert!(ptr::eq(*known, row), "a row stays where it is");
            }
        }
        assert_eq!(index.len(), model.len());
        for (key, row) in &model {
            assert!(get(&index, key.table(), key.bytes()).is_some_and(|found| ptr::eq(found, *row)));
        }
    }
}

#[test]
fn a_thread_remembers_rows_by_their_index() {
    let key = |number: u64| RowKey::new(T, &number.to_be_bytes());
    let remembered = |index: &RowIndex, number| {
        let key = key(number);
        index.recent(key.borrow(), key.hash()).map(|row| ptr::from_ref(row).addr())
    };
    let one = RowIndex::new();
    // Whether an index keeps a row in the place that `one` has for it.
    let shares = |index: &RowIndex| (index.number ^ one.number).is_multiple_of(256);
    let make =
        |sharing| std::iter::repeat_with(RowIndex::new).find(|index| shares(index) == sharing).unwrap();
    let (beside, other) = (make(false), make(true));
    let mine = ptr::from_ref(insert(&one, T, &1_u64.to_be_bytes())).addr();
    assert_eq!((remembered(&one, 1), remembered(&other, 1), remembered(&one, 2)), (Some(mine), None, None));
    insert(&beside, T, &1_u64.to_be_bytes());
    assert!(remembered(&beside, 1).is_some());
    assert_eq!(remembered(&one, 1), Some(mine), "two places for the row of two indexes");
    let others = ptr::from_ref(insert(&other, T, &1_u64.to_be_bytes())).addr();
    assert_eq!((remembered(&one, 1), remembered(&other, 1)), (None, Some(others)), "one place for these");
    assert!(get(&one, T, &1_u64.to_be_bytes()).is_some_and(|row| ptr::from_ref(row).addr() == mine));
    assert_eq!(remembered(&one, 1), Some(mine), "a read remembers, too");
    drop(one);
    // Its memory may be used again, its number never.
    let next = RowIndex::new();
    assert_eq!(remembered(&next, 1), None);
    assert!(get(&next, T, &1_u64.to_be_bytes()).is_none());
    let rows = if cfg!(miri) { 300 } else { 5_000_u64 };
    for number in 0..rows {
        insert(&next, T, &number.to_be_bytes());
    }
    let known = (0..rows).filter(|number| remembered(&next, *number).is_some()).count();
    assert!((64..=256).contains(&known), "{known}");
}

#[test]
fn walks_agree_with_a_model_both_ways() {
    let mut rng = Rng::new(7);
    let keys = if cfg!(miri) { 24 } else { 2000 };
    for order in orders(keys) {
        let index = RowIndex::new();
        let mut model = BTreeSet::new();
        for number in order {
            let (table, key) = (TableId(1 + u32::from(number % 3 == 0)), (number * 2).to_be_bytes());
            insert(&index, table, &key);
            model.insert((table, key.to_vec()));
        }
        for _ in 0..if cfg!(miri) { 1 } else { 300 } {
            let (table, key) = (TableId(rng.below(4_u32)), rng.below(keys * 4).to_be_bytes());
            let probe = Probe::new(table, &key);
            let owned = (table, key.to_vec());
            let bounds = [
                (Bound::Included(&probe), Bound::Included(owned.clone())),
                (Bound::Excluded(&probe), Bound::Excluded(owned)),
                (Bound::Unbounded, Bound::Unbounded),
            ];
            for (bound, model_bound) in bounds {
                let named = |row: &Row| (row.key.table(), row.key.bytes().to_vec());
                let ahead: Vec<_> = index.forward(bound).take(50).map(named).collect();
                let expected: Vec<_> =
                    model.range((model_bound.clone(), Bound::Unbounded)).take(50).cloned().collect();
                assert_eq!(ahead, expected);
                let back: Vec<_> = index.backward(bound).take(50).map(named).collect();
                let expected: Vec<_> =
                    model.range((Bound::Unbounded, model_bound)).rev().take(50).cloned().collect();
                assert_eq!(back, expected);
            }
        }
    }
}

/// A start is a node that a key belonged to once: rows and nodes that came since are found, and one of another index
/// leads nowhere.
#[test]
fn a_walk_from_a_start_comes_to_rows_that_came_after_it() {
    let keys = if cfg!(miri) { 48 } else { 2000_u64 };
    let mut rng = Rng::new(12);
    for order in orders(keys) {
        let (index, other) = (RowIndex::new(), RowIndex::new());
        let rows: BTreeSet<u64> = order.iter().copied().collect();
        let (early, late) = order.split_at(order.len() / 4);
        for number in early {
            insert(&index, T, &number.to_be_bytes());
        }
        for number in early {
            insert(&other, T, &number.to_be_bytes());
        }
        let sought: Vec<u64> = (0..if cfg!(miri) { 3 } else { 40 }).map(|_| rng.below(keys + 1)).collect();
        let starts = |index: &RowIndex| -> Vec<_> {
            let start = |key: &u64| {
                let key = key.to_be_bytes();
                let probe = Probe::new(T, &key);
                [Bound::Included(&probe), Bound::Excluded(&probe), Bound::Unbounded]
                    .map(|bound| (index.start_forward(bound), index.start_backward(bound)))
            };
            sought.iter().map(start).collect()
        };
        let (ours, others) = (starts(&index), starts(&other));
        drop(other);
        for number in late {
            insert(&index, T, &number.to_be_bytes());
        }
        for (key, (ours, others)) in sought.iter().zip(ours.iter().zip(&others)) {
            let bytes = key.to_be_bytes();
            let probe = Probe::new(T, &bytes);
            let bounds = [Bound::Included(&probe), Bound::Excluded(&probe), Bound::Unbounded];
            let model = [Bound::Included(*key), Bound::Excluded(*key), Bound::Unbounded];
            let number = |row: &Row| u64::from_be_bytes(row.key.bytes().try_into().unwrap());
            for starts in [ours, others] {
                for (place, (forward, backward)) in starts.iter().enumerate() {
                    let found = index.forward_from(forward, bounds[place]).map(number);
                    let expected = rows.range((model[place], Bound::Unbounded)).copied();
                    assert!(found.eq(expected), "from {:?}", bounds[place]);
                    let found = index.backward_from(backward, bounds[place]).map(number);
                    let expected = rows.range((Bound::Unbounded, model[place])).rev().copied();
                    assert!(found.eq(expected), "up to {:?}", bounds[place]);
                }
            }
        }
    }
}

/// Invariant 4: whoever takes part in a split late, for whatever key, changes nothing.
#[test]
fn a_split_that_comes_late_has_no_effect() {
    let rows = if cfg!(miri) { 24 } else { 600 };
    // Towers are as high as chance has it, so each order has several goes.
    let (orders_tried, goes) = if cfg!(miri) { (3, 1) } else { (5, 8) };
    let tries = orders(rows).into_iter().take(orders_tried);
    for (order, seed) in tries.flat_map(|order| (0..goes).map(move |go| (order.clone(), 11 + go))) {
        let index = RowIndex::new();
        let mut rng = Rng::new(seed);
        let mut rows_by_key = BTreeMap::new();
        // Full blocks, each with its node as somebody found them.
        let mut full: Vec<(Option<Node<'_>>, &Block)> = Vec::new();
        for number in order {
            let row = insert(&index, T, &number.to_be_bytes());
            rows_by_key.insert(number, ptr::from_ref(row));
            let node = index.node_of(&Probe::new(T, &number.to_be_bytes()));
            let block = index.block_of(node).expect("a row was put in");
            if index.sorted(block).len() == SLOTS && !full.iter().any(|(_, known)| ptr::eq(*known, block)) {
                full.push((node, block));
            }
            if !full.is_empty() {
                let (node, block) = full[rng.below(full.len())];
                let key = RowKey::new(T, &rng.below(2 * rows).to_be_bytes());
                index.split(node, block, &key);
            }
        }
        for (number, row) in &rows_by_key {
            let found = get(&index, T, &number.to_be_bytes());
            assert!(found.is_some_and(|found| ptr::eq(found, *row)), "{number} is hidden");
        }
        assert_eq!(index.len(), rows_by_key.len());
        assert_eq!(index.backward(Bound::Unbounded).count(), rows_by_key.len());
    }
}

#[test]
fn threads_that_put_in_the_same_keys_get_the_same_rows() {
    let rows: u64 = if cfg!(miri) { 60 } else { 4000 };
    for round in 0..if cfg!(miri) { 1 } else { 5 } {
        let index = RowIndex::new();
        let put = |seed: u64| {
            let mut rng = Rng::new(seed);
            let mut found = BTreeMap::new();
            for step in 0..rows {
                // The same few keys at the same time, near each other, and others all over the place.
                let number = if rng.below(2) == 0 { step } else { rng.below(rows) };
                let row = insert(&index, T, &number.to_be_bytes());
                assert_eq!(row.key.bytes(), number.to_be_bytes());
                assert!(ptr::eq(get(&index, T, &number.to_be_bytes()).unwrap(), row));
                found.insert(number, ptr::from_ref(row).addr());
            }
            found
        };
        let found = std::thread::scope(|scope| {
            let putters = [1, 2, 3].map(|seed| scope.spawn(move || put(seed + 10 * round)));
            putters.map(|putter| putter.join().unwrap())
        });
        let mut all = BTreeMap::new();
        for (number, row) in found.into_iter().flatten() {
            assert_eq!(*all.entry(number).or_insert(row), row, "one key has one row");
        }
        assert_eq!(index.len(), all.len());
        let keys: Vec<_> = index.forward(Bound::Unbounded).map(|row| row.key.bytes().to_vec()).collect();
        assert!(
            keys.is_sorted()
                && keys.iter().eq(all
                    .keys()
                    .map(|number| number.to_be_bytes().to_vec())
                    .collect::<Vec<_>>()
                    .iter())
        );
    }
}

#[test]
fn who_looks_meanwhile_finds_every_row_that_was_there() {
    use std::sync::atomic::AtomicU64;

    let rows: u64 = if cfg!(miri) { 40 } else { 20_000 };
    let index = RowIndex::new();
    let there = AtomicU64::new(0);
    // A permutation: 0, 7919, 15838, … modulo a prime.
    let key = |number: u64| (number * 7919 % 20_011).to_be_bytes();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..rows {
                insert(&index, T, &key(number));
                there.store(number + 1, Release);
            }
        });
        let mut rng = Rng::new(5);
        loop {
            let upto = there.load(Acquire);
            for _ in 0..upto.min(20) {
                assert!(get(&index, T, &key(rng.below(upto))).is_some());
            }
            let ahead = index.forward(Bound::Unbounded).map(|row| &row.key);
            let (count, last) = ahead.fold((0_u64, None), |(count, last), key| {
                assert!(last.is_none_or(|last| last < key), "ascending, each once");
                (count + 1, Some(key))
            });
            assert!(count >= upto && last.is_some() == (count > 0));
            assert!(index.backward(Bound::Unbounded).count() as u64 >= count);
            if upto == rows {
                return;
            }
        }
    });
}

#[test]
fn long_keys_and_threads_that_come_from_another_index() {
    let (one, other) = (RowIndex::new(), RowIndex::new());
    for number in 0..if cfg!(miri) { 40 } else { 200_u64 } {
        let key = [&[9; 40][..], &number.to_be_bytes()].concat();
        insert(&one, T, &key);
        if number % 2 == 0 {
            insert(&other, T, &key);
        }
    }
    drop(one);
    let key = [9; 40];
    assert_eq!(insert(&RowIndex::new(), T, &key).key.bytes(), key);
    let others = if cfg!(miri) { 20 } else { 100 };
    assert_eq!(other.len(), others);
    assert!(other.bytes() >= others * (48 + size_of::<Row>()));
}

/// What the rows' and nodes' keys take outside of the arena.
fn heap_bytes(index: &RowIndex) -> usize {
    let rows: usize = index.forward(Bound::Unbounded).map(|row| row.key.heap_bytes()).sum();
    let mut bytes = rows;
    let mut node = index.behind(None);
    while let Some(here) = node {
        // The bytes of a key that does not lie in itself.
        bytes += RowKey::new(T, here.first().bytes()).heap_bytes();
        node = index.behind(node);
    }
    bytes
}

#[test]
fn every_byte_of_long_keys_is_counted_and_none_of_those_that_lost_a_race() {
    let rows: u64 = if cfg!(miri) { 40 } else { 3000 };
    for _ in 0..if cfg!(miri) { 1 } else { 5 } {
        let index = RowIndex::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for number in 0..rows {
                        insert(&index, T, &[&(number * 7919 % 20_011).to_be_bytes()[..], &[1; 92]].concat());
                    }
                });
            }
        });
        assert_eq!(index.len() as u64, rows);
        let arenas = [&index.rows, &index.arena, &index.nodes];
        let in_arenas: usize = arenas.iter().map(|arena| arena.bytes()).sum();
        assert_eq!(index.bytes() - in_arenas, heap_bytes(&index));
    }
}

/// How many nodes there are on each level.
fn levels(index: &RowIndex) -> Vec<usize> {
    let nodes = |level| {
        let mut node = None;
        let mut count = 0;
        // SAFETY: the walk stays on one level.
        while let Some(next) = unsafe { index.next_on(node, level) } {
            (node, count) = (Some(next), count + 1);
        }
        count
    };
    (0..LEVELS).map(nodes).collect()
}

#[test]
fn one_node_in_four_is_higher_whoever_puts_it_in() {
    let rows: usize = if cfg!(miri) { 100 } else { 20_000 };
    let key = |number: usize| (number * 7919 % 20_011).to_be_bytes();
    for rows_per_thread in [rows, 5] {
        let index = RowIndex::new();
        for first in (0..rows).step_by(rows_per_thread) {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for row in first..first + rows_per_thread {
                        insert(&index, T, &key(row));
                    }
                });
            });
        }
        let levels = levels(&index);
        assert!(levels[0] >= rows / SLOTS, "{levels:?}");
        for pair in levels.windows(2).take_while(|pair| pair[0] >= 64) {
            assert!((pair[0] / 6..=pair[0] / 3).contains(&pair[1]), "{levels:?}");
        }
    }
}
