//! The change feed beside commits, seals, syncs and the release of the log.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::sync::Event;
use braid::{Change, ChangeSet, Changes, Database, Error, Options, Table, Timestamp};

use crate::kit::*;

/// Two of these fill a segment.
const HALF_A_SEGMENT: usize = 28 << 10;

#[derive(Default)]
struct Alarm(Event);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let alarm = Arc::new(Alarm::default());
        match future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&alarm)))) {
            Poll::Ready(output) => return output,
            Poll::Pending => _ = alarm.0.wait(),
        }
    }
}

/// The next transaction, by a thread that sleeps or by a future.
fn next(changes: &mut Changes) -> Option<braid::Result<ChangeSet>> {
    if pick(2) == 0 { changes.next() } else { block_on(changes.next_async()) }
}

/// The rows of a transaction that have keys of one byte.
fn keys(set: ChangeSet) -> (Timestamp, Vec<u8>) {
    let ts = set.timestamp();
    let key = |change| match change {
        Change::Put { key, .. } => <[u8; 1]>::try_from(key).ok().map(|[key]| key),
        _ => None,
    };
    (ts, set.map(Result::unwrap).filter_map(key).collect())
}

fn put(db: &Database, table: &Table, key: u8, bytes: usize, notes: &Notes<(Timestamp, u8)>) {
    let durability = if key.is_multiple_of(2) { Sync } else { Deferred };
    let committed = transact(db, stubborn(durability), |tx| tx.put(table, [key], vec![key; bytes])).unwrap();
    notes.note((committed.commit.timestamp, key));
}

/// What was noted, in the order of the history.
fn in_order(notes: &Notes<(Timestamp, u8)>) -> Vec<(Timestamp, u8)> {
    let mut all = notes.all();
    all.sort_unstable();
    all
}

/// Room for what the writers write, so that none of them waits for a checkpoint.
fn wide() -> Options {
    Options { row_store_bytes: 512 << 10, ..options() }
}

#[test]
fn a_feed_gives_every_commit_over_segments_and_checkpoints() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let db = Database::open_in(env, PATH, wide()).unwrap();
        db.set_journal_mode(braid::JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut changes = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
        let notes = Notes::new();
        let writers = [0, 2].map(|first: u8| {
            let notes = notes.clone();
            spawn(&db, &table, move |db, table| {
                put(db, table, first, HALF_A_SEGMENT, &notes);
                put(db, table, first + 1, HALF_A_SEGMENT, &notes);
            })
        });
        let fold = spawn(&db, &table, |db, _| _ = db.checkpoint().unwrap());
        let mut told = Vec::new();
        while told.len() < 4 {
            let (ts, keys) = keys(next(&mut changes).unwrap().unwrap());
            told.extend(keys.into_iter().map(|key| (ts, key)));
        }
        join(writers);
        join([fold]);
        assert_eq!(told, in_order(&notes));
    });
}

#[test]
fn a_consumer_misses_nothing_though_the_log_goes() {
    explore!(|| {
        let files = CrashFileSystem::new();
        let db = Database::open_in(env(files.clone()), PATH, wide()).unwrap();
        db.set_journal_mode(braid::JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        drop(db.consumer("c", db.snapshot().unwrap().timestamp()).unwrap());
        let (notes, told) = (Notes::new(), Notes::new());
        let writer = {
            let notes = notes.clone();
            spawn(&db, &table, move |db, table| {
                for key in 0..3 {
                    put(db, table, key, HALF_A_SEGMENT, &notes);
                    if key == 1 {
                        db.checkpoint().unwrap();
                    }
                }
            })
        };
        let reader = {
            let told = told.clone();
            spawn(&db, &table, move |db, _| {
                let consumer = db.consumer("c", Timestamp::ZERO).unwrap();
                let mut changes = consumer.changes().unwrap();
                for _ in 0..2 {
                    told.note(keys(next(&mut changes).unwrap().unwrap()));
                    consumer.acknowledge(changes.passed()).unwrap();
                }
            })
        };
        join([writer, reader]);
        let _ = db.checkpoint().unwrap();
        db.sync().unwrap();
        drop((db, table));
        let cut = files.crash(CrashChoice::KeepNone);
        let db = Database::open_in(env(cut), PATH, wide()).unwrap();
        let consumer = db.consumer("c", Timestamp::ZERO).unwrap();
        let position = consumer.position().unwrap();
        // What was told and not acknowledged for good comes again.
        let mut all: Vec<_> = told.all().into_iter().filter(|(ts, _)| *ts <= position).collect();
        let mut changes = consumer.changes().unwrap();
        while let Some(set) = changes.try_next().unwrap() {
            all.push(keys(set));
        }
        let all: Vec<_> =
            all.into_iter().flat_map(|(ts, keys)| keys.into_iter().map(move |key| (ts, key))).collect();
        assert_eq!(all, in_order(&notes));
    });
}

#[test]
fn whoever_waits_is_told_of_the_close() {
    explore!(|| {
        let (db, table) = database();
        let mut changes = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
        let waits = braid::vfs::sync::thread::spawn(move || {
            let mut told = 0;
            while let Some(set) = next(&mut changes) {
                told += keys(set.unwrap()).1.len();
            }
            assert!(changes.is_ended());
            assert!(told <= 1, "one commit is told once");
        });
        put(&db, &table, 1, 10, &Notes::new());
        linger(4);
        drop((db, table));
        join([waits]);
    });
}

#[test]
fn a_failed_sync_is_told_after_what_stands() {
    explore!(|| {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults();
        let (db, table) = create(&env(files));
        let mut changes = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
        faults.inject(Fault::on(Operation::SyncData).nth(1 + pick(3) as u64).sticky());
        let told = Notes::new();
        let reads = {
            let told = told.clone();
            braid::vfs::sync::thread::spawn(move || {
                loop {
                    match next(&mut changes) {
                        Some(Ok(set)) => told.note(keys(set)),
                        Some(Err(Error::Poisoned { .. })) | None => return,
                        Some(Err(error)) => panic!("{error}"),
                    }
                }
            })
        };
        join([0, 2].map(|key: u8| {
            spawn(&db, &table, move |db, table| {
                for key in [key, key + 1] {
                    let durability = if key.is_multiple_of(2) { Sync } else { Deferred };
                    _ = try_add(db, table, &[key], durability);
                }
            })
        }));
        // However far that came, there is an end to it.
        _ = db.sync();
        drop((db, table));
        join([reads]);
        let cut = machine.crash(CrashChoice::KeepNone);
        let (db, table) = create(&env(cut));
        for key in told.all().into_iter().flat_map(|(_, keys)| keys) {
            assert!(db.get(&table, [key]).unwrap().is_some(), "{key} was told, and is gone");
        }
        assert!(db.snapshot().unwrap().get(&table, COUNTER).unwrap().is_none_or(|count| count[0] <= 4));
    });
}
