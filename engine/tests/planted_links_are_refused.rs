//! New files are nobody else's to read, and what stands where the engine keeps its own files is not followed elsewhere.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![expect(clippy::disallowed_methods, reason = "the test makes what the engine is to refuse")]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use braid::{Database, Error};

fn rows(path: &Path) -> braid::Result<u64> {
    let db = Database::open(path)?;
    let table = db.table("t")?;
    db.put(&table, "key", "value")?;
    db.snapshot()?.count(&table)
}

/// A directory, the database in it and its log.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("db");
    let log = path.with_file_name("db-wal");
    (directory, path, log)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

fn segment(log: &Path) -> PathBuf {
    std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn files_are_private_and_the_log_is_as_private_as_the_file() {
    let (_directory, path, log) = place();
    rows(&path).unwrap();
    assert_eq!((mode(&path), mode(&log), mode(&segment(&log))), (0o600, 0o700, 0o600));
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    rows(&path).unwrap();
    assert_eq!((mode(&path), mode(&log), mode(&segment(&log))), (0o640, 0o750, 0o640));
}

#[test]
fn a_link_in_place_of_the_log_is_refused() {
    let (directory, path, log) = place();
    let elsewhere = directory.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for target in [elsewhere.clone(), directory.path().join("nowhere")] {
        symlink(&target, &log).unwrap();
        assert!(matches!(rows(&path), Err(Error::Untrusted { .. })));
        assert!(matches!(Database::open_read_only(&path), Err(Error::Untrusted { .. })));
        std::fs::remove_file(&log).unwrap();
    }
    std::fs::write(&log, "").unwrap();
    assert!(matches!(rows(&path), Err(Error::Untrusted { .. })));
    std::fs::remove_file(&log).unwrap();
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing went there");
    assert_eq!(rows(&path).unwrap(), 1);
    // The same when there is a log already that somebody has moved away.
    std::fs::remove_dir(&elsewhere).unwrap();
    std::fs::rename(&log, &elsewhere).unwrap();
    symlink(&elsewhere, &log).unwrap();
    let error = rows(&path).unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert!(matches!(braid::salvage(&path, directory.path().join("out")), Err(Error::Untrusted { .. })));
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&elsewhere, &log).unwrap();
    assert_eq!(rows(&path).unwrap(), 1);
}

#[test]
fn a_link_in_place_of_a_segment_is_refused() {
    let (directory, path, log) = place();
    rows(&path).unwrap();
    let segment = segment(&log);
    let moved = directory.path().join("moved");
    std::fs::rename(&segment, &moved).unwrap();
    symlink(&moved, &segment).unwrap();
    let before = std::fs::read(&moved).unwrap();
    let error = rows(&path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(std::fs::read(&moved).unwrap() == before, "nothing was written through it");
    std::fs::remove_file(&segment).unwrap();
    std::fs::rename(&moved, &segment).unwrap();
    assert_eq!(rows(&path).unwrap(), 1);
}

#[test]
fn links_where_a_backup_goes_are_not_followed() {
    let (directory, path, _) = place();
    rows(&path).unwrap();
    let db = Database::open(&path).unwrap();
    let (copy, victim) = (directory.path().join("copy"), directory.path().join("victim"));
    std::fs::write(&victim, "precious").unwrap();
    let partial = directory.path().join("copy.partial");
    symlink(&victim, &partial).unwrap();
    assert!(matches!(db.backup(&copy), Err(Error::Io { .. })));
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(partial.is_symlink(), "what was there is somebody else's");
    std::fs::remove_file(&partial).unwrap();
    symlink(&victim, &copy).unwrap();
    assert!(matches!(db.backup(&copy), Err(Error::Io { .. })), "there is something already");
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    std::fs::remove_file(&copy).unwrap();
    db.backup(&copy).unwrap();
    assert_eq!(mode(&copy), 0o600);
}

#[test]
fn a_link_to_a_database_is_followed_once() {
    let (directory, path, log) = place();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(rows(&link).unwrap(), 1, "one that leads nowhere yet is a name for what is made there");
    assert!(log.is_dir() && !directory.path().join("link-wal").exists(), "the log lies beside the file");
    let db = Database::open(&link).unwrap();
    // Once it is open, the link may lead where it likes.
    std::fs::remove_file(&link).unwrap();
    symlink(directory.path().join("other"), &link).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "another", "").unwrap();
    db.checkpoint().unwrap();
    drop((db, table));
    assert_eq!(rows(&path).unwrap(), 2);
}
