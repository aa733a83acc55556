//! An open that finds more log than the row store has room for folds on the way. It opens as well where that fails.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, FaultyFileSystem, Operation};
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Durability, Error, Options, Table};

const PATH: &str = "/db";
const LOG: &str = "/db-wal";
const ROWS: u32 = 150;
const SEGMENT: u64 = 64 << 10;
/// Too little for the rows.
const SCARCE: usize = 64 << 10;

fn open(files: impl FileSystem + 'static, row_store_bytes: usize) -> braid::Result<Database> {
    let options = Options {
        row_store_bytes,
        log_segment_bytes: SEGMENT,
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    Database::open_in(Env::with_files(Arc::new(files)), PATH, options)
}

/// Killed with a log of many rows, the last ones of which no sync has covered.
fn killed() -> CrashFileSystem {
    let machine = CrashFileSystem::new();
    let db = open(machine.clone(), 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
        if row + 5 == ROWS {
            db.sync().unwrap();
        }
    }
    machine.kill()
}

/// How many rows there are, which must be the first ones, each once.
fn rows(db: &Database) -> u32 {
    let table = db.existing_table("t").unwrap().unwrap();
    let keys: Vec<_> = db.snapshot().unwrap().scan(&table).unwrap().map(|row| row.unwrap().0).collect();
    for (row, key) in (0_u32..).zip(&keys) {
        assert_eq!(key[..], row.to_be_bytes());
    }
    keys.len().try_into().unwrap()
}

/// The files of the log, and their lengths.
fn log(files: &dyn FileSystem) -> Vec<(std::ffi::OsString, u64)> {
    let dir = Path::new(LOG);
    let length =
        |name: &_| files.open(&dir.join(name), OpenOptions::new(OpenMode::ReadOnly)).unwrap().len().unwrap();
    let mut names = files.read_dir(dir).unwrap();
    names.sort();
    names.into_iter().map(|name| (name.clone(), length(&name))).collect()
}

/// Has the bound on space know of every file.
fn limited(machine: &CrashFileSystem) -> FaultyFileSystem {
    let files = machine.under_faults();
    log(&files);
    files.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    files
}

fn put(db: &Database, table: &Table, row: u32) -> braid::Result<()> {
    db.put(table, row.to_be_bytes(), "more").map(drop)
}

#[test]
fn a_full_disk_while_an_open_folds_keeps_nobody_out() {
    let killed = killed();
    for row_store_bytes in [SCARCE, 2 * SCARCE] {
        let machine = killed.kill();
        let files = limited(&machine);
        let faults = files.faults();
        // For the segment that the log goes on in, and not for the rows.
        faults.set_quota(Some(faults.bytes_used() + SEGMENT + (16 << 10)));
        let db = open(files, row_store_bytes).unwrap();
        assert_eq!(rows(&db), ROWS);
        assert!(db.stats().row_store.bytes > row_store_bytes as u64, "nothing could be folded");
        let table = db.table("t").unwrap();
        assert!(matches!(put(&db, &table, ROWS), Err(Error::NoSpace(_))));
        assert!(matches!(db.checkpoint(), Err(Error::NoSpace(_))));
        assert_eq!(rows(&db), ROWS);
        let after = machine.after_crash(CrashChoice::KeepNone);
        let db_after = open(after, 64 << 20).unwrap();
        assert_eq!(rows(&db_after), ROWS, "what the open has shown stands");
        drop(db_after);

        faults.set_quota(None);
        db.checkpoint().unwrap();
        put(&db, &table, ROWS).unwrap();
        assert!(db.stats().row_store.bytes < row_store_bytes as u64);
        assert_eq!(rows(&db), ROWS + 1);
        assert!(db.check().unwrap().is_ok());
        db.sync().unwrap();
        drop((db, table));
        let db = open(machine.crash(CrashChoice::KeepNone), row_store_bytes).unwrap();
        assert_eq!(rows(&db), ROWS + 1);
        assert!(db.check().unwrap().is_ok());
    }
}

/// Whichever it is, for good or once; of the first fold, or of one after others that were done.
#[test]
fn any_write_of_a_fold_may_fail() {
    let killed = killed();
    let mut failed = 0;
    for sticky in [true, false] {
        for nth in 2.. {
            let machine = killed.kill();
            let files = machine.under_faults();
            let faults = files.faults();
            let fault = Fault::on(Operation::Write).on_paths_ending(PATH).nth(nth);
            let fault =
                fault.kind(if nth % 2 == 0 { io::ErrorKind::StorageFull } else { io::ErrorKind::Other });
            faults.inject(if sticky { fault.sticky() } else { fault });
            let db = open(files, SCARCE).unwrap();
            let fired = faults.fired();
            assert_eq!(rows(&db), ROWS, "write {nth}");
            faults.clear();
            db.checkpoint().unwrap();
            let table = db.table("t").unwrap();
            put(&db, &table, ROWS).unwrap();
            assert_eq!(rows(&db), ROWS + 1, "write {nth}");
            assert!(db.check().unwrap().is_ok());
            db.sync().unwrap();
            drop((db, table));
            let db = open(machine.crash(CrashChoice::KeepNone), 64 << 20).unwrap();
            assert_eq!(rows(&db), ROWS + 1, "write {nth}");
            if fired == 0 {
                break;
            }
            failed += 1;
        }
    }
    assert!(failed > 5, "{failed}");
}

#[test]
fn a_bad_page_of_one_table_keeps_nobody_from_the_others() {
    let value = b"a value that is found";
    let machine = CrashFileSystem::new();
    let db = open(machine.clone(), 64 << 20).unwrap();
    let (table, bad) = (db.table("t").unwrap(), db.table("bad").unwrap());
    db.put(&bad, "row", value).unwrap();
    db.checkpoint().unwrap();
    db.put(&bad, "later", "value").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
    drop((db, table, bad));
    let file = machine.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadWrite)).unwrap();
    let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut places = 0;
    for (at, _) in bytes.windows(value.len()).enumerate().filter(|(_, window)| window == value) {
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        places += 1;
    }
    assert!(places > 0);
    for _ in 0..3 {
        let db = open(machine.clone(), SCARCE).unwrap();
        assert_eq!(rows(&db), ROWS);
        let bad = db.existing_table("bad").unwrap().unwrap();
        assert!(matches!(db.get(&bad, "row"), Err(Error::Corrupt(_))));
        assert_eq!(db.get(&bad, "later").unwrap().as_deref(), Some(&b"value"[..]));
        assert!(matches!(db.checkpoint(), Err(Error::Corrupt(_))));
    }
    // Who gives it room may use the others.
    let db = open(machine, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    put(&db, &table, ROWS).unwrap();
    assert_eq!(rows(&db), ROWS + 1);
}

#[test]
fn a_failed_sync_of_a_fold_ends_the_open_and_each_try_begins_one_segment() {
    let mut machine = killed();
    let before = log(&machine).len();
    for tried in 1..=12 {
        let files = machine.under_faults();
        // The open has synced the file once before.
        files.faults().inject(Fault::on(Operation::SyncData).on_paths_ending(PATH).nth(2).errno(28));
        let error = open(files.clone(), SCARCE).unwrap_err();
        assert!(matches!(error, Error::Poisoned { .. }), "{error}");
        assert_eq!(files.faults().fired(), 1);
        machine = machine.kill();
        assert!(log(&machine).len() <= before + tried, "after {tried}");
    }
    let db = open(machine.clone(), SCARCE).unwrap();
    assert_eq!(rows(&db), ROWS);
    assert!(log(&machine).len() <= 2, "the open has folded them: {:?}", log(&machine));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn opens_that_find_no_room_for_the_log_leave_it_as_it_is() {
    let mut machine = killed();
    let mut refused = 0;
    let quota = limited(&machine).faults().bytes_used() + 2 * SEGMENT + SEGMENT / 2;
    for _ in 0..10 {
        let before = log(&machine);
        let files = limited(&machine);
        files.faults().set_quota(Some(quota));
        match open(files.clone(), SCARCE) {
            Ok(db) => assert_eq!((refused, rows(&db)), (0, ROWS)),
            Err(error) => {
                assert!(matches!(error, Error::NoSpace(_)), "{error}");
                assert_eq!(log(&machine), before);
                refused += 1;
            }
        }
        assert!(files.faults().bytes_used() <= quota);
        machine = machine.kill();
    }
    assert!((1..10).contains(&refused), "{refused}");
    let db = open(machine, SCARCE).unwrap();
    assert_eq!(rows(&db), ROWS);
}

/// Files of the log that are kept for use again are room for the segment that an open begins.
#[test]
fn a_kill_on_a_full_disk_leaves_a_database_that_opens() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let db = open(files, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
    db.checkpoint().unwrap();
    faults.set_quota(Some(faults.bytes_used()));
    let quota = faults.bytes_used();
    for row in ROWS..ROWS + 20 {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
    db.sync().unwrap();
    assert!(db.stats().log.spare_bytes > 0);
    let killed = machine.kill();
    drop((db, table));
    for at in 0.. {
        let machine = killed.kill();
        let files = limited(&machine);
        files.faults().set_quota(Some(quota));
        machine.cut_power_after(at);
        let opened = open(files, 64 << 20).map(drop);
        for left in [machine.after_kill(), machine.after_crash(CrashChoice::KeepNone)] {
            let db = open(left, 64 << 20).unwrap_or_else(|error| panic!("step {at}: {error}"));
            assert_eq!(rows(&db), ROWS + 20, "step {at}");
        }
        if opened.is_ok() {
            break;
        }
        assert!(at < 1000, "it opens when nothing cuts it short: {opened:?}");
    }
}
