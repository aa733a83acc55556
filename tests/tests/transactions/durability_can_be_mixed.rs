//! `Sync` and `Deferred` commits mix freely, per database and per transaction, and follow each other in one history.

use braid::{Database, Durability, Options, Result, TransactionOptions};
use braid_tests::{Place, assert_clean, number, together, value};

fn with(durability: Durability) -> TransactionOptions {
    TransactionOptions { durability: Some(durability), ..Default::default() }
}

#[test]
fn by_threads_that_share_rows() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "sum", value(0))?;
    let added = together(6, |thread| -> Result<i64> {
        let sibling = Database::open(place.path())?;
        let durability = if thread % 2 == 0 { Durability::Sync } else { Durability::Deferred };
        let mut added = 0;
        for _ in 0..60 {
            let mut tx = sibling.begin_with(with(durability))?;
            let sum = number(&tx.get(&table, "sum")?.expect("the row is there"));
            tx.put(&table, "sum", value(sum + 1))?;
            match tx.commit() {
                Ok(commit) => {
                    added += 1;
                    let now = sibling.snapshot()?;
                    assert!(now.timestamp() >= commit.timestamp, "an acknowledged commit is seen by readers");
                }
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    })?;
    let sum = value(added.iter().sum());
    assert_eq!(db.get(&table, "sum")?, Some(sum.clone()));
    db.sync()?;
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(db.get(&db.table("rows")?, "sum")?, Some(sum));
    Ok(())
}

#[test]
fn deferred_commits_survive_a_close() -> Result<()> {
    let place = Place::new();
    for reopen in 0..3_u64 {
        let db = place.open_with(Options { durability: Durability::Deferred, ..Options::default() })?;
        let table = db.table("rows")?;
        assert_eq!(db.snapshot()?.count(&table)?, reopen * 100);
        for number in 0..100 {
            db.put(&table, (reopen * 100 + number).to_be_bytes(), "x")?;
        }
        if reopen == 1 {
            db.close()?;
        }
    }
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 300);
    assert_clean(&db)
}
