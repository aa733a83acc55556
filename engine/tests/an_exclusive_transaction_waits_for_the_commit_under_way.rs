//! An exclusive transaction is not validated: what is being committed when it begins, it must see.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::{Database, JournalMode, Options};

#[test]
fn it_sees_what_that_one_writes() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    // Nothing writes in the background.
    let options = Options { map_log: false, deferred_sync_interval: Duration::MAX, ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let mut tx = db.begin_concurrent().unwrap();
    tx.put(&table, "count", "1").unwrap();

    // The commit stops in the middle of its append until the exclusive transaction has begun, which it must not, or for
    // a while, in which it would have.
    let (appending, is_appending) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    let has_begun = Mutex::new(has_begun);
    faults.inject(Fault::on(Operation::Write).call(move || {
        appending.send(()).unwrap();
        let _ = has_begun.lock().unwrap().recv_timeout(Duration::from_millis(100));
    }));
    thread::scope(|scope| {
        scope.spawn(|| tx.commit().unwrap());
        is_appending.recv_timeout(Duration::from_secs(60)).unwrap();
        let exclusive = db.begin_immediate().unwrap();
        let _ = begun.send(());
        assert_eq!(exclusive.get(&table, "count").unwrap().as_deref(), Some(&b"1"[..]));
    });
}
