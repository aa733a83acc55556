//! A backup that was reported complete is there after a power cut, under its name.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::{Database, Options};

#[test]
fn with_all_its_rows() {
    let machine = CrashFileSystem::new();
    let open = |machine: &CrashFileSystem, path| {
        Database::open_in(Env::with_files(Arc::new(machine.clone())), path, Options::default())
    };
    let db = open(&machine, "/db").unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    db.backup("/copy").unwrap();
    let after = machine.crash(CrashChoice::KeepNone);
    let copy = open(&after, "/copy").unwrap();
    let table = copy.existing_table("t").unwrap().unwrap();
    assert_eq!(copy.get(&table, "key").unwrap().as_deref(), Some(&b"value"[..]));
}
