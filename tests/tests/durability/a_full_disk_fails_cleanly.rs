//! On a full disk a commit is `NoSpace` and rolled back whole, reads go on, and once there is room again so do writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use braid::vfs::Env;
use braid::vfs::faulty::{Faults, FaultyFileSystem};
use braid::vfs::memory::MemoryFileSystem;
use braid::{Database, Error, Options, Result};
use braid_tests::{assert_clean, contents, key, scale, together};

fn small() -> Options {
    Options {
        page_bytes: 512,
        cache_bytes: 64 << 10,
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        log_bytes: 256 << 10,
        ..Options::default()
    }
}

fn disk() -> (Env, Faults) {
    let files = FaultyFileSystem::new(Arc::new(MemoryFileSystem::new()));
    let faults = files.faults().clone();
    (Env::with_files(Arc::new(files)), faults)
}

#[test]
fn wherever_the_space_runs_out() -> Result<()> {
    for room in (0..24 * scale()).map(|step| step * 17_011 / scale()) {
        let (env, faults) = disk();
        let db = Database::open_in(env.clone(), "/data.braid", small())?;
        let table = db.table("rows")?;
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        faults.set_quota(Some(faults.bytes_used() + room));
        let mut refusals = 0;
        for number in 0..400_u64 {
            let bytes = vec![number.to_le_bytes()[0]; 700];
            match db.put(&table, key(number), &bytes) {
                Ok(_) => drop(model.insert(key(number).to_vec(), bytes)),
                Err(Error::NoSpace(_)) => refusals += 1,
                Err(error) => panic!("{room} bytes of room: {error:?}"),
            }
            if refusals == 3 {
                break;
            }
        }
        assert!(refusals > 0, "{room} bytes of room are no full disk");
        assert_eq!(contents(&db.snapshot()?, &table)?, model, "reads go on, {room} bytes of room");
        let folded = db.checkpoint();
        assert!(matches!(folded, Ok(_) | Err(Error::NoSpace(_))), "{room} bytes of room: {folded:?}");
        assert_eq!(contents(&db.snapshot()?, &table)?, model, "reads go on, {room} bytes of room");

        faults.set_quota(None);
        for number in 1000..1010 {
            let bytes = vec![7; 900];
            db.put(&table, key(number), &bytes)?;
            model.insert(key(number).to_vec(), bytes);
        }
        db.checkpoint()?;
        assert_eq!(contents(&db.snapshot()?, &table)?, model, "writes go on, {room} bytes of room");
        assert_clean(&db)?;
        drop((db, table));
        let db = Database::open_in(env, "/data.braid", small())?;
        assert_eq!(contents(&db.snapshot()?, &db.table("rows")?)?, model, "{room} bytes of room");
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn deleting_rows_makes_room_again() -> Result<()> {
    // Nobody raises the quota: rows are deleted, which takes a little space, and then others fit.
    let (env, faults) = disk();
    let db = Database::open_in(env, "/data.braid", small())?;
    let table = db.table("rows")?;
    faults.set_quota(Some(1 << 20));
    let mut rows = 0_u64;
    let refused = loop {
        match db.put(&table, key(rows), vec![1; 2000]) {
            Ok(_) => rows += 1,
            Err(error) => break error,
        }
        assert!(rows < 1000, "a megabyte holds no thousand rows of two kilobytes");
    };
    assert!(matches!(refused, Error::NoSpace(_)), "{refused:?}");
    assert!(rows > 50, "{rows} rows fit");
    faults.set_quota(Some((1 << 20) + (256 << 10)));
    let mut tx = db.begin_immediate()?;
    tx.delete_range(&table, key(10)..)?;
    tx.commit()?;
    db.compact()?;
    db.compact()?;
    for number in 5000..5000 + rows / 2 {
        db.put(&table, key(number), vec![2; 2000])?;
    }
    assert_eq!(db.snapshot()?.count(&table)?, 10 + rows / 2);
    assert_clean(&db)
}

#[test]
fn under_many_writers() -> Result<()> {
    let (env, faults) = disk();
    let db = Database::open_in(env.clone(), "/data.braid", small())?;
    db.set_journal_mode(braid::JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    faults.set_quota(Some(faults.bytes_used() + 300_000));
    let written = together(4, |thread| -> Result<u64> {
        let mut written = 0;
        for number in 0..400 {
            match db.put(&table, key(thread as u64 * 1000 + number), vec![3; 1000]) {
                Ok(_) => written += 1,
                Err(Error::NoSpace(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    })?;
    let written: u64 = written.into_iter().sum();
    assert!(written < 1600, "the disk was full");
    assert_eq!(db.snapshot()?.count(&table)?, written);
    faults.set_quota(None);
    db.put(&table, "after", "x")?;
    assert_clean(&db)?;
    drop((db, table));
    let db = Database::open_in(env, "/data.braid", small())?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, written + 1);
    assert_clean(&db)
}

#[test]
fn at_the_first_open() -> Result<()> {
    for room in (0..50 * scale()).map(|step| step * 3001 / scale()) {
        let (env, faults) = disk();
        faults.set_quota(Some(room));
        let opened = Database::open_in(env.clone(), "/data.braid", small());
        let opened = opened.and_then(|db| db.table("rows").map(drop));
        assert!(matches!(opened, Ok(()) | Err(Error::NoSpace(_))), "{room} bytes of room: {opened:?}");
        faults.set_quota(None);
        let db = Database::open_in(env, "/data.braid", small())?;
        let table = db.table("rows")?;
        db.put(&table, "a", "1")?;
        assert_clean(&db)?;
    }
    Ok(())
}
