//! What is no file, cannot be one, or is not ours to open: an error in words, at once, and nothing is left behind.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use braid::{Database, Error, Result};
use braid_tests::machine::Tried;
use braid_tests::{Actor, Place, assert_clean};

use crate::actor;

fn refused(path: &Path) -> String {
    let error = Database::open(path).err().unwrap_or_else(|| panic!("{} was opened", path.display()));
    assert!(matches!(error, Error::Io { .. } | Error::NotABraidDatabase { .. }), "{error:?}");
    error.in_full().to_string()
}

#[test]
fn what_is_no_regular_file() {
    let place = Place::new();
    let pipe = place.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    let socket = place.join("socket");
    let _listener = UnixListener::bind(&socket).expect("a socket can be bound");
    for path in [pipe.as_path(), &socket, Path::new("/dev/null"), Path::new("/dev/zero"), place.directory()] {
        let words = refused(path);
        assert!(words.contains(path.to_string_lossy().as_ref()), "{words}");
        assert!(Database::open_read_only(path).is_err(), "{}", path.display());
    }
    assert!(Database::open(place.join("absent/data.braid")).is_err());
    assert!(Database::open(pipe.join("data.braid")).is_err(), "a pipe is no directory");
    assert_eq!(place.files(), [pipe, socket], "nothing is left behind");
}

#[test]
fn a_name_that_is_too_long_for_a_log_leaves_nothing() {
    let place = Place::new();
    for length in [252, 255, 256, 300] {
        let path = place.join(&"n".repeat(length));
        let words = refused(&path);
        assert!(words.contains("shorter name"), "{length}: {words}");
        assert_eq!(place.files(), Vec::<PathBuf>::new(), "{length}");
    }
    let longest = place.join(&"n".repeat(251));
    Database::open(&longest).and_then(Database::close).expect("the longest name that its log can have");
}

#[test]
fn an_unfinished_backup_is_named() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    Place::write(&place.join("copy.braid.partial"), b"half");
    let words = db.backup(place.join("copy.braid")).expect_err("something is in the way");
    let words = words.in_full().to_string();
    assert!(words.contains("copy.braid.partial") && words.contains("remove it"), "{words}");
    assert_eq!(Place::read(&place.join("copy.braid.partial")), b"half", "it is somebody else's");
    Place::remove(&place.join("copy.braid.partial"));
    db.backup(place.join("copy.braid"))?;
    Ok(())
}

/// The actor as a user without rights; skipped where this is not for us to arrange.
fn as_nobody() -> Tried<braid_tests::Program> {
    let drop_rights = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    // The program must be where nobody else but root may come, if need be.
    let can = Command::new("setpriv").args(drop_rights).arg(env!("CARGO_BIN_EXE_actor")).output();
    match can {
        Ok(output) if output.stdout.starts_with(b"error usage") => {
            Tried::Held(actor().inside("setpriv", &drop_rights))
        }
        other => Tried::Skipped(format!("no program runs as another user here: {other:?}")),
    }
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("its permissions can be set");
}

#[test]
fn what_permissions_forbid() -> Result<()> {
    let Some(nobody) = as_nobody().or_say_so("files without permission") else { return Ok(()) };
    let place = Place::new();
    let db = place.open()?;
    db.put(&db.table("rows")?, "a", "1")?;
    db.close()?;
    let says =
        |command: &str| Actor::start_as(&nobody, command, &place.path(), &[]).line().unwrap_or_default();
    let log = place.join("data.braid-wal");

    // Not even the directory may be searched.
    allow(place.directory(), 0o700);
    assert!(says("open").contains("Permission denied"), "{}", says("open"));
    assert!(says("read").contains("Permission denied"), "{}", says("read"));
    // The file may not be read.
    allow(place.directory(), 0o755);
    assert!(says("open").contains("Permission denied"), "{}", says("open"));
    // It may be read, and so may its log: reading works, and changes nothing.
    allow(&place.path(), 0o444);
    allow(&log, 0o755);
    for file in place.log_files() {
        allow(&file, 0o444);
    }
    let before = place.fingerprint();
    assert_eq!(says("read"), "opened");
    assert!(says("open").contains("Permission denied"), "{}", says("open"));
    assert_eq!(place.fingerprint(), before);
    // The log may not be read.
    allow(&log, 0o700);
    assert!(says("read").contains("Permission denied"), "{}", says("read"));
    // A new database needs a directory that can be written.
    let new = Actor::start_as(&nobody, "open", &place.join("new.braid"), &[]).line().unwrap_or_default();
    assert!(new.contains("Permission denied"), "{new}");
    assert_clean(&place.open()?)
}
