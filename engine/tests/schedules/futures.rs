//! Commits that hold no thread, beside those that do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use braid::Durability::{self, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::sync::Event;
use braid::{CommitFuture, Database, Error, Result, Table, TransactionOptions};

use crate::exclusion::add_exclusively;
use crate::kit::*;

#[derive(Default)]
pub(crate) struct Alarm(Event);

impl Alarm {
    /// Until it rings.
    pub(crate) fn wait(&self) {
        self.0.wait();
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}

/// Polls once; the alarm is for the next time.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> std::result::Result<F::Output, Arc<Alarm>> {
    let alarm = Arc::new(Alarm::default());
    match Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&alarm)))) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => Err(alarm),
    }
}

/// Waits on a thread that has nothing better to do.
pub(crate) fn finish<F: Future + Unpin>(mut future: F) -> F::Output {
    loop {
        match poll(&mut future) {
            Ok(outcome) => return outcome,
            Err(alarm) => alarm.wait(),
        }
    }
}

/// A transaction that adds a row and counts it.
fn begin_add(db: &Database, table: &Table, key: &[u8], durability: Durability) -> Result<CommitFuture> {
    let options = TransactionOptions { durability: Some(durability), ..TransactionOptions::default() };
    let mut tx = db.begin_with(options)?;
    let rows = tx.get(table, COUNTER)?.map_or(0, |count| count[0]);
    tx.put(table, key, [7; 300])?;
    tx.put(table, COUNTER, [rows + 1])?;
    Ok(tx.commit_async())
}

/// Tries until it wins.
fn add_by_future(db: &Database, table: &Table, key: &[u8], durability: Durability) {
    loop {
        match begin_add(db, table, key, durability).and_then(finish) {
            Ok(commit) => {
                let seen = db.snapshot().unwrap().timestamp();
                assert!(seen >= commit.timestamp, "told of {} and sees {seen}", commit.timestamp);
                return;
            }
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

#[test]
fn threads_and_futures_share_one_history() {
    explore!(|| {
        let (db, table) = database();
        join([
            spawn(&db, &table, |db, table| _ = add(db, table, &[1], Sync)),
            spawn(&db, &table, |db, table| add_by_future(db, table, &[2], Sync)),
            spawn(&db, &table, |db, table| add_by_future(db, table, &[3], Durability::Deferred)),
        ]);
        assert_eq!(look(&db, &table), 3);
    });
}

#[test]
fn futures_and_exclusive_transactions_wait_for_each_other() {
    explore!(|| {
        let (db, table) = database();
        join([
            spawn(&db, &table, |db, table| add_by_future(db, table, &[1], Sync)),
            spawn(&db, &table, |db, table| add_by_future(db, table, &[2], Sync)),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[3])),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[4])),
        ]);
        assert_eq!(look(&db, &table), 4);
    });
}

/// A future that is dropped after any number of polls: what it wrote is there as a whole or not at all, and nothing is locked.
#[test]
fn a_dropped_future_leaves_nothing_locked() {
    explore!(|| {
        let (db, table) = database();
        let dropper = spawn(&db, &table, |db, table| {
            for (key, polls) in [(1, 1), (2, 2)] {
                let mut future = begin_add(db, table, &[key], Sync).unwrap();
                for _ in 0..polls {
                    match poll(&mut future) {
                        Ok(Ok(_)) => break,
                        Ok(Err(error)) => {
                            assert!(error.is_retryable(), "{error}");
                            break;
                        }
                        Err(_) => {}
                    }
                }
            }
        });
        join([
            spawn(&db, &table, |db, table| add_by_future(db, table, &[3], Sync)),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[4])),
            dropper,
        ]);
        // A commit after all, so that whatever else stands is seen.
        add(&db, &table, &[5], Sync);
        assert!((3..=5).contains(&look(&db, &table)));
    });
}

/// The handle goes with the future, or before it.
#[test]
fn a_future_keeps_its_database_open() {
    explore!(|| {
        let env = env(braid::vfs::memory::MemoryFileSystem::new());
        let (db, table) = create(&env);
        let future = begin_add(&db, &table, &[1], Sync).unwrap();
        let waits = braid::vfs::sync::thread::spawn(move || finish(future).unwrap());
        drop((db, table));
        waits.join().unwrap();
        let db = open(&env).unwrap();
        let table = db.table("t").unwrap();
        assert_eq!(look(&db, &table), 1);
    });
}

/// With a row store that is full all the time.
#[test]
fn futures_wait_for_room() {
    explore!(|| {
        let (db, table) = database();
        let fill = |writer: u8| {
            spawn(&db, &table, move |db, table| {
                for row in 0..4 {
                    loop {
                        let mut tx = db.begin_concurrent().unwrap();
                        tx.put(table, [writer, row], [7; 9000]).unwrap();
                        match finish(tx.commit_async()) {
                            Ok(_) => break,
                            Err(error) => assert!(matches!(error, Error::BusySnapshot { .. }), "{error}"),
                        }
                    }
                }
            })
        };
        join([fill(1), fill(2)]);
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 8);
    });
}

/// A failed sync reaches futures as it reaches threads: what was told to stand does, and nobody waits on.
#[test]
fn a_failed_sync_is_told_to_every_future() {
    explore!(|| {
        let disk = CrashFileSystem::new();
        let faulty = disk.under_faults();
        let (db, table) = create(&env(faulty.clone()));
        let told: Notes<u8> = Notes::new();
        let nth = 1 + pick(4) as u64;
        faulty
            .faults()
            .inject(Fault::on(Operation::SyncData).on_paths(|path| path.starts_with(LOG)).nth(nth));
        let writers = [1, 2, 3].map(|writer: u8| {
            let told = told.clone();
            spawn(&db, &table, move |db, table| {
                for row in 0..2 {
                    let key = writer * 10 + row;
                    let Ok(mut tx) = db.begin_concurrent() else { return };
                    tx.put(table, [key], [7; 30]).unwrap();
                    let outcome = if writer == 3 { tx.commit() } else { finish(tx.commit_async()) };
                    match outcome {
                        Ok(_) => told.note(key),
                        Err(Error::CommitUnknown { .. } | Error::Poisoned { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        join(writers);
        let seen = db.snapshot().unwrap();
        for key in told.all() {
            assert!(seen.get(&table, [key]).unwrap().is_some(), "{key} was told to stand");
        }
        drop((seen, db, table));
        let db = open(&env(disk.crash(CrashChoice::KeepNone))).unwrap();
        let table = db.existing_table("t").unwrap().expect("the table was there before");
        for key in told.all() {
            assert!(db.get(&table, [key]).unwrap().is_some(), "{key} was told to stand, and is lost");
        }
    });
}
