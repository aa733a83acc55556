//! `max_transaction_bytes` is a limit before any I/O; what lies below it commits even when it exceeds the row store.

use braid::{Error, Options, Result};
use braid_tests::{Place, assert_clean, assert_nothing_logged, key};

#[test]
fn above_the_limit() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { max_transaction_bytes: 1 << 20, ..Options::default() })?;
    let table = db.table("rows")?;
    db.put(&table, "before", "1")?;
    let appended = db.stats().log.bytes_appended;
    let mut tx = db.begin_immediate()?;
    let filled = (0..2000_u64).try_for_each(|number| tx.put(&table, key(number), [1_u8; 1000]));
    let refused = filled.and_then(|()| tx.commit().map(drop));
    let Err(Error::TransactionTooLarge { bytes, limit, .. }) = refused else { panic!("{refused:?}") };
    assert!(bytes > limit && limit == 1 << 20, "{bytes} of {limit}");
    assert_nothing_logged(&db, appended);
    assert_eq!(db.snapshot()?.count(&table)?, 1);
    db.put(&table, "after", "1")?;
    assert_clean(&db)
}

#[test]
fn above_the_row_store_and_below_the_limit() -> Result<()> {
    let place = Place::new();
    let options = Options {
        row_store_bytes: 64 << 10,
        cache_bytes: 256 << 10,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    for round in 0..3_u8 {
        let mut tx = db.begin_concurrent()?;
        for number in 0..3000 {
            tx.put(&table, key(number), [round; 1000])?;
        }
        tx.commit()?;
        db.put(&table, "between", [round])?;
    }
    assert_eq!(db.snapshot()?.count(&table)?, 3001);
    assert_eq!(db.get(&table, key(2999))?, Some(vec![2; 1000]));
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 3001);
    assert_clean(&db)
}
