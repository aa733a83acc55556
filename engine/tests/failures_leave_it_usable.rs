//! After a full disk and after a failed sync.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, Operation};
use braid::vfs::{Env, FileSystem as _, OpenMode, OpenOptions};
use braid::{Database, Durability, Error, JournalMode, Options, Table, TransactionOptions};

fn open(machine: &CrashFileSystem) -> (Database, Faults) {
    open_with(machine, 64 << 10)
}

fn open_with(machine: &CrashFileSystem, row_store_bytes: usize) -> (Database, Faults) {
    let files = machine.under_faults();
    let faults = files.faults();
    let options = Options {
        row_store_bytes,
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

/// On a full disk the log needs the space more than pages that nothing reaches.
#[test]
fn a_creation_that_was_cut_short_is_finished_where_the_directory_of_the_log_is_a_mount_point() {
    let options = Options { log_segment_bytes: 64 << 10, ..Options::default() };
    let mut segments = 0;
    for steps in 0..200 {
        let machine = CrashFileSystem::new();
        machine.cut_power_after(steps);
        let env = Env::with_files(Arc::new(machine.clone()));
        if Database::open_in(env, "/db", options.clone()).is_ok() {
            break;
        }
        let machine = machine.after_kill();
        let names = machine.read_dir(Path::new("/db-wal")).unwrap_or_default();
        segments += names.iter().filter(|name| name.to_string_lossy().ends_with(".seg")).count();
        let files = machine.under_faults();
        let busy = Fault::on(Operation::Remove).kind(std::io::ErrorKind::ResourceBusy);
        files.faults().inject(busy.on_paths(|path| path == Path::new("/db-wal")).sticky());
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options.clone()).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "value").unwrap();
        drop((db, table));
        let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
        assert_eq!(rows(&db, &db.existing_table("t").unwrap().unwrap()), 1, "after {steps} steps");
    }
    assert!(segments > 0, "some creation had made its log");
}

#[test]
fn a_close_without_room_for_its_clock_syncs_what_was_acknowledged() {
    for map_log in [true, false] {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults();
        let options = Options {
            durability: Durability::Deferred,
            log_segment_bytes: 64 << 10,
            deferred_sync_interval: Duration::from_secs(3600),
            map_log,
            ..Options::default()
        };
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
        let table = db.table("t").unwrap();
        faults.set_quota(Some(faults.bytes_used()));
        let mut committed = 0_u32;
        // The last ones are as short as can be, so that the clock does not fit either.
        for bytes in [1000, 100, 0] {
            let error = loop {
                match db.put(&table, committed.to_be_bytes(), vec![7; bytes]) {
                    Ok(_) => committed += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::NoSpace(_)), "{error}");
        }
        let syncs = faults.counters().file_syncs();
        drop((db, table));
        assert!(faults.counters().file_syncs() > syncs);
        let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
        let table = db.existing_table("t").unwrap().unwrap();
        assert_eq!(rows(&db, &table), committed as usize, "map_log: {map_log}");
    }
}

#[test]
fn a_checkpoint_without_space_gives_back_what_it_took() {
    for room_kib in [20, 64, 150, 300, 500] {
        let machine = CrashFileSystem::new();
        let (db, faults) = open_with(&machine, 16 << 20);
        let table = db.table("t").unwrap();
        let mut committed = 0_u32;
        let put = |at: u32| db.put(&table, at.to_be_bytes(), [7; 2000]).map(drop);
        while committed < 400 {
            put(committed).unwrap();
            committed += 1;
        }
        db.checkpoint().unwrap();
        while committed < 800 {
            put(committed).unwrap();
            committed += 1;
        }
        let length = || {
            let file = machine.open(Path::new("/db"), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
            file.len().unwrap()
        };
        let before = length();
        let (pages, log) = (db.stats().file.bytes, db.stats().log.retained_bytes);
        faults.set_quota(Some(faults.bytes_used() + (room_kib << 10)));
        for _ in 0..3 {
            assert!(matches!(db.checkpoint(), Err(Error::NoSpace(_))));
            assert_eq!(db.stats().file.bytes, pages);
            assert_eq!(length(), before, "of {room_kib} KiB");
        }
        let until = loop {
            match put(committed) {
                Ok(()) => committed += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(until, Error::NoSpace(_)), "{until}");
        let used = db.stats().log.retained_bytes - log;
        assert!(used + (128 << 10) > room_kib << 10, "{used} bytes of {room_kib} KiB went to the log");
        assert!(db.check().unwrap().is_ok());
        faults.set_quota(None);
        db.checkpoint().unwrap();
        assert!(db.check().unwrap().is_ok());
        assert_eq!(rows(&db, &table), committed as usize);
        drop((db, table));
        let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
        assert_eq!(rows(&db, &db.table("t").unwrap()), committed as usize);
    }
}

/// Files of the log that are kept for use again are room that the database has, and not what it fails for.
#[test]
fn a_full_disk_takes_what_the_log_keeps_for_use_again() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open_with(&machine, 8 << 20);
    let table = db.table("t").unwrap();
    let fill = |count: u32| {
        for number in 0..count {
            db.put(&table, number.to_be_bytes(), [7; 2000]).unwrap();
        }
    };
    fill(300);
    db.checkpoint().unwrap();
    let spare = db.stats().log.spare_bytes;
    assert!(spare > 300 << 10, "{spare}");
    faults.set_quota(Some(faults.bytes_used()));
    // Into the files that are there.
    fill(50);
    for number in 300..320_u32 {
        db.put(&table, number.to_be_bytes(), [7; 2000]).unwrap();
    }
    assert!(db.stats().log.spare_bytes > 0, "the log took no new room");
    db.checkpoint().unwrap();
    assert_eq!(rows(&db, &table), 320);
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn a_failed_sync_refuses_writers_and_keeps_readers_where_they_were() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    db.put(&table, "stands", "").unwrap();
    let deferred = TransactionOptions { durability: Some(Durability::Deferred), ..Default::default() };
    faults.inject(Fault::on(Operation::SyncData));
    assert!(matches!(db.put(&table, "unknown", ""), Err(Error::CommitUnknown { .. })));
    assert!(matches!(db.put(&table, "refused", ""), Err(Error::Poisoned { .. })));
    assert!(matches!(db.begin_with(deferred), Err(Error::Poisoned { .. })));
    assert!(matches!(db.checkpoint(), Err(Error::Poisoned { .. })));
    assert!(matches!(db.sync(), Err(Error::Poisoned { .. })));
    assert_eq!(rows(&db, &table), 1);
    assert!(db.stats().log.poisoned);
    assert!(matches!(db.close(), Err(Error::Poisoned { .. })));
    drop(table);
    let (db, _) = open(&machine);
    let table = db.table("t").unwrap();
    assert!(db.get(&table, "stands").unwrap().is_some());
    db.put(&table, "again", "").unwrap();
}

#[test]
fn a_commit_half_written_is_in_doubt_and_no_other_is() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let options =
        Options { map_log: false, deferred_sync_interval: Duration::from_secs(3600), ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let writing = |key: &str| {
        let mut tx = db.begin_concurrent().unwrap();
        tx.put(&table, key, "").unwrap();
        tx
    };
    let before = db.put(&table, "stands", "").unwrap().timestamp;
    let (half, late) = (writing("half"), writing("late"));
    // The payload is written first, the header second: what fails there may be there in part.
    let of_the_log = |path: &Path| path.to_string_lossy().contains("-wal");
    faults.inject(Fault::on(Operation::Write).on_paths(of_the_log).nth(2));
    let error = half.commit().unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { commit_ts, .. } if commit_ts > before), "{error}");
    // Nothing of this one was ever written: it is not in doubt, and the place of the other is not its place.
    assert!(matches!(late.commit(), Err(Error::Poisoned { .. })));
    assert_eq!(rows(&db, &table), 1);
    drop((db, table));
    let (db, _) = open(&machine);
    let table = db.table("t").unwrap();
    assert!(db.get(&table, "late").unwrap().is_none());
}

#[test]
fn a_checkpoint_whose_sync_fails_loses_nothing() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    db.put(&table, "stands", "").unwrap();
    let of_the_file = |path: &Path| path.ends_with("db");
    faults.inject(Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).on_paths(of_the_file));
    assert!(matches!(db.checkpoint(), Err(Error::Poisoned { .. })));
    assert!(matches!(db.put(&table, "refused", ""), Err(Error::Poisoned { .. })));
    assert_eq!(rows(&db, &table), 1);
    drop((db, table));
    let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
    let table = db.table("t").unwrap();
    assert_eq!(rows(&db, &table), 1);
}

/// A database with everything in the file, and a conflict since.
fn conflict_without_a_commit() -> (CrashFileSystem, Database, Faults) {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let mut late = db.begin_concurrent().unwrap();
    late.put(&table, "row", "late").unwrap();
    db.put(&table, "row", "first").unwrap();
    db.checkpoint().unwrap();
    assert!(matches!(late.commit(), Err(Error::Busy(_))));
    (machine, db, faults)
}

#[test]
fn a_checkpoint_with_nothing_but_statistics_does_not_touch_the_disk() {
    let (machine, db, faults) = conflict_without_a_commit();
    let writing = [Operation::Write, Operation::SetLen, Operation::SyncData, Operation::SyncAll];
    faults.inject(Fault::on_any(&writing).on_paths(|path| path.ends_with("db")).sticky());
    let count = db.stats().checkpoints.count;
    assert_eq!(db.checkpoint().unwrap().rows, 0);
    assert_eq!(db.stats().checkpoints.count, count);
    db.close().unwrap();
    let (db, _) = open(&machine);
    assert_eq!(db.stats().past_conflicts, None);
}

#[test]
fn a_checkpoint_that_failed_tells_of_conflicts_the_next_time() {
    let (machine, db, faults) = conflict_without_a_commit();
    db.put(&db.table("t").unwrap(), "row", "second").unwrap();
    faults.inject(Fault::on(Operation::Write).on_paths(|path| path.ends_with("db")));
    assert!(db.checkpoint().is_err());
    db.checkpoint().unwrap();
    db.close().unwrap();
    let (db, _) = open(&machine);
    assert_eq!(db.stats().past_conflicts.unwrap().report.kinds.write_write, 1);
}

/// Rows in the file alone, or above it too; every read goes to the file.
fn rows_to_walk(above: bool) -> (Database, Table, Faults, Vec<Vec<u8>>) {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let options = Options { page_bytes: 512, cache_bytes: 0, ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    let table = db.table("t").unwrap();
    for key in (0..2000_u32).step_by(2) {
        db.put(&table, key.to_be_bytes(), key.to_be_bytes()).unwrap();
    }
    db.checkpoint().unwrap();
    if above {
        for key in (0..2000_u32).step_by(7) {
            db.put(&table, key.to_be_bytes(), key.to_be_bytes()).unwrap();
        }
        for key in (0..2000_u32).step_by(10) {
            db.delete(&table, key.to_be_bytes()).unwrap();
        }
    }
    let keys = db.snapshot().unwrap().scan(&table).unwrap().map(|row| row.unwrap().0).collect();
    (db, table, faults, keys)
}

#[test]
fn a_step_that_could_not_read_is_made_again_and_misses_nothing() {
    for above in [false, true] {
        let (db, table, faults, keys) = rows_to_walk(above);
        for backward in [false, true] {
            let mut cursor = db.snapshot().unwrap().cursor(&table).unwrap();
            let (mut seen, mut failed, mut retries) = (Vec::new(), 0, false);
            loop {
                if !retries && seen.len() % 3 == 1 {
                    faults.clear();
                    faults.inject(Fault::on(Operation::Read));
                }
                retries = false;
                match if backward { cursor.prev() } else { cursor.next() } {
                    Ok(true) => {
                        let (key, value) = cursor.row().unwrap().unwrap();
                        assert_eq!(key, value);
                        seen.push(key.to_vec());
                    }
                    Ok(false) => break,
                    Err(_) => {
                        (failed, retries) = (failed + 1, true);
                        assert_eq!((cursor.key(), cursor.value().unwrap()), (None, None));
                        faults.clear();
                        if failed % 2 == 0
                            && let Some(left) = seen.pop()
                        {
                            assert!(if backward { cursor.next() } else { cursor.prev() }.unwrap());
                            assert_eq!(cursor.key(), Some(&*left));
                            seen.push(left);
                        }
                    }
                }
            }
            if backward {
                seen.reverse();
            }
            assert!(failed > 5, "{failed}");
            assert_eq!(seen, keys);
        }
    }
}

/// What a step that failed did not tell was not read; the step that is made again has read from where the cursor was.
#[test]
fn a_step_that_could_not_read_notes_nothing() {
    for again in [true, false] {
        let (db, table, faults, keys) = rows_to_walk(false);
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let other = db.table("other").unwrap();
        let options =
            TransactionOptions { isolation: braid::Isolation::Serializable, ..TransactionOptions::default() };
        let half = keys.len() / 2;
        for (written, read) in [(0, false), (half - 1, false), (half, true), (keys.len() - 1, false)] {
            let mut tx = db.begin_with(options.clone()).unwrap();
            let mut cursor = tx.cursor(&table).unwrap();
            assert!(cursor.seek_ge(&keys[half]).unwrap());
            // Small pages and a small cache: a few steps on there is one that has to read.
            faults.inject(Fault::on(Operation::Read));
            let mut passed = half;
            while cursor.next().is_ok() {
                passed += 1;
            }
            faults.clear();
            if again {
                assert!(cursor.next().unwrap());
                assert_eq!(cursor.key(), Some(&*keys[passed + 1]));
            }
            assert!(passed + 1 < keys.len() - 1);
            drop(cursor);
            tx.put(&other, "result", "").unwrap();
            db.put(&table, &keys[written], &keys[written]).unwrap();
            assert_eq!(tx.commit().is_err(), read, "{written} of {half}");

            // The row right behind the failure: read if the step was made again.
            let mut tx = db.begin_with(options.clone()).unwrap();
            let mut cursor = tx.cursor(&table).unwrap();
            assert!(cursor.seek_ge(&keys[half]).unwrap());
            faults.inject(Fault::on(Operation::Read));
            let mut passed = half;
            while cursor.next().is_ok() {
                passed += 1;
            }
            faults.clear();
            if again {
                assert!(cursor.next().unwrap());
            }
            drop(cursor);
            tx.put(&other, "result", "").unwrap();
            db.put(&table, &keys[passed + 1], &keys[passed + 1]).unwrap();
            assert_eq!(tx.commit().is_err(), again, "the row behind");
        }
    }
}

#[test]
fn a_cursor_that_could_not_turn_round_knows_where_it_was() {
    for above in [false, true] {
        let (db, table, faults, keys) = rows_to_walk(above);
        let mut cursor = db.snapshot().unwrap().cursor(&table).unwrap();
        assert!(cursor.seek_ge(&keys[100]).unwrap());
        let mut failed = 0;
        for at in keys.iter().take(400).skip(100) {
            assert_eq!(cursor.key(), Some(&**at));
            faults.inject(Fault::on(Operation::Read));
            if cursor.prev().is_err() {
                failed += 1;
                faults.inject(Fault::on(Operation::Read));
                assert!(cursor.next().is_err());
                assert!(cursor.next().unwrap());
                assert_eq!(cursor.key(), Some(&**at));
            } else {
                faults.clear();
                assert!(cursor.next().unwrap());
            }
            assert!(cursor.next().unwrap());
        }
        assert!(failed > 2, "{failed}");
    }
}

#[test]
fn checkpoints_that_fail_seal_no_more_than_once() {
    let machine = CrashFileSystem::new();
    let (db, faults) = open(&machine);
    let table = db.table("t").unwrap();
    faults.inject(
        Fault::on(Operation::Write).on_paths_ending("/db").kind(std::io::ErrorKind::StorageFull).sticky(),
    );
    for row in 0..10_u32 {
        db.put(&table, row.to_be_bytes(), [7; 200]).unwrap();
        assert!(db.checkpoint().is_err());
        assert!(db.stats().row_store.generations <= 2, "{:?}", db.stats().row_store);
        assert_eq!(rows(&db, &table), row as usize + 1);
    }
    faults.clear();
    db.compact().unwrap();
    let report = db.checkpoint().unwrap();
    assert_eq!(report.timestamp, db.snapshot().unwrap().timestamp());
    assert_eq!(db.stats().row_store.generations, 1);
    assert_eq!(db.stats().row_store.bytes, 0);
    drop((db, table));
    let (db, _) = open(&machine.crash(CrashChoice::KeepNone));
    assert_eq!(rows(&db, &db.table("t").unwrap()), 10);
}
