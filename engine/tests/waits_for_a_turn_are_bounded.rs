//! A call waits for its turn for `busy_timeout` in all, and not beyond its deadline; and a thread that would wait for itself is
//! told so.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use braid::vfs::sync::thread;
use braid::vfs::{Clock, RealClock};
use braid::{ConflictKind, Database, Error, JournalMode, Options, Result, RetryPolicy, Table, Transaction};
use executor::block_on;

/// Shorter than any wait that is not cut, longer than the machine is ever busy with something else.
const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

fn database(mode: JournalMode, busy_timeout: Duration) -> (Database, Table) {
    let db = Database::in_memory_with(Options { busy_timeout, ..Options::default() }).unwrap();
    db.set_journal_mode(mode).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

/// Runs `work` while an exclusive transaction is open that another thread has begun.
fn beside_another<R>(db: &Database, work: impl FnOnce() -> R) -> R {
    let holder = {
        let db = db.clone();
        thread::spawn(move || db.begin_immediate().unwrap()).join().unwrap()
    };
    let did = work();
    drop(holder);
    did
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let clock = RealClock::new();
    let began = clock.now();
    let did = work();
    (did, clock.now().saturating_sub(began))
}

fn locked(error: &Error) -> bool {
    error.conflict().is_some_and(|conflict| conflict.kind == ConflictKind::Timeout)
}

#[test]
fn the_deadline_bounds_the_first_wait_too() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let (db, table) = database(mode, LONG);
        let policy = || RetryPolicy::default().deadline(Duration::from_millis(30));
        let (done, took) =
            timed(|| beside_another(&db, || db.transact_with(policy(), |tx| tx.put(&table, "a", "1"))));
        assert!(locked(&done.unwrap_err()));
        assert!(took < SOON, "{mode:?}: {took:?}");
        let (done, took) = timed(|| {
            beside_another(&db, || block_on(db.transact_async_with(policy(), |tx| tx.put(&table, "a", "1"))))
        });
        assert!(locked(&done.unwrap_err()));
        assert!(took < SOON, "{mode:?}: {took:?}");
    }
}

#[test]
fn a_turn_that_did_not_come_is_not_waited_for_again() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let (db, table) = database(mode, Duration::from_millis(2));
        let before = db.stats().conflicts.kinds.timeout;
        beside_another(&db, || {
            assert!(locked(&db.put(&table, "a", "1").unwrap_err()));
            assert!(locked(&db.delete(&table, "a").unwrap_err()));
            assert!(locked(&db.table("new").unwrap_err()));
            assert!(locked(&db.transact(|tx| tx.put(&table, "a", "1")).unwrap_err()));
            let future = db.transact_async(|tx| tx.put(&table, "a", "1"));
            assert!(locked(&block_on(future).unwrap_err()));
        });
        assert_eq!(db.stats().conflicts.kinds.timeout - before, 5, "one wait for each call, in {mode:?}");
        db.put(&table, "a", "1").unwrap();
    }
}

/// It is retryable as any other: the wait was not the runner's.
#[test]
fn a_turn_that_another_transaction_did_not_get_ends_nothing() {
    let (db, table) = database(JournalMode::Mvcc, LONG);
    let (other, elsewhere) = database(JournalMode::Wal, Duration::from_millis(2));
    let mut attempts = 0;
    let mut body = |tx: &mut Transaction| {
        attempts += 1;
        if attempts % 2 == 1 {
            beside_another(&other, || other.put(&elsewhere, "a", "1"))?;
        }
        tx.put(&table, "a", "1")
    };
    assert_eq!(db.transact_with(RetryPolicy::without_backoff(), &mut body).unwrap().attempts, 2);
    assert_eq!(block_on(db.transact_async_with(RetryPolicy::without_backoff(), body)).unwrap().attempts, 2);
}

/// What is not possible inside of the closure of an exclusive transaction.
fn nested(db: &Database, table: &Table) {
    let own = |done: Result<()>| assert!(matches!(done, Err(Error::WaitsForItself)), "{done:?}");
    own(db.put(table, "a", "nested").map(drop));
    own(db.table("another").map(drop));
    own(db.begin_immediate().map(drop));
    let other = if db.journal_mode() == JournalMode::Mvcc { JournalMode::Wal } else { JournalMode::Mvcc };
    own(db.set_journal_mode(other));
    if let Ok(mut tx) = db.begin_concurrent() {
        tx.put(table, "b", "nested").unwrap();
        own(tx.commit().map(drop));
    }
}

#[test]
fn who_would_wait_for_itself_is_told_at_once() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let (db, table) = database(mode, LONG);
        let alone = || RetryPolicy::without_backoff().exclusive_after(0);
        let body = |tx: &mut Transaction| {
            nested(&db, &table);
            tx.put(&table, "a", "outer")
        };
        let (done, took) = timed(|| {
            db.transact_with(alone(), body).unwrap();
            block_on(db.transact_async_with(alone(), body)).unwrap();
            db.transact_with(alone(), |_| db.put(&table, "a", "nested").map(drop)).unwrap_err()
        });
        assert!(matches!(done, Error::WaitsForItself) && !done.is_retryable());
        assert!(took < SOON, "{took:?}");
        assert_eq!(db.get(&table, "a").unwrap().as_deref(), Some(&b"outer"[..]));
        // It is over with the closure, whatever ended it.
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = db.transact_with(alone(), |_| -> Result<()> {
                std::panic::resume_unwind(Box::new("on purpose"))
            });
        }));
        assert!(panicked.is_err());
        db.put(&table, "a", "after").unwrap();
    }
}

/// Optimistic attempts do not hold their own thread up; the one that does is told.
#[test]
fn a_closure_that_writes_beside_itself_ends_when_it_is_alone() {
    let (db, table) = database(JournalMode::Mvcc, LONG);
    let mut attempts = 0;
    let done = db.transact_with(RetryPolicy::without_backoff().exclusive_after(3), |tx| {
        attempts += 1;
        tx.put(&table, "a", "outer")?;
        db.put(&table, "a", "nested")?;
        Ok(())
    });
    assert!(matches!(done, Err(Error::WaitsForItself)), "{done:?}");
    assert_eq!(attempts, 4);
}

/// The thread that waits is another one, or nobody knows where the holder is: it may end in time.
#[test]
fn who_may_wait_for_another_thread_waits() {
    let (db, table) = database(JournalMode::Wal, Duration::from_millis(5));
    db.transact(|_| {
        let (db, table) = (db.clone(), table.clone());
        let error = thread::spawn(move || db.put(&table, "a", "1").unwrap_err()).join().unwrap();
        assert!(locked(&error) && !error.conflict().unwrap().holder_begun_here, "{error}");
        Ok(())
    })
    .unwrap();

    let tx = db.begin().unwrap();
    let error = db.put(&table, "a", "1").unwrap_err();
    assert!(locked(&error) && error.conflict().unwrap().holder_begun_here);
    assert!(error.to_string().contains("begun on this thread"), "{error}");
    drop(tx);
    let error = beside_another(&db, || db.put(&table, "a", "1").unwrap_err());
    assert!(!error.conflict().unwrap().holder_begun_here);
    assert!(error.to_string().contains("another writer"), "{error}");

    // Sent away, it ends while the thread that began it waits.
    let (db, table) = database(JournalMode::Wal, LONG);
    let tx = db.begin_immediate().unwrap();
    let elsewhere = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        tx.commit().unwrap();
    });
    db.put(&table, "a", "1").unwrap();
    elsewhere.join().unwrap();
}

#[test]
fn a_mode_that_stands_is_set_without_a_wait() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let (db, _) = database(mode, LONG);
        let (did, took) = timed(|| beside_another(&db, || db.set_journal_mode(mode)));
        did.unwrap();
        assert!(took < SOON, "{took:?}");
    }
    let (db, table) = database(JournalMode::Mvcc, LONG);
    let mut open = db.begin_concurrent().unwrap();
    open.put(&table, "a", "1").unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    open.commit().unwrap();
}
