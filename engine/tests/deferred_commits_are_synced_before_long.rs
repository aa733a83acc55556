//! What a power cut may take of `Deferred` commits is bounded by a sync in the background.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::vfs::sync::thread;
use braid::{Database, Durability, Options};

#[test]
fn without_any_other_commit() {
    let machine = CrashFileSystem::new();
    let options = Options {
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_millis(1),
        ..Options::default()
    };
    let open = |machine: &CrashFileSystem| {
        Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options.clone()).unwrap()
    };
    let db = open(&machine);
    let table = db.table("t").unwrap();
    for row in 0..3_u8 {
        db.put(&table, [row], "value").unwrap();
        let stands = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            let after = open(&machine.after_crash(CrashChoice::KeepNone));
            let table = after.existing_table("t").unwrap();
            table.is_some_and(|table| after.get(&table, [row]).unwrap().is_some())
        });
        assert!(stands, "row {row} is synced by nobody");
    }
}
