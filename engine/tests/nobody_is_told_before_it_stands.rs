//! What others did is seen once it lasts, and not before.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::{Database, Options};

/// How long a sync takes for which somebody waits.
const A_WHILE: Duration = Duration::from_millis(100);
/// How long one takes for which nobody waits: until the answer is there.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Runs `change` and, while it waits for its sync, which ends after `patience` or once `look` has answered, `look`; whether
/// the sync was over when `look` answered.
fn was_over(patience: Duration, change: impl Fn(&Database) + Sync, look: impl Fn(&Database)) -> bool {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    db.table("old").unwrap();
    let (syncing, is_syncing) = mpsc::channel();
    let (answered, is_answered) = mpsc::channel();
    let is_answered = Mutex::new(is_answered);
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        syncing.send(()).unwrap();
        let _ = is_answered.lock().unwrap().recv_timeout(patience);
        done.store(true, Ordering::SeqCst);
    }));
    thread::scope(|scope| {
        scope.spawn(|| change(&db));
        is_syncing.recv().unwrap();
        look(&db);
        let was_over = over.load(Ordering::SeqCst);
        let _ = answered.send(());
        was_over
    })
}

#[test]
fn a_new_table_is_found_once_it_stands() {
    let create = |db: &Database| drop(db.table("new").unwrap());
    assert!(was_over(A_WHILE, create, |db| assert!(db.existing_table("new").unwrap().is_some())));
    assert!(was_over(A_WHILE, create, |db| assert_eq!(db.tables().unwrap(), ["new", "old"])));
}

#[test]
fn a_dropped_table_is_gone_once_that_stands() {
    let drop = |db: &Database| assert!(db.drop_table("old").unwrap());
    assert!(was_over(A_WHILE, drop, |db| assert!(db.existing_table("old").unwrap().is_none())));
}

#[test]
fn a_reader_neither_waits_nor_sees_what_does_not_stand() {
    let write = |db: &Database| {
        db.put(&db.table("old").unwrap(), "key", "value").unwrap();
    };
    let read = |db: &Database| {
        let table = db.table("old").unwrap();
        assert_eq!(db.get(&table, "key").unwrap(), None);
    };
    assert!(!was_over(FOR_EVER, write, read));
}

#[test]
fn a_writer_that_saw_a_commit_answers_once_that_stands() {
    let write = |db: &Database| {
        db.put(&db.table("old").unwrap(), "key", "value").unwrap();
    };
    let read = |db: &Database| {
        let table = db.table("old").unwrap();
        let tx = db.begin_immediate().unwrap();
        assert!(tx.get(&table, "key").unwrap().is_some());
        tx.commit().unwrap();
    };
    assert!(was_over(A_WHILE, write, read));
}
