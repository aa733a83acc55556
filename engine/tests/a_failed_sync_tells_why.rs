//! What the system said to the sync that failed reaches whoever meets its consequences, first and later.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::error::Error as _;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Faults, Operation};
use braid::{
    Database, Durability, Error, JournalMode, Options, Result, Table, Timestamp, TransactionOptions,
};
use common::OnEvent;
use tracing::field::{Field, Visit};

const EIO: i32 = 5;

fn open() -> (Env, Faults, Database, Table) {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let env = Env::with_files(Arc::new(files));
    let db = Database::open_in(env.clone(), "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "a", "1").unwrap();
    (env, faults, db, table)
}

fn log_sync() -> Fault {
    let on_log = |path: &Path| path.to_string_lossy().contains("-wal");
    Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).on_paths(on_log)
}

/// The system's own number, at the end of the chain of sources.
fn errno(error: &Error) -> Option<i32> {
    let source = error.source()?.downcast_ref::<Arc<io::Error>>()?;
    let words = error.in_full().to_string();
    assert!(words.contains(&source.to_string()), "it is told in words too: {words}");
    source.raw_os_error()
}

#[track_caller]
fn is_told<T: Debug>(result: Result<T>) {
    match result {
        Err(error @ (Error::Poisoned { .. } | Error::CommitUnknown { .. })) => {
            assert_eq!(errno(&error), Some(EIO), "{error:?}");
        }
        other => panic!("not told of the failure: {other:?}"),
    }
}

/// Everything that a poisoned core refuses says why.
fn all_are_told(env: &Env, db: &Database, table: &Table) {
    is_told(db.put(table, "b", "2"));
    is_told(db.begin_immediate());
    is_told(db.checkpoint());
    is_told(db.compact());
    is_told(db.table("another"));
    is_told(db.sequence("s"));
    is_told(db.set_journal_mode(JournalMode::Mvcc));
    is_told(db.consumer("c", Timestamp::ZERO));
    let sibling = Database::open_in(env.clone(), "/db", Options::default());
    is_told(sibling.and_then(|sibling| sibling.put(table, "b", "2")));
}

fn deferred(db: &Database, table: &Table) {
    let options = TransactionOptions { durability: Some(Durability::Deferred), ..Default::default() };
    let mut tx = db.begin_with(options).unwrap();
    tx.put(table, "b", "2").unwrap();
    tx.commit().unwrap();
}

#[test]
fn in_a_commit() {
    let (env, faults, db, table) = open();
    faults.inject(log_sync());
    is_told(db.put(&table, "b", "2"));
    all_are_told(&env, &db, &table);
    drop(table);
    is_told(db.close());
}

#[test]
fn in_a_call_to_sync() {
    let (env, faults, db, table) = open();
    deferred(&db, &table);
    faults.inject(log_sync().sticky());
    is_told(db.sync());
    is_told(db.sync());
    all_are_told(&env, &db, &table);
}

#[test]
fn in_a_checkpoint_be_it_of_the_log_or_of_the_file() {
    for of_log in [true, false] {
        let (env, faults, db, table) = open();
        deferred(&db, &table);
        let on_file = Fault::on(Operation::SyncData).on_paths(|path| path == Path::new("/db"));
        faults.inject(if of_log { log_sync().sticky() } else { on_file });
        is_told(db.checkpoint());
        all_are_told(&env, &db, &table);
    }
}

#[test]
fn in_the_commits_that_were_open_and_the_feed() {
    let (_, faults, db, table) = open();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let mut changes = db.changes(Timestamp::ZERO).unwrap();
    let mut late = db.begin_concurrent().unwrap();
    late.put(&table, "late", "").unwrap();
    faults.inject(log_sync());
    is_told(db.put(&table, "b", "2"));
    is_told(late.commit());
    let end = std::iter::from_fn(|| changes.try_next().transpose()).find(Result::is_err);
    is_told(end.unwrap());
}

#[test]
fn in_a_write_of_the_log_that_failed_half_way() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let env = Env::with_files(Arc::new(files));
    let options = Options { map_log: false, ..Options::default() };
    let db = Database::open_in(env, "/db", options).unwrap();
    let table = db.table("t").unwrap();
    faults.inject(
        Fault::on(Operation::Write).on_paths(|path| path.to_string_lossy().contains("-wal")).nth(2).sticky(),
    );
    is_told(db.put(&table, "b", "2"));
    is_told(db.put(&table, "c", "3"));
}

#[test]
fn in_an_open() {
    let machine = CrashFileSystem::new();
    drop(Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", Options::default()).unwrap());
    let mut told = 0;
    for nth in 1.. {
        let files = machine.kill().under_faults();
        let faults = files.faults();
        faults.inject(Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).nth(nth));
        let opened = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default());
        if faults.fired() == 0 {
            break;
        }
        if let Err(error) = opened {
            let source = error.source().and_then(|source| source.downcast_ref::<Arc<io::Error>>());
            assert_eq!(source.and_then(|source| source.raw_os_error()), Some(EIO), "{error:?}");
            told += 1;
        }
    }
    assert!(told > 1, "{told}");
}

/// Notes whether changes of the journal mode are told to have gone well.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<bool>>>);

impl Visit for Told {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "ok" {
            self.0.lock().unwrap().push(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[test]
fn in_the_event_of_a_change_of_the_mode() {
    let (_, faults, db, _) = open();
    let told = Told::default();
    let noted = told.clone();
    let trace = OnEvent(move |event: &tracing::Event<'_>| event.record(&mut noted.clone()));
    tracing::subscriber::with_default(trace, || {
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        faults.inject(log_sync());
        is_told(db.set_journal_mode(JournalMode::Wal));
    });
    assert_eq!(*told.0.lock().unwrap(), [true, false]);
    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
}
