//! A sync fails beside commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::{Database, Durability, Error, Table};

use crate::kit::*;

/// What the writers were told.
#[derive(Clone)]
struct Heard {
    acknowledged: Notes<([u8; 2], Durability)>,
    /// Somebody heard of the failure.
    poisoned: Arc<AtomicBool>,
}

impl Heard {
    fn write(&self, db: &Database, table: &Table, writer: u8, durability: Durability) {
        for i in 0..2 {
            let is_late = self.poisoned.load(Ordering::SeqCst);
            match try_add(db, table, &[writer, i], durability) {
                Ok(_) => {
                    assert!(!is_late, "nobody writes after a failed sync");
                    self.acknowledged.note(([writer, i], durability));
                }
                Err(Error::CommitUnknown { .. }) => {
                    assert!(!is_late, "a commit that was refused from the start is not unknown");
                    self.poisoned.store(true, Ordering::SeqCst);
                }
                Err(Error::Poisoned { .. }) => self.poisoned.store(true, Ordering::SeqCst),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn checkpoint(&self, db: &Database) {
        match db.checkpoint() {
            Ok(_) => {}
            Err(Error::Poisoned { .. }) => self.poisoned.store(true, Ordering::SeqCst),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Everybody hears of it, reads stay at what was acknowledged, and that is what is left.
fn everybody_hears_of(fault: impl FnOnce() -> Fault) {
    let disk = CrashFileSystem::new();
    let faulty = disk.under_faults();
    let (db, table) = create(&env(faulty.clone()));
    let heard = Heard { acknowledged: Notes::new(), poisoned: Arc::default() };
    faulty.faults().inject(fault());
    let writers = [(1, Sync), (2, Sync), (3, Deferred)].map(|(writer, durability)| {
        let heard = heard.clone();
        spawn(&db, &table, move |db, table| heard.write(db, table, writer, durability))
    });
    let fold = {
        let heard = heard.clone();
        spawn(&db, &table, move |db, _| heard.checkpoint(db))
    };
    join(writers);
    join([fold]);
    let acknowledged = heard.acknowledged.all();
    if heard.poisoned.load(Ordering::SeqCst) {
        assert!(matches!(db.put(&table, "late", []), Err(Error::Poisoned { .. })));
        assert!(matches!(db.checkpoint(), Err(Error::Poisoned { .. })));
    }
    let snapshot = db.snapshot().unwrap();
    count(&snapshot, &table);
    for row in snapshot.scan(&table).unwrap() {
        let key = row.unwrap().0;
        let is_told = acknowledged.iter().any(|(told, _)| *told == *key);
        assert!(is_told || key == COUNTER, "{key:?} is read, but its writer was not told so");
    }
    drop((snapshot, db, table));

    let db = open(&env(disk.crash(CrashChoice::KeepNone))).unwrap();
    let table = db.existing_table("t").unwrap().expect("the table was there before");
    look(&db, &table);
    for (key, durability) in acknowledged {
        let is_left = db.get(&table, key).unwrap().is_some();
        assert!(is_left || durability == Deferred, "{key:?} was acknowledged and is lost");
    }
}

#[test]
fn a_failed_sync_of_the_log_reaches_everybody() {
    explore!(|| everybody_hears_of(|| {
        Fault::on(Operation::SyncData).on_paths(|path| path.starts_with(LOG)).nth(1 + pick(5) as u64)
    }));
}

#[test]
fn a_failed_sync_of_the_file_reaches_everybody() {
    explore!(|| everybody_hears_of(|| {
        let syncs = [Operation::SyncData, Operation::SyncAll];
        Fault::on_any(&syncs).on_paths_ending(PATH).nth(1 + pick(3) as u64)
    }));
}

/// The next segment cannot be made durable: the log keeper meets that, or a commit.
#[test]
fn a_failed_sync_of_the_directory_loses_nothing() {
    explore!(|| {
        let disk = CrashFileSystem::new();
        let faulty = disk.under_faults();
        let (db, table) = create(&env(faulty.clone()));
        faulty.faults().inject(Fault::on(Operation::SyncDir).nth(1 + pick(2) as u64));
        let acknowledged = Notes::new();
        join([1, 2].map(|writer: u8| {
            let acknowledged = acknowledged.clone();
            spawn(&db, &table, move |db, table| {
                for i in 0..2 {
                    match transact(db, stubborn(Sync), |tx| tx.put(table, [writer, i], [writer; 28 << 10])) {
                        Ok(_) => acknowledged.note([writer, i]),
                        Err(Error::Io { .. } | Error::CommitUnknown { .. } | Error::Poisoned { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        }));
        drop((db, table));
        let db = open(&env(disk.crash(CrashChoice::KeepNone))).unwrap();
        let table = db.existing_table("t").unwrap().expect("the table was there before");
        for key in acknowledged.all() {
            assert!(db.get(&table, key).unwrap().is_some(), "{key:?} was acknowledged and is lost");
        }
    });
}
