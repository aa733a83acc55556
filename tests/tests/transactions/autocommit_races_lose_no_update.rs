//! A one-statement write is a transaction like any other: in a race with a concurrent transaction on the same row one
//! of them is refused or comes after the other, and neither is ever lost.

use std::sync::atomic::{AtomicBool, Ordering};

use braid::{Database, Durability, Options, Result};
use braid_tests::{Place, assert_clean, number, scale, together, value};

#[test]
fn a_stamp_is_never_overwritten_unseen() -> Result<()> {
    // One thread stamps the row by one-statement puts of rising numbers; the others copy the stamp that they read into
    // a second field of the same row. A copy older than its stamp would mean that a put was overwritten unseen.
    let place = Place::new();
    let options = Options { durability: Durability::Deferred, ..Options::default() };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    db.put(&table, "row", "0 0")?;
    let stamps = 500 * scale();
    let done = AtomicBool::new(false);
    together(4, |thread| -> Result<()> {
        let sibling = Database::open_with(place.path(), options.clone())?;
        if thread == 0 {
            for stamp in 1..=stamps {
                loop {
                    match sibling.put(&table, "row", format!("{stamp} 0")) {
                        Ok(_) => break,
                        Err(error) if error.is_retryable() => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let mut last_seen = 0;
        while !done.load(Ordering::SeqCst) {
            let mut tx = sibling.begin_concurrent()?;
            let row = tx.get(&table, "row")?.expect("the row is always there");
            let text = String::from_utf8(row).expect("the row is text");
            let (stamp, _) = text.split_once(' ').expect("the row has two fields");
            let stamp: u64 = stamp.parse().expect("a stamp is a number");
            assert!(stamp >= last_seen, "stamp {last_seen} was there and is now {stamp}");
            last_seen = stamp;
            tx.put(&table, "row", format!("{stamp} {thread}"))?;
            match tx.commit() {
                Ok(_) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    let row = String::from_utf8(db.get(&table, "row")?.expect("the row is there")).expect("the row is text");
    assert!(row.starts_with(&format!("{stamps} ")), "the last stamp stands: {row}");
    assert_clean(&db)
}

#[test]
fn puts_and_increments_of_many_rows_add_up() -> Result<()> {
    // Every thread owns a row that it sets by puts, and all move money between two common rows by transactions.
    let place = Place::new();
    let options =
        Options { durability: Durability::Deferred, row_store_bytes: 64 << 10, ..Options::default() };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    db.put(&table, "left", value(1000))?;
    db.put(&table, "right", value(1000))?;
    let rounds = 300 * scale();
    let moved = together(4, |thread| -> Result<i64> {
        let sibling = Database::open_with(place.path(), options.clone())?;
        let mut moved = 0;
        for round in 0..rounds {
            sibling.put(&table, format!("thread {thread}"), format!("{round}"))?;
            let mut tx = sibling.begin_concurrent()?;
            let left = number(&tx.get(&table, "left")?.expect("the row is there"));
            let right = number(&tx.get(&table, "right")?.expect("the row is there"));
            assert_eq!(left + right, 2000, "both rows come from one moment");
            tx.put(&table, "left", value(left - 1))?;
            tx.put(&table, "right", value(right + 1))?;
            match tx.commit() {
                Ok(_) => moved += 1,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    })?;
    let moved: i64 = moved.into_iter().sum();
    assert_eq!(db.get(&table, "left")?, Some(value(1000 - moved)), "every success counts once");
    assert_eq!(db.get(&table, "right")?, Some(value(1000 + moved)));
    for thread in 0..4 {
        let last = db.get(&table, format!("thread {thread}"))?;
        assert_eq!(last, Some((rounds - 1).to_string().into_bytes()));
    }
    assert_clean(&db)
}
