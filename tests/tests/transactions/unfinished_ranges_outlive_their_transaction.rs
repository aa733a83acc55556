//! Ranges and cursors own what they need: they can be kept, sent to another thread and read on after the transaction
//! or snapshot that made them is gone, and a checkpoint has moved every row.

use braid::{Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, contents, key, value};

fn assert_send<T: Send + 'static>(value: T) -> T {
    value
}

#[test]
fn a_range_reads_on_after_its_snapshot_was_dropped() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { page_bytes: 512, ..Options::default() })?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    for number in 0..500 {
        tx.put(&table, key(number), value(1))?;
    }
    tx.commit()?;

    let snapshot = db.snapshot()?;
    let mut range = assert_send(snapshot.scan(&table)?);
    let mut cursor = assert_send(snapshot.cursor(&table)?);
    assert!(cursor.seek_ge(key(100))?);
    drop(snapshot);
    let first = range.next().expect("there are rows")?;
    assert_eq!(first, (key(0).to_vec(), value(1)));

    let mut tx = db.begin_immediate()?;
    tx.delete_range(&table, key(0)..key(400))?;
    tx.commit()?;
    db.checkpoint()?;
    db.checkpoint()?;

    let rest = range.collect::<Result<Vec<_>>>()?;
    assert_eq!(rest.len(), 499, "the range reads the state in which it was made");
    assert!(cursor.next()?);
    assert_eq!(cursor.key(), Some(key(101).as_slice()));
    assert_eq!(cursor.value()?, Some(value(1).as_slice()));
    drop(cursor);
    assert_eq!(contents(&db.snapshot()?, &table)?.len(), 100);
    assert_clean(&db)
}

#[test]
fn a_range_keeps_the_database_open() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    let range = db.snapshot()?.scan(&table)?;
    drop(db);
    let sibling = Database::open(place.path())?;
    sibling.put(&sibling.table("rows")?, "b", "2")?;
    assert_eq!(range.collect::<Result<Vec<_>>>()?, [(b"a".to_vec(), b"1".to_vec())]);
    assert_clean(&sibling)
}

#[test]
fn a_range_of_a_finished_transaction_says_so() -> Result<()> {
    for commit in [true, false] {
        let place = Place::new();
        let db = place.open()?;
        let table = db.table("rows")?;
        for number in 0..5 {
            db.put(&table, key(number), value(1))?;
        }
        let mut tx = db.begin_immediate()?;
        tx.put(&table, key(1), value(2))?;
        let mut cursor = tx.cursor(&table)?;
        assert!(cursor.first()?);
        if commit {
            tx.commit()?;
        } else {
            tx.rollback();
        }
        let moved = cursor.next();
        assert!(matches!(moved, Err(Error::TransactionClosed)), "{moved:?}");
        drop(cursor);
        assert_clean(&db)?;
    }
    Ok(())
}
