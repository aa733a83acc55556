//! `count` is exact over own writes, row store and tree, for what is inserted twice, deleted, and deleted twice.

use braid::{Options, Result};
use braid_tests::{Place, assert_clean, key, value};

#[test]
fn after_each_kind_of_change() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let early = db.snapshot()?;
    let mut tx = db.begin_concurrent()?;
    for number in 0..1000 {
        tx.put(&table, key(number), value(1))?;
        tx.put(&table, key(number), value(2))?;
    }
    assert_eq!(tx.count(&table)?, 1000);
    tx.commit()?;
    assert_eq!(db.snapshot()?.count(&table)?, 1000);
    db.checkpoint()?;
    assert_eq!(db.snapshot()?.count(&table)?, 1000);

    // Overwrites of rows in the tree, new rows, deletes of old, new and absent ones.
    let mut tx = db.begin_concurrent()?;
    for number in 990..1010 {
        tx.put(&table, key(number), value(3))?;
    }
    for number in [0, 1, 2, 1009, 5000] {
        tx.delete(&table, key(number))?;
        tx.delete(&table, key(number))?;
    }
    assert_eq!(tx.count(&table)?, 1006);
    let middle = db.snapshot()?;
    tx.commit()?;
    assert_eq!(db.snapshot()?.count(&table)?, 1006);
    db.delete(&table, key(0))?;
    db.put(&table, key(1), value(4))?;
    assert_eq!(db.snapshot()?.count(&table)?, 1007);
    db.checkpoint()?;
    assert_eq!(db.snapshot()?.count(&table)?, 1007);
    assert_eq!(middle.count(&table)?, 1000, "an older snapshot counts its own rows");
    assert_eq!(early.count(&table)?, 0);
    drop((early, middle));

    let mut tx = db.begin_concurrent()?;
    assert_eq!(tx.delete_range(&table, key(0)..key(500))?, 498);
    assert_eq!(tx.count(&table)?, 509);
    tx.rollback();
    assert_eq!(db.snapshot()?.count(&table)?, 1007);
    drop(db);
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 1007);
    assert_clean(&db)
}

#[test]
fn a_large_table_is_counted_without_reading_it() -> Result<()> {
    let place = Place::new();
    let options = Options { cache_bytes: 256 << 10, row_store_bytes: 1 << 20, ..Options::default() };
    let db = place.open_with(options)?;
    let table = db.table("rows")?;
    for batch in 0..20_u64 {
        let mut tx = db.begin_immediate()?;
        for number in 0..1000 {
            tx.put(&table, key(batch * 1000 + number), [7_u8; 200])?;
        }
        tx.commit()?;
    }
    db.checkpoint()?;
    let before = db.stats().cache;
    assert_eq!(db.snapshot()?.count(&table)?, 20_000);
    let after = db.stats().cache;
    // Four megabytes of rows are a thousand pages; a count may look at a handful.
    let looked_at = (after.hits + after.misses) - (before.hits + before.misses);
    assert!(looked_at < 50, "a count looked at {looked_at} pages");
    assert_clean(&db)
}
