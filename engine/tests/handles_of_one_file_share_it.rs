//! Opening, closing and copying while others do.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Closed, Database, Error, Options, log_dir};

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
    assert_eq!(db.close().unwrap(), Closed::StillInUse, "somebody opened it meanwhile");
    let sibling = opened.lock().unwrap().take().expect("the close wrote to the file").unwrap();
    let table = sibling.table("t").unwrap();
    sibling.put(&table, "key", "newer").unwrap();
    assert_eq!(sibling.close().unwrap(), Closed::Now);
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

#[test]
fn a_close_tells_whether_the_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.braid");
    let db = Database::open(&path).unwrap();
    let table = db.table("t").unwrap();
    assert_eq!(db.clone().close().unwrap(), Closed::StillInUse, "there is another handle");
    let mut tx = db.begin().unwrap();
    tx.put(&table, "key", "value").unwrap();
    assert_eq!(db.close().unwrap(), Closed::StillInUse, "there is a transaction");
    // It is open, and this is a handle of the same.
    assert!(matches!(
        Database::open_with(&path, Options::default().map_log(false)),
        Err(Error::OptionsConflict { .. })
    ));
    tx.commit().unwrap();
    let db = Database::open_with(&path, Options::default().map_log(false)).unwrap();
    assert_eq!(db.get(&db.table("t").unwrap(), "key").unwrap().as_deref(), Some(&b"value"[..]));
    let reader = Database::open_read_only(&path).unwrap();
    assert_eq!(db.close().unwrap(), Closed::StillInUse, "there is one that reads");
    assert_eq!(reader.close().unwrap(), Closed::Now);
    assert_eq!(Database::open_read_only(&path).unwrap().close().unwrap(), Closed::Now);
}

#[test]
fn who_reads_keeps_writers_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.braid");
    Database::open(&path).unwrap().close().unwrap();
    let reader = Database::open_read_only(&path).unwrap();
    assert!(matches!(Database::open(&path), Err(Error::OptionsConflict { .. })));
    let other = reader.clone();
    drop(reader);
    assert!(matches!(Database::open(&path), Err(Error::OptionsConflict { .. })));
    drop(other);
    Database::open(&path).unwrap();
}

#[test]
fn a_handle_knows_where_its_log_lies() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let path = folder.join("db.braid");
    let db = Database::open(&path).unwrap();
    let log = db.log_dir().unwrap();
    assert_eq!(log, folder.join("db.braid-wal"));
    assert!(std::fs::read_dir(&log).unwrap().count() > 0, "it is there");
    assert_eq!(Database::in_memory().unwrap().log_dir(), None);
    // By another name it is the same, which the name alone does not tell.
    #[cfg(unix)]
    {
        let link = folder.join("link.braid");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(Database::open(&link).unwrap().log_dir(), Some(log.clone()));
    }
    assert_eq!(log_dir(&path), log);
}
