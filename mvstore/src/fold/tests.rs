use std::collections::BTreeMap;

use super::*;
use crate::TableId;
use crate::testing::{Rng, commit, ts};

type Rows = Vec<(TableId, Vec<u8>, Option<Vec<u8>>)>;

fn collect(mut fold: FoldIter) -> Rows {
    let mut rows = Rows::new();
    while let Some(row) = fold.next() {
        rows.push((row.table, row.key.to_vec(), row.value.value().map(<[u8]>::to_vec)));
    }
    assert!(fold.next().is_none(), "the end stays the end");
    rows
}

#[test]
fn a_fold_delivers_the_newest_version_of_every_key_in_order() {
    let mut rng = Rng::new(5);
    let mut model: BTreeMap<(TableId, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
    let mut generations = Vec::new();
    let (mut now, mut at_seal) = (0, Rows::new());
    for generation_number in 0..4 {
        let (generation, mut rights) = Generation::new(ts(now), 1 << 16);
        if generation_number == 3 {
            // The active one: written to after the seal.
            at_seal = model.iter().map(|((t, k), v)| (*t, k.clone(), v.clone())).collect();
        }
        let seal = now;
        for _ in 0..20 {
            now += 1;
            commit(&mut rights, now, seal, |writes| {
                for _ in 0..rng.below(300) {
                    let (table, key) = (TableId(rng.below(3_u32)), rng.below(2500_u64).to_be_bytes());
                    let value = (rng.below(5) > 0).then(|| now.to_le_bytes().to_vec());
                    match &value {
                        Some(value) => writes.put(table, &key, value),
                        None => writes.delete(table, &key),
                    }
                    model.insert((table, key.to_vec()), value);
                }
            });
        }
        generations.insert(0, generation);
    }
    let seal = generations[0].start_ts();
    assert!(generations[1].rows() > LIMIT.rows, "more than one batch");
    assert_eq!(collect(FoldIter::new(&generations[1..], seal)), at_seal);
    assert_eq!(collect(FoldIter::new(&generations, seal)), at_seal, "later versions are not folded");
    let all: Rows = model.into_iter().map(|((t, k), v)| (t, k, v)).collect();
    assert_eq!(collect(FoldIter::new(&generations, ts(now))), all);
}

#[test]
fn nothing_folds_to_nothing() {
    assert!(collect(FoldIter::new(&[], ts(9))).is_empty());
    let (empty, _rights) = Generation::new(ts(1), 1 << 16);
    assert!(collect(FoldIter::new(&[empty], ts(9))).is_empty());
}

#[test]
fn tables_left_out_are_passed_over_wherever_they_lie() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    commit(&mut rights, 1, 0, |writes| {
        for table in 0..5 {
            for row in 0..3_u64 {
                writes.put(TableId(table), &row.to_be_bytes(), b"x");
            }
        }
    });
    for without in [vec![], vec![0], vec![4, 0], vec![2, 1], vec![3], vec![4, 3, 2, 1, 0]] {
        let without: Vec<_> = without.into_iter().map(TableId).collect();
        let fold = FoldIter::new(&[Arc::clone(&generation)], ts(1)).without(without.clone());
        let tables: Vec<_> = collect(fold).into_iter().map(|(table, ..)| table).collect();
        let expected: Vec<_> = (0..5)
            .map(TableId)
            .filter(|table| !without.contains(table))
            .flat_map(|table| [table; 3])
            .collect();
        assert_eq!(tables, expected, "without {without:?}");
    }
}
