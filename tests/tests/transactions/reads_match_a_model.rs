//! Random operations beside a `BTreeMap`: every read agrees with it, whether the row is in the transaction's own
//! writes, in the row store, or in the tree; snapshots keep the state in which they were taken.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use braid::{Durability, Error, Options, Result, Snapshot, Table, Transaction};
use braid_tests::{Place, assert_clean, contents, seeds};
use fastrand::Rng;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys that share prefixes, are prefixes of each other, and differ in length.
fn random_key(rng: &mut Rng) -> Vec<u8> {
    let number = rng.u32(0..150);
    match number % 5 {
        0 => format!("a long common prefix that many keys share/{number}").into_bytes(),
        1 => vec![0xff; 1 + number as usize % 7],
        2 => vec![b'p'; 1 + number as usize / 2],
        3 => number.to_le_bytes().to_vec(),
        _ => format!("k{number}").into_bytes(),
    }
}

fn random_value(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.u8(0..30) {
        0 => rng.usize(5_000..40_000),
        1..4 => rng.usize(400..5_000),
        4..7 => 0,
        _ => rng.usize(1..60),
    };
    let byte = rng.u8(..);
    vec![byte; length]
}

fn random_bounds(rng: &mut Rng) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let (mut low, mut high) = (random_key(rng), random_key(rng));
    if low > high {
        std::mem::swap(&mut low, &mut high);
    }
    let from = match rng.u8(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(low.clone()),
        _ => Bound::Excluded(low.clone()),
    };
    let to = match rng.u8(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(high),
        // A BTreeMap refuses a range that excludes the same key at both ends.
        _ if low == high => Bound::Included(high),
        _ => Bound::Excluded(high),
    };
    (from, to)
}

fn compare_one_read(snapshot: &Snapshot, table: &Table, model: &Rows, rng: &mut Rng) -> Result<()> {
    match rng.u8(0..6) {
        0 | 1 => {
            let key = random_key(rng);
            assert_eq!(snapshot.get(table, &key)?.as_ref(), model.get(&key), "get {key:?}");
            assert_eq!(snapshot.contains(table, &key)?, model.contains_key(&key), "contains {key:?}");
            let length = snapshot.get_with(table, &key, <[u8]>::len)?;
            assert_eq!(length, model.get(&key).map(Vec::len), "get_with {key:?}");
        }
        2 => assert_eq!(snapshot.count(table)?, model.len() as u64, "count"),
        3 | 4 => {
            let bounds = random_bounds(rng);
            let expected: Vec<_> = model.range(bounds.clone()).map(|(k, v)| (k.clone(), v.clone())).collect();
            let mut range = snapshot.range(table, bounds.clone())?;
            let (mut front, mut back) = (Vec::new(), Vec::new());
            let forward_share = rng.u8(0..=10);
            loop {
                let forward = rng.u8(0..10) < forward_share;
                let Some(row) = (if forward { range.next() } else { range.next_back() }) else { break };
                if forward { front.push(row?) } else { back.push(row?) }
            }
            assert!(range.next().is_none() && range.next_back().is_none(), "a finished range stays finished");
            front.extend(back.into_iter().rev());
            assert_eq!(front, expected, "range {bounds:?}");
        }
        _ => {
            let mut cursor = snapshot.cursor(table)?;
            let key = random_key(rng);
            let (found, expected) = if rng.bool() {
                (cursor.seek_ge(&key)?, model.range(key.clone()..).next())
            } else {
                (cursor.seek_le(&key)?, model.range(..=key.clone()).next_back())
            };
            assert_eq!(found, expected.is_some(), "seek {key:?}");
            let mut at = expected;
            for _ in 0..rng.u8(0..12) {
                let Some((key, value)) = at else { break };
                assert_eq!(cursor.key(), Some(key.as_slice()), "the key under the cursor");
                assert_eq!(cursor.value()?, Some(value.as_slice()), "the value under the cursor");
                let (moved, next) = if rng.bool() {
                    (
                        cursor.next()?,
                        model.range::<Vec<u8>, _>((Bound::Excluded(key), Bound::Unbounded)).next(),
                    )
                } else {
                    (
                        cursor.prev()?,
                        model.range::<Vec<u8>, _>((Bound::Unbounded, Bound::Excluded(key))).next_back(),
                    )
                };
                assert_eq!(moved, next.is_some(), "a step from {key:?}");
                at = next;
            }
        }
    }
    Ok(())
}

fn one_write(tx: &mut Transaction, table: &Table, model: &mut Rows, rng: &mut Rng) -> Result<()> {
    match rng.u8(0..12) {
        0..6 => {
            let (key, value) = (random_key(rng), random_value(rng));
            tx.put(table, &key, &value)?;
            model.insert(key, value);
        }
        6..8 => {
            let (key, value) = (random_key(rng), random_value(rng));
            let done = tx.insert(table, &key, &value);
            if let Entry::Vacant(vacant) = model.entry(key.clone()) {
                done?;
                vacant.insert(value);
            } else {
                assert!(matches!(done, Err(Error::KeyExists { .. })), "insert {key:?}: {done:?}");
            }
        }
        8..11 => {
            let key = random_key(rng);
            tx.delete(table, &key)?;
            model.remove(&key);
        }
        _ => {
            let bounds = random_bounds(rng);
            let doomed: Vec<_> = model.range(bounds.clone()).map(|(key, _)| key.clone()).take(40).collect();
            // Most of the time a few rows are enough; else nothing would ever be left.
            let bounds = match doomed.last() {
                Some(last) => (bounds.0, Bound::Included(last.clone())),
                None => bounds,
            };
            assert_eq!(tx.delete_range(table, bounds)?, doomed.len() as u64, "rows of a deleted range");
            for key in doomed {
                model.remove(&key);
            }
        }
    }
    Ok(())
}

fn one_seed(seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let options = Options {
        durability: Durability::Deferred,
        page_bytes: *rng.choice(&[512, 4096]).unwrap_or(&4096),
        cache_bytes: 128 << 10,
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        map_log: rng.bool(),
        ..Options::default()
    };
    let place = Place::new();
    let mut db =
        if rng.bool() { place.open_mvcc(options.clone())? } else { place.open_with(options.clone())? };
    let mut table = db.table("rows")?;
    let mut model = Rows::new();
    let mut snapshots: Vec<(Snapshot, Rows)> = Vec::new();
    for _ in 0..60 {
        match rng.u8(0..12) {
            0 => {
                db.checkpoint()?;
            }
            1 if snapshots.len() < 4 => snapshots.push((db.snapshot()?, model.clone())),
            2 if !snapshots.is_empty() => {
                let (snapshot, then) = snapshots.swap_remove(rng.usize(0..snapshots.len()));
                assert_eq!(contents(&snapshot, &table)?, then, "a snapshot keeps its moment, seed {seed}");
            }
            3 if rng.u8(0..4) == 0 => {
                snapshots.clear();
                drop((db, table));
                db = place.open_with(options.clone())?;
                table = db.table("rows")?;
            }
            _ => {
                let mut tx = db.begin()?;
                let mut own = model.clone();
                let mut savepoints = Vec::new();
                for _ in 0..rng.usize(1..25) {
                    match rng.u8(0..12) {
                        0 => savepoints.push((tx.savepoint()?, own.clone())),
                        1 if !savepoints.is_empty() => {
                            savepoints.truncate(rng.usize(1..=savepoints.len()));
                            if let Some((savepoint, then)) = savepoints.last() {
                                tx.rollback_to(savepoint)?;
                                own.clone_from(then);
                            }
                        }
                        2 if !savepoints.is_empty() => {
                            savepoints.truncate(rng.usize(1..=savepoints.len()));
                            if let Some((savepoint, _)) = savepoints.pop() {
                                tx.release(savepoint)?;
                            }
                        }
                        _ => {}
                    }
                    if rng.bool() {
                        one_write(&mut tx, &table, &mut own, &mut rng)?;
                    }
                    compare_one_read(&tx, &table, &own, &mut rng)?;
                }
                if rng.u8(0..5) == 0 {
                    tx.rollback();
                } else {
                    tx.commit()?;
                    model = own;
                }
            }
        }
        compare_one_read(&db.snapshot()?, &table, &model, &mut rng)?;
    }
    for (snapshot, then) in snapshots {
        assert_eq!(contents(&snapshot, &table)?, then, "a snapshot keeps its moment, seed {seed}");
    }
    assert_eq!(contents(&db.snapshot()?, &table)?, model, "the rows at the end, seed {seed}");
    assert_clean(&db)
}

#[test]
fn in_every_layer() -> Result<()> {
    for seed in seeds(40) {
        one_seed(seed)?;
    }
    Ok(())
}
