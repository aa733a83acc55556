//! The history that commits are validated against is bounded. Who needed what was given up learns that, and never
//! overwrites what he has not seen.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use braid::{Database, Error, JournalMode, Options, Table, Transaction};

/// A transaction that has read a row, and lost its history to a checkpoint since another one changed that row.
fn overtaken(first: &[u8]) -> (Database, Table, Transaction) {
    let options = Options { row_store_bytes: 64 << 10, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "count", first).unwrap();

    let old = db.begin_concurrent().unwrap();
    assert_eq!(old.get(&table, "count").unwrap().as_deref(), Some(first));
    db.put(&table, "count", "2").unwrap();
    for row in 0..200_u32 {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
        if row % 20 == 0 {
            db.checkpoint().unwrap();
        }
    }
    (db, table, old)
}

#[test]
fn by_an_error_that_can_be_retried() {
    let (db, table, mut old) = overtaken(b"1");
    old.put(&table, "count", "one more than 1").unwrap();
    let refused = old.commit().unwrap_err();
    assert!(matches!(refused, Error::BusySnapshot { .. }) && refused.is_retryable(), "{refused}");
    assert_eq!(db.get(&table, "count").unwrap().as_deref(), Some(&b"2"[..]));
}

/// Nobody knows any more whether the row has moved on: so that its update cannot be made of what was there says nothing.
#[test]
fn also_to_one_whose_update_cannot_be_made_of_what_it_read() {
    let (db, table, mut old) = overtaken(b"no number");
    old.add(&table, "count", 1).unwrap();
    let refused = old.commit().unwrap_err();
    assert!(matches!(refused, Error::BusySnapshot { .. }), "{refused}");
    let mut new = db.begin_concurrent().unwrap();
    new.get(&table, "count").unwrap();
    new.add(&table, "count", 1).unwrap();
    let refused = new.commit().unwrap_err();
    assert!(matches!(refused, Error::UpdateRefused { .. }), "{refused}");
}
