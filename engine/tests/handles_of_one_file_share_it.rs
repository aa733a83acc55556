//! Opening, closing and copying while others do.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Options};

#[test]
fn an_open_during_the_last_close_gets_a_database_that_works() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let env = Env::with_files(Arc::new(files));
    let db = Database::open_in(env.clone(), "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    let opened = Arc::new(Mutex::new(None));
    let (again, result) = (env.clone(), Arc::clone(&opened));
    faults.inject(Fault::on(Operation::Write).on_paths_ending("/db").call(move || {
        *result.lock().unwrap() = Some(Database::open_in(again.clone(), "/db", Options::default()));
    }));
    db.close().unwrap();
    let sibling = opened.lock().unwrap().take().expect("the close wrote to the file").unwrap();
    let table = sibling.table("t").unwrap();
    sibling.put(&table, "key", "newer").unwrap();
    sibling.close().unwrap();
    let db = Database::open_in(env, "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    assert_eq!(db.get(&table, "key").unwrap().as_deref(), Some(&b"newer"[..]));
}

#[test]
fn a_backup_leaves_alone_what_it_did_not_make() {
    let files = CrashFileSystem::new();
    let partial = Path::new("/copy.partial");
    drop(files.open(partial, OpenOptions::new(OpenMode::CreateNew)).unwrap());
    let db = Database::open_in(Env::with_files(Arc::new(files.clone())), "/db", Options::default()).unwrap();
    assert!(db.backup("/copy").is_err(), "another backup is under way");
    assert!(files.identity(partial).unwrap().is_some());
    files.remove_file(partial).unwrap();
    db.backup("/copy").unwrap();
    assert!(files.identity(partial).unwrap().is_none());
}
