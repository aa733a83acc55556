//! A backup is written for minutes. Whoever takes one of its names meanwhile keeps it. What is salvaged goes into a file of
//! its own as well.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::io;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, FaultyFileSystem, Operation};
use braid::vfs::{Env, File, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Error, Options, salvage_in};

fn open(machine: &CrashFileSystem, path: &str) -> Database {
    Database::open_in(Env::with_files(Arc::new(machine.clone())), path, Options::default()).unwrap()
}

fn put(db: &Database, value: &str) {
    db.put(&db.table("t").unwrap(), "key", value).unwrap();
}

fn get(db: &Database) -> Vec<u8> {
    db.get(&db.existing_table("t").unwrap().unwrap(), "key").unwrap().unwrap()
}

fn make(machine: &CrashFileSystem, path: &str) -> io::Result<Arc<dyn File>> {
    machine.open(Path::new(path), OpenOptions::new(OpenMode::CreateNew))
}

/// The database at `/db`, on files that fail as they are told, and that file system.
fn original(machine: &CrashFileSystem) -> (Database, FaultyFileSystem) {
    let faulty = machine.under_faults();
    let env = Env::with_files(Arc::new(faulty.clone()));
    let db = Database::open_in(env, "/db", Options::default()).unwrap();
    put(&db, "the original's");
    (db, faulty)
}

fn exists(machine: &CrashFileSystem, path: &str) -> bool {
    machine.identity(Path::new(path)).unwrap().is_some()
}

fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
}

/// A backup whose call for the temporary name, of the kind that is given, finds what `others` do then; why it fails.
fn backup_beside(
    machine: &CrashFileSystem,
    at: Operation,
    others: impl Fn(&CrashFileSystem) + Send + Sync + 'static,
) -> Error {
    let (db, faulty) = original(machine);
    let machine = machine.clone();
    let meanwhile = Fault::on(at).on_paths_ending(".partial").call(move || others(&machine));
    faulty.faults().inject(meanwhile);
    let refused = db.backup("/copy").unwrap_err();
    assert_eq!(faulty.faults().fired(), 1);
    refused
}

#[test]
fn a_database_made_meanwhile_keeps_its_name_and_commits() {
    let machine = CrashFileSystem::new();
    // In the last moment: nothing is left to be looked at.
    let refused =
        backup_beside(&machine, Operation::Rename, |others| put(&open(others, "/copy"), "another's"));
    assert!(is_taken(&refused), "{refused:?}");
    assert!(!exists(&machine, "/copy.partial"), "what is of no use is removed");
    let after = machine.crash(CrashChoice::KeepNone);
    assert_eq!(get(&open(&after, "/copy")), b"another's");
}

#[test]
fn a_log_made_meanwhile_is_found_before_the_end() {
    let machine = CrashFileSystem::new();
    // A database is made and its file removed again, while the backup is synced.
    let refused = backup_beside(&machine, Operation::SyncAll, |others| {
        put(&open(others, "/copy"), "another's");
        others.remove_file(Path::new("/copy")).unwrap();
    });
    assert!(is_taken(&refused), "{refused:?}");
    assert!(!exists(&machine, "/copy") && !exists(&machine, "/copy.partial"));
}

#[test]
fn the_temporary_name_of_another_backup_is_left_alone() {
    let machine = CrashFileSystem::new();
    let (db, faulty) = original(&machine);
    let others = machine.clone();
    // Somebody takes this backup for one that was never finished, and begins anew.
    faulty.faults().inject(Fault::on(Operation::SyncAll).on_paths_ending(".partial").call(move || {
        others.remove_file(Path::new("/copy.partial")).unwrap();
        make(&others, "/copy.partial").unwrap();
    }));
    let refused = db.backup("/copy").unwrap_err();
    assert!(is_taken(&refused), "{refused:?}");
    assert_eq!(faulty.faults().fired(), 1);
    assert!(exists(&machine, "/copy.partial"), "it is the other's");
    assert!(!exists(&machine, "/copy"), "and has not been finished");
}

#[test]
fn a_power_cut_between_its_two_names_leaves_a_whole_backup() {
    let mut both = 0;
    for steps in 0.. {
        let machine = CrashFileSystem::new();
        machine.set_renames_new_at_once(false);
        let db = open(&machine, "/db");
        put(&db, "the original's");
        machine.cut_power_after(steps);
        let done = db.backup("/copy");
        drop(db);
        for choice in [CrashChoice::KeepAll, CrashChoice::KeepNone] {
            let after = machine.after_crash(choice);
            let names = [exists(&after, "/copy"), exists(&after, "/copy.partial")];
            if names[0] {
                assert_eq!(get(&open(&after, "/copy")), b"the original's", "{steps} {choice:?}");
            }
            both += usize::from(names == [true, true]);
            if done.is_ok() {
                assert_eq!(names, [true, false], "{steps} {choice:?}");
            }
        }
        if done.is_ok() {
            break;
        }
    }
    assert!(both > 0, "the moment between has been met");
}

#[test]
fn nothing_is_salvaged_into_a_database_of_somebody_elses() {
    for replaced in [true, false] {
        let machine = CrashFileSystem::new();
        put(&open(&machine, "/db"), "the original's");
        let files = machine.under_faults();
        let others = machine.clone();
        // Between the creation of the file and its first open as a database.
        let second_open = Fault::on(Operation::Open).on_paths(|path| path == Path::new("/saved")).nth(2);
        files.faults().inject(second_open.call(move || {
            if replaced {
                others.remove_file(Path::new("/saved")).unwrap();
            }
            put(&open(&others, "/saved"), "another's");
        }));
        let env = Env::with_files(Arc::new(files.clone()));
        let refused = salvage_in(&env, "/db", "/saved").unwrap_err();
        assert_eq!(files.faults().fired(), 1);
        assert!(is_taken(&refused), "{refused:?}");
        let kept = open(&machine, "/saved");
        assert_eq!(get(&kept), b"another's");
        assert_eq!(kept.tables().unwrap(), ["t"]);
    }
}
