//! A timestamp names one commit for ever, also one that a power cut took back.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::{Database, Durability, Options};

#[test]
fn not_after_any_number_of_power_cuts() {
    let options = Options {
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::MAX,
        ..Options::default()
    };
    let mut machine = CrashFileSystem::new();
    let mut newest = 0;
    for life in 0..6 {
        let files = Arc::new(machine.clone());
        let db = Database::open_in(Env::with_files(files), "/db", options.clone()).unwrap();
        let table = db.table("t").unwrap();
        for row in 0..5 {
            let mut tx = db.begin().unwrap();
            tx.put(&table, [row], "value").unwrap();
            let issued = tx.commit().unwrap().timestamp.get();
            assert!(issued > newest, "life {life}: {issued} after {newest}");
            newest = issued;
        }
        if life % 2 == 1 {
            db.checkpoint().unwrap();
        }
        drop(table);
        machine = machine.crash(CrashChoice::KeepNone);
    }
}
