//! A snapshot is owned and shared freely: many threads read one, it outlives commits, checkpoints, dropped tables and
//! the handle that made it.

use braid::{Options, Result, SnapshotOptions};
use braid_tests::{Place, assert_clean, key, number_at, together, value};

#[test]
fn many_threads_read_one_snapshot_while_rows_move() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options { page_bytes: 512, cache_bytes: 64 << 10, ..Options::default() })?;
    let table = db.table("rows")?;
    let mut tx = db.begin_concurrent()?;
    for number in 0..1000 {
        tx.put(&table, key(number), value(7))?;
    }
    tx.commit()?;
    let snapshot = db.snapshot_with(SnapshotOptions::default().name("shared"))?;
    let handle = db.clone();
    together(4, |thread| -> Result<()> {
        if thread == 0 {
            for round in 0..20_u64 {
                let mut tx = handle.begin_concurrent()?;
                for number in 0..50 {
                    tx.put(&table, key(round * 50 + number), value(8))?;
                }
                tx.commit()?;
                handle.checkpoint()?;
            }
            return Ok(());
        }
        for round in 0..10 {
            for at in (0..1000).step_by(1 + round) {
                assert_eq!(number_at(&snapshot, &table, at)?, Some(7));
            }
        }
        Ok(())
    })?;
    assert_eq!(number_at(&db.snapshot()?, &table, 999)?, Some(8));
    assert_clean(&db)
}

#[test]
fn a_snapshot_reads_a_dropped_table_to_its_end() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("doomed")?;
    for number in 0..100 {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    let snapshot = db.snapshot()?;
    assert!(db.drop_table("doomed")?);
    db.checkpoint()?;
    let other = db.table("another")?;
    for number in 0..100 {
        db.put(&other, key(number), value(2))?;
    }
    db.checkpoint()?;
    assert_eq!(snapshot.count(&table)?, 100);
    for row in snapshot.scan(&table)? {
        assert_eq!(row?.1, value(1));
    }
    drop(snapshot);
    assert_clean(&db)
}

#[test]
fn an_open_snapshot_is_counted_and_named() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    assert_eq!(db.stats().open_snapshots, 0);
    let snapshot = db.snapshot_with(SnapshotOptions::default().name("nightly report"))?;
    let begin_ts = snapshot.timestamp();
    db.put(&table, "a", "2")?;
    let second = db.snapshot()?;
    let stats = db.stats();
    assert_eq!(stats.open_snapshots, 2);
    let oldest = stats.oldest_snapshot.expect("snapshots are open");
    assert_eq!(oldest.begin_ts, begin_ts);
    assert_eq!(oldest.name.as_deref(), Some("nightly report"));
    drop((snapshot, second));
    assert_eq!(db.stats().open_snapshots, 0);
    assert!(db.stats().oldest_snapshot.is_none());
    Ok(())
}
