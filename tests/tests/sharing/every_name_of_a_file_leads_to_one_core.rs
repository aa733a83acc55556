//! One file is one core, by whatever spelling, symbolic link or hard link it is opened, and by however many threads at
//! once.

use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use braid::{Database, Error, JournalMode, Result};
use braid_tests::{Place, assert_clean, together};

/// Asserts that the name leads to a sibling: what one writes the other sees, and an exclusive turn on one holds the
/// other back.
fn assert_sibling(db: &Database, name: &Path) -> Result<()> {
    let sibling = Database::open(name)?;
    let table = db.table("rows")?;
    let text = name.to_string_lossy().into_owned();
    sibling.put(&table, &text, "from the sibling")?;
    assert_eq!(db.get(&table, &text)?, Some(b"from the sibling".to_vec()), "{text}");
    db.put(&table, &text, "from the first")?;
    assert_eq!(sibling.get(&table, &text)?, Some(b"from the first".to_vec()), "{text}");
    let commits = db.stats().commits;
    assert_eq!(sibling.stats().commits, commits, "siblings share their statistics");
    Ok(())
}

/// The path as it looks from the working directory.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().expect("there is a working directory");
    let up = here.components().filter(|part| matches!(part, Component::Normal(_))).map(|_| "..");
    let mut relative: PathBuf = up.collect();
    relative.extend(path.components().filter(|part| matches!(part, Component::Normal(_))));
    relative
}

#[test]
fn by_every_spelling() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let path = place.path();
    let directory = place.directory();
    let inner = place.join("inner");
    std::fs::DirBuilder::new().create(&inner).expect("a directory can be made");
    let name = path.file_name().expect("the file has a name");

    assert_sibling(&db, &path)?;
    assert_sibling(&db, &directory.join(".").join(name))?;
    assert_sibling(&db, &inner.join("..").join(name))?;
    assert_sibling(&db, &relative(&path))?;
    assert_clean(&db)
}

#[test]
fn by_links_of_both_kinds() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let path = place.path();
    let elsewhere = Place::new();

    symlink(&path, place.join("symlink")).expect("a link can be made");
    assert_sibling(&db, &place.join("symlink"))?;
    symlink(place.join("symlink"), elsewhere.join("second symlink")).expect("a link can be made");
    assert_sibling(&db, &elsewhere.join("second symlink"))?;
    symlink(place.directory(), elsewhere.join("directory")).expect("a link can be made");
    assert_sibling(&db, &elsewhere.join("directory").join("data.braid"))?;
    std::fs::hard_link(&path, place.join("hard link")).expect("a link can be made");
    assert_sibling(&db, &place.join("hard link"))?;
    assert_clean(&db)
}

#[test]
fn a_database_made_through_a_symlink_is_found_by_its_own_name() -> Result<()> {
    let (place, elsewhere) = (Place::new(), Place::new());
    let link = elsewhere.join("link");
    symlink(place.path(), &link).expect("a link can be made");
    let db = Database::open(&link)?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    assert_sibling(&db, &place.path())?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(
        db.get(&db.table("rows")?, "a")?,
        Some(b"1".to_vec()),
        "the log lies beside the file, not the link"
    );
    assert_clean(&db)
}

#[test]
fn by_sixteen_threads_at_once() -> Result<()> {
    for round in 0..10 {
        let place = Place::new();
        let handles = together(16, |thread| -> Result<Database> {
            let db = Database::open(place.path())?;
            let table = db.table("rows")?;
            db.put(&table, format!("{round} {thread}"), "x")?;
            Ok(db)
        })?;
        for db in &handles {
            assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 16);
        }
    }
    Ok(())
}

#[test]
fn by_threads_that_open_and_close_all_the_time() -> Result<()> {
    let place = Place::new();
    place.open()?.set_journal_mode(JournalMode::Mvcc)?;
    together(4, |thread| -> Result<()> {
        for round in 0..15 {
            let db = Database::open(place.path())?;
            let table = db.table("rows")?;
            db.put(&table, format!("{thread} {round}"), "x")?;
        }
        Ok(())
    })?;
    let db = place.open()?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, 60);
    assert_clean(&db)
}

#[test]
fn a_hard_link_that_is_opened_first_finds_the_log_or_says_so() -> Result<()> {
    // The log lies beside one name of the file. Through another name it may be out of sight; then nothing may be lost
    // in silence, and the first name still leads to everything.
    for clean in [true, false] {
        let (place, elsewhere) = (Place::new(), Place::new());
        let db = place.open()?;
        let table = db.table("rows")?;
        db.put(&table, "a", "1")?;
        drop(table);
        if clean {
            db.close()?;
        } else {
            drop(db);
        }
        let link = elsewhere.join("link");
        std::fs::hard_link(place.path(), &link).expect("a link can be made");
        match Database::open(&link) {
            Ok(db) => assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec())),
            Err(Error::Mismatch(_)) => {}
            Err(error) => return Err(error),
        }
        let db = place.open()?;
        assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec()));
        assert_clean(&db)?;
    }
    Ok(())
}
