//! The retry runner and the conflict report: what was lost, over what, and what it cost.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use braid::vfs::Env;
use braid::vfs::memory::MemoryFileSystem;
use braid::{
    Database, Durability, Error, Isolation, JournalMode, Options, RetryPolicy, Table, Transaction,
    TransactionOptions,
};

fn database() -> (Database, Table) {
    let options = Options { durability: Durability::Deferred, ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(MemoryFileSystem::new())), "/db", options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("stock").unwrap();
    (db, table)
}

/// A transaction that loses `losses` times over `key`.
fn loser<'a>(
    db: &'a Database,
    table: &'a Table,
    key: &'a str,
    losses: u32,
) -> impl FnMut(&mut Transaction) -> braid::Result<u32> + 'a {
    let mut attempts = 0;
    move |tx| {
        attempts += 1;
        tx.get(table, key)?;
        if attempts <= losses && !tx.is_exclusive() {
            db.put(table, key, "in between")?;
        }
        tx.put(table, key, "mine")?;
        tx.put(table, "another", "mine")?;
        Ok(attempts)
    }
}

#[test]
fn an_outcome_tells_attempts_and_time_lost() {
    let (db, table) = database();
    let policy = RetryPolicy::backoff(Duration::from_millis(2), Duration::from_millis(2)).max_attempts(5);
    let slow = Duration::from_millis(3);
    let mut lose = loser(&db, &table, "apples", 2);
    let began = Instant::now();
    let outcome = db
        .transact_with(policy, |tx| {
            thread::sleep(slow);
            lose(tx)
        })
        .unwrap();
    assert_eq!((outcome.value, outcome.attempts, outcome.exclusive), (3, 3, false));
    assert!(outcome.wasted >= 2 * slow, "{outcome:?}");
    assert!(outcome.waited > Duration::ZERO, "{outcome:?}");
    assert!(outcome.wasted + outcome.waited + slow <= began.elapsed(), "{outcome:?}");
}

#[test]
fn a_report_tells_what_was_absorbed_and_what_escaped() {
    let (db, table) = database();
    let policy = RetryPolicy::without_backoff().name("order");
    db.transact_with(policy.clone(), loser(&db, &table, "apples", 3)).unwrap();
    db.transact_with(policy.clone(), loser(&db, &table, "pears", 1)).unwrap();
    db.transact_with(policy.clone().max_attempts(2).never_exclusive(), loser(&db, &table, "apples", 9))
        .unwrap_err();
    // One that nobody tries again.
    let mut lost = db.begin_concurrent().unwrap();
    loser(&db, &table, "apples", 1)(&mut lost).unwrap();
    lost.commit().unwrap_err();

    let report = db.stats().conflicts;
    assert_eq!((report.kinds.write_write, report.absorbed, report.escaped), (7, 4, 3));
    let hot: Vec<_> = report.hot_keys.iter().map(|hot| (&*hot.key, hot.count, hot.error)).collect();
    assert_eq!(hot, [(&b"apples"[..], 6, 0), (&b"pears"[..], 1, 0)]);
    assert_eq!(report.tables.len(), 1);
    assert_eq!((&*report.tables[0].table, report.tables[0].kinds.write_write), ("stock", 7));
    let names: Vec<_> = report.names.iter().map(|named| (named.name.as_deref(), named.conflicts)).collect();
    assert_eq!(names, [(Some("order"), 6), (None, 1)]);
    assert_eq!(report.wasted.rows, 14);
    assert!(report.wasted.bytes > 14 * 4);
    let attempts: Vec<_> =
        report.attempts.iter().map(|bucket| (bucket.from, bucket.transactions)).take(3).collect();
    assert_eq!(attempts, [(1, 0), (2, 2), (3, 1)], "two and four attempts, and two that were given up");
}

/// A database that keeps nothing for old snapshots.
fn forgetful() -> (Database, Table) {
    let options = Options { snapshot_max_pinned_bytes: Some(0), ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("stock").unwrap();
    db.put(&table, "apples", "1").unwrap();
    (db, table)
}

/// Has every transaction revoked that began before.
fn revoke(db: &Database, table: &Table) {
    db.put(table, "apples", "2").unwrap();
    db.checkpoint().unwrap();
}

#[test]
fn a_loss_that_a_statement_tells_is_counted_once() {
    let (db, table) = forgetful();
    let policy = |name| RetryPolicy::without_backoff().exclusive_after(1).name(name);
    let work = |tx: &mut Transaction| {
        tx.put(&table, "pears", "2")?;
        if !tx.is_exclusive() {
            revoke(&db, &table);
        }
        tx.get(&table, "apples")
    };
    let outcome = db.transact_with(policy("runner"), work).unwrap();
    assert_eq!(outcome.attempts, 2);
    // What it is told twice, and when it commits again, is one loss.
    let begin = |name| db.begin_with(TransactionOptions::default().name(name)).unwrap();
    let mut alone = begin("alone");
    assert!(matches!(work(&mut alone), Err(Error::BusySnapshot { .. })));
    alone.get(&table, "apples").unwrap_err();
    alone.commit().unwrap_err();
    // One that is not committed any more has lost too; one that ends before it is told has not.
    let mut told = begin("told");
    work(&mut told).unwrap_err();
    drop(told);
    let untold = begin("untold");
    revoke(&db, &table);
    drop(untold);
    // Nor does the closure's own reason to give up undo what it was told.
    let given_up = db.transact_with(policy("given up"), |tx| -> braid::Result<()> {
        work(tx).unwrap_err();
        Err(Error::other("enough"))
    });
    assert!(matches!(given_up, Err(Error::Other(_))));

    let report = db.stats().conflicts;
    assert_eq!((report.kinds.snapshot, report.kinds.total()), (4, 4));
    assert_eq!((report.absorbed, report.escaped), (1, 3));
    let names = report.names.iter();
    let mut names: Vec<_> =
        names.map(|named| (named.name.as_deref().unwrap(), named.conflicts, named.wasted.rows)).collect();
    names.sort_unstable();
    assert_eq!(names, [("alone", 1, 1), ("given up", 1, 1), ("runner", 1, 1), ("told", 1, 1)]);
}

/// What a closure loses beside its transaction is in the report once, where it was lost.
#[test]
fn what_a_closure_loses_elsewhere_is_no_loss_of_its_own() {
    let (db, table) = database();
    let mut attempts = 0;
    let outcome = db
        .transact_with(RetryPolicy::without_backoff().name("outer"), |tx| {
            attempts += 1;
            tx.put(&table, "apples", "3")?;
            if attempts == 1 {
                let mut other = db.begin_concurrent()?;
                loser(&db, &table, "pears", 1)(&mut other)?;
                other.commit()?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(outcome.attempts, 2);
    let stats = db.stats();
    let report = &stats.conflicts;
    assert_eq!((report.kinds.total(), report.absorbed, report.escaped), (1, 0, 1));
    assert!(report.names.iter().all(|named| named.name.is_none()), "{:?}", report.names);
    assert_eq!(report.attempts.iter().map(|bucket| bucket.transactions).sum::<u64>(), 0);
    assert_eq!((stats.retries, stats.max_attempts), (1, 2));
}

#[test]
fn one_that_gives_up_at_once_took_one_attempt() {
    let (db, table) = database();
    let policy = RetryPolicy::without_backoff().max_attempts(1).never_exclusive();
    db.transact_with(policy, loser(&db, &table, "apples", 9)).unwrap_err();
    let report = db.stats().conflicts;
    let attempts: Vec<_> = report.attempts.iter().filter(|bucket| bucket.transactions > 0).collect();
    let [once] = *attempts else { panic!("{attempts:?}") };
    assert_eq!((once.from, once.to, once.transactions), (1, 1, 1));
}

#[test]
fn reads_and_turns_are_reported_too() {
    let (db, table) = database();
    let options = TransactionOptions { isolation: Isolation::Serializable, ..TransactionOptions::default() };
    let mut reader = db.begin_with(options).unwrap();
    reader.get(&table, "apples").unwrap();
    db.put(&table, "apples", "3").unwrap();
    reader.put(&table, "pears", "2").unwrap();
    reader.commit().unwrap_err();
    let holder = db.begin_immediate().unwrap();
    let policy =
        RetryPolicy::without_backoff().exclusive_after(0).max_attempts(2).name("impatient").transaction(
            TransactionOptions {
                busy_timeout: Some(Duration::from_millis(1)),
                name: Some("impatient".into()),
                ..TransactionOptions::default()
            },
        );
    db.transact_with(policy, |_| Ok(())).unwrap_err();
    holder.rollback();
    let report = db.stats().conflicts;
    assert_eq!((report.kinds.read_write, report.kinds.timeout), (1, 1), "one wait, which is not made again");
    assert_eq!(report.tables[0].kinds.read_write, 1);
    assert!(
        report.names.iter().any(|named| named.name.as_deref() == Some("impatient") && named.conflicts == 1)
    );
}

#[test]
fn a_deadline_ends_waits_for_a_turn_too() {
    let (db, table) = database();
    let holder = db.begin_immediate().unwrap();
    let began = Instant::now();
    let policy = RetryPolicy::without_backoff()
        .deadline(Duration::from_millis(50))
        .max_attempts(u32::MAX)
        .exclusive_after(1);
    let error = db.transact_with(policy, |tx| tx.put(&table, "apples", "3")).unwrap_err();
    assert!(error.is_retryable());
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert!(began.elapsed() < Duration::from_secs(4), "busy_timeout is cut to what is left");
    drop(holder);
}

#[test]
fn a_panic_or_an_error_rolls_back_and_leaves_nothing_pending() {
    let (db, table) = database();
    let mut lose = loser(&db, &table, "apples", 1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transact_with(RetryPolicy::without_backoff(), |tx| {
            if lose(tx)? > 1 { panic!("on purpose") } else { Ok(()) }
        })
    }));
    assert!(panicked.is_err());
    let mut lose = loser(&db, &table, "apples", 1);
    let given_up = db.transact_with(RetryPolicy::without_backoff(), |tx| {
        if lose(tx)? > 1 { Err(Error::other("enough")) } else { Ok(()) }
    });
    assert!(matches!(given_up, Err(Error::Other(_))));
    assert_eq!(db.get(&table, "apples").unwrap().unwrap(), b"in between");
    let report = db.stats().conflicts;
    assert_eq!((report.absorbed, report.escaped), (0, 2));
    // Nothing is locked.
    db.begin_immediate().unwrap().commit().unwrap();
    db.set_journal_mode(JournalMode::Wal).unwrap();
}

/// A hot row under many threads: everybody gets there, and every loss is told once.
#[test]
fn a_storm_is_absorbed() {
    let (db, table) = database();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    db.transact_with(RetryPolicy::default().name("storm"), |tx| {
                        let count = tx
                            .get(&table, "hot")?
                            .map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
                        tx.put(&table, "hot", (count + 1).to_le_bytes())
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(db.get(&table, "hot").unwrap().unwrap(), 400_u64.to_le_bytes());
    let stats = db.stats();
    let report = &stats.conflicts;
    assert_eq!((report.escaped, report.absorbed), (0, report.kinds.total()));
    assert_eq!(report.absorbed, stats.retries);
    assert_eq!(report.names.iter().map(|named| named.conflicts).sum::<u64>(), report.absorbed);
}

/// Loses over a row when everything committed is in the file.
fn lose_late(db: &Database, table: &Table) {
    let mut late = db.begin_concurrent().unwrap();
    late.put(table, "row", "late").unwrap();
    db.put(table, "row", "first").unwrap();
    db.checkpoint().unwrap();
    assert!(late.commit().is_err());
}

#[test]
fn the_file_tells_the_next_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Database::open(folder.path().join("db")).unwrap();
    let lose = |db: &Database, table: &Table, times| {
        let policy = RetryPolicy::without_backoff().name("loser");
        db.transact_with(policy, loser(db, table, "row", times)).unwrap();
    };
    let db = open();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    lose(&db, &table, 2);
    let told = db.checkpoint().unwrap().timestamp;
    lose(&db, &table, 1);
    assert_eq!(db.stats().past_conflicts, None, "there was no session before this one");
    // Not closed: what its checkpoint knew is known.
    drop(db);
    let db = open();
    let past = db.stats().past_conflicts.unwrap();
    assert_eq!((past.report.kinds.write_write, past.report.absorbed, past.until), (2, 2, told));
    assert_eq!(past.report.hot_keys[0].table, "t");
    assert_eq!(past.report.names[0].name.as_deref(), Some("loser"));
    assert_eq!(past.report.attempts.iter().map(|bucket| bucket.transactions).sum::<u64>(), 1);
    // What nobody commits after is told with the next commit.
    db.checkpoint().unwrap();
    let table = db.table("t").unwrap();
    lose_late(&db, &table);
    assert_eq!(db.stats().past_conflicts, Some(past.clone()), "it is of the session before, and stays so");
    db.close().unwrap();
    let db = open();
    assert_eq!(db.stats().past_conflicts, Some(past), "nothing is written for conflicts alone");
    let table = db.table("t").unwrap();
    lose_late(&db, &table);
    db.put(&table, "row", "later").unwrap();
    db.close().unwrap();
    let db = open();
    assert_eq!(db.stats().past_conflicts.unwrap().report.kinds.write_write, 1);
    assert_eq!(db.stats().conflicts.kinds.total(), 0);
    // Two meta blocks of a session without conflicts.
    for value in ["calm", "and quiet"] {
        db.put(&db.table("t").unwrap(), "row", value).unwrap();
        assert_eq!(db.checkpoint().unwrap().rows, 1);
    }
    db.close().unwrap();
    let reader = Database::open_read_only(folder.path().join("db")).unwrap();
    assert_eq!(
        reader.stats().past_conflicts.unwrap().report.kinds.write_write,
        1,
        "it is still the last one"
    );
}
