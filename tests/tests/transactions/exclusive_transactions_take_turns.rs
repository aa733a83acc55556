//! `begin_immediate` waits for its turn up to `busy_timeout`, holds other writers back while it is open, and never
//! loses.

use std::time::Duration;

use braid::{Admission, ConflictKind, Database, JournalMode, Options, Result, TransactionOptions};
use braid_tests::{Place, Session, assert_clean, number, together, value};

fn at_once(admission: Admission) -> TransactionOptions {
    TransactionOptions { admission, busy_timeout: Some(Duration::ZERO), ..Default::default() }
}

fn is_locked<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    matches!(result, Err(error) if error.is_retryable()
        && error.conflict().is_some_and(|conflict| conflict.kind == ConflictKind::Timeout))
}

#[test]
fn a_second_one_waits_and_then_sees_the_first() -> Result<()> {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let place = Place::new();
        let db = place.open()?;
        db.set_journal_mode(mode)?;
        let table = db.table("rows")?;
        db.put(&table, "sum", value(0))?;

        let mut first = db.begin_immediate()?;
        let refused = db.begin_with(at_once(Admission::Immediate));
        assert!(is_locked(&refused), "{refused:?}");
        assert_eq!(db.stats().conflicts.kinds.timeout, 1);

        let path = place.path();
        let session = Session::start(move || Database::open(path).expect("a sibling opens"));
        let waiting = session.begin(|sibling| -> Result<i64> {
            let table = sibling.table("rows")?;
            let options = TransactionOptions {
                admission: Admission::Immediate,
                busy_timeout: Some(Duration::from_secs(600)),
                ..Default::default()
            };
            let mut tx = sibling.begin_with(options)?;
            let sum = number(&tx.get(&table, "sum")?.expect("the row is there"));
            tx.put(&table, "sum", value(sum + 1))?;
            tx.commit()?;
            Ok(sum)
        });
        first.put(&table, "sum", value(41))?;
        first.commit()?;
        assert_eq!(waiting.wait()?, 41, "the second one's snapshot is taken when its turn has come");
        assert_eq!(db.get(&table, "sum")?, Some(value(42)));
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn concurrent_commits_are_held_back() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "sum", value(0))?;

    let mut early = db.begin_with(at_once(Admission::Concurrent))?;
    early.put(&table, "other row", "1")?;
    let mut exclusive = db.begin_immediate()?;
    let sum = number(&exclusive.get(&table, "sum")?.expect("the row is there"));
    exclusive.put(&table, "sum", value(sum + 1))?;

    let held_back = early.commit();
    assert!(is_locked(&held_back), "{held_back:?}");
    let statement = db.begin_with(at_once(Admission::ByMode)).and_then(|mut tx| {
        tx.put(&table, "sum", value(99))?;
        tx.commit()
    });
    assert!(is_locked(&statement), "{statement:?}");
    assert_eq!(db.snapshot()?.get(&table, "sum")?, Some(value(0)), "readers do not wait");
    exclusive.commit()?;
    assert_eq!(db.get(&table, "sum")?, Some(value(1)));
    assert_eq!(db.get(&table, "other row")?, None);

    let mut next = db.begin_with(at_once(Admission::Concurrent))?;
    next.put(&table, "other row", "2")?;
    next.commit()?;
    assert_clean(&db)
}

#[test]
fn a_concurrent_commit_goes_on_once_the_turn_is_over() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let path = place.path();
    let session = Session::start(move || Database::open(path).expect("a sibling opens"));
    for end_by_commit in [true, false] {
        let mut exclusive = db.begin_immediate()?;
        exclusive.put(&table, "mine", "1")?;
        let waiting = session.begin(|sibling| -> Result<()> {
            let table = sibling.table("rows")?;
            let busy_timeout = Some(Duration::from_secs(600));
            let mut tx = sibling.begin_with(TransactionOptions { busy_timeout, ..Default::default() })?;
            tx.put(&table, "theirs", "1")?;
            tx.commit().map(drop)
        });
        if end_by_commit {
            exclusive.commit()?;
        } else {
            exclusive.rollback();
        }
        waiting.wait()?;
    }
    assert_eq!(db.get(&table, "theirs")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

#[test]
fn they_never_lose_among_concurrent_writers() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "sum", value(0))?;
    let added = together(6, |thread| -> Result<i64> {
        let sibling = Database::open(place.path())?;
        let mut added = 0;
        for _ in 0..30 {
            let exclusive = thread % 3 == 0;
            let admission = if exclusive { Admission::Immediate } else { Admission::Concurrent };
            let busy_timeout = Some(Duration::from_secs(600));
            let mut tx =
                sibling.begin_with(TransactionOptions { admission, busy_timeout, ..Default::default() })?;
            let sum = number(&tx.get(&table, "sum")?.expect("the row is there"));
            tx.put(&table, "sum", value(sum + 1))?;
            match tx.commit() {
                Ok(_) => added += 1,
                Err(error) if error.is_retryable() && !exclusive => {}
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    })?;
    assert!(added.iter().step_by(3).all(|&count| count == 30));
    assert_eq!(db.get(&table, "sum")?, Some(value(added.iter().sum())));
    assert_clean(&db)
}
