//! A read-only handle writes not a byte, neither to a cleanly closed database nor to one whose log is still to be
//! replayed, and works on files that nobody may write.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use braid::{Database, Error, JournalMode, Options, Result};
use braid_tests::{Actor, Place, assert_clean, contents, faulty_env, key, value};

/// A closed database; with something in its log that only a replay finds, unless `clean`.
fn prepared(clean: bool) -> Result<Place> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    for number in 0..200 {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    for number in 100..300 {
        db.put(&table, key(number), value(2))?;
    }
    drop(table);
    if clean {
        db.close()?;
        return Ok(place);
    }
    // A copy of the files of a running database is what a kill would leave.
    let copy = place.copy();
    drop(db);
    Ok(copy)
}

fn assert_all_there(db: &Database) -> Result<()> {
    let table = db.existing_table("rows")?.expect("the table is there");
    let rows = contents(&db.snapshot()?, &table)?;
    assert_eq!(rows.len(), 300);
    assert_eq!(rows.values().filter(|bytes| **bytes == value(2)).count(), 200);
    Ok(())
}

#[test]
fn bytes_and_times_stay_as_they_were() -> Result<()> {
    for clean in [true, false] {
        let place = prepared(clean)?;
        let before = place.fingerprint();
        let (env, faults) = faulty_env();
        let db = Database::open_read_only_in(env, place.path(), Options::default())?;
        assert!(db.is_read_only());
        assert_eq!(db.journal_mode(), JournalMode::Mvcc);
        assert_eq!(db.tables()?, ["rows"]);
        assert_all_there(&db)?;
        assert_clean(&db)?;
        drop(db);
        assert_eq!(place.fingerprint(), before, "clean: {clean}");
        assert_eq!(faults.counters().changes(), 0, "nothing was even tried, clean: {clean}");

        let db = place.open()?;
        assert_all_there(&db)?;
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn files_that_nobody_may_write_can_be_read() -> Result<()> {
    for clean in [true, false] {
        let place = prepared(clean)?;
        let mut directories: Vec<_> =
            place.files().iter().filter_map(|f| f.parent().map(Into::into)).collect();
        directories.push(place.directory().to_path_buf());
        for file in place.files() {
            set_permissions(&file, Permissions::from_mode(0o444)).expect("permissions can be set");
        }
        for directory in &directories {
            set_permissions(directory, Permissions::from_mode(0o555)).expect("permissions can be set");
        }
        let before = place.fingerprint();
        let db = Database::open_read_only(place.path())?;
        assert_all_there(&db)?;
        drop(db);
        assert_eq!(place.fingerprint(), before);
        for directory in &directories {
            set_permissions(directory, Permissions::from_mode(0o755)).expect("permissions can be set");
        }
    }
    Ok(())
}

#[test]
fn every_writing_call_is_refused() -> Result<()> {
    let place = prepared(true)?;
    let db = Database::open_read_only(place.path())?;
    let table = db.table("rows")?;
    let refused = |result: Result<()>| matches!(result, Err(Error::ReadOnly));
    assert!(refused(db.put(&table, "a", "1").map(drop)));
    assert!(refused(db.delete(&table, "a").map(drop)));
    assert!(refused(db.begin_concurrent().map(drop)));
    assert!(refused(db.begin_immediate().map(drop)));
    assert!(refused(db.transact(|_| Ok(())).map(drop)));
    assert!(refused(db.set_journal_mode(JournalMode::Wal)));
    assert!(refused(db.drop_table("rows").map(drop)));
    assert!(refused(db.checkpoint().map(drop)));
    assert!(refused(db.compact().map(drop)));
    assert!(matches!(db.table("another"), Err(Error::NoSuchTable(name)) if name == "another"));
    Ok(())
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let place = Place::new();
    let opened = Database::open_read_only(place.path());
    assert!(matches!(&opened, Err(Error::NotFound(path)) if path.ends_with("data.braid")), "{opened:?}");
    assert!(place.files().is_empty());
}

#[test]
fn readers_share_and_writers_exclude() -> Result<()> {
    let place = prepared(true)?;
    let reader = Database::open_read_only(place.path())?;
    let actor = |command| Actor::start(env!("CARGO_BIN_EXE_actor"), command, &place.path(), &[]).line();
    assert_eq!(actor("read"), Some("opened".into()), "another process reads at the same time");
    let writer = actor("open").unwrap_or_default();
    assert!(writer.starts_with("locked"), "another process may not write meanwhile: {writer}");
    let second = Database::open_read_only(place.path())?;
    assert_all_there(&second)?;
    drop((reader, second));
    assert_eq!(actor("open"), Some("opened".into()));

    let writer = place.open()?;
    let reader = actor("read").unwrap_or_default();
    assert!(reader.starts_with("locked"), "another process may not read a file that is written: {reader}");
    drop(writer);
    Ok(())
}
