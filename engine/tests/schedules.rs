//! Commits, checkpoints and readers under many schedules of their threads, background threads included.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p braid --test schedules`.
#![cfg(shuttle)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::sync::thread;
use braid::{Database, Durability, Error, JournalMode, Options, RetryPolicy, Table, TransactionOptions};
use shuttle::rand::Rng as _;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

const COUNTER: &[u8] = b"counter";

fn database(durability: Durability) -> (Arc<Database>, Table) {
    let options = Options {
        durability,
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        deferred_sync_interval: Duration::ZERO,
        map_log: false,
        ..Options::default()
    };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (Arc::new(db), table)
}

/// Adds a row and counts it, both or neither.
fn add(db: &Database, table: &Table, key: &[u8], durability: Durability) {
    let transaction = TransactionOptions { durability: Some(durability), ..TransactionOptions::default() };
    let policy =
        RetryPolicy { deadline: None, max_attempts: u32::MAX, transaction, ..RetryPolicy::default() };
    db.transact(policy, |tx| {
        let rows = tx.get(table, COUNTER)?.map_or(0, |count| count[0]);
        tx.put(table, key, [7; 300])?;
        tx.put(table, COUNTER, [rows + 1])
    })
    .unwrap();
}

/// The rows that a snapshot counts, which are the rows that it finds.
fn look(db: &Database, table: &Table) -> u8 {
    let snapshot = db.snapshot().unwrap();
    let counted = snapshot.get(table, COUNTER).unwrap().map_or(0, |count| count[0]);
    let found = snapshot.scan(table).unwrap().filter(|row| row.as_ref().unwrap().0 != COUNTER).count();
    assert_eq!(usize::from(counted), found);
    assert_eq!(snapshot.count(table).unwrap(), u64::from(counted) + u64::from(counted > 0));
    counted
}

fn spawn(
    db: &Arc<Database>,
    table: &Table,
    work: impl FnOnce(&Database, &Table) + Send + 'static,
) -> thread::JoinHandle<()> {
    let (db, table) = (Arc::clone(db), table.clone());
    thread::spawn(move || work(&db, &table))
}

fn commits_beside_checkpoints_and_readers() {
    let (db, table) = database(Durability::Sync);
    let threads = [
        spawn(&db, &table, |db, table| (0..3).for_each(|i| add(db, table, &[1, i], Durability::Sync))),
        spawn(&db, &table, |db, table| (0..3).for_each(|i| add(db, table, &[2, i], Durability::Deferred))),
        spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok()))),
        spawn(&db, &table, |db, table| {
            let mut last = 0;
            for _ in 0..3 {
                let seen = look(db, table);
                assert!(seen >= last, "acknowledged commits do not go away");
                last = seen;
            }
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(look(&db, &table), 6, "every acknowledged commit is there, once");
    db.checkpoint().unwrap();
    assert_eq!(look(&db, &table), 6);
    assert!(db.check().unwrap().is_ok());
}

/// Writers that do not care for the mode, beside one who changes it.
fn the_mode_changes_under_writers() {
    let (db, table) = database(Durability::Sync);
    let threads = [
        spawn(&db, &table, |db, table| (0..2).for_each(|i| add(db, table, &[1, i], Durability::Sync))),
        spawn(&db, &table, |db, table| (0..2).for_each(|i| add(db, table, &[2, i], Durability::Sync))),
        spawn(&db, &table, |db, _| {
            for mode in [JournalMode::Wal, JournalMode::Mvcc, JournalMode::Wal] {
                match db.set_journal_mode(mode) {
                    Ok(()) => assert_eq!(db.journal_mode(), mode),
                    Err(Error::WriteTransactionsOpen { .. } | Error::Busy(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(look(&db, &table), 4);
}

/// A writer that began before other commits and their folds must lose to them, wherever they are by then.
fn an_old_writer_meets_what_was_folded() {
    let (db, table) = database(Durability::Sync);
    let old = db.begin_concurrent().unwrap();
    let seen = old.get(&table, COUNTER).unwrap();
    let writers = [
        spawn(&db, &table, |db, table| add(db, table, &[1], Durability::Sync)),
        spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok()))),
    ];
    // Anywhere from before the first commit to after the last fold.
    for _ in 0..shuttle::rand::thread_rng().gen_range(0..1500) {
        thread::yield_now();
    }
    let mut old = old;
    old.put(&table, COUNTER, [9]).unwrap();
    let committed = old.commit();
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(seen.is_none());
    let counted = db.get(&table, COUNTER).unwrap().unwrap();
    match committed {
        // It came first, and the other added to it.
        Ok(_) => assert_eq!(counted, [10]),
        Err(error) => {
            assert!(error.is_retryable(), "{error}");
            assert_eq!(counted, [1]);
        }
    }
}

fn exclusive_and_concurrent_commits() {
    let (db, table) = database(Durability::Sync);
    let threads = [1, 2, 3].map(|writer: u8| {
        spawn(&db, &table, move |db, table| {
            if writer == 3 {
                // Waits and never loses, save for its patience.
                let mut tx = loop {
                    match db.begin_immediate() {
                        Ok(tx) => break tx,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                };
                let rows = tx.get(table, COUNTER).unwrap().map_or(0, |count| count[0]);
                tx.put(table, [writer], [7; 300]).unwrap();
                tx.put(table, COUNTER, [rows + 1]).unwrap();
                tx.commit().unwrap();
            } else {
                add(db, table, &[writer], Durability::Sync);
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(look(&db, &table), 3);
}

/// What a writer is told has been acknowledged: a reader that begins afterwards sees it.
fn what_is_acknowledged_is_seen() {
    let (db, table) = database(Durability::Sync);
    let threads = [1, 2].map(|writer: u8| {
        spawn(&db, &table, move |db, table| {
            for i in 0..2 {
                db.put(table, [writer], [i]).unwrap();
                assert_eq!(db.get(table, [writer]).unwrap().as_deref(), Some(&[i][..]));
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs a scenario under as many schedules of either kind as `BRAID_SCHEDULES` says.
fn check(scenario: fn()) {
    let schedules = std::env::var("BRAID_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    let config = || {
        let mut config = Config::new();
        // What a debug build of a whole commit needs.
        config.stack_size = 1 << 20;
        config
    };
    Runner::new(RandomScheduler::new(schedules), config()).run(scenario);
    Runner::new(PctScheduler::new(3, schedules), config()).run(scenario);
}

#[test]
fn nothing_is_lost_or_torn_beside_checkpoints() {
    check(commits_beside_checkpoints_and_readers);
}

#[test]
fn exclusive_transactions_and_concurrent_ones_wait_for_each_other() {
    check(exclusive_and_concurrent_commits);
}

#[test]
fn a_reader_sees_what_was_acknowledged() {
    check(what_is_acknowledged_is_seen);
}

#[test]
fn the_mode_changes_between_write_transactions() {
    check(the_mode_changes_under_writers);
}

#[test]
fn a_conflict_is_found_wherever_the_winner_is() {
    check(an_old_writer_meets_what_was_folded);
}
