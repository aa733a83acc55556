//! Opening after a kill, and power cuts during that.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::sync::thread;
use braid::vfs::{Env, FileSystem};
use braid::{Change, Database, Durability, Error, JournalMode, Options};

const PATH: &str = "/db";
const ROWS: u32 = 150;

fn open(machine: &CrashFileSystem, row_store_bytes: usize) -> braid::Result<Database> {
    open_on(Arc::new(machine.clone()), row_store_bytes)
}

fn open_on(files: Arc<dyn FileSystem>, row_store_bytes: usize) -> braid::Result<Database> {
    let options = Options {
        row_store_bytes,
        log_segment_bytes: 64 << 10,
        journal_mode: Some(JournalMode::Mvcc),
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    Database::open_in(Env::with_files(files), PATH, options)
}

/// What a killed process leaves whose commits no sync has covered; they span several segments.
fn killed_with_a_long_log() -> CrashFileSystem {
    let machine = CrashFileSystem::new();
    let db = open(&machine, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
    machine.kill()
}

/// How many rows there are, which must be the first ones.
fn prefix(db: &Database) -> u32 {
    let Some(table) = db.existing_table("t").unwrap() else { return 0 };
    let keys: Vec<_> = db.snapshot().unwrap().scan(&table).unwrap().map(|row| row.unwrap().0).collect();
    for (row, key) in (0_u32..).zip(&keys) {
        assert_eq!(key[..], row.to_be_bytes());
    }
    keys.len().try_into().unwrap()
}

#[test]
fn a_power_cut_while_a_recovery_folds_leaves_a_database_that_opens() {
    let killed = killed_with_a_long_log();
    for steps in (0..).step_by(3) {
        let machine = killed.kill();
        machine.cut_power_after(steps);
        let opened = open(&machine, 64 << 10);
        let after = machine.crash(CrashChoice::KeepNone);
        let finished = opened.is_ok();
        drop(opened);
        let db = open(&after, 64 << 20).unwrap_or_else(|error| panic!("cut after {steps} steps: {error}"));
        let rows = prefix(&db);
        let table = db.table("t").unwrap();
        db.put(&table, rows.to_be_bytes(), "next").unwrap();
        db.sync().unwrap();
        drop(db);
        let db = open(&after.crash(CrashChoice::KeepNone), 64 << 20).unwrap();
        assert_eq!(prefix(&db), rows + 1, "cut after {steps} steps");
        if finished {
            assert_eq!(rows, ROWS, "everything that was replayed stands once the open has returned");
            return;
        }
    }
}

/// What a recovery folds is in the log for good: whoever follows the log misses nothing of it.
#[test]
fn a_power_cut_while_a_recovery_folds_leaves_no_hole_in_the_change_feed() {
    const SYNCED: u32 = 20;
    let machine = CrashFileSystem::new();
    let db = open(&machine, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    let put = |row: u32| db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap().timestamp;
    let followed_to = (0..SYNCED).map(put).max().unwrap();
    db.sync().unwrap();
    (SYNCED..ROWS).for_each(|row| _ = put(row));
    let killed = machine.kill();
    let mut told_of = 0;
    for steps in (0..).step_by(3) {
        let machine = killed.kill();
        machine.cut_power_after(steps);
        let opened = open(&machine, 64 << 10);
        let finished = opened.is_ok();
        let after = machine.crash(CrashChoice::KeepNone);
        drop(opened);
        let db = open(&after, 64 << 20).unwrap();
        let rows = prefix(&db);
        let table = db.table("t").unwrap();
        db.put(&table, rows.to_be_bytes(), "next").unwrap();
        db.sync().unwrap();
        match db.changes(followed_to) {
            Ok(mut feed) => {
                let mut told = Vec::new();
                while let Some(set) = feed.try_next().unwrap() {
                    set.for_each(|change| match change.unwrap() {
                        Change::Put { key, .. } => told.push(key),
                        other => panic!("{other:?}"),
                    });
                }
                let expected: Vec<_> = (SYNCED..=rows).map(|row| row.to_be_bytes().to_vec()).collect();
                assert_eq!(told, expected, "cut after {steps} steps");
                told_of += 1;
            }
            Err(error) => assert!(matches!(error, Error::HistoryGone { .. }), "{error}"),
        }
        if finished {
            break;
        }
    }
    assert!(told_of > 10, "{told_of}");
}

/// What the row store has room for is not written to the database file before somebody may use it: an open takes as long as it
/// takes to read the log.
#[test]
fn an_open_leaves_to_a_checkpoint_what_the_row_store_has_room_for() {
    for (row_store_bytes, generations, folds) in
        [(64 << 10, 1, true), (256 << 10, 2, false), (64 << 20, 1, false)]
    {
        let (opened, _) = open_unless_it_folds(&killed_with_a_long_log(), row_store_bytes);
        assert_eq!(opened.is_err(), folds, "{row_store_bytes}");
        if folds {
            continue;
        }
        drop(opened);
        let machine = killed_with_a_long_log();
        let files = machine.under_faults();
        let faults = files.faults();
        // The first write is that of the meta page that the open makes sure of.
        faults.inject(Fault::on(Operation::Write).on_paths_ending(PATH).nth(2).sticky());
        let db = open_on(Arc::new(files), row_store_bytes).unwrap();
        // The checkpoint that fails may have sealed one more.
        assert!(db.stats().row_store.generations >= generations, "{row_store_bytes}");
        assert_eq!(prefix(&db), ROWS);
        // What is sealed is validated against, and written over, as what is not.
        let table = db.table("t").unwrap();
        let mut one = db.begin_concurrent().unwrap();
        let mut other = db.begin_concurrent().unwrap();
        one.put(&table, 0_u32.to_be_bytes(), "one").unwrap();
        other.put(&table, 0_u32.to_be_bytes(), "other").unwrap();
        one.commit().unwrap();
        assert!(other.commit().unwrap_err().is_retryable());
        db.checkpoint().unwrap_err();
        faults.clear();
        db.checkpoint().unwrap();
        assert_eq!((db.stats().row_store.generations, prefix(&db)), (1, ROWS));
        drop((db, table));
        let db = open(&machine.crash(CrashChoice::KeepNone), row_store_bytes).unwrap();
        let table = db.table("t").unwrap();
        assert_eq!(db.get(&table, 0_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(prefix(&db), ROWS);
        assert!(db.check().unwrap().is_ok());
    }
}

/// Opens what was killed, unless the open has to fold: whatever is synced after the meta page that it makes sure of fails. And what it
/// keeps, no checkpoint takes away.
fn open_unless_it_folds(
    killed: &CrashFileSystem,
    row_store_bytes: usize,
) -> (braid::Result<Database>, CrashFileSystem) {
    let machine = killed.kill();
    let files = machine.under_faults();
    files.faults().inject(Fault::on(Operation::SyncData).on_paths_ending(PATH).nth(2).sticky());
    (open_on(Arc::new(files), row_store_bytes), machine)
}

/// Opens what was killed with all sizes of the row store from the least on; how many of these opens had to fold.
fn open_with_budgets(killed: &CrashFileSystem, budgets: RangeInclusive<usize>, step: usize) -> usize {
    let opens = budgets.step_by(step).filter(|row_store_bytes| {
        let (opened, machine) = open_unless_it_folds(killed, *row_store_bytes);
        let folds = opened.is_err();
        let db = opened.unwrap_or_else(|_| open(&machine.kill(), *row_store_bytes).unwrap());
        let stats = db.stats().row_store;
        assert!(stats.bytes < *row_store_bytes as u64, "{stats:?}");
        assert_eq!(prefix(&db), ROWS);
        folds
    });
    opens.count()
}

/// Also where one transaction is larger than the row store: it is kept beside nothing, and the one after it comes when it is gone.
#[test]
fn what_an_open_leaves_of_large_transactions_is_within_the_budget() {
    let machine = CrashFileSystem::new();
    let db = open(&machine, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    for first in (0..ROWS).step_by(50) {
        let mut large = db.begin_immediate().unwrap();
        for row in first..first + 49 {
            large.put(&table, row.to_be_bytes(), [7; 3000]).unwrap();
        }
        large.commit().unwrap();
        db.put(&table, (first + 49).to_be_bytes(), "small").unwrap();
    }
    let folds = open_with_budgets(&machine.kill(), 64 << 10..=640 << 10, 16 << 10);
    assert!((10..30).contains(&folds), "{folds}");
}

/// They take more in the row store than on their way there.
#[test]
fn what_an_open_leaves_of_tiny_rows_is_within_the_budget() {
    let machine = CrashFileSystem::new();
    let db = open(&machine, 64 << 20).unwrap();
    let (table, tiny) = (db.table("t").unwrap(), db.table("tiny").unwrap());
    for row in 0..ROWS {
        let mut many = db.begin_immediate().unwrap();
        many.put(&table, row.to_be_bytes(), "").unwrap();
        for number in 0..20 {
            let scattered = (row * 20 + number).wrapping_mul(2_654_435_761);
            many.put(&tiny, scattered.to_be_bytes(), "").unwrap();
        }
        many.commit().unwrap();
    }
    let folds = open_with_budgets(&machine.kill(), 128 << 10..=640 << 10, 8 << 10);
    assert!((10..60).contains(&folds), "{folds}");
}

/// Nobody need commit anything for it.
#[test]
fn what_an_open_has_sealed_is_folded_before_long() {
    let machine = killed_with_a_long_log();
    let db = open(&machine, 256 << 10).unwrap();
    while db.stats().row_store.generations > 1 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(prefix(&db), ROWS);
}

/// What the open reads of the database file may be in the page cache alone: after a kill in the middle of a checkpoint, and
/// after a checkpoint whose sync failed, which nothing writes again.
#[test]
fn a_meta_page_of_which_only_the_page_cache_knows_is_not_built_upon() {
    let options = || Options { log_segment_bytes: 64 << 10, ..Options::default() };
    let open = |machine: &CrashFileSystem| {
        Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options()).unwrap()
    };
    for killed in [true, false] {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults();
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
        let table = db.table("t").unwrap();
        for row in 0..6_u8 {
            db.put(&table, [row], [row; 20_000]).unwrap();
        }
        // The second sync of the file is that of the meta page.
        let of_the_meta_page = || Fault::on(Operation::SyncData).on_paths_ending("/db").nth(2);
        let left = Arc::new(std::sync::Mutex::new(None));
        if killed {
            let (left, machine) = (Arc::clone(&left), machine.clone());
            faults
                .inject(of_the_meta_page().call(move || *left.lock().unwrap() = Some(machine.after_kill())));
            db.checkpoint().unwrap();
        } else {
            faults.inject(of_the_meta_page());
            assert!(db.checkpoint().is_err());
        }
        drop((db, table));
        let machine = left.lock().unwrap().take().unwrap_or(machine);
        let db = open(&machine);
        let table = db.table("t").unwrap();
        for row in 6..12_u8 {
            db.put(&table, [row], [row; 20_000]).unwrap();
        }
        let after = machine.crash(CrashChoice::KeepNone);
        drop((db, table));
        let db = open(&after);
        let table = db.table("t").unwrap();
        for row in 0..12_u8 {
            assert_eq!(
                db.get(&table, [row]).unwrap(),
                Some(vec![row; 20_000]),
                "row {row}, killed: {killed}"
            );
        }
        assert!(db.check().unwrap().is_ok());
    }
}
