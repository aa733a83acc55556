//! An open that is not to make a database makes none: not of a file that is missing, and not of an empty one.

#![expect(clippy::disallowed_methods, reason = "the test makes the files that an open finds")]

use std::fs;

use braid::{Database, Error, Options, Result};
use braid_tests::Place;

fn existing() -> Options {
    Options::default().create(false)
}

#[test]
fn a_missing_file_is_not_found() {
    let place = Place::new();
    for path in [place.path(), place.join("no/such/folder/data.braid")] {
        let opened = Database::open_with(&path, existing());
        assert!(
            matches!(&opened, Err(Error::NotFound(found)) if found.ends_with("data.braid")),
            "{opened:?}"
        );
    }
    // Nor what a link leads to.
    std::os::unix::fs::symlink(place.join("elsewhere"), place.path()).expect("a link can be made");
    let opened = place.open_with(existing());
    assert!(matches!(opened, Err(Error::NotFound(_))), "{opened:?}");
    fs::remove_file(place.path()).expect("the link can be removed");
    assert!(fs::read_dir(place.directory()).expect("it can be listed").next().is_none());
}

#[test]
fn an_empty_file_stays_empty() {
    let place = Place::new();
    fs::write(place.path(), "").expect("a file can be written");
    let opened = place.open_with(existing());
    assert!(matches!(opened, Err(Error::NotABraidDatabase { .. })), "{opened:?}");
    assert_eq!(fs::read(place.path()).expect("it can be read"), b"");
    assert_eq!(fs::read_dir(place.directory()).expect("it can be listed").count(), 1);
}

#[test]
fn a_database_opens_and_its_handles_need_not_agree() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    drop(place.open_with(existing())?);
    // A backup has no log yet, and gets one.
    db.backup(place.join("copy.braid"))?;
    drop((db, table));
    for path in [place.path(), place.join("copy.braid")] {
        let db = Database::open_with(path, existing())?;
        assert_eq!(db.get(&db.table("rows")?, "a")?.as_deref(), Some(&b"1"[..]));
    }
    // In memory there is nothing to be found.
    Database::in_memory_with(existing())?.table("rows").map(drop)
}
