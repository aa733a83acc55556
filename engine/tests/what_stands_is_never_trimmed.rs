//! However many commits of a row wait for their sync, a snapshot that begins meanwhile reads the one that stands.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::{Database, Options};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn while_many_commits_wait() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let options = Options { deferred_sync_interval: Duration::MAX, ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "row", [0]).unwrap();

    let (goes_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        let _ = may_go_on.lock().unwrap().recv_timeout(LONG);
    }));
    thread::scope(|scope| {
        for number in 1..40_u8 {
            let (db, table) = (&db, &table);
            scope.spawn(move || db.put(table, "row", [number]).unwrap());
            // The next one comes when this one is installed.
            while db.begin_immediate().unwrap().get(table, "row").unwrap() != Some(vec![number]) {
                thread::yield_now();
            }
        }
        assert_eq!(db.get(&table, "row").unwrap(), Some(vec![0]));
        goes_on.send(()).unwrap();
    });
    assert_eq!(db.get(&table, "row").unwrap(), Some(vec![39]));
}
