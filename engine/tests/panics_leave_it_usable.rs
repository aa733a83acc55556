//! A panic in a user's code, and the death of the thread that was in a transaction: rolled back, nothing locked, nothing kept.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use braid::{Database, Error, Isolation, JournalMode, Options, Table, TransactionOptions};
use common::{OnEvent, is_conflict};

/// Everything must work, at once.
fn assert_usable(db: &Database, table: &Table) {
    assert_eq!(db.stats().open_snapshots, 0, "no snapshot is left open");
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        db.set_journal_mode(mode).unwrap();
        db.put(table, "key", "value").unwrap();
        let mut exclusive = db.begin_immediate().unwrap();
        exclusive.put(table, "key", "value").unwrap();
        exclusive.commit().unwrap();
    }
    db.checkpoint().unwrap();
    assert_eq!(db.stats().row_store.bytes, 0, "the checkpoint freed everything");
    assert_eq!(db.snapshot().unwrap().count(table).unwrap(), 1, "what was not committed is gone");
    assert!(db.check().unwrap().is_ok());
}

fn panics(db: &Database, table: &Table, code: impl FnOnce()) {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let panicked = catch_unwind(AssertUnwindSafe(code)).is_err();
    std::panic::set_hook(quiet);
    assert!(panicked);
    assert_usable(db, table);
}

#[test]
fn in_every_callback_and_in_every_kind_of_transaction() {
    let options = Options { busy_timeout: std::time::Duration::from_millis(200), ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let prepare = || db.set_journal_mode(mode).unwrap();
        prepare();
        panics(&db, &table, || {
            let _ = db.transact(|tx| -> braid::Result<()> {
                tx.put(&table, "lost", "")?;
                panic!("in transact")
            });
        });
        prepare();
        panics(&db, &table, || {
            let tx = db.begin().unwrap();
            let _ = tx.get_with(&table, "key", |_| panic!("in a read"));
        });
        prepare();
        panics(&db, &table, || {
            let mut tx = db.begin_immediate().unwrap();
            tx.put(&table, "key", "own").unwrap();
            let _ = tx.get_with(&table, "key", |_| panic!("in a read of an own write"));
        });
        prepare();
        panics(&db, &table, || {
            let mut tx = db.begin_immediate().unwrap();
            tx.put(&table, "lost", "").unwrap();
            let mut cursor = tx.cursor(&table).unwrap();
            cursor.first().unwrap();
            panic!("with a cursor")
        });
        prepare();
        panics(&db, &table, || {
            let _ = db.check_with(&mut |_, _| panic!("in a report of progress"));
        });
    }
    panics(&db, &table, || {
        let isolation = Isolation::Serializable;
        let tx = db.begin_with(TransactionOptions { isolation, ..TransactionOptions::default() }).unwrap();
        let _ = tx.get_with(&table, "key", |_| panic!("in a read that is noted"));
    });
}

#[test]
fn a_thread_that_dies_takes_its_transaction_with_it() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    for exclusive in [true, false] {
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let died = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut tx = if exclusive { db.begin_immediate() } else { db.begin_concurrent() }.unwrap();
                tx.put(&table, "lost", vec![1; 100_000]).unwrap();
                std::panic::resume_unwind(Box::new("without a word"));
            });
            thread.join().is_err()
        });
        assert!(died);
        assert_usable(&db, &table);
    }
}

#[test]
fn a_commit_that_panics_is_the_end_of_its_cursors_too() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    db.put(&table, "key", "value").unwrap();
    let mut lost = db.begin_concurrent().unwrap();
    lost.put(&table, "key", "lost").unwrap();
    let mut cursor = lost.cursor(&table).unwrap();
    db.put(&table, "key", "won").unwrap();
    let trace = OnEvent(|event: &tracing::Event<'_>| {
        if is_conflict(event) {
            std::panic::resume_unwind(Box::new("in a trace"));
        }
    });
    let commit = AssertUnwindSafe(|| tracing::subscriber::with_default(trace, || lost.commit()));
    assert!(catch_unwind(commit).is_err());
    assert!(matches!(cursor.next(), Err(Error::TransactionClosed)));
    db.set_journal_mode(JournalMode::Wal).expect("what the cursor holds is no write transaction");
    drop(cursor);
    assert_usable(&db, &table);
}
