//! Many short lives of one file: each begins a segment of the log, and an open bounds what they leave.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Durability, Error, Options};

const PATH: &str = "/db";
const LOG: &str = "/db-wal";
/// Sparse segments that an open leaves, the one that takes the appends, and the one that is made ready after it.
const MOST_FILES: usize = 8 + 1 + 1;
const SEGMENT: u64 = 64 << 10;

fn options() -> Options {
    Options {
        log_segment_bytes: SEGMENT,
        // Nobody syncs or folds beside the test.
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    }
}

fn open(files: impl FileSystem + 'static, options: Options) -> braid::Result<Database> {
    Database::open_in(Env::with_files(Arc::new(files)), PATH, options)
}

/// The files of the log, and their bytes.
fn log(files: &dyn FileSystem) -> (usize, u64) {
    let dir = Path::new(LOG);
    let names = files.read_dir(dir).unwrap();
    let bytes =
        |name| files.open(&dir.join(name), OpenOptions::new(OpenMode::ReadOnly)).unwrap().len().unwrap();
    (names.len(), names.iter().map(bytes).sum())
}

fn rows(db: &Database) -> u32 {
    let Some(table) = db.existing_table("t").unwrap() else { return 0 };
    db.snapshot()
        .unwrap()
        .scan(&table)
        .unwrap()
        .inspect(|row| assert!(row.is_ok()))
        .count()
        .try_into()
        .unwrap()
}

/// One life: a row, of so many bytes.
fn live(files: &CrashFileSystem, life: u32, bytes: usize, options: Options) {
    let db = open(files.clone(), options).unwrap();
    assert_eq!(rows(&db), life, "what earlier lives have committed");
    let table = db.table("t").unwrap();
    db.put(&table, life.to_be_bytes(), vec![7; bytes]).unwrap();
}

#[test]
fn lives_that_are_dropped_killed_or_cut_leave_few_segments() {
    for end in ["drop", "kill", "power cut"] {
        let mut machine = CrashFileSystem::new();
        for life in 0..100 {
            live(&machine, life, 10, options());
            let (files, bytes) = log(&machine);
            assert!(files <= MOST_FILES, "{files} files after {life} lives that end with a {end}");
            assert!(bytes <= SEGMENT * MOST_FILES as u64, "{bytes} bytes after {life} lives");
            machine = match end {
                "drop" => machine,
                "kill" => machine.kill(),
                _ => machine.crash(CrashChoice::KeepNone),
            };
        }
        let db = open(machine, options()).unwrap();
        assert_eq!(rows(&db), 100);
        assert!(db.check().unwrap().is_ok());
    }
}

#[test]
fn lives_that_write_nothing_leave_few_segments() {
    let machine = CrashFileSystem::new();
    for life in 0..50 {
        drop(open(machine.clone(), options()).unwrap());
        assert!(log(&machine).0 <= MOST_FILES, "after {life} lives");
    }
}

/// Lives that use more than half of their segment leave no sparse ones: the bytes of the files count.
#[test]
fn lives_that_write_much_leave_no_more_than_log_bytes() {
    let log_bytes = 16 * SEGMENT;
    let machine = CrashFileSystem::new();
    let mut most = 0;
    for life in 0..100 {
        live(&machine, life, 40_000, Options { log_bytes, ..options() });
        let (_, bytes) = log(&machine);
        assert!(bytes <= log_bytes + 2 * SEGMENT, "{bytes} bytes after {life} lives");
        most = most.max(bytes);
    }
    assert!(most > log_bytes / 2, "opens do not fold before they must");
}

/// While a file is open, what its log takes is what the files take, not how far positions have come: records that do not fit
/// into the rest of a segment leave it unused.
#[test]
fn log_bytes_are_bytes_of_files() {
    let log_bytes = 32 * SEGMENT;
    let machine = CrashFileSystem::new();
    let options = Options { log_bytes, durability: Durability::Deferred, ..options() };
    let db = open(machine, options).unwrap();
    let table = db.table("t").unwrap();
    // Each takes two thirds of a segment, and so has one to itself.
    for row in 0..40_u32 {
        db.put(&table, (row % 8).to_be_bytes(), vec![7; 40_000]).unwrap();
    }
    let stats = db.stats();
    assert!(stats.log.bytes_appended < log_bytes, "the positions are no reason");
    for _ in 0..200 {
        if db.stats().checkpoints.count > 0 {
            return;
        }
        braid::vfs::sync::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} bytes of files, and no checkpoint", stats.log.retained_bytes);
}

#[test]
fn an_open_for_reading_leaves_the_log_as_it_is() {
    let machine = CrashFileSystem::new();
    for life in 0..8 {
        live(&machine, life, 10, options());
    }
    // This life's is the ninth: whoever opens for writing next folds.
    live(&machine, 8, 10, options());
    let before = log(&machine);
    assert!(before.0 > 8);
    for _ in 0..3 {
        let env = Env::with_files(Arc::new(machine.clone()));
        assert_eq!(rows(&Database::open_read_only_in(env, PATH, Options::default()).unwrap()), 9);
        assert_eq!(log(&machine), before);
    }
    live(&machine, 9, 10, options());
    assert!(log(&machine).0 <= 2);
}

/// One life that ends badly is no reason to fold, however long it was.
#[test]
fn an_open_after_a_crash_does_not_fold() {
    for rows_before in [1, 300] {
        let machine = CrashFileSystem::new();
        let db = open(machine.clone(), options()).unwrap();
        let table = db.table("t").unwrap();
        for row in 0..rows_before {
            db.put(&table, u32::to_be_bytes(row), [7; 1000]).unwrap();
        }
        let db = open(machine.kill(), options()).unwrap();
        assert_eq!((rows(&db), db.stats().checkpoints.count), (rows_before, 0));
    }
}

/// The file opens all the same when there is no space to fold into, and folds at the next open.
#[test]
fn a_full_disk_keeps_nobody_out() {
    let machine = CrashFileSystem::new();
    for life in 0..9 {
        live(&machine, life, 10, options());
    }
    let files = machine.under_faults();
    let faults = files.faults();
    faults.inject(Fault::on(Operation::Write).on_paths_ending(PATH).nth(2).errno(28).sticky());
    let db = open(files, options()).unwrap();
    assert_eq!((rows(&db), db.stats().checkpoints.count), (9, 0));
    drop(db);
    let db = open(machine, options()).unwrap();
    assert_eq!((rows(&db), db.stats().checkpoints.count), (9, 1));
}

#[test]
fn a_fold_whose_sync_fails_ends_the_open_and_not_the_next_one() {
    let mut machine = CrashFileSystem::new();
    for life in 0..9 {
        live(&machine, life, 10, options());
        machine = machine.kill();
    }
    let files = machine.under_faults();
    let faults = files.faults();
    // The open has synced the file once before.
    faults.inject(Fault::on(Operation::SyncData).on_paths_ending(PATH).nth(2).errno(28));
    let Err(Error::Poisoned { source, .. }) = open(files, options()) else { panic!("it must fail") };
    assert_eq!((faults.fired(), source.raw_os_error()), (1, Some(28)));
    assert_eq!(faults.counters().calls_on(Operation::Unlock, PATH), 1);
    assert_eq!(rows(&open(machine, options()).unwrap()), 9);
}

/// Killed with a commit that only the log has, and a table of this name in the base.
fn killed_with(name: &str) -> CrashFileSystem {
    let machine = CrashFileSystem::new();
    let db = open(machine.clone(), options()).unwrap();
    let table = db.table(name).unwrap();
    db.checkpoint().unwrap();
    db.put(&table, "row", "value").unwrap();
    machine.kill()
}

#[test]
fn opens_that_fail_for_a_bad_page_leave_no_segments() {
    let name = b"a name that is found";
    let killed = killed_with(std::str::from_utf8(name).unwrap());
    let read_write = OpenOptions::new(OpenMode::ReadWrite);
    let file = killed.open(Path::new(PATH), read_write).unwrap();
    let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let places = bytes.windows(name.len()).enumerate().filter(|(_, window)| window == name);
    let mut refused = 0;
    for (at, _) in places {
        let machine = killed.after_kill();
        let file = machine.open(Path::new(PATH), read_write).unwrap();
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        let before = log(&machine);
        for _ in 0..20 {
            if let Err(error) = open(machine.clone(), options()) {
                assert!(matches!(error, Error::Corrupt(_)), "{error}");
                assert_eq!(log(&machine), before, "the page at {at}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 20, "the name is in one leaf that each open reads");
}

#[test]
fn opens_that_fail_to_read_a_page_leave_no_segments() {
    let machine = killed_with("t");
    let mut failed = 0;
    for nth in 1.. {
        let before = log(&machine);
        let faulty = machine.under_faults();
        faulty.faults().inject(Fault::on(Operation::Read).on_paths_ending(PATH).nth(nth).sticky());
        let opened = open(faulty.clone(), options());
        if faulty.faults().fired() == 0 {
            break;
        }
        assert!(matches!(opened, Err(Error::Io { .. })), "read {nth}: {opened:?}");
        assert_eq!(log(&machine), before, "read {nth}");
        failed += 1;
    }
    assert!(failed > 2, "{failed} reads of the file");
}
