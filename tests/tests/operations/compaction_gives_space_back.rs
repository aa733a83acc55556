//! `compact` gives the space of deleted rows back to the file system, beside readers and writers, or says what holds it.

use braid::{Durability, Options, Result, SnapshotOptions};
use braid_tests::{Place, assert_clean, byte, contents, key, together, value};

fn filled(place: &Place) -> Result<(braid::Database, braid::Table)> {
    let options = Options { durability: Durability::Deferred, cache_bytes: 1 << 20, ..Options::default() };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    for batch in 0..10 {
        let mut tx = db.begin_concurrent()?;
        for number in 0..500 {
            tx.put(&table, key(batch * 500 + number), [byte(number); 1000])?;
        }
        tx.commit()?;
    }
    db.checkpoint()?;
    Ok((db, table))
}

#[test]
fn when_most_rows_are_gone() -> Result<()> {
    let place = Place::new();
    let (db, table) = filled(&place)?;
    let before = Place::len(&place.path());
    assert!(before > 5_000_000, "{before} bytes");
    let mut tx = db.begin_concurrent()?;
    assert_eq!(tx.delete_range(&table, key(100)..)?, 4900);
    tx.commit()?;
    let report = db.compact()?;
    let after = Place::len(&place.path());
    assert!(after < before / 4, "{after} of {before} bytes are left: {report:?}");
    // The pages of the fold that comes first are in it.
    assert!((before..before / 4 * 5).contains(&report.bytes_before), "{before} bytes: {report:?}");
    assert_eq!(report.bytes_after, after);
    assert_eq!(db.snapshot()?.count(&table)?, 100);
    assert_clean(&db)?;
    for number in 0..100 {
        assert_eq!(db.get(&table, key(number))?, Some(vec![byte(number); 1000]));
    }
    drop((db, table));
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 100);
    assert_clean(&db)
}

#[test]
fn of_a_file_that_gets_its_rows_by_it() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    (0..2000).try_for_each(|number| tx.put(&table, key(number), [1; 1000]))?;
    tx.commit()?;
    let report = db.compact()?;
    assert!(report.bytes_before >= report.bytes_after, "a compaction makes nothing longer: {report:?}");
    Ok(())
}

#[test]
fn or_it_says_what_holds_it() -> Result<()> {
    let place = Place::new();
    let (db, table) = filled(&place)?;
    let reader = db.snapshot_with(SnapshotOptions::default().name("the one that holds it"))?;
    db.drop_table("rows")?;
    let report = db.compact()?;
    assert!(report.held_bytes > 4_000_000, "{report:?}");
    let holder = format!("{:?}", report.held_by);
    assert!(holder.contains("the one that holds it"), "{holder}");
    assert_eq!(contents(&reader, &table)?.len(), 5000, "the reader is not disturbed");
    drop((reader, table));
    let report = db.compact()?;
    assert!(report.bytes_after < 1_000_000 && report.held_bytes == 0, "{report:?}");
    assert_clean(&db)
}

#[test]
fn while_readers_and_writers_go_on() -> Result<()> {
    let place = Place::new();
    let (db, table) = filled(&place)?;
    let other = db.table("other")?;
    db.put(&other, "sum", value(0))?;
    together(3, |thread| -> Result<()> {
        for round in 0..20_u64 {
            match thread {
                0 => {
                    let mut tx = db.begin_concurrent()?;
                    tx.delete_range(&table, key(round * 200)..key(round * 200 + 190))?;
                    tx.commit()?;
                    db.compact()?;
                }
                1 => {
                    for step in 0..20 {
                        db.put(&other, key(round * 20 + step), vec![1_u8; 300])?;
                    }
                }
                _ => {
                    let snapshot = db.snapshot()?;
                    let first = contents(&snapshot, &table)?;
                    assert_eq!(contents(&snapshot, &table)?, first);
                    assert_eq!(snapshot.count(&table)?, first.len() as u64);
                }
            }
        }
        Ok(())
    })?;
    assert_eq!(db.snapshot()?.count(&table)?, 5000 - 20 * 190);
    assert_eq!(db.snapshot()?.count(&other)?, 401);
    assert_clean(&db)?;
    drop((db, table, other));
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 5000 - 20 * 190);
    assert_clean(&db)
}
