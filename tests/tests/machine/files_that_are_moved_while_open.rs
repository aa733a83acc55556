//! Files that are renamed, replaced, removed or locked away under an open database: what its documentation says.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use braid::vfs::faulty::{Fault, Operation};
use braid::{Database, Error, Options, Result, salvage};
use braid_tests::{Actor, Place, assert_clean, faulty_env};

use crate::actor;

#[expect(clippy::disallowed_methods, reason = "files are moved under the engine")]
fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("a file can be renamed");
}

fn small() -> Options {
    Options {
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        log_bytes: 128 << 10,
        ..Options::default()
    }
}

/// Commits until one fails or many were made.
fn fill(db: &Database, name: &str) -> Result<u64> {
    let table = db.table("rows")?;
    for row in 0..200 {
        db.put(&table, format!("{name} {row}"), vec![1; 2000])?;
    }
    db.snapshot()?.count(&table)
}

#[test]
fn a_renamed_file_goes_on_and_belongs_beside_its_log() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    rename(&place.path(), &place.join("other.braid"));
    assert_eq!(fill(&db, "a")?, 200);
    db.checkpoint()?;
    assert_clean(&db)?;
    // Its old name is free, and the log beside it is in use.
    assert!(matches!(place.open(), Err(Error::Locked { .. })));
    Place::remove(&place.path());
    // Its new name leads to the open core, and another process is told who has it.
    assert_eq!(Database::open(place.join("other.braid"))?.snapshot()?.count(&db.table("rows")?)?, 200);
    let said = Actor::start_as(&actor(), "open", &place.join("other.braid"), &[]).line();
    assert_eq!(said, Some(format!("locked {}", std::process::id())));
    db.close()?;
    assert!(
        matches!(Database::open(place.join("other.braid")), Err(Error::Mismatch(_))),
        "the log is not beside it"
    );
    rename(&place.join("other.braid"), &place.path());
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 200);
    assert_clean(&db)
}

#[test]
fn a_removed_file_goes_on_until_it_is_closed() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    Place::remove(&place.path());
    assert_eq!(fill(&db, "a")?, 200);
    assert_clean(&db)?;
    let copy = place.join("copy.braid");
    db.backup(&copy)?;
    db.close()?;
    assert!(matches!(place.open(), Err(Error::Mismatch(_))), "a log without its database is not a new one's");
    let copy = Database::open(copy)?;
    assert_eq!(copy.snapshot()?.count(&copy.table("rows")?)?, 200, "a backup saves what can be read");
    Ok(())
}

#[test]
fn a_log_that_is_moved_away_stops_commits_until_it_is_back() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    fill(&db, "a")?;
    rename(&place.join("data.braid-wal"), &place.join("away"));
    let error = fill(&db, "b").expect_err("there is no place for the next segment");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("data.braid-wal"), "{error}");
    let before = db.snapshot()?.count(&db.table("rows")?)?;
    rename(&place.join("away"), &place.join("data.braid-wal"));
    assert!(fill(&db, "c")? >= before + 200);
    assert_clean(&db)?;
    let count = db.snapshot()?.count(&db.table("rows")?)?;
    db.close()?;
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, count);
    assert_clean(&db)
}

#[test]
fn a_log_that_is_removed_stops_commits_and_a_backup_saves_them() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    fill(&db, "a")?;
    for file in place.log_files() {
        Place::remove(&file);
    }
    std::fs::remove_dir(place.join("data.braid-wal")).expect("the directory is empty");
    assert!(matches!(fill(&db, "b"), Err(Error::Io { .. })));
    let count = db.snapshot()?.count(&db.table("rows")?)?;
    assert!(count >= 200, "reads go on");
    db.backup(place.join("copy.braid"))?;
    // Whatever the close says, nothing of it may look like a whole database.
    let _ = db.close();
    assert!(matches!(place.open(), Err(Error::Mismatch(_))));
    let copy = Database::open(place.join("copy.braid"))?;
    assert_eq!(copy.snapshot()?.count(&copy.table("rows")?)?, count);
    assert_clean(&copy)
}

#[test]
fn a_replaced_file_is_not_taken_for_the_open_one() -> Result<()> {
    let (place, elsewhere) = (Place::new(), Place::new());
    let other = elsewhere.open()?;
    fill(&other, "other")?;
    other.close()?;
    let db = place.open_with(small())?;
    fill(&db, "a")?;
    // Another database takes its name: it finds a log that is in use, and not its own.
    rename(&place.path(), &place.join("kept.braid"));
    rename(&elsewhere.path(), &place.path());
    assert!(matches!(place.open(), Err(Error::Locked { .. })));
    let said = Actor::start_as(&actor(), "open", &place.path(), &[]).line();
    assert_eq!(said, Some(format!("locked {}", std::process::id())));
    assert_eq!(fill(&db, "b")?, 400);
    assert_clean(&db)?;
    db.close()?;
    rename(&place.join("kept.braid"), &place.path());
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 400);
    assert_clean(&db)
}

#[test]
fn an_older_copy_does_not_get_the_log_that_is_in_use() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    fill(&db, "a")?;
    db.checkpoint()?;
    let copy = Place::read(&place.path());
    // As a restore by `mv` does it under a database that is open.
    Place::write(&place.join("copy"), &copy);
    rename(&place.path(), &place.join("kept.braid"));
    rename(&place.join("copy"), &place.path());
    let said = Actor::start_as(&actor(), "open", &place.path(), &[]).line().unwrap_or_default();
    assert_eq!(said, format!("locked {}", std::process::id()), "the log is in use");
    let salvaged = salvage(place.path(), place.join("salvaged.braid"));
    assert!(matches!(salvaged, Err(Error::Locked { .. })), "{salvaged:?}");
    assert_eq!(fill(&db, "b")?, 400);
    assert_clean(&db)?;
    db.close()?;
    rename(&place.join("kept.braid"), &place.path());
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 400);
    assert_clean(&db)
}

#[test]
fn permissions_that_are_taken_away_stop_only_the_next_open() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(small())?;
    let forbid = |mode| {
        std::fs::set_permissions(place.path(), Permissions::from_mode(mode)).expect("permissions can be set");
    };
    for mode in [0o444, 0o000] {
        forbid(mode);
        fill(&db, "a")?;
        db.checkpoint()?;
    }
    forbid(0o600);
    db.close()?;
    assert_clean(&place.open()?)
}

#[test]
fn a_file_that_is_replaced_during_the_open_is_not_opened_half() -> Result<()> {
    // The open looks at the file, locks it and reads it, each by its name.
    for nth in [2, 3] {
        let (place, elsewhere) = (Place::new(), Place::new());
        for (place, name) in [(&place, "first"), (&elsewhere, "second")] {
            let db = place.open()?;
            db.put(&db.table(name)?, "a", name)?;
            db.close()?;
        }
        let (env, faults) = faulty_env();
        let (path, kept, second) = (place.path(), place.join("kept.braid"), elsewhere.path());
        let swap = move || {
            rename(&path, &kept);
            rename(&second, &path);
        };
        faults.inject(Fault::on(Operation::Open).on_paths_ending("data.braid").nth(nth).call(swap));
        let error = Database::open_in(env, place.path(), Options::default()).expect_err("it was replaced");
        assert!(error.in_full().to_string().contains("replaced"), "open {nth}: {error}");
        // Nothing has happened to either.
        rename(&place.path(), &elsewhere.path());
        rename(&place.join("kept.braid"), &place.path());
        for (place, name) in [(&place, "first"), (&elsewhere, "second")] {
            let db = place.open()?;
            assert_eq!(db.tables()?, [name]);
            assert_clean(&db)?;
        }
    }
    Ok(())
}
