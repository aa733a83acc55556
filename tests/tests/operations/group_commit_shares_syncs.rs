//! One sync serves every commit that waits: many writers need far fewer syncs than commits, in either mode.

use std::sync::Arc;
use std::sync::mpsc::channel;

use braid::vfs::faulty::{Fault, Operation};
use braid::{Database, JournalMode, Options, Result};
use braid_tests::{Place, assert_clean, faulty_env, key, together, value};

#[test]
fn commits_that_gather_behind_a_sync_share_the_next() -> Result<()> {
    // The sync of the first commit is held until fifteen others have appended theirs. They then share what follows.
    const WRITERS: usize = 16;
    let place = Place::new();
    let (env, faults) = faulty_env();
    let db = Database::open_in(env, place.path(), Options::default())?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    db.put(&table, "before", "1")?;
    let before = db.stats();
    let (release, wait_for_release) = channel::<()>();
    let wait_for_release = Arc::new(std::sync::Mutex::new(wait_for_release));
    let main_file = place.path();
    let hold = Fault::on_any(&[Operation::SyncData, Operation::SyncAll])
        .on_paths(move |path| path != main_file)
        .call(move || drop(wait_for_release.lock().map(|receiver| receiver.recv())));
    faults.inject(hold);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS as u64)
            .map(|writer| {
                let (db, table) = (&db, &table);
                scope.spawn(move || db.put(table, key(writer), value(1)))
            })
            .collect();
        // Installed is not yet acknowledged: a write transaction sees what readers do not.
        let seen = || db.begin_concurrent().and_then(|tx| tx.count(&table));
        while seen()? < 1 + WRITERS as u64 {
            std::thread::yield_now();
        }
        assert_eq!(db.snapshot()?.count(&table)?, 1, "nobody is told of a commit before it stands");
        release.send(()).expect("the first sync still waits");
        writers.into_iter().try_for_each(|writer| writer.join().expect("no writer panics").map(drop))
    })?;
    let after = db.stats();
    assert_eq!(after.commits - before.commits, WRITERS as u64);
    let syncs = after.log.syncs - before.log.syncs;
    assert!(syncs <= 3, "{syncs} syncs for {WRITERS} commits");
    assert_eq!(db.snapshot()?.count(&table)?, 1 + WRITERS as u64);
    assert_clean(&db)
}

#[test]
fn under_load_there_are_fewer_syncs_than_commits() -> Result<()> {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let place = Place::new();
        let db = place.open()?;
        db.set_journal_mode(mode)?;
        let table = db.table("rows")?;
        let before = db.stats();
        together(16, |thread| -> Result<()> {
            for round in 0..25 {
                db.put(&table, key(thread as u64 * 1000 + round), value(1))?;
            }
            Ok(())
        })?;
        let after = db.stats();
        let commits = after.commits - before.commits;
        let syncs = after.log.syncs - before.log.syncs;
        assert_eq!(commits, 400);
        assert!(syncs < commits, "{syncs} syncs for {commits} commits in {mode:?}");
        assert!(after.log.commits_per_sync > 1.0, "{} in {mode:?}", after.log.commits_per_sync);
        assert_clean(&db)?;
    }
    Ok(())
}
