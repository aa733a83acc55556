//! Memory that only validation needed is free once nobody can be validated against it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use braid::vfs::sync::thread;
use braid::{Database, JournalMode};

#[test]
fn history_goes_when_the_last_old_writer_does() {
    let db = Database::in_memory().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let old = db.begin_concurrent().unwrap();
    db.put(&table, "key", vec![7; 100 << 10]).unwrap();
    db.checkpoint().unwrap();
    assert!(db.stats().row_store.history_bytes > 100 << 10);
    old.rollback();
    let is_gone = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(20));
        db.stats().row_store.history_bytes == 0
    });
    assert!(is_gone, "nobody lets it go");
}
