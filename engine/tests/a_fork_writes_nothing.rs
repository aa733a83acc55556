//! A fork of the process that opened a database is refused, whatever it asks for, and its end changes nothing.
//!
//! Alone in its binary: a fork holds what its parent has open until it ends.
#![cfg(all(unix, not(miri)))]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![expect(unsafe_code, reason = "a real fork")]

use std::path::Path;
use std::sync::Arc;

use braid::vfs::Env;
use braid::vfs::faulty::CrashFileSystem;
use braid::{Database, Error, JournalMode, Options};

fn is_refused<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Forked))
}

#[test]
fn a_fork_writes_nothing() {
    let files = CrashFileSystem::new();
    let db = Database::open_in(Env::with_files(Arc::new(files.clone())), "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    db.checkpoint().unwrap();
    db.put(&table, "key", "newer").unwrap();
    let ids = db.sequence("ids").unwrap();
    ids.next().unwrap();
    let handle = db.clone();
    let now = db.snapshot().unwrap().timestamp();
    let consumer = db.consumer("c", now).unwrap();
    let mut feed = db.changes(now).unwrap();

    // SAFETY:
    // 1. No other thread of this process holds a lock that the child comes by: the test is alone, and the database's
    //    own threads sleep or wait for the log's timer with their locks given back.
    // 2. `waitpid` gets the id of this process's own child and a place for one `c_int`.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            let steps = files.steps();
            let again =
                Database::open_in(Env::with_files(Arc::new(files.clone())), "/db", Options::default());
            let refused = [
                matches!(again, Err(Error::Locked { .. })),
                is_refused(&db.put(&table, "key", "of the child")),
                is_refused(&db.get(&table, "key")),
                is_refused(&db.sync()),
                is_refused(&db.checkpoint()),
                is_refused(&db.compact()),
                is_refused(&db.set_journal_mode(JournalMode::Mvcc)),
                is_refused(&db.drop_table("t")),
                is_refused(&db.rename_table("t", "u")),
                is_refused(&ids.next()),
                is_refused(&db.sequence("ids")),
                is_refused(&db.drop_sequence("ids")),
                is_refused(&db.sequences()),
                is_refused(&db.backup(Path::new("/copy"))),
                is_refused(&db.changes(now)),
                is_refused(&feed.try_next()),
                is_refused(&consumer.acknowledge(now)),
                is_refused(&db.remove_consumer("c")),
                is_refused(&db.check()),
                {
                    drop((feed, consumer));
                    is_refused(&handle.close())
                },
                is_refused(&db.close()),
            ];
            let first = refused.iter().position(|refused| !refused).unwrap_or(refused.len());
            let wrote = i32::from(files.steps() != steps) * 100;
            libc::_exit(wrote + i32::try_from(first).unwrap_or(99));
        }
        assert!(child > 0, "fork failed");
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        status
    };
    assert!(libc::WIFEXITED(status));
    assert_eq!(
        libc::WEXITSTATUS(status),
        21,
        "the first call that was not refused; 100 more if something was written"
    );
}
