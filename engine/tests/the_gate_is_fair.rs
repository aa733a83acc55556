//! Exclusive transactions beside concurrent commits: everybody gets a turn, and nobody waits longer than told.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use braid::{ConflictKind, Database, Durability, Error, JournalMode, Options, Table, TransactionOptions};

use executor::{Alarm, block_on, run_all};

fn database() -> (Database, Table) {
    let options = Options {
        durability: Durability::Deferred,
        busy_timeout: Duration::from_secs(60),
        ..Options::default()
    };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn concurrent(db: &Database, table: &Table, key: u64) {
    let mut tx = db.begin_concurrent().unwrap();
    tx.put(table, key.to_be_bytes(), "concurrent").unwrap();
    tx.commit().unwrap();
}

fn exclusive(db: &Database, table: &Table, key: u64) {
    let mut tx = db.begin_immediate().unwrap();
    tx.put(table, key.to_be_bytes(), "exclusive").unwrap();
    tx.commit().unwrap();
}

async fn by_future(db: &Database, table: &Table, key: u64) {
    let mut tx = db.begin_concurrent().unwrap();
    tx.put(table, key.to_be_bytes(), "future").unwrap();
    tx.commit_async().await.unwrap();
}

/// Runs `stream` on four threads, over and over, until `few` is done.
fn beside_a_stream(
    stream: impl Fn(&Database, &Table, u64) + Send + Sync + 'static,
    few: impl FnOnce(&Database, &Table),
) {
    let (db, table) = database();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (db, table, stop, done, stream) = (&db, &table, &stop, &done, &stream);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    stream(db, table, thread);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The stream flows.
        while done.load(Ordering::Relaxed) < 8 {
            thread::yield_now();
        }
        few(&db, &table);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_stream_of_concurrent_commits_does_not_starve_exclusive_transactions() {
    beside_a_stream(concurrent, |db, table| (0..200).for_each(|_| exclusive(db, table, 99)));
}

#[test]
fn a_stream_of_exclusive_transactions_does_not_starve_concurrent_commits() {
    beside_a_stream(exclusive, |db, table| (0..200).for_each(|_| concurrent(db, table, 99)));
}

#[test]
fn a_stream_of_exclusive_transactions_does_not_starve_futures() {
    beside_a_stream(exclusive, |db, table| {
        run_all(
            2,
            (0..8).map(|writer| {
                let (db, table) = (db.clone(), table.clone());
                async move {
                    for _ in 0..25 {
                        by_future(&db, &table, 100 + writer).await;
                    }
                }
            }),
        );
    });
}

#[test]
fn a_stream_of_futures_does_not_starve_exclusive_transactions() {
    let stream = |db: &Database, table: &Table, thread| block_on(by_future(db, table, thread));
    beside_a_stream(stream, |db, table| (0..200).for_each(|_| exclusive(db, table, 99)));
}

/// The thread that would poll the future is the one that waits for the gate.
#[test]
fn a_future_that_nobody_polls_holds_nobody_up() {
    let (db, table) = database();
    let alarm = Arc::new(Alarm::default());
    let mut tx = db.begin_concurrent().unwrap();
    tx.put(&table, "a", "value").unwrap();
    let mut future = tx.commit_async();
    let first = db.begin_immediate().unwrap();
    assert!(alarm.poll(&mut future).is_pending());
    first.commit().unwrap();
    let options = TransactionOptions {
        admission: braid::Admission::Immediate,
        busy_timeout: Some(Duration::from_secs(10)),
        ..TransactionOptions::default()
    };
    let second = db.begin_with(options).unwrap();
    assert!(alarm.poll(&mut future).is_pending());
    second.commit().unwrap();
    block_on(future).unwrap();
}

/// Of many who wait, some for a moment only, those in time get their turns in order, and the others are told.
#[test]
fn whoever_gives_up_is_in_nobodys_way() {
    let (db, table) = database();
    let (won, gave_up) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..12_u64 {
            let (db, table, won, gave_up) = (&db, &table, &won, &gave_up);
            scope.spawn(move || {
                for round in 0..20 {
                    let busy_timeout = match (thread + round) % 3 {
                        0 => Duration::ZERO,
                        1 => Duration::from_micros(200),
                        _ => Duration::from_secs(60),
                    };
                    let options = TransactionOptions {
                        admission: braid::Admission::Immediate,
                        busy_timeout: Some(busy_timeout),
                        ..TransactionOptions::default()
                    };
                    match db.begin_with(options) {
                        Ok(mut tx) => {
                            tx.put(table, thread.to_be_bytes(), "value").unwrap();
                            tx.commit().unwrap();
                            won.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(Error::Busy(conflict)) => {
                            assert_eq!(conflict.kind, ConflictKind::Timeout);
                            assert!(busy_timeout < Duration::from_secs(1), "it had time enough");
                            gave_up.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(won.load(Ordering::Relaxed) + gave_up.load(Ordering::Relaxed), 240);
    assert_eq!(db.stats().conflicts.kinds.timeout, gave_up.into_inner());
    // Nobody holds it any more.
    db.begin_immediate().unwrap().commit().unwrap();
}

/// Two of one thread: the second is told, and the first goes on.
#[test]
fn a_thread_that_waits_for_itself_is_told() {
    let (db, table) = database();
    let mut first = db.begin_immediate().unwrap();
    let options = TransactionOptions {
        admission: braid::Admission::Immediate,
        busy_timeout: Some(Duration::from_millis(5)),
        ..TransactionOptions::default()
    };
    let error = db.begin_with(options).unwrap_err();
    assert_eq!(error.conflict().unwrap().kind, ConflictKind::Timeout);
    first.put(&table, "a", "value").unwrap();
    first.commit().unwrap();
}
