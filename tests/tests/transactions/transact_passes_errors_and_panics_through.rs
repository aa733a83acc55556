//! An error of the closure ends `transact` at once and is the caller's; a panic rolls back and poisons nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use braid::{Error, JournalMode, Options, Result, RetryPolicy};
use braid_tests::{Place, assert_clean};

#[test]
fn an_error_is_not_tried_again() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let mut calls = 0;
    let outcome: Result<braid::Outcome<()>> = db.transact(|tx| {
        calls += 1;
        tx.put(&table, "a", "1")?;
        Err(Error::other("not enough money"))
    });
    assert!(matches!(outcome, Err(Error::Other(why)) if why.to_string() == "not enough money"));
    assert_eq!(calls, 1);
    assert_eq!(db.get(&table, "a")?, None, "what the closure wrote is rolled back");
    assert_eq!(db.stats().open_snapshots, 0);
    assert_clean(&db)
}

#[test]
fn a_panic_poisons_nothing() -> Result<()> {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let place = Place::new();
        let db = place.open()?;
        db.set_journal_mode(mode)?;
        let table = db.table("rows")?;
        for exclusive_after in [0, 8] {
            let policy = RetryPolicy { exclusive_after, ..RetryPolicy::default() };
            let caught = catch_unwind(AssertUnwindSafe(|| {
                db.transact_with(policy, |tx| -> Result<()> {
                    tx.put(&table, "a", "1")?;
                    panic!("the closure panics, as this test wants it to");
                })
            }));
            assert!(caught.is_err(), "the panic reaches the caller");
            assert_eq!(db.get(&table, "a")?, None, "what the closure wrote is rolled back");
            assert_eq!(db.stats().open_snapshots, 0, "nothing is left open");
        }
        db.transact(|tx| tx.put(&table, "a", "2"))?;
        db.begin_immediate()?.commit()?;
        assert_eq!(db.get(&table, "a")?, Some(b"2".to_vec()));
        assert_clean(&db)?;
    }
    Ok(())
}
