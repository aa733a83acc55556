//! `transact` stops at its cap and at its deadline, with the error of the last attempt.

use std::time::Duration;

use braid::{Error, Options, Result, RetryPolicy};
use braid_tests::{Place, assert_clean};

#[test]
fn at_the_cap_on_attempts() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    for cap in [1, 2, 5] {
        let policy = RetryPolicy {
            max_attempts: cap,
            deadline: None,
            base_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            exclusive_after: u32::MAX,
            ..RetryPolicy::default()
        };
        let mut calls = 0;
        let outcome = db.transact_with(policy, |tx| {
            calls += 1;
            tx.put(&table, "a", "mine")?;
            db.put(&table, "a", "a rival's")?;
            Ok(())
        });
        let error = outcome.expect_err("every attempt lost");
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.conflict().and_then(|c| c.key.as_deref()), Some(b"a".as_slice()));
        assert_eq!(calls, cap);
        assert_eq!(db.get(&table, "a")?, Some(b"a rival's".to_vec()));
    }
    assert_clean(&db)
}

#[test]
fn at_the_deadline() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    // The deadline has passed when the first attempt ends, whenever that is.
    let policy =
        RetryPolicy { deadline: Some(Duration::ZERO), max_attempts: u32::MAX, ..RetryPolicy::default() };
    let mut calls = 0;
    let outcome = db.transact_with(policy, |tx| {
        calls += 1;
        tx.put(&table, "a", "mine")?;
        db.put(&table, "a", "a rival's")?;
        Ok(())
    });
    assert!(outcome.expect_err("the time is up").is_retryable());
    assert_eq!(calls, 1);
    Ok(())
}

#[test]
fn a_turn_that_does_not_come_is_reported() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    let holder = db.begin_immediate()?;
    let policy = RetryPolicy {
        max_attempts: 3,
        base_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
        transaction: braid::TransactionOptions { busy_timeout: Some(Duration::ZERO), ..Default::default() },
        ..RetryPolicy::default()
    };
    let outcome = db.transact_with(policy, |tx| tx.put(&table, "a", "1"));
    let error = outcome.expect_err("another holds the turn");
    assert!(matches!(&error, Error::Busy(c) if c.kind == braid::ConflictKind::Timeout), "{error:?}");
    holder.rollback();
    assert_eq!(db.get(&table, "a")?, None);
    Ok(())
}
