//! A range honours every kind of bound, forwards, backwards and from both ends at once, over own writes, row store and
//! tree together.

use std::ops::Bound;

use braid::{Range, Result, Snapshot, Table};
use braid_tests::{Place, assert_clean, key, value};

fn keys(range: Range) -> Result<Vec<u64>> {
    range
        .map(|row| row.map(|(key, _)| u64::from_be_bytes(key.try_into().expect("a key has eight bytes"))))
        .collect()
}

fn check_all(snapshot: &Snapshot, table: &Table, present: &[u64]) -> Result<()> {
    for low in 0..=10_u64 {
        for high in low..=10 {
            let bounds = [
                (Bound::Included(low), Bound::Included(high)),
                (Bound::Included(low), Bound::Excluded(high)),
                (Bound::Excluded(low), Bound::Included(high)),
                (Bound::Excluded(low), Bound::Excluded(high)),
                (Bound::Unbounded, Bound::Excluded(high)),
                (Bound::Excluded(low), Bound::Unbounded),
            ];
            for (from, to) in bounds {
                let inside = |number: &&u64| std::ops::RangeBounds::contains(&(from, to), *number);
                let mut expected: Vec<u64> = present.iter().filter(inside).copied().collect();
                let bytes = (from.map(key), to.map(key));
                assert_eq!(keys(snapshot.range(table, bytes)?)?, expected, "{from:?} to {to:?}");
                let mut backwards = snapshot.range(table, bytes)?.rev().collect::<Result<Vec<_>>>()?;
                backwards.reverse();
                let backwards: Vec<_> = backwards.into_iter().map(|(key, _)| key).collect();
                let expected_keys: Vec<_> = expected.iter().map(|&number| key(number).to_vec()).collect();
                assert_eq!(backwards, expected_keys, "{from:?} to {to:?}, backwards");

                let mut both = snapshot.range(table, bytes)?;
                let mut met = Vec::new();
                while let Some(row) = both.next() {
                    met.push(row?.0);
                    met.extend(both.next_back().transpose()?.map(|(key, _)| key));
                }
                let mut turns = Vec::new();
                while !expected.is_empty() {
                    turns.push(key(expected.remove(0)).to_vec());
                    turns.extend(expected.pop().map(|number| key(number).to_vec()));
                }
                assert_eq!(met, turns, "{from:?} to {to:?}, from both ends");
            }
        }
    }
    Ok(())
}

#[test]
fn over_every_mixture_of_layers() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in [1, 2, 3, 7] {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    db.delete(&table, key(2))?;
    db.put(&table, key(5), value(2))?;
    check_all(&db.snapshot()?, &table, &[1, 3, 5, 7])?;

    let mut tx = db.begin_immediate()?;
    tx.delete(&table, key(3))?;
    tx.put(&table, key(2), value(3))?;
    tx.put(&table, key(9), value(3))?;
    tx.put(&table, key(5), value(3))?;
    check_all(&tx, &table, &[1, 2, 5, 7, 9])?;
    db.checkpoint()?;
    check_all(&tx, &table, &[1, 2, 5, 7, 9])?;
    tx.commit()?;
    check_all(&db.snapshot()?, &table, &[1, 2, 5, 7, 9])?;
    assert_clean(&db)
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 0..10 {
        db.put(&table, key(number), value(1))?;
    }
    let mut tx = db.begin_immediate()?;
    assert_eq!(keys(tx.range(&table, key(7)..key(3))?)?, []);
    assert_eq!(tx.range(&table, key(7)..=key(3))?.rev().count(), 0);
    assert_eq!(tx.range(&table, key(7)..key(7))?.count(), 0);
    assert_eq!(tx.range(&table, (Bound::Excluded(key(7)), Bound::Excluded(key(7))))?.count(), 0);
    assert_eq!(tx.delete_range(&table, key(7)..key(3))?, 0);
    assert_eq!(tx.count(&table)?, 10);
    tx.rollback();
    Ok(())
}

#[test]
fn a_deleted_range_is_deleted_in_every_layer() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 0..100 {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    for number in (100..200).chain(40..50) {
        db.put(&table, key(number), value(2))?;
    }
    let mut tx = db.begin_immediate()?;
    tx.put(&table, key(1000), value(3))?;
    assert_eq!(tx.delete_range(&table, key(30)..=key(149))?, 120);
    assert_eq!(tx.delete_range(&table, key(30)..=key(149))?, 0, "they are gone");
    let mut expected: Vec<u64> = (0..30).chain(150..200).chain([1000]).collect();
    assert_eq!(keys(tx.scan(&table)?)?, expected);
    assert_eq!(tx.delete_range::<[u8; 8]>(&table, (Bound::Excluded(key(199)), Bound::Unbounded))?, 1);
    expected.pop();
    tx.put(&table, key(42), value(4))?;
    tx.commit()?;
    expected.insert(30, 42);
    assert_eq!(keys(db.snapshot()?.scan(&table)?)?, expected);
    db.checkpoint()?;
    assert_eq!(keys(db.snapshot()?.scan(&table)?)?, expected);
    assert_eq!(db.snapshot()?.count(&table)?, expected.len() as u64);
    assert_clean(&db)
}
