//! The log goes from segment to segment beside commits, with the log keeper ahead of it and the checkpoint behind.

use std::sync::Arc;

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{Fault, FaultyFileSystem, Operation};
use braid::vfs::memory::MemoryFileSystem;
use braid::{Database, Error, Options, Table};

use crate::kit::*;

/// Two of these fill a segment.
const HALF_A_SEGMENT: usize = 28 << 10;

fn write(db: &Database, table: &Table, writer: u8) {
    let durability = if writer == 1 { Sync } else { Deferred };
    for i in 0..2 {
        let put =
            || transact(db, stubborn(durability), |tx| tx.put(table, [writer, i], [writer; HALF_A_SEGMENT]));
        loop {
            match put() {
                Ok(_) => break,
                Err(Error::NoSpace(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The writers' rows, after the close too.
fn everything_is_kept(options: Options, disk: &FaultyFileSystem) {
    let options = Options { row_store_bytes: 512 << 10, ..options };
    let open = || Database::open_in(env(disk.clone()), PATH, options.clone()).unwrap();
    let db = open();
    db.set_journal_mode(braid::JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let full = Fault::on(Operation::Create).kind(std::io::ErrorKind::StorageFull);
    disk.faults().inject(full.on_paths(|path| path.starts_with(LOG)).nth(1 + pick(4) as u64));
    let fold = spawn(&db, &table, |db, _| match db.checkpoint() {
        Ok(_) | Err(Error::NoSpace(_)) => {}
        Err(error) => panic!("{error}"),
    });
    join([1, 2].map(|writer: u8| spawn(&db, &table, move |db, table| write(db, table, writer))));
    join([fold]);
    drop((db, table));
    disk.faults().clear();
    let db = open();
    let table = db.existing_table("t").unwrap().unwrap();
    for (writer, i) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        let value = db.get(&table, [writer, i]).unwrap().expect("every commit is in the log");
        assert_eq!(value, [writer; HALF_A_SEGMENT]);
    }
}

#[test]
fn no_commit_falls_between_two_segments() {
    explore!(|| everything_is_kept(options(), &FaultyFileSystem::new(Arc::new(MemoryFileSystem::new()))));
}

#[test]
fn no_commit_falls_between_two_mapped_segments() {
    explore!(|| {
        let options = Options { map_log: true, ..options() };
        everything_is_kept(options, &FaultyFileSystem::new(Arc::new(MemoryFileSystem::new())));
    });
}
