//! What is not committed never was: after a rollback, a drop, or the death of the thread that held the transaction.

use braid::{Options, Result};
use braid_tests::{Place, assert_clean, contents, together};

#[test]
fn by_rollback_by_drop_and_by_panic() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    let before = contents(&db.snapshot()?, &table)?;
    let commits = db.stats().commits;

    let mut tx = db.begin_concurrent()?;
    tx.put(&table, "a", "2")?;
    tx.put(&table, "b", "2")?;
    tx.rollback();
    assert_eq!(contents(&db.snapshot()?, &table)?, before);

    let mut tx = db.begin_concurrent()?;
    tx.delete(&table, "a")?;
    drop(tx);
    assert_eq!(contents(&db.snapshot()?, &table)?, before);

    for exclusive in [false, true] {
        let (sibling, rows) = (db.clone(), table.clone());
        let thread = std::thread::Builder::new().spawn(move || {
            let mut tx =
                if exclusive { sibling.begin_immediate() } else { sibling.begin_concurrent() }.unwrap();
            tx.put(&rows, "a", "3").unwrap();
            panic!("the thread dies with its transaction open, as this test wants it to");
        });
        assert!(thread.expect("a thread can be started").join().is_err());
        assert_eq!(contents(&db.snapshot()?, &table)?, before);
    }

    assert_eq!(db.stats().commits, commits, "none of these is a commit");
    assert_eq!(db.stats().open_snapshots, 0, "none of these is still open");
    let mut tx = db.begin_concurrent()?;
    tx.put(&table, "a", "4")?;
    tx.commit()?;
    let mut tx = db.begin_immediate()?;
    tx.put(&table, "a", "5")?;
    tx.commit()?;
    assert_eq!(db.get(&table, "a")?, Some(b"5".to_vec()));
    assert_clean(&db)
}

#[test]
fn rolled_back_writes_conflict_with_nobody() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    let mut survivor = db.begin_concurrent()?;
    survivor.put(&table, "a", "2")?;
    together(4, |_| -> Result<()> {
        let mut tx = db.begin_concurrent()?;
        tx.put(&table, "a", "3")?;
        tx.rollback();
        Ok(())
    })?;
    survivor.commit()?;
    assert_eq!(db.get(&table, "a")?, Some(b"2".to_vec()));
    assert_clean(&db)
}
