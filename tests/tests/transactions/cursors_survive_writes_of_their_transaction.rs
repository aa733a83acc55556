//! A cursor stays where it is while its transaction writes: the next step goes to the nearest row that is there then.

use std::collections::BTreeMap;
use std::ops::Bound;

use braid::{Options, Result};
use braid_tests::{Place, assert_clean, key, seeds, value};
use fastrand::Rng;

#[test]
fn a_row_inserted_ahead_is_met() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in [10, 20, 30] {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    let mut tx = db.begin_immediate()?;
    let mut cursor = tx.cursor(&table)?;
    assert!(cursor.seek_ge(key(15))?);
    assert_eq!(cursor.key(), Some(key(20).as_slice()));
    tx.put(&table, key(25), value(2))?;
    tx.put(&table, key(15), value(2))?;
    assert!(cursor.next()?);
    assert_eq!(cursor.key(), Some(key(25).as_slice()));
    assert_eq!(cursor.value()?, Some(value(2).as_slice()));
    assert!(cursor.prev()? && cursor.prev()?);
    assert_eq!(cursor.key(), Some(key(15).as_slice()));
    tx.commit()?;
    assert_clean(&db)
}

#[test]
fn rows_deleted_under_and_ahead_are_passed_over() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 1..=9 {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    let mut tx = db.begin_immediate()?;
    let mut cursor = tx.cursor(&table)?;
    assert!(cursor.first()?);
    let mut met = Vec::new();
    loop {
        met.push(cursor.key().expect("the cursor stands on a row").to_vec());
        let here = cursor.key().expect("the cursor stands on a row").to_vec();
        tx.delete(&table, &here)?;
        tx.delete(&table, key(u64::from(here[7]) + 1))?;
        if !cursor.next()? {
            break;
        }
    }
    assert_eq!(met, [1, 3, 5, 7, 9].map(|number| key(number).to_vec()));
    assert_eq!(tx.count(&table)?, 0);
    tx.commit()?;
    assert_eq!(db.snapshot()?.count(&table)?, 0);
    assert_clean(&db)
}

#[test]
fn a_cursor_over_nothing_finds_nothing() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    let mut cursor = tx.cursor(&table)?;
    assert_eq!(cursor.key(), None, "a new cursor stands nowhere");
    assert!(!cursor.first()? && !cursor.last()? && !cursor.seek_ge(b"")? && !cursor.seek_le(b"zzz")?);
    assert_eq!(cursor.key(), None);
    assert_eq!(cursor.value()?, None);
    tx.put(&table, "a", "1")?;
    assert!(cursor.seek_le(b"zzz")?, "a row of its own transaction is found");
    assert_eq!(cursor.key(), Some(b"a".as_slice()));
    assert!(!cursor.seek_ge(b"b")?);
    tx.rollback();
    Ok(())
}

#[test]
fn random_writes_under_a_walking_cursor() -> Result<()> {
    let place = Place::new();
    let options = Options { page_bytes: 512, row_store_bytes: 64 << 10, ..Options::default() };
    let db = place.open_with(options)?;
    let table = db.table("rows")?;
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for seed in seeds(30) {
        let mut rng = Rng::with_seed(seed);
        let mut tx = db.begin_immediate()?;
        let mut cursor = tx.cursor(&table)?;
        // Where the cursor stands; the row there may be gone by now.
        let mut at: Option<Vec<u8>> = None;
        let mut savepoints = Vec::new();
        for _ in 0..300 {
            match rng.u8(0..40) {
                0 => savepoints.push((tx.savepoint()?, model.clone())),
                1 | 2 if !savepoints.is_empty() => {
                    savepoints.truncate(rng.usize(1..=savepoints.len()));
                    if let Some((savepoint, then)) = savepoints.last() {
                        tx.rollback_to(savepoint)?;
                        model.clone_from(then);
                    }
                }
                3 => {
                    if let Some((savepoint, _)) = savepoints.pop() {
                        tx.release(savepoint)?;
                    }
                }
                _ => {}
            }
            let here = key(rng.u64(0..200)).to_vec();
            let expected = match rng.u8(0..10) {
                0..4 => {
                    let new = value(rng.i64(0..1_000_000));
                    tx.put(&table, &here, &new)?;
                    model.insert(here, new);
                    continue;
                }
                4 | 5 => {
                    let doomed = at.clone().filter(|_| rng.bool()).unwrap_or(here);
                    tx.delete(&table, &doomed)?;
                    model.remove(&doomed);
                    continue;
                }
                6 => {
                    let found = model.range(here.clone()..).next();
                    assert_eq!(cursor.seek_ge(&here)?, found.is_some(), "seek_ge, seed {seed}");
                    found
                }
                7 => {
                    let found = model.range(..=here.clone()).next_back();
                    assert_eq!(cursor.seek_le(&here)?, found.is_some(), "seek_le, seed {seed}");
                    found
                }
                8 => {
                    let Some(from) = &at else { continue };
                    let found = model.range::<Vec<u8>, _>((Bound::Excluded(from), Bound::Unbounded)).next();
                    assert_eq!(cursor.next()?, found.is_some(), "next after {from:?}, seed {seed}");
                    found
                }
                _ => {
                    let Some(from) = &at else { continue };
                    let found =
                        model.range::<Vec<u8>, _>((Bound::Unbounded, Bound::Excluded(from))).next_back();
                    assert_eq!(cursor.prev()?, found.is_some(), "prev before {from:?}, seed {seed}");
                    found
                }
            };
            if let Some((key, value)) = expected {
                assert_eq!(cursor.key(), Some(key.as_slice()), "seed {seed}");
                assert_eq!(cursor.value()?, Some(value.as_slice()), "seed {seed}");
            }
            at = expected.map(|(key, _)| key.clone());
        }
        tx.commit()?;
        if rng.bool() {
            db.checkpoint()?;
        }
    }
    assert_clean(&db)
}
