//! Readers and writers go on while a checkpoint runs, and a checkpoint loses nothing of what they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use braid::vfs::faulty::{Fault, Operation};
use braid::{Database, Durability, JournalMode, Options, Result};
use braid_tests::{Place, assert_clean, faulty_env, key, number_at, together, value};

#[test]
fn commits_and_reads_finish_while_one_is_held_up() -> Result<()> {
    // A sync of the database file is held until commits and reads that began after it have finished: a checkpoint that
    // blocked them would never end.
    let place = Place::new();
    let (env, faults) = faulty_env();
    let db = Database::open_in(env, place.path(), Options::default())?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    for number in 0..50 {
        db.put(&table, key(number), value(1))?;
    }
    let (reached, wait_until_reached) = channel::<()>();
    let (release, wait_for_release) = channel::<()>();
    let wait_for_release = Arc::new(std::sync::Mutex::new(wait_for_release));
    let main_file = place.path();
    let hold = Fault::on_any(&[Operation::SyncData, Operation::SyncAll])
        .on_paths(move |path| path == main_file)
        .call(move || {
            let _ = reached.send(());
            let _ = wait_for_release.lock().map(|receiver| receiver.recv());
        });
    faults.inject(hold);
    std::thread::scope(|scope| -> Result<()> {
        let checkpoint = scope.spawn(|| db.checkpoint());
        wait_until_reached.recv().expect("the checkpoint syncs the database file");
        let snapshot = db.snapshot()?;
        for number in 0..100 {
            let mut tx = db.begin_concurrent()?;
            assert_eq!(number_at(&tx, &table, number)?, (number < 50).then_some(1));
            tx.put(&table, key(number), value(2))?;
            tx.commit()?;
        }
        let mut exclusive = db.begin_immediate()?;
        exclusive.put(&table, "exclusive", "1")?;
        exclusive.commit()?;
        assert_eq!(snapshot.count(&table)?, 50);
        assert_eq!(db.snapshot()?.count(&table)?, 101);
        release.send(()).expect("the checkpoint still waits");
        checkpoint.join().expect("the checkpoint does not panic").map(drop)
    })?;
    assert_eq!(number_at(&db.snapshot()?, &table, 10)?, Some(2), "what was committed meanwhile stands");
    db.checkpoint()?;
    assert_eq!(number_at(&db.snapshot()?, &table, 10)?, Some(2));
    assert_clean(&db)
}

#[test]
fn under_load_nothing_is_lost() -> Result<()> {
    let place = Place::new();
    let options = Options { durability: Durability::Deferred, page_bytes: 512, ..Options::default() };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    let done = AtomicBool::new(false);
    let written = together(4, |thread| -> Result<u64> {
        if thread == 0 {
            for _ in 0..40 {
                db.checkpoint()?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(0);
        }
        let mut number = 0;
        while !done.load(Ordering::SeqCst) {
            db.put(&table, key(thread as u64 * 1_000_000 + number), value(thread as i64))?;
            if number > 0 {
                let before = number_at(&db.snapshot()?, &table, thread as u64 * 1_000_000 + number / 2)?;
                assert_eq!(before, Some(thread as i64), "row {number} of thread {thread}");
            }
            number += 1;
        }
        Ok(number)
    })?;
    assert_eq!(db.snapshot()?.count(&table)?, written.iter().sum::<u64>());
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, written.iter().sum::<u64>());
    assert_clean(&db)
}

#[test]
fn they_come_by_themselves() -> Result<()> {
    let place = Place::new();
    let options = Options {
        durability: Durability::Deferred,
        row_store_bytes: 256 << 10,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    };
    let db = place.open_with(options)?;
    let table = db.table("rows")?;
    for number in 0..5000 {
        db.put(&table, key(number), [5_u8; 400])?;
    }
    let stats = db.stats();
    assert!(stats.checkpoints.count > 0, "two megabytes went through a row store of a quarter");
    assert!(stats.row_store.bytes <= 2 * (256 << 10), "{} bytes in the row store", stats.row_store.bytes);
    assert_clean(&db)
}

#[test]
fn one_says_what_it_did() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 0..100 {
        db.put(&table, key(number), value(1))?;
    }
    let last = db.put(&table, key(100), value(1))?;
    let report = db.checkpoint()?;
    assert!(report.rows >= 101, "{report:?}");
    assert!(report.rows > 0, "{report:?}");
    assert!(report.timestamp >= last.timestamp, "{report:?}");
    assert!(db.stats().checkpoints.timestamp >= last.timestamp);
    assert_clean(&db)
}
