//! A database file and a log that do not belong together are a `Mismatch` or `Corrupt`, never a state that never was.

use braid::{Database, Durability, Error, Options, Result};
use braid_tests::{Disk, Place, assert_clean, contents, key, value};

const ROWS: u64 = 60;

/// A database at work: some rows in the tree, the rest in the log only.
fn made(salt: i64) -> Result<(Place, Database)> {
    let place = Place::new();
    let options =
        Options { log_segment_bytes: 64 << 10, page_bytes: 512, cache_bytes: 64 << 10, ..Options::default() };
    let db = place.open_with(options)?;
    let table = db.table("rows")?;
    for number in 0..ROWS {
        db.put(&table, key(number), value(salt))?;
        if number == ROWS / 2 {
            db.checkpoint()?;
        }
    }
    Ok((place, db))
}

/// Opens, and demands that what is there is everything.
fn open_whole(disk: &Disk, salt: i64, what: &str) -> Result<()> {
    let (env, path) = disk.mount();
    let db =
        Database::open_in(env, path, Options { durability: Durability::Deferred, ..Options::default() })?;
    let table = db.existing_table("rows")?;
    let rows = table.map(|table| contents(&db.snapshot()?, &table)).transpose()?.unwrap_or_default();
    let whole = rows.len() as u64 == ROWS && rows.values().all(|bytes| *bytes == value(salt));
    assert!(whole, "{what}: opened with {} rows of {ROWS}", rows.len());
    assert_clean(&db)
}

fn assert_refused(disk: &Disk, what: &str) {
    let opened = open_whole(disk, i64::MIN, what);
    assert!(matches!(opened, Err(Error::Mismatch(_) | Error::Corrupt(_))), "{what}: {opened:?}");
}

#[test]
fn a_missing_log() -> Result<()> {
    let (place, db) = made(1)?;
    let mut disk = Disk::of(&place);
    open_whole(&disk, 1, "the files as they are")?;
    disk.files.retain(|(name, _)| Disk::is_main(name));
    assert_refused(&disk, "no log");
    drop(db);
    Ok(())
}

#[test]
fn a_missing_database_beside_its_log() -> Result<()> {
    let (place, db) = made(1)?;
    let mut disk = Disk::of(&place);
    disk.files.retain(|(name, _)| !Disk::is_main(name));
    assert_refused(&disk, "no database");
    disk.files.push(("data.braid".into(), Vec::new()));
    assert_refused(&disk, "an empty database");
    drop(db);
    Ok(())
}

#[test]
fn the_log_of_another_database() -> Result<()> {
    let ((one, first), (other, second)) = (made(1)?, made(2)?);
    let (mut mine, theirs) = (Disk::of(&one), Disk::of(&other));
    mine.files.retain(|(name, _)| Disk::is_main(name));
    mine.files.extend(theirs.files.into_iter().filter(|(name, _)| !Disk::is_main(name)));
    assert_refused(&mine, "a foreign log");
    drop((first, second));
    Ok(())
}

#[test]
fn a_log_and_a_database_of_different_age() -> Result<()> {
    let (place, db) = made(1)?;
    let older = Disk::of(&place);
    let table = db.table("rows")?;
    for round in 0..4 {
        for number in 0..ROWS {
            db.put(&table, key(number), value(100 + round))?;
            db.put(&table, "large", vec![1; 3000])?;
        }
        db.delete(&table, "large")?;
        db.checkpoint()?;
    }
    let newer = Disk::of(&place);
    let pair = |main: &Disk, log: &Disk| {
        let mut files: Vec<_> = main.files.iter().filter(|(name, _)| Disk::is_main(name)).cloned().collect();
        files.extend(log.files.iter().filter(|(name, _)| !Disk::is_main(name)).cloned());
        Disk { files }
    };
    open_whole(&newer, 103, "the files as they are")?;
    // The log may still hold everything that the older file lacks; then nothing is missing.
    let opened = open_whole(&pair(&older, &newer), 103, "an older database with a newer log");
    assert!(matches!(opened, Ok(()) | Err(Error::Mismatch(_) | Error::Corrupt(_))), "{opened:?}");
    assert_refused(&pair(&newer, &older), "a newer database with an older log");
    Ok(())
}

#[test]
fn every_single_missing_segment() -> Result<()> {
    let place = Place::new();
    let options =
        Options { log_segment_bytes: 64 << 10, page_bytes: 512, cache_bytes: 64 << 10, ..Options::default() };
    let db = place.open_with(options)?;
    let table = db.table("rows")?;
    for number in 0..ROWS {
        db.put(&table, key(number), value(1))?;
        db.put(&table, "large", vec![1; 9000])?;
    }
    db.delete(&table, "large")?;
    let disk = Disk::of(&place);
    open_whole(&disk, 1, "the files as they are")?;
    let logs: Vec<_> =
        disk.files.iter().filter(|(name, _)| !Disk::is_main(name)).map(|(name, _)| name).collect();
    assert!(logs.len() > 3, "{logs:?}");
    for missing in logs {
        let mut files = disk.files.clone();
        files.retain(|(name, _)| name != missing);
        // A segment that is only prepared may be missing without harm; then everything is there.
        let opened = open_whole(&Disk { files }, 1, &format!("without {}", missing.display()));
        assert!(
            matches!(opened, Ok(()) | Err(Error::Mismatch(_) | Error::Corrupt(_))),
            "{missing:?}: {opened:?}"
        );
    }
    Ok(())
}

#[test]
fn a_database_that_knows_of_no_log_beside_one() -> Result<()> {
    // Before its first checkpoint a database has a meta page from before its log. With the other one damaged that one would
    // show an empty database; and a backup knows of no log either.
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, key(1), value(1))?;
    db.backup(place.join("copy.braid"))?;
    let mut disk = Disk::of(&place);
    drop((db, table));
    let copy = disk.files.iter().position(|(name, _)| name == "copy.braid").expect("there is a backup");
    let (_, copy) = disk.files.remove(copy);
    let main = disk.files.iter().position(|(name, _)| Disk::is_main(name)).expect("there is a database");
    let (mut damaged, mut restored) = (disk.clone(), disk);
    damaged.files[main].1[4096] ^= 1;
    restored.files[main].1 = copy;
    let read_only = |disk: &Disk| {
        let (env, path) = disk.mount();
        Database::open_read_only_in(env, path, Options::default())
    };
    assert_refused(&damaged, "its newest meta page damaged");
    let opened = read_only(&damaged);
    assert!(matches!(opened, Err(Error::Corrupt(_))), "nothing else was put there: {opened:?}");
    assert_refused(&restored, "a backup with a log");
    let opened = read_only(&restored);
    assert!(matches!(opened, Err(Error::Mismatch(_))), "read only: {opened:?}");
    Ok(())
}
