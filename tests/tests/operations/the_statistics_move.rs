//! Every statistic tells what happened: it moves when its cause does, and by as much.

use std::time::Duration;

use braid::{Admission, Options, Result, TransactionOptions};
use braid_tests::{Place, assert_clean, key};

#[test]
fn commits_conflicts_and_retries() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let start = db.stats();
    for number in 0..10 {
        db.put(&table, key(number), "x")?;
    }
    db.begin_concurrent()?.commit()?;
    db.begin_concurrent()?.rollback();
    drop(db.snapshot()?);
    assert_eq!(db.stats().commits - start.commits, 10, "only what wrote counts");

    let mut loser = db.begin_concurrent()?;
    loser.put(&table, key(0), "loser")?;
    db.put(&table, key(0), "winner")?;
    assert!(loser.commit().is_err());
    assert_eq!(db.stats().conflicts.kinds.write_write, 1);
    assert_eq!(db.stats().conflicts.kinds.total(), 1);

    let turn = db.begin_immediate()?;
    let at_once = TransactionOptions {
        admission: Admission::Immediate,
        busy_timeout: Some(Duration::ZERO),
        ..Default::default()
    };
    assert!(db.begin_with(at_once).is_err());
    turn.rollback();
    assert_eq!((db.stats().conflicts.kinds.timeout, db.stats().conflicts.kinds.total()), (1, 2));

    let mut first = true;
    db.transact(|tx| {
        tx.put(&table, key(1), "mine")?;
        if std::mem::take(&mut first) {
            db.put(&table, key(1), "a rival's")?;
        }
        Ok(())
    })?;
    assert_eq!(db.stats().retries, 1);
    assert!(db.stats().max_attempts >= 2);
    assert_clean(&db)
}

#[test]
fn log_row_store_cache_and_file() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { log_segment_bytes: 64 << 10, ..Options::default() })?;
    let table = db.table("rows")?;
    let start = db.stats();
    for number in 0..200 {
        db.put(&table, key(number), [1_u8; 1000])?;
    }
    let written = db.stats();
    assert!(written.log.bytes_appended - start.log.bytes_appended >= 200_000);
    assert!(written.log.retained_bytes >= 200_000);
    assert!(written.log.syncs > start.log.syncs);
    assert!(written.row_store.bytes - start.row_store.bytes >= 200_000);
    assert_eq!(written.tables, 1);
    let report = db.checkpoint()?;
    let folded = db.stats();
    assert_eq!(folded.checkpoints.count, written.checkpoints.count + 1);
    assert!(folded.row_store.bytes < 100_000, "{:?}", folded.row_store);
    assert!(folded.log.retained_bytes < written.log.retained_bytes, "{:?}", folded.log);
    assert!(folded.file.bytes >= 200_000, "{:?} after {report:?}", folded.file);
    for number in 0..200 {
        assert!(db.get(&table, key(number))?.is_some());
    }
    for number in 0..200 {
        assert!(db.get(&table, key(number))?.is_some());
    }
    let read = db.stats();
    assert!(read.cache.hits >= folded.cache.hits + 200, "{:?}", read.cache);
    assert!(read.cache.resident_bytes > 0 && read.cache.resident_bytes <= read.cache.budget_bytes);
    db.drop_table("rows")?;
    db.checkpoint()?;
    db.checkpoint()?;
    db.checkpoint()?;
    let dropped = db.stats();
    assert!(dropped.file.free_bytes + dropped.file.withheld_bytes >= 150_000, "{:?}", dropped.file);
    assert_eq!(dropped.tables, 0);
    assert_clean(&db)
}
