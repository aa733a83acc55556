//! `transact` runs its closure again after a lost race, reports how often, and in the end takes an exclusive turn.

use std::time::Duration;

use braid::{Options, Result, RetryPolicy};
use braid_tests::{Place, assert_clean, number, value};

fn quick() -> RetryPolicy {
    RetryPolicy {
        base_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
        deadline: None,
        ..RetryPolicy::default()
    }
}

#[test]
fn attempts_are_reported() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let outcome = db.transact_with(quick(), |tx| {
        tx.put(&table, "a", "0")?;
        Ok("the value")
    })?;
    assert_eq!((outcome.value, outcome.attempts, outcome.exclusive), ("the value", 1, false));

    for losses in 1..=5_u32 {
        let mut calls = 0;
        let outcome = db.transact_with(quick(), |tx| {
            calls += 1;
            tx.put(&table, "a", "mine")?;
            if calls <= losses {
                db.put(&table, "a", "a rival's")?;
            }
            Ok(calls)
        })?;
        assert_eq!((outcome.value, outcome.attempts), (losses + 1, losses + 1));
        assert!(!outcome.exclusive);
        assert_eq!(db.get(&table, "a")?, Some(b"mine".to_vec()));
    }
    assert_eq!(db.stats().retries, 15);
    assert_clean(&db)
}

#[test]
fn each_attempt_reads_a_new_snapshot() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "sum", value(0))?;
    let mut rivals = 3;
    let outcome = db.transact_with(quick(), |tx| {
        let sum = tx.get(&table, "sum")?.map_or(0, |bytes| number(&bytes));
        tx.put(&table, "sum", value(sum + 1))?;
        if rivals > 0 {
            rivals -= 1;
            db.put(&table, "sum", value(sum + 100))?;
        }
        Ok(sum)
    })?;
    assert_eq!(outcome.value, 300);
    assert_eq!(db.get(&table, "sum")?, Some(value(301)));
    assert_clean(&db)
}

#[test]
fn after_the_set_number_of_losses_the_turn_is_exclusive() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let policy = RetryPolicy { exclusive_after: 3, ..quick() };
    let mut calls = 0;
    let outcome = db.transact_with(policy, |tx| {
        calls += 1;
        tx.put(&table, "a", "mine")?;
        if calls <= 3 {
            db.put(&table, "a", "a rival's")?;
        }
        Ok(())
    })?;
    assert!(outcome.exclusive);
    assert_eq!(outcome.attempts, 4);
    assert_clean(&db)
}

#[test]
fn it_works_in_either_journal_mode() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    let outcome = db.transact(|tx| tx.put(&table, "a", "1"))?;
    assert_eq!(outcome.attempts, 1);
    db.set_journal_mode(braid::JournalMode::Mvcc)?;
    db.transact(|tx| tx.put(&table, "a", "2"))?;
    assert_eq!(db.get(&table, "a")?, Some(b"2".to_vec()));
    Ok(())
}
