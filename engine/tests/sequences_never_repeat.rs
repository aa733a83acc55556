//! Sequences give out each id once: over handles, threads, reopens, kills and power cuts; and they wait for nobody's turn.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::{Database, Durability, Error, JournalMode, Options, Sequence, SequenceOptions};

fn blocks_of(block: u64) -> SequenceOptions {
    SequenceOptions { block, ..SequenceOptions::default() }
}

fn draw(ids: &Sequence, count: usize) -> Vec<u64> {
    let drawn: Vec<_> = (0..count).map(|_| ids.next().unwrap()).collect();
    assert!(drawn.is_sorted_by(|one, next| one < next), "{drawn:?}");
    drawn
}

#[test]
fn ids_begin_where_they_are_told_to_and_increase() {
    let db = Database::in_memory().unwrap();
    assert_eq!(draw(&db.sequence("a").unwrap(), 3), [1, 2, 3]);
    assert_eq!(draw(&db.sequence("a").unwrap(), 2), [1025, 1026], "another handle has a block of its own");
    let from = SequenceOptions { start: 100, block: 2 };
    let ids = db.sequence_with("b", from.clone()).unwrap();
    assert_eq!(draw(&ids, 3), [100, 101, 102]);
    assert_eq!(draw(&ids.clone(), 2), [103, 104], "a clone is the same handle");
    assert_eq!(draw(&db.sequence_with("b", from).unwrap(), 1), [106], "it begins once");
    assert_eq!(ids.name(), "b");
    assert_eq!(db.sequences().unwrap(), ["a", "b"]);
    let stats = db.stats();
    assert_eq!((stats.sequences, stats.sequence_blocks), (2, 6));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn many_threads_and_handles_get_each_id_once() {
    let db = Database::in_memory().unwrap();
    let shared = db.sequence_with("ids", blocks_of(7)).unwrap();
    let seen = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (db, shared, seen) = (db.clone(), shared.clone(), &seen);
            scope.spawn(move || {
                let own = db.sequence_with("ids", blocks_of(3 + thread)).unwrap();
                let mut drawn = draw(&shared, 500);
                drawn.extend(draw(&own, 500));
                let mut seen = seen.lock().unwrap();
                drawn.into_iter().for_each(|id| assert!(seen.insert(id), "{id} came twice"));
            });
        }
    });
    assert_eq!(seen.into_inner().unwrap().len(), 8000);
}

#[test]
fn they_wait_for_no_transaction_of_their_thread() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let options = Options { busy_timeout: Duration::from_secs(3600), ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        db.set_journal_mode(mode).unwrap();
        let (table, ids) = (db.table("t").unwrap(), db.sequence_with("ids", blocks_of(2)).unwrap());
        let mut tx = db.begin_immediate().unwrap();
        for id in draw(&ids, 5) {
            tx.insert(&table, id.to_be_bytes(), "row").unwrap();
        }
        let made = db.sequence_with("made inside", blocks_of(1)).unwrap();
        assert_eq!(draw(&made, 2), [1, 2]);
        db.checkpoint().unwrap();
        assert_eq!(draw(&made, 1), [3]);
        assert!(db.drop_sequence("made inside").unwrap());
        tx.commit().unwrap();
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 5);
        if mode == JournalMode::Mvcc {
            let mut tx = db.begin_concurrent().unwrap();
            let id = ids.next().unwrap();
            tx.put(&table, id.to_be_bytes(), "row").unwrap();
            draw(&ids, 5);
            tx.commit().unwrap();
        }
        assert!(db.check().unwrap().is_ok());
    }
}

#[test]
fn a_dropped_sequence_gives_out_nothing_more() {
    let db = Database::in_memory().unwrap();
    let old = db.sequence("ids").unwrap();
    draw(&old, 3);
    assert!(db.drop_sequence("ids").unwrap());
    assert!(!db.drop_sequence("ids").unwrap());
    assert!(db.sequences().unwrap().is_empty());
    assert!(matches!(old.next(), Err(Error::NoSuchSequence(name)) if name == "ids"));
    let new = db.sequence("ids").unwrap();
    assert!(matches!(old.next(), Err(Error::NoSuchSequence(_))), "it is another one of that name");
    assert_eq!(draw(&new, 2), [1, 2], "which begins anew");
}

#[test]
fn the_last_id_is_followed_by_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("db");
    let db = Database::open(&path).unwrap();
    let ids = db.sequence_with("ids", SequenceOptions { start: u64::MAX - 5, block: 3 }).unwrap();
    assert_eq!(draw(&ids, 5), (u64::MAX - 5..u64::MAX).collect::<Vec<_>>());
    for _ in 0..3 {
        assert!(matches!(ids.next(), Err(Error::SequenceExhausted(name)) if name == "ids"));
    }
    drop((db, ids));
    let db = Database::open(&path).unwrap();
    assert!(matches!(db.sequence("ids").unwrap().next(), Err(Error::SequenceExhausted(_))));
    let whole = db.sequence_with("whole", SequenceOptions { start: u64::MAX, block: 1 }).unwrap();
    assert!(matches!(whole.next(), Err(Error::SequenceExhausted(_))));
}

#[test]
fn senseless_ones_are_refused() {
    let db = Database::in_memory().unwrap();
    assert!(matches!(db.sequence(""), Err(Error::Limit { actual: 0, limit: 1, .. })));
    assert!(matches!(db.sequence(&"x".repeat(121)), Err(Error::Limit { limit: 120, .. })));
    for block in [0, (1 << 32) + 1] {
        assert!(matches!(db.sequence_with("a", blocks_of(block)), Err(Error::Limit { .. })));
    }
    assert!(db.sequences().unwrap().is_empty());
    assert_eq!(draw(&db.sequence_with("a", blocks_of(1 << 32)).unwrap(), 1), [1]);
    assert_eq!(draw(&db.sequence("a").unwrap(), 1), [(1 << 32) + 1]);
}

#[test]
fn reopens_backups_and_salvage_go_on_after_what_was_reserved() {
    let place = tempfile::tempdir().unwrap();
    let [path, copy, saved] = ["db", "copy", "saved"].map(|name| place.path().join(name));
    let mut newest = 0;
    for round in 0..4 {
        let db = Database::open(&path).unwrap();
        let ids = db.sequence_with("ids", blocks_of(10)).unwrap();
        let drawn = draw(&ids, 25);
        assert!(drawn[0] > newest, "round {round}: {} after {newest}", drawn[0]);
        newest = drawn[24];
        if round % 2 == 0 {
            db.checkpoint().unwrap();
        }
        if round == 3 {
            let report = db.backup(&copy).unwrap();
            assert_eq!((report.tables, report.rows), (0, 0));
        }
    }
    let reader = Database::open_read_only(&path).unwrap();
    assert_eq!(reader.sequences().unwrap(), ["ids"]);
    assert!(matches!(reader.sequence("ids"), Err(Error::ReadOnly)));
    assert!(matches!(reader.drop_sequence("ids"), Err(Error::ReadOnly)));
    drop(reader);
    let report = braid::salvage(&path, &saved).unwrap();
    assert!(report.losses.is_empty(), "{report:?}");
    for path in [&copy, &saved] {
        let db = Database::open(path).unwrap();
        assert_eq!(db.sequences().unwrap(), ["ids"]);
        let id = db.sequence("ids").unwrap().next().unwrap();
        assert!(id > newest && id < newest + 20, "{id} after {newest}");
        assert!(db.check().unwrap().is_ok());
    }
}

#[test]
fn raising_leaves_out_what_any_handle_has_left() {
    let db = Database::in_memory().unwrap();
    let [one, other] = [10, 100].map(|block| db.sequence_with("ids", blocks_of(block)).unwrap());
    assert_eq!((draw(&one, 2), draw(&other, 2)), (vec![1, 2], vec![11, 12]));
    assert_eq!(db.unreserved_id("ids").unwrap(), Some(111));
    one.raise_to(50).unwrap();
    assert_eq!(db.unreserved_id("ids").unwrap(), Some(111), "all below was reserved already");
    assert_eq!(draw(&other, 2), [50, 51], "it goes on within its block");
    assert_eq!(draw(&one, 2), [111, 112], "of which nothing is left");
    one.raise_to(20).unwrap();
    assert_eq!(draw(&other, 1), [52], "it is never lowered");
    db.clone().sequence("ids").unwrap().raise_to(1000).unwrap();
    assert_eq!((draw(&one, 1), draw(&other, 1)), (vec![1000], vec![1010]));
    one.raise_to(0).unwrap();
    let huge = db.sequence_with("huge", SequenceOptions { block: 1 << 32, start: 0 }).unwrap();
    assert_eq!(draw(&huge, 1), [0]);
    huge.raise_to((1 << 32) - 1).unwrap();
    assert_eq!(draw(&huge, 2), [(1 << 32) - 1, 1 << 32], "nothing is counted through");
    huge.raise_to(u64::MAX - 1).unwrap();
    assert_eq!(draw(&huge, 1), [u64::MAX - 1]);
    assert!(matches!(huge.next(), Err(Error::SequenceExhausted(_))));
    for _ in 0..2 {
        one.raise_to(u64::MAX).unwrap();
        assert!(matches!(other.next(), Err(Error::SequenceExhausted(name)) if name == "ids"));
    }
    assert_eq!(db.unreserved_id("ids").unwrap(), Some(u64::MAX));
    assert!(db.drop_sequence("ids").unwrap());
    assert_eq!(db.unreserved_id("ids").unwrap(), None);
    assert!(matches!(one.raise_to(5), Err(Error::NoSuchSequence(name)) if name == "ids"));
    assert!(matches!(other.next(), Err(Error::NoSuchSequence(_))));
    let ids = db.sequence("ids").unwrap();
    assert_eq!(draw(&ids, 1), [1], "one of the same name begins anew");
}

/// Whoever draws after a raise gets nothing below it, and nothing twice.
#[test]
fn raising_beside_those_who_draw() {
    let db = Database::in_memory().unwrap();
    let ids = db.sequence_with("ids", blocks_of(50)).unwrap();
    let seen = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, ids, seen) = (db.clone(), ids.clone(), &seen);
            scope.spawn(move || {
                let own = db.sequence_with("ids", blocks_of(7)).unwrap();
                for round in 0..100 {
                    let first = own.next().unwrap() + 30;
                    let (raised, other) = if round % 2 == 0 { (&own, &ids) } else { (&ids, &own) };
                    raised.raise_to(first).unwrap();
                    let drawn = [other.next().unwrap(), raised.next().unwrap()];
                    assert!(drawn.iter().all(|id| *id >= first), "thread {thread}: {drawn:?} below {first}");
                    let mut seen = seen.lock().unwrap();
                    drawn.into_iter().for_each(|id| assert!(seen.insert(id), "{id} came twice"));
                }
            });
        }
    });
}

/// Nothing of `Deferred` commits is synced by itself.
fn open_deferred(machine: &CrashFileSystem) -> Database {
    let options = Options {
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::MAX,
        ..Options::default()
    };
    Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options).unwrap()
}

#[test]
fn raising_lasts_over_reopens_and_power_cuts() {
    for checkpoint in [false, true] {
        let mut machine = CrashFileSystem::new();
        for first in [500, 5000, 200] {
            let db = open_deferred(&machine);
            let ids = db.sequence_with("ids", blocks_of(4)).unwrap();
            ids.raise_to(first).unwrap();
            if checkpoint {
                db.checkpoint().unwrap();
            }
            drop((ids, db));
            machine = machine.crash(CrashChoice::KeepNone);
            let db = open_deferred(&machine);
            let newest = db.unreserved_id("ids").unwrap().unwrap();
            assert!(newest >= first && newest < first.max(5000) + 100, "{newest} after {first}");
            assert_eq!(draw(&db.sequence_with("ids", blocks_of(4)).unwrap(), 1), [newest]);
            assert!(db.check().unwrap().is_ok());
        }
        let reader =
            Database::open_read_only_in(Env::with_files(Arc::new(machine)), "/db", Options::default())
                .unwrap();
        assert!(reader.unreserved_id("ids").unwrap() > Some(5000));
        assert_eq!(reader.unreserved_id("others").unwrap(), None);
    }
}

/// Whatever durability the transactions ask for; and what is made anew begins anew.
#[test]
fn a_drop_lasts_over_reopens_and_power_cuts() {
    for checkpoint in [false, true] {
        for power_cut in [false, true] {
            let machine = CrashFileSystem::new();
            let db = open_deferred(&machine);
            assert_eq!(draw(&db.sequence("ids").unwrap(), 3), [1, 2, 3]);
            db.checkpoint().unwrap();
            assert!(db.drop_sequence("ids").unwrap());
            if checkpoint {
                db.checkpoint().unwrap();
            }
            let after = if power_cut { machine.crash(CrashChoice::KeepNone) } else { machine };
            drop(db);
            let db = open_deferred(&after);
            assert!(db.sequences().unwrap().is_empty(), "{checkpoint} {power_cut}");
            assert_eq!(db.unreserved_id("ids").unwrap(), None);
            assert!(!db.drop_sequence("ids").unwrap());
            assert_eq!(draw(&db.sequence("ids").unwrap(), 2), [1, 2]);
        }
    }
}

/// Whatever durability the transactions ask for: an id that was given out may be known outside.
#[test]
fn not_after_any_number_of_power_cuts() {
    let options = Options {
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::MAX,
        ..Options::default()
    };
    let mut machine = CrashFileSystem::new();
    let mut newest = 0;
    for life in 0..8 {
        let db =
            Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options.clone()).unwrap();
        let table = db.table("t").unwrap();
        let ids = db.sequence_with("ids", blocks_of(4)).unwrap();
        for row in 0..3 + life {
            let id = ids.next().unwrap();
            assert!(id > newest, "life {life}: {id} after {newest}");
            newest = id;
            db.put(&table, [row], id.to_be_bytes()).unwrap();
        }
        if life % 3 == 1 {
            db.checkpoint().unwrap();
        }
        drop((ids, table, db));
        machine = machine.crash(CrashChoice::KeepNone);
    }
}

#[test]
fn a_failed_sync_gives_out_nothing() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let open = |files| Database::open_in(Env::with_files(files), "/db", Options::default()).unwrap();
    let db = open(Arc::new(files));
    let ids = db.sequence_with("ids", blocks_of(2)).unwrap();
    assert_eq!(draw(&ids, 3), [1, 2, 3]);
    faults.inject(Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).sticky());
    assert_eq!(draw(&ids, 1), [4], "what was reserved is");
    let error = ids.next().unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error}");
    let error = ids.next().unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert!(matches!(db.sequence("more"), Err(Error::Poisoned { .. })));
    drop((db, ids));
    let db = open(Arc::new(machine.crash(CrashChoice::KeepNone)));
    assert!(db.sequence("ids").unwrap().next().unwrap() > 4);
}

/// What was given out before the power went never comes again, whatever is left of what was not synced.
#[test]
fn a_power_cut_at_any_step_repeats_nothing() {
    let options = || Options {
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::MAX,
        page_bytes: 512,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    };
    let mut cut = 0;
    loop {
        cut += 1;
        let machine = CrashFileSystem::new();
        let open = |machine: &CrashFileSystem| {
            Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options())
        };
        drop(open(&machine).unwrap().table("t").unwrap());
        machine.cut_power_after(cut);
        let mut given = BTreeSet::new();
        let mut live = |db: &Database| -> Result<(), Error> {
            let table = db.table("t")?;
            for round in 0..4_u64 {
                let ids = db.sequence_with("ids", blocks_of(1 + round))?;
                for _ in 0..4 {
                    let id = ids.next()?;
                    assert!(given.insert(id), "{id} came twice, cut after {cut}");
                    db.put(&table, id.to_be_bytes(), [7; 300])?;
                }
                if round == 1 {
                    db.checkpoint()?;
                }
            }
            Ok(())
        };
        let all = open(&machine).and_then(|db| live(&db)).is_ok();
        for choice in [
            CrashChoice::KeepNone,
            CrashChoice::KeepAll,
            CrashChoice::Subset { seed: cut, unit: 512 },
            CrashChoice::Subset { seed: cut + 1, unit: 8 },
        ] {
            let after = machine.crash(choice);
            let db = open(&after).unwrap();
            if given.is_empty() {
                continue;
            }
            let id = db.sequence("ids").unwrap().next().unwrap();
            let newest = given.last().unwrap();
            assert!(id > *newest, "{id} after {newest}, cut after {cut}");
        }
        if all {
            break;
        }
    }
    assert!(cut > 20, "only {cut} steps");
}
