//! After a sync that failed nothing is known about what it should have covered: the commit's outcome is unknown, the
//! core takes no more writes, reads stay at what was acknowledged, and a reopen finds every acknowledged commit.

use std::sync::Arc;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::{Database, Durability, Error, JournalMode, Options, Result, TransactionOptions};
use braid_tests::{Place, assert_clean, contents, faulty_env, key, together, value};

use crate::workload::open;

fn any_sync() -> Fault {
    Fault::on_any(&[Operation::SyncData, Operation::SyncAll])
}

fn small() -> Options {
    Options { page_bytes: 512, cache_bytes: 64 << 10, log_segment_bytes: 64 << 10, ..Options::default() }
}

#[test]
fn of_the_log_under_one_writer() -> Result<()> {
    for made_durable_later in
        [CrashChoice::KeepNone, CrashChoice::KeepAll, CrashChoice::Subset { seed: 3, unit: 512 }]
    {
        let machine = CrashFileSystem::new();
        machine.set_failed_sync(made_durable_later);
        let files = machine.under_faults();
        let faults = files.faults().clone();
        let db = open(Arc::new(files), &small())?;
        let table = db.table("rows")?;
        for number in 0..10 {
            db.put(&table, key(number), value(1))?;
        }
        let acknowledged = contents(&db.snapshot()?, &table)?;
        faults.inject(any_sync().on_paths(|path| path.to_string_lossy().contains("-wal")));
        let unknown = db.put(&table, key(10), value(1));
        assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
        faults.clear();

        let refused = db.put(&table, key(11), value(1));
        assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
        assert!(!refused.is_err_and(|error| error.is_retryable()));
        assert!(matches!(db.begin_immediate(), Err(Error::Poisoned { .. })));
        assert!(matches!(db.sync(), Err(Error::Poisoned { .. })));
        assert!(matches!(db.checkpoint(), Err(Error::Poisoned { .. })));
        assert!(matches!(db.set_journal_mode(JournalMode::Mvcc), Err(Error::Poisoned { .. })));
        assert!(matches!(db.table("another"), Err(Error::Poisoned { .. })));
        assert_eq!(contents(&db.snapshot()?, &table)?, acknowledged, "reads stay at what was acknowledged");
        assert!(db.stats().log.poisoned);
        drop((db, table));

        // The system's cache still shows what never reached the disk: a reopen must not build on it unsynced.
        let db = open(Arc::new(machine.clone()), &small())?;
        let table = db.table("rows")?;
        let found = contents(&db.snapshot()?, &table)?;
        assert!(acknowledged.iter().all(|(key, value)| found.get(key) == Some(value)));
        assert!(found.len() <= 11, "what was refused is not there");
        db.put(&table, key(20), value(2))?;
        let promised = contents(&db.snapshot()?, &table)?;
        assert_clean(&db)?;
        drop((db, table));
        let after_a_cut = machine.crash(CrashChoice::KeepNone);
        let db = open(Arc::new(after_a_cut), &small())?;
        assert_eq!(contents(&db.snapshot()?, &db.table("rows")?)?, promised, "{made_durable_later:?}");
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn of_the_log_under_many_writers() -> Result<()> {
    for nth in [1, 2, 5, 9] {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults().clone();
        let db = open(Arc::new(files), &small())?;
        db.set_journal_mode(JournalMode::Mvcc)?;
        let table = db.table("rows")?;
        faults.inject(any_sync().nth(nth).on_paths(|path| path.to_string_lossy().contains("-wal")));
        let acknowledged = together(6, |thread| -> Result<Vec<u64>> {
            let mut acknowledged = Vec::new();
            for number in 0..1000 {
                let at = thread as u64 * 1000 + number;
                match db.put(&table, key(at), value(1)) {
                    Ok(_) => acknowledged.push(at),
                    Err(Error::CommitUnknown { .. } | Error::Poisoned { .. }) => return Ok(acknowledged),
                    Err(error) => return Err(error),
                }
            }
            panic!("the core goes on after a failed sync");
        })?;
        let acknowledged: Vec<u64> = acknowledged.into_iter().flatten().collect();
        let readable = db.snapshot()?;
        for at in &acknowledged {
            assert!(readable.contains(&table, key(*at))?);
        }
        assert_eq!(
            readable.count(&table)?,
            acknowledged.len() as u64,
            "readers see what was acknowledged, no more"
        );
        drop((readable, db, table));
        let db = open(Arc::new(machine.crash(CrashChoice::KeepNone)), &small())?;
        let table = db.table("rows")?;
        for at in &acknowledged {
            assert!(
                db.snapshot()?.contains(&table, key(*at))?,
                "row {at} was acknowledged, sync {nth} failed"
            );
        }
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn of_a_checkpoint() -> Result<()> {
    for nth in 1..=2 {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults().clone();
        let db = open(Arc::new(files), &small())?;
        let table = db.table("rows")?;
        for number in 0..100 {
            db.put(&table, key(number), value(1))?;
        }
        let acknowledged = contents(&db.snapshot()?, &table)?;
        let fired = faults.fired();
        faults.inject(any_sync().nth(nth).on_paths_ending("data.braid"));
        let failed = db.checkpoint();
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(faults.fired(), fired + 1);
        faults.clear();
        assert_eq!(contents(&db.snapshot()?, &table)?, acknowledged, "reads go on");
        let refused = db.put(&table, key(1000), value(1));
        assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
        drop((db, table));
        let db = open(Arc::new(machine.crash(CrashChoice::KeepNone)), &small())?;
        let found = contents(&db.snapshot()?, &db.table("rows")?)?;
        assert_eq!(found, acknowledged, "the log before the checkpoint is still in force, sync {nth}");
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn of_a_deferred_commit_is_told_to_the_next() -> Result<()> {
    let place = Place::new();
    let (env, faults) = faulty_env();
    let db = Database::open_in(env, place.path(), Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    faults.inject(any_sync().sticky().on_paths(|path| path.to_string_lossy().contains("-wal")));
    let options = TransactionOptions { durability: Some(Durability::Deferred), ..Default::default() };
    let outcome = db.begin_with(options).and_then(|mut tx| {
        tx.put(&table, "b", "2")?;
        tx.commit()
    });
    // The background may have been faster; either way the next one that asks for the disk is told.
    assert!(
        matches!(outcome, Ok(_) | Err(Error::Poisoned { .. } | Error::CommitUnknown { .. })),
        "{outcome:?}"
    );
    let told = db.put(&table, "c", "3");
    assert!(matches!(told, Err(Error::Poisoned { .. } | Error::CommitUnknown { .. })), "{told:?}");
    assert!(db.stats().log.poisoned);
    faults.clear();
    drop((db, table));
    let db = place.open()?;
    assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

#[test]
fn leaves_the_file_to_be_reopened_by_this_process() -> Result<()> {
    let place = Place::new();
    let (env, faults) = faulty_env();
    let db = Database::open_in(env, place.path(), Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    let sibling = db.clone();
    faults.inject(any_sync().on_paths(|path| path.to_string_lossy().contains("-wal")));
    assert!(db.put(&table, "b", "2").is_err());
    let same = Database::open(place.path())?;
    assert!(
        matches!(same.put(&table, "c", "3"), Err(Error::Poisoned { .. })),
        "while a handle is there it is the same core"
    );
    drop((db, sibling, same, table));
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "c", "3")?;
    assert_eq!(db.get(&table, "a")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

/// The sync of a checkpoint's meta page fails, and the system's cache goes on to show the page. What is opened after that
/// must not be built on it: a power cut later brings back the disk, where it never was.
#[test]
fn a_meta_page_that_never_reached_the_disk_is_not_built_on() -> Result<()> {
    for failing in 1..4 {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults().clone();
        let db = open(Arc::new(files), &small())?;
        let table = db.table("rows")?;
        for number in 0..40 {
            db.put(&table, key(number), value(1))?;
        }
        db.checkpoint()?;
        for number in 20..60 {
            db.put(&table, key(number), value(2))?;
        }
        let promised = contents(&db.snapshot()?, &table)?;
        faults.inject(any_sync().on_paths_ending(".braid").nth(failing));
        let poisoned = db.checkpoint().is_err();
        assert_eq!(poisoned, failing < 3, "the pages are synced, and then the meta page");
        faults.clear();
        drop((db, table));

        // Each of these may be cut short by the power: before anything, after some writes, after all.
        for steps in (0..60).chain([10_000]) {
            let machine = machine.after_kill();
            machine.cut_power_after(steps);
            if let Ok(db) = open(Arc::new(machine.clone()), &small()) {
                let _maybe_cut = db.checkpoint().and_then(|_| db.checkpoint());
            }
            for kept in
                [CrashChoice::KeepNone, CrashChoice::KeepAll, CrashChoice::Prefix { changes: 2, bytes: 0 }]
            {
                let left = machine.after_crash(kept);
                let db = open(Arc::new(left), &small())?;
                let table = db.table("rows")?;
                assert_eq!(contents(&db.snapshot()?, &table)?, promised, "{failing}, {steps}, {kept:?}");
                assert_clean(&db)?;
            }
        }
    }
    Ok(())
}
