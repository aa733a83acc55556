//! After a full disk and after a failed sync.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, Operation};
use braid::{Database, Durability, Error, Options, Table, TransactionOptions};

fn open(machine: &CrashFileSystem) -> (Database, Faults) {
    let files = machine.under_faults();
    let faults = files.faults();
    let options = Options {
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    (Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap(), faults)
}

fn rows(db: &Database, table: &Table) -> usize {
    db.snapshot().unwrap().scan(table).unwrap().inspect(|row| assert!(row.is_ok())).count()
}

#[test]
fn a_full_disk_refuses_commits_whole_until_there_is_space() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    faults.set_quota(Some(faults.bytes_used() + (256 << 10)));
    let mut committed = 0_u32;
    let error = loop {
        match db.put(&table, committed.to_be_bytes(), [7; 2000]) {
            Ok(_) => committed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::NoSpace(_)), "{error}");
    assert_eq!(rows(&db, &table), committed as usize);
    assert!(matches!(db.put(&table, committed.to_be_bytes(), [7; 60 << 10]), Err(Error::NoSpace(_))));
    assert_eq!(rows(&db, &table), committed as usize);
    faults.set_quota(None);
    for _ in 0..100 {
        db.put(&table, committed.to_be_bytes(), [7; 2000]).unwrap();
        committed += 1;
    }
    db.checkpoint().unwrap();
    assert_eq!(rows(&db, &table), committed as usize);
    assert!(db.check().unwrap().is_ok());
    drop((db, table));
    let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
    let table = db.table("t").unwrap();
    assert_eq!(rows(&db, &table), committed as usize);
}

#[test]
fn a_failed_sync_refuses_writers_and_keeps_readers_where_they_were() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    db.put(&table, "stands", "").unwrap();
    let deferred = TransactionOptions { durability: Some(Durability::Deferred), ..Default::default() };
    faults.inject(Fault::on(Operation::SyncData));
    assert!(matches!(db.put(&table, "unknown", ""), Err(Error::CommitUnknown(_))));
    assert!(matches!(db.put(&table, "refused", ""), Err(Error::Poisoned)));
    assert!(matches!(db.begin_with(deferred), Err(Error::Poisoned)));
    assert!(matches!(db.checkpoint(), Err(Error::Poisoned)));
    assert!(matches!(db.sync(), Err(Error::Poisoned)));
    assert_eq!(rows(&db, &table), 1);
    assert!(db.stats().log.poisoned);
    assert!(matches!(db.close(), Err(Error::Poisoned)));
    drop(table);
    let (db, _) = open(&machine);
    let table = db.table("t").unwrap();
    assert!(db.get(&table, "stands").unwrap().is_some());
    db.put(&table, "again", "").unwrap();
}

#[test]
fn a_checkpoint_whose_sync_fails_loses_nothing() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    db.put(&table, "stands", "").unwrap();
    let of_the_file = |path: &std::path::Path| path.ends_with("db");
    faults.inject(Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).on_paths(of_the_file));
    assert!(matches!(db.checkpoint(), Err(Error::Poisoned)));
    assert!(matches!(db.put(&table, "refused", ""), Err(Error::Poisoned)));
    assert_eq!(rows(&db, &table), 1);
    drop((db, table));
    let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
    let table = db.table("t").unwrap();
    assert_eq!(rows(&db, &table), 1);
}
