//! Commits by future: the same promises as by thread, whatever becomes of the future.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Faults, Operation};
use braid::{
    CommitFuture, ConflictKind, Database, Durability, Error, JournalMode, Options, Table, Transaction,
    TransactionOptions,
};

use executor::{Alarm, block_on, run_all, run_once};

const LONG: Duration = Duration::from_secs(20);

fn open(files: &CrashFileSystem) -> (Database, Table, Faults) {
    open_with(files, Options::default())
}

fn open_with(files: &CrashFileSystem, options: Options) -> (Database, Table, Faults) {
    let files = files.under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table, faults)
}

fn database() -> (Database, Table) {
    let (db, table, _) = open(&CrashFileSystem::new());
    (db, table)
}

fn put(db: &Database, table: &Table, key: &str) -> Transaction {
    let mut tx = db.begin_concurrent().unwrap();
    tx.put(table, key, "value").unwrap();
    tx
}

fn is_there(db: &Database, table: &Table, key: &str) -> bool {
    db.get(table, key).unwrap().is_some()
}

/// Waits until something is so.
fn until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LONG, "waited for too long");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A sync that waits to be let through.
struct HeldSync {
    began: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

fn hold_next_sync(faults: &Faults) -> HeldSync {
    let (begins, began) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = std::sync::Mutex::new(goes_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        begins.send(()).unwrap();
        let _ = goes_on.lock().unwrap().recv_timeout(LONG);
    }));
    HeldSync { began, go_on }
}

#[test]
fn it_is_a_commit() {
    let (db, table) = database();
    let commit = block_on(put(&db, &table, "a").commit_async()).unwrap();
    assert_eq!(db.snapshot().unwrap().timestamp(), commit.timestamp);
    assert!(is_there(&db, &table, "a"));
    let read = db.begin_concurrent().unwrap();
    assert_eq!(block_on(read.commit_async()).unwrap().timestamp, commit.timestamp);
    let lost = put(&db, &table, "a");
    db.put(&table, "a", "other").unwrap();
    let error = block_on(lost.commit_async()).unwrap_err();
    assert_eq!(error.conflict().unwrap().kind, ConflictKind::WriteWrite);
    let stats = db.stats();
    assert_eq!(stats.conflicts.kinds.write_write, 1);
}

#[test]
fn a_future_that_is_ready_is_over() {
    let (db, table) = database();
    let mut commit = put(&db, &table, "a").commit_async();
    let alarm = Arc::new(Alarm::default());
    until(|| alarm.poll(&mut commit).is_ready());
    assert!(matches!(alarm.poll(&mut commit), Poll::Ready(Err(Error::TransactionClosed))));
}

#[test]
fn a_future_that_is_not_polled_does_nothing_and_dropping_it_rolls_back() {
    let (db, table) = database();
    let commit = put(&db, &table, "a").commit_async();
    assert!(!is_there(&db, &table, "a"));
    drop(commit);
    let mut exclusive = db.begin_immediate().unwrap();
    assert_eq!(exclusive.get(&table, "a").unwrap(), None);
    exclusive.put(&table, "a", "value").unwrap();
    drop(exclusive.commit_async());
    assert!(!is_there(&db, &table, "a"));
    db.begin_immediate().unwrap().commit().unwrap();
    assert_eq!(db.stats().rollbacks, 2);
    db.set_journal_mode(JournalMode::Wal).unwrap();
}

#[test]
fn it_waits_for_the_sync_and_is_woken_by_it() {
    let (db, table, faults) = open(&CrashFileSystem::new());
    let held = hold_next_sync(&faults);
    let alarm = Arc::new(Alarm::default());
    let mut first = put(&db, &table, "a").commit_async();
    assert_eq!(first.timestamp(), None);
    assert!(alarm.poll(&mut first).is_pending());
    let timestamp = first.timestamp().unwrap();
    held.began.recv_timeout(LONG).unwrap();
    assert!(alarm.poll(&mut first).is_pending(), "polled for no reason");
    let mut second = put(&db, &table, "b").commit_async();
    assert!(alarm.poll(&mut second).is_pending());
    assert!(!is_there(&db, &table, "a"), "a reader does not see what does not stand");
    assert_eq!(alarm.times(), 0);
    held.go_on.send(()).unwrap();
    until(|| alarm.times() == 2);
    let Poll::Ready(Ok(commit)) = alarm.poll(&mut first) else { panic!("woken too early") };
    assert_eq!(commit.timestamp, timestamp);
    assert!(alarm.poll(&mut second).is_ready());
    assert!(is_there(&db, &table, "b"));
}

#[test]
fn threads_and_futures_share_syncs() {
    let (db, table, faults) = open(&CrashFileSystem::new());
    let held = hold_next_sync(&faults);
    let syncs = db.stats().log.syncs;
    let alarm = Arc::new(Alarm::default());
    let mut first = put(&db, &table, "first").commit_async();
    assert!(alarm.poll(&mut first).is_pending());
    held.began.recv_timeout(LONG).unwrap();
    thread::scope(|scope| {
        let blocking: Vec<_> = (0..4)
            .map(|n| {
                let (db, table) = (&db, &table);
                scope.spawn(move || put(db, table, &format!("thread {n}")).commit())
            })
            .collect();
        let mut futures: Vec<_> =
            (0..4).map(|n| put(&db, &table, &format!("future {n}")).commit_async()).collect();
        assert!(futures.iter_mut().all(|future| alarm.poll(future).is_pending()));
        until(|| db.begin_concurrent().unwrap().range(&table, "t"..).unwrap().count() == 4);
        // Installed, and a moment later in the queue.
        thread::sleep(Duration::from_millis(20));
        held.go_on.send(()).unwrap();
        for thread in blocking {
            thread.join().unwrap().unwrap();
        }
        futures.into_iter().for_each(|future| _ = block_on(future).unwrap());
    });
    block_on(first).unwrap();
    assert_eq!(db.stats().log.syncs - syncs, 2, "one for the first, one for the other eight");
}

#[test]
fn a_commit_stands_though_nobody_waits_for_it() {
    let options = Options { deferred_sync_interval: Duration::from_millis(1), ..Options::default() };
    let (db, table, _) = open_with(&CrashFileSystem::new(), options);
    let alarm = Arc::new(Alarm::default());
    let mut commit = put(&db, &table, "a").commit_async();
    drop(alarm.poll(&mut commit));
    drop(commit);
    until(|| is_there(&db, &table, "a"));
    let mut kept = put(&db, &table, "b").commit_async();
    drop(alarm.poll(&mut kept));
    until(|| is_there(&db, &table, "b"));
    drop(kept);
    let mut deferred = db
        .begin_with(TransactionOptions { durability: Some(Durability::Deferred), ..Default::default() })
        .unwrap();
    deferred.put(&table, "c", "value").unwrap();
    assert!(alarm.poll(&mut deferred.commit_async()).is_ready(), "it waits for nobody");
}

#[test]
fn a_failed_sync_is_told_to_every_future() {
    let files = CrashFileSystem::new();
    let (db, table, faults) = open(&files);
    let held = hold_next_sync(&faults);
    let alarm = Arc::new(Alarm::default());
    let mut first = put(&db, &table, "a").commit_async();
    assert!(alarm.poll(&mut first).is_pending());
    held.began.recv_timeout(LONG).unwrap();
    let mut second = put(&db, &table, "b").commit_async();
    assert!(alarm.poll(&mut second).is_pending());
    let unpolled = put(&db, &table, "c").commit_async();
    faults.inject(Fault::on(Operation::SyncData).kind(std::io::ErrorKind::Other));
    held.go_on.send(()).unwrap();
    block_on(first).unwrap();
    assert!(matches!(block_on(second), Err(Error::CommitUnknown { .. })));
    assert!(matches!(block_on(unpolled), Err(Error::Poisoned { .. })));
    assert!(!is_there(&db, &table, "b"));
}

#[test]
fn an_exclusive_transaction_holds_it_back() {
    let (db, table) = database();
    let alarm = Arc::new(Alarm::default());
    let mut held_back = put(&db, &table, "a").commit_async();
    let mut dropped = put(&db, &table, "b").commit_async();
    let exclusive = db.begin_immediate().unwrap();
    assert!(alarm.poll(&mut held_back).is_pending());
    assert!(alarm.poll(&mut held_back).is_pending());
    assert!(alarm.poll(&mut dropped).is_pending());
    assert_eq!(held_back.timestamp(), None);
    drop(dropped);
    exclusive.commit().unwrap();
    until(|| alarm.times() > 0);
    assert_eq!(alarm.times(), 1, "one place, however often it was polled, and none for who left");
    block_on(held_back).unwrap();
    assert!(is_there(&db, &table, "a"));
    assert!(!is_there(&db, &table, "b"));
}

#[test]
fn it_is_told_when_its_turn_does_not_come() {
    let (db, table) = database();
    let options = TransactionOptions { busy_timeout: Some(Duration::from_millis(20)), ..Default::default() };
    let mut tx = db.begin_with(options).unwrap();
    tx.put(&table, "a", "value").unwrap();
    let exclusive = db.begin_immediate().unwrap();
    let error = block_on(tx.commit_async()).unwrap_err();
    assert_eq!(error.conflict().unwrap().kind, ConflictKind::Timeout);
    exclusive.commit().unwrap();
    assert!(!is_there(&db, &table, "a"));
}

#[test]
fn a_full_row_store_holds_no_thread() {
    let options =
        Options { row_store_bytes: 64 << 10, durability: Durability::Deferred, ..Options::default() };
    let (db, table, _) = open_with(&CrashFileSystem::new(), options);
    let work = (0..8).map(|writer| {
        let (db, table) = (db.clone(), table.clone());
        async move {
            for n in 0..100_u32 {
                loop {
                    let mut tx = db.begin_concurrent().unwrap();
                    tx.put(&table, format!("{writer} {n}"), [7; 1000]).unwrap();
                    match tx.commit_async().await {
                        Ok(_) => break,
                        // History may be given up when it is this tight.
                        Err(error) => assert!(matches!(error, Error::BusySnapshot { .. }), "{error}"),
                    }
                }
            }
        }
    });
    run_all(1, work);
    assert_eq!(db.snapshot().unwrap().range::<&str>(&table, ..).unwrap().count(), 800);
    assert!(db.stats().stalls > 0, "the row store was never full");
}

#[test]
fn crowds_of_threads_and_futures_are_all_answered() {
    let (db, table) = database();
    let done = Arc::new(AtomicBool::new(false));
    let beside = thread::spawn({
        let (db, table, done) = (db.clone(), table.clone(), Arc::clone(&done));
        move || {
            let mut rows = 0;
            while !done.load(Ordering::SeqCst) {
                put(&db, &table, &format!("thread {rows}")).commit().unwrap();
                rows += 1;
            }
            rows
        }
    });
    let work = (0..64).map(|writer| {
        let (db, table) = (db.clone(), table.clone());
        async move {
            for n in 0..20 {
                put(&db, &table, &format!("future {writer} {n}")).commit_async().await.unwrap();
            }
        }
    });
    run_all(2, work);
    done.store(true, Ordering::SeqCst);
    let by_thread = beside.join().unwrap();
    assert!(by_thread > 0, "the thread was starved");
    let rows = db.snapshot().unwrap().range::<&str>(&table, ..).unwrap().count();
    assert_eq!(rows, 64 * 20 + by_thread);
}

/// Tasks whose executor is gone are kept by their wakers alone: the last handle goes with them, on the thread that wakes.
#[test]
fn the_last_handle_may_go_with_a_waker() {
    let files = CrashFileSystem::new();
    let (db, table, faults) = open(&files);
    let held = hold_next_sync(&faults);
    let tx = put(&db, &table, "a");
    run_once([async move { drop(tx.commit_async().await) }]);
    held.began.recv_timeout(LONG).unwrap();
    drop((db, table));
    held.go_on.send(()).unwrap();
    let (db, table, _) = open(&files);
    // At once if it was opened anew. If it was still open, nobody has waited for the commit.
    until(|| is_there(&db, &table, "a"));
}

#[test]
fn a_waker_that_panics_keeps_nobody_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics on purpose");
        }
    }
    let (db, table, faults) = open(&CrashFileSystem::new());
    let held = hold_next_sync(&faults);
    let mut first = put(&db, &table, "a").commit_async();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let panics = std::task::Waker::from(Arc::new(Panics));
    let mut bad = std::task::Context::from_waker(&panics);
    assert!(std::pin::Pin::new(&mut first).poll(&mut bad).is_pending());
    held.began.recv_timeout(LONG).unwrap();
    held.go_on.send(()).unwrap();
    for n in 0..3 {
        block_on(put(&db, &table, &format!("b {n}")).commit_async()).unwrap();
    }
    assert!(std::pin::Pin::new(&mut first).poll(&mut context).is_ready());
}

#[test]
fn it_is_small_and_can_be_sent() {
    fn is_sent<T: Send + Unpin + 'static>() {}
    is_sent::<CommitFuture>();
}
