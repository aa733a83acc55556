//! A table that is loaded has all of its rows, or does not exist.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::{Env, FileSystem as _, OpenMode, OpenOptions};
use braid::{Database, Durability, Error, JournalMode, Loader, Options, Table};

/// So small that every load of a test writes runs and folds in several steps.
fn options() -> Options {
    Options { row_store_bytes: 64 << 10, log_segment_bytes: 64 << 10, ..Options::default() }
}

fn open(machine: &CrashFileSystem) -> Database {
    Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options()).unwrap()
}

/// A permutation of the numbers below 4,096.
fn scrambled(number: u32) -> u32 {
    number.wrapping_mul(1_103) % 4_096
}

fn value(number: u32) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; (number % 200) as usize]
}

fn put(load: &mut Loader, numbers: impl Iterator<Item = u32>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for number in numbers {
        let (key, value) = (number.to_be_bytes().to_vec(), value(number));
        load.put(&key, &value).unwrap();
        rows.insert(key, value);
    }
    rows
}

fn rows(db: &Database, table: &Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    db.snapshot().unwrap().scan(table).unwrap().map(Result::unwrap).collect()
}

fn is_sound(db: &Database) {
    let report = db.check().unwrap();
    assert!(report.is_ok(), "{report:?}");
}

#[test]
fn rows_in_any_order_become_a_table() {
    for (name, numbers) in [
        ("ascending", (0..4_096).collect::<Vec<_>>()),
        ("descending", (0..4_096).rev().collect()),
        ("scrambled", (0..4_096).map(scrambled).collect()),
        ("ascending, then scrambled", (2_000..4_096).chain((0..4_096).map(scrambled)).collect()),
        ("one", vec![7]),
        ("none", vec![]),
    ] {
        for db in [open(&CrashFileSystem::new()), Database::in_memory_with(options()).unwrap()] {
            let mut load = db.load_table("t").unwrap();
            let expected = put(&mut load, numbers.iter().copied());
            let (table, report) = load.finish().unwrap();
            assert_eq!(report.rows, expected.len() as u64, "{name}");
            assert_eq!(rows(&db, &table), expected, "{name}");
            is_sound(&db);
            db.put(&table, "one more", "").unwrap();
            db.checkpoint().unwrap();
            assert_eq!(rows(&db, &table).len(), expected.len() + 1, "{name}");
            is_sound(&db);
        }
    }
}

#[test]
fn of_rows_with_one_key_the_last_counts() {
    let db = open(&CrashFileSystem::new());
    let mut load = db.load_table("t").unwrap();
    // Far apart, so that they come to lie in different runs, in the tree and in memory.
    for round in 0..5_u8 {
        put(&mut load, (0..2_000).map(|n| n * 2));
        load.put(1_000_u32.to_be_bytes(), [round]).unwrap();
        put(&mut load, (0..2_000).map(scrambled).filter(|n| *n != 1_000));
    }
    let (table, _) = load.finish().unwrap();
    assert_eq!(db.get(&table, 1_000_u32.to_be_bytes()).unwrap(), Some(vec![4]));
}

/// However much memory there is, rows in order take little of it; what is out of order after that is found its place.
#[test]
fn rows_in_order_go_into_the_file_early() {
    const MIB: usize = 1 << 20;
    let options = Options { row_store_bytes: 1 << 30, ..Options::default() };
    let machine = CrashFileSystem::new();
    let db = Database::open_in(Env::with_files(Arc::new(machine)), "/db", options).unwrap();
    let mut load = db.load_table("t").unwrap();
    let put = |load: &mut Loader, key: u8, byte| load.put([key], vec![byte; MIB]).unwrap();
    (100..130).for_each(|key| put(&mut load, key, key));
    let early = db.stats().file.bytes;
    assert!(early > 14 * MIB as u64, "{early} bytes after 30 MiB");
    for (key, byte) in [(110, 1), (90, 2), (140, 3)] {
        put(&mut load, key, byte);
    }
    (141..160).for_each(|key| put(&mut load, key, key));
    assert!(db.stats().file.bytes < early + MIB as u64, "these wait for their order");
    let (table, report) = load.finish().unwrap();
    assert_eq!(report.rows, 30 + 2 + 19);
    for (key, byte) in [(90, 2), (100, 100), (110, 1), (129, 129), (140, 3), (159, 159)] {
        assert_eq!(db.get(&table, [key]).unwrap(), Some(vec![byte; MIB]), "row {key}");
    }
    is_sound(&db);
}

#[test]
fn nobody_sees_it_before_it_is_whole() {
    let db = open(&CrashFileSystem::new());
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let other = db.table("other").unwrap();
    let mut load = db.load_table("t").unwrap();
    let expected = put(&mut load, 0..4_096);
    // The others go on, whatever of it is in the file.
    db.put(&other, "key", "value").unwrap();
    db.checkpoint().unwrap();
    assert!(db.existing_table("t").unwrap().is_none());
    assert_eq!(db.tables().unwrap(), ["other"]);
    is_sound(&db);
    let (before, mut writer) = (db.snapshot().unwrap(), db.begin_concurrent().unwrap());
    let (table, _) = load.finish().unwrap();
    assert!(matches!(before.get(&table, 7_u32.to_be_bytes()), Err(Error::NoSuchTable(_))));
    assert!(matches!(before.count(&table), Err(Error::NoSuchTable(_))));
    assert!(matches!(writer.put(&table, 7_u32.to_be_bytes(), "blind"), Err(Error::NoSuchTable(_))));
    drop((before, writer));
    assert_eq!(rows(&db, &table), expected);
    assert_eq!(db.get(&other, "key").unwrap().as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_power_cut_before_the_end_leaves_nothing() {
    for choice in [CrashChoice::KeepNone, CrashChoice::KeepAll] {
        let machine = CrashFileSystem::new();
        let db = open(&machine);
        let kept = db.table("kept").unwrap();
        db.put(&kept, "key", "value").unwrap();
        let mut load = db.load_table("t").unwrap();
        put(&mut load, 0..4_096);
        let after = open(&machine.crash(choice));
        assert_eq!(after.tables().unwrap(), ["kept"]);
        is_sound(&after);
        after.compact().unwrap();
        assert!(after.stats().file.bytes < 100_000, "the rows are still there");
        assert_eq!(rows(&after, &after.table("kept").unwrap()).len(), 1);
        // Its id is not given to another.
        assert!(after.table("new").unwrap().id() > kept.id() + 1);
    }
}

#[test]
fn what_a_power_cut_left_is_no_damage_to_one_who_only_reads() {
    let machine = CrashFileSystem::new();
    let db = open(&machine);
    db.put(&db.table("kept").unwrap(), "key", "value").unwrap();
    db.checkpoint().unwrap();
    let mut load = db.load_table("t").unwrap();
    put(&mut load, 0..4_096);
    let after = Arc::new(machine.crash(CrashChoice::KeepNone));
    let reader = Database::open_read_only_in(Env::with_files(after), "/db", Options::default()).unwrap();
    assert_eq!(reader.tables().unwrap(), ["kept"]);
    is_sound(&reader);
}

#[test]
fn an_id_is_taken_once_whatever_fails_beside() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    db.put(&db.table("kept").unwrap(), "key", vec![1; 30_000]).unwrap();
    // It seals, and what it sealed is folded by the one after the load.
    faults.set_quota(Some(faults.bytes_used()));
    assert!(matches!(db.checkpoint(), Err(Error::NoSpace(_))));
    faults.set_quota(None);
    let mut load = db.load_table("t").unwrap();
    put(&mut load, 0..4_096);
    db.checkpoint().unwrap();
    let after = open(&machine.crash(CrashChoice::KeepNone));
    assert_eq!(after.tables().unwrap(), ["kept"]);
    assert!(after.table("new").unwrap().id() > load.id());
}

#[test]
fn rows_that_cannot_be_removed_come_into_no_table() {
    let machine = CrashFileSystem::new();
    let db = open(&machine);
    let mut load = db.load_table("t").unwrap();
    put(&mut load, 0..4_096);
    let files = machine.crash(CrashChoice::KeepNone).under_faults();
    // What an open writes anyway comes first.
    let no_space = Fault::on(Operation::Write).on_paths_ending("/db").kind(ErrorKind::StorageFull).nth(2);
    files.faults().inject(no_space.sticky());
    let faults = files.faults();
    let after = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    assert!(faults.fired() > 0, "nothing was to be removed");
    faults.clear();
    let new = after.table("new").unwrap();
    assert_eq!(rows(&after, &new).len(), 0);
    after.checkpoint().unwrap();
    is_sound(&after);
}

/// Nobody is handed a database that can only be closed again.
#[test]
fn an_open_that_could_not_sync_the_removal_fails() {
    let machine = CrashFileSystem::new();
    let db = open(&machine);
    let mut load = db.load_table("t").unwrap();
    put(&mut load, 0..4_096);
    for nth in 1.. {
        let files = machine.crash(CrashChoice::KeepNone).under_faults();
        let faults = files.faults();
        faults.inject(Fault::on(Operation::SyncData).on_paths_ending("/db").nth(nth));
        let opened = Database::open_in(Env::with_files(Arc::new(files)), "/db", options());
        if faults.fired() == 0 {
            assert!(nth > 1, "nothing was to be removed");
            opened.unwrap();
            break;
        }
        if let Ok(db) = opened {
            db.table("new").unwrap();
        }
    }
}

#[test]
fn a_power_cut_after_the_end_leaves_all() {
    for choice in [CrashChoice::KeepNone, CrashChoice::KeepAll] {
        let machine = CrashFileSystem::new();
        let db = open(&machine);
        let mut load = db.load_table("t").unwrap();
        let expected = put(&mut load, (0..4_096).map(scrambled));
        load.finish().unwrap();
        let after = open(&machine.crash(choice));
        let table = after.existing_table("t").unwrap().unwrap();
        assert_eq!(rows(&after, &table), expected);
        is_sound(&after);
    }
}

#[test]
fn a_damaged_meta_block_takes_no_rows_along() {
    let block = 4_096;
    for damaged in 0..2 {
        let machine = CrashFileSystem::new();
        let db = open(&machine);
        let mut load = db.load_table("t").unwrap();
        let expected = put(&mut load, 0..100);
        load.finish().unwrap();
        let after = machine.crash(CrashChoice::KeepAll);
        let file = after.open(Path::new("/db"), OpenOptions::new(OpenMode::ReadWrite)).unwrap();
        file.write_all_at(&[0xa5; 64], damaged * block).unwrap();
        drop(file);
        let db = open(&after);
        let table = db.existing_table("t").unwrap().unwrap();
        assert_eq!(rows(&db, &table), expected, "without meta block {damaged}");
    }
}

#[test]
fn a_load_that_is_given_up_leaves_nothing() {
    let machine = CrashFileSystem::new();
    let db = open(&machine);
    let mut load = db.load_table("t").unwrap();
    put(&mut load, (0..4_096).chain((0..4_096).map(scrambled)));
    drop(load);
    assert!(db.tables().unwrap().is_empty());
    is_sound(&db);
    db.compact().unwrap();
    assert!(db.stats().file.bytes < 100_000);
    let names = machine.read_dir(Path::new("/")).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_name_is_taken_once() {
    let db = open(&CrashFileSystem::new());
    db.table("taken").unwrap();
    assert!(matches!(db.load_table("taken"), Err(Error::TableExists(name)) if name == "taken"));
    assert!(matches!(db.load_table(""), Err(Error::Limit { .. })));
    let mut load = db.load_table("soon").unwrap();
    put(&mut load, 0..4_096);
    let soon = db.table("soon").unwrap();
    assert!(matches!(load.finish(), Err(Error::TableExists(_))));
    assert_eq!(rows(&db, &soon).len(), 0);
    db.drop_table("soon").unwrap();
    let (soon, _) = load.finish().unwrap();
    assert_eq!(rows(&db, &soon).len(), 4_096);
    is_sound(&db);
}

#[test]
fn a_row_that_is_too_long_is_refused_alone() {
    let db = open(&CrashFileSystem::new());
    let mut load = db.load_table("t").unwrap();
    load.put("a", "1").unwrap();
    assert!(matches!(load.put([0; 5_000], "2"), Err(Error::Limit { .. })));
    load.put("b", "3").unwrap();
    assert_eq!(load.finish().unwrap().1.rows, 2);
}

#[test]
fn a_full_disk_is_told_and_the_row_can_be_put_again() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    for numbers in [(0..4_096).collect::<Vec<_>>(), (0..4_096).map(scrambled).collect()] {
        let mut load = db.load_table("t").unwrap();
        faults.set_quota(Some(faults.bytes_used() + (16 << 10)));
        let mut refused = 0;
        for number in &numbers {
            while let Err(error) = load.put(number.to_be_bytes(), value(*number)) {
                assert!(matches!(error, Error::NoSpace(_)), "{error}");
                refused += 1;
                faults.set_quota(None);
            }
        }
        assert_eq!(refused, 1);
        let (table, report) = load.finish().unwrap();
        assert_eq!(report.rows, 4_096);
        assert_eq!(rows(&db, &table).len(), 4_096);
        drop(table);
        db.drop_table("t").unwrap();
    }
}

#[test]
fn a_load_that_could_not_be_finished_is_finished_later() {
    let numbers = [(0..4_096).collect::<Vec<_>>(), (0..4_096).map(scrambled).collect()];
    let mut failures = 0;
    for (numbers, nth) in numbers.iter().flat_map(|numbers| (1..40).step_by(3).map(move |nth| (numbers, nth)))
    {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults();
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
        let mut load = db.load_table("t").unwrap();
        let mut expected = put(&mut load, numbers.iter().copied());
        faults.inject(Fault::on(Operation::Write).kind(ErrorKind::StorageFull).nth(nth).sticky());
        if let Err(error) = load.finish() {
            assert!(matches!(error, Error::NoSpace(_)), "{error}");
            assert!(db.existing_table("t").unwrap().is_none());
            failures += 1;
            faults.clear();
            expected.extend(put(&mut load, 4_000..5_000));
            assert_eq!(load.finish().unwrap().1.rows, 5_000);
        }
        faults.clear();
        let table = db.existing_table("t").unwrap().unwrap();
        assert_eq!(rows(&db, &table), expected);
        is_sound(&db);
    }
    assert!(failures > 5, "{failures}");
}

#[test]
fn a_finished_load_takes_no_more() {
    let db = Database::in_memory().unwrap();
    let mut load = db.load_table("t").unwrap();
    load.put("a", "1").unwrap();
    let (table, _) = load.finish().unwrap();
    assert!(matches!(load.put("b", "2"), Err(Error::LoadFinished(_))));
    assert!(matches!(load.finish(), Err(Error::LoadFinished(_))));
    drop(load);
    assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 1);
}

#[test]
fn a_dropped_table_that_was_loaded_keeps_all_rows_or_goes() {
    for choice in [CrashChoice::KeepNone, CrashChoice::KeepAll] {
        let machine = CrashFileSystem::new();
        // The drop is in the log alone, and not durable.
        let options = Options { durability: Durability::Deferred, ..options() };
        let db = Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options).unwrap();
        let mut load = db.load_table("t").unwrap();
        let expected = put(&mut load, 0..4_096);
        load.finish().unwrap();
        db.drop_table("t").unwrap();
        let killed = machine.crash(choice);
        drop(open(&killed));
        let after = open(&killed.crash(CrashChoice::KeepNone));
        match after.existing_table("t").unwrap() {
            Some(table) => assert_eq!(rows(&after, &table), expected),
            None => assert!(after.tables().unwrap().is_empty()),
        }
        is_sound(&after);
    }
}

#[test]
fn a_full_disk_costs_no_memory() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    let mut load = db.load_table("t").unwrap();
    faults.set_quota(Some(faults.bytes_used()));
    let mut added = 0;
    for number in 0..4_096_u32 {
        added += u64::from(load.put(number.to_be_bytes(), value(number)).is_ok());
    }
    assert!(added < 1_000, "{added}");
    faults.set_quota(None);
    assert_eq!(load.finish().unwrap().1.rows, added);
}

#[test]
fn a_load_that_filled_the_disk_gives_the_space_back() {
    for spare in (0..400_000).step_by(37_000) {
        let files = CrashFileSystem::new().under_faults();
        let faults = files.faults();
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
        let other = db.table("other").unwrap();
        db.checkpoint().unwrap();
        let mut load = db.load_table("t").unwrap();
        faults.set_quota(Some(faults.bytes_used() + spare));
        let refused = (0..4_096_u32).find_map(|n| load.put(n.to_be_bytes(), value(n)).err());
        drop(load);
        assert!(matches!(refused, Some(Error::NoSpace(_))), "{spare}: {refused:?}");
        is_sound(&db);
        // The disk is as full as before.
        db.put(&other, "key", "value").unwrap();
        db.checkpoint().unwrap_or_else(|error| panic!("{spare}: {error}"));
        let file = db.stats().file;
        assert!(file.bytes - file.free_bytes < 64 << 10, "{spare}: {file:?}");
    }
}

#[test]
fn checkpoints_get_their_turn_while_runs_are_merged() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    let mut load = db.load_table("t").unwrap();
    let expected = put(&mut load, (0..4_096).map(scrambled));
    let syncs = faults.counters().calls_on(Operation::SyncData, "/db");
    let (table, _) = load.finish().unwrap();
    let steps = (faults.counters().calls_on(Operation::SyncData, "/db") - syncs) / 2;
    let bytes: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(steps >= bytes as u64 / (64 << 10), "{steps} steps for {bytes} bytes");
    assert_eq!(rows(&db, &table), expected);
    // As dense as rows that come in order.
    let in_order = open(&CrashFileSystem::new());
    let mut load = in_order.load_table("t").unwrap();
    put(&mut load, 0..4_096);
    load.finish().unwrap();
    assert_eq!(db.stats().file.bytes, in_order.stats().file.bytes);
}

#[test]
fn loads_go_on_beside_commits_and_each_other() {
    let db = open(&CrashFileSystem::new());
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let busy = db.table("busy").unwrap();
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..3)
            .map(|number| {
                let db = db.clone();
                scope.spawn(move || {
                    let mut load = db.load_table(&format!("loaded {number}")).unwrap();
                    let expected = put(&mut load, (0..4_096).map(scrambled));
                    let (table, _) = load.finish().unwrap();
                    assert_eq!(rows(&db, &table), expected);
                })
            })
            .collect();
        for number in 0..2_000_u32 {
            db.put(&busy, number.to_be_bytes(), value(number)).unwrap();
        }
        loads.into_iter().for_each(|load| load.join().unwrap());
    });
    assert_eq!(rows(&db, &busy).len(), 2_000);
    assert_eq!(db.tables().unwrap().len(), 4);
    is_sound(&db);
}
