//! Whoever may write gets to write, whatever failed before.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::vfs::sync::thread as vfs_thread;
use braid::{Database, Error, JournalMode, Options};
use common::{OnEvent, is_conflict};

/// Fails instead of hanging.
fn within_seconds<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    vfs_thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(20)).expect("it hangs")
}

#[test]
fn a_large_transaction_is_admitted_after_a_commit_that_was_held_back() {
    let options =
        Options { row_store_bytes: 64 << 10, busy_timeout: Duration::from_millis(10), ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    db.checkpoint().unwrap();
    let exclusive = db.begin_immediate().unwrap();
    let mut held_back = db.begin_concurrent().unwrap();
    held_back.put(&table, "key", "value").unwrap();
    assert!(matches!(held_back.commit(), Err(Error::Busy(_))));
    exclusive.rollback();
    within_seconds(move || {
        let mut large = db.begin_immediate().unwrap();
        large.put(&table, "key", vec![1; 200 << 10]).unwrap();
        large.commit().unwrap();
    });
}

#[test]
fn a_reader_of_its_own_write_may_read_on() {
    within_seconds(|| {
        let db = Database::in_memory().unwrap();
        let table = db.table("t").unwrap();
        let mut tx = db.begin_immediate().unwrap();
        tx.put(&table, "name", "target").unwrap();
        tx.put(&table, "target", "value").unwrap();
        let found = tx.get_with(&table, "name", |name| tx.get(&table, name)).unwrap().unwrap().unwrap();
        assert_eq!(found.as_deref(), Some(&b"value"[..]));
    });
}

#[test]
fn the_mode_changes_while_a_commit_waits_for_its_sync() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    let (syncing, is_syncing) = mpsc::channel();
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        syncing.send(()).unwrap();
        vfs_thread::sleep(Duration::from_millis(100));
    }));
    thread::scope(|scope| {
        let writer = scope.spawn(|| db.put(&table, "key", "value"));
        is_syncing.recv().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).expect("no write transaction is open");
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_write_of_its_own_takes_either_mode() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = [1, 2].map(|writer: u8| {
            let (db, table, stop) = (&db, &table, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    db.put(table, [writer], "value")?;
                }
                Ok::<_, Error>(())
            })
        });
        let mut changes = 0;
        for mode in [JournalMode::Mvcc, JournalMode::Wal].into_iter().cycle().take(4000) {
            changes += u32::from(db.set_journal_mode(mode).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(changes > 10);
        for writer in writers {
            writer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn who_is_told_of_a_conflict_may_commit_what_needs_all_room() {
    within_seconds(|| {
        let options = Options { row_store_bytes: 64 << 10, ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut lost = db.begin_concurrent().unwrap();
        lost.put(&table, "key", "lost").unwrap();
        db.put(&table, "key", "won").unwrap();
        let told = {
            let (db, table) = (db.clone(), table.clone());
            move |event: &tracing::Event<'_>| {
                assert!(!is_conflict(event) || db.put(&table, "note", vec![1; 200 << 10]).is_ok());
            }
        };
        let commit = || lost.commit();
        assert!(tracing::subscriber::with_default(OnEvent(told), commit).is_err());
        assert_eq!(db.get(&table, "note").unwrap().map(|note| note.len()), Some(200 << 10));
    });
}
