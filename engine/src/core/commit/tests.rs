//! Between the installing of a commit and its acknowledgement, where no caller of the library can stop it.

#![allow(clippy::unwrap_used)]

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use braid_mvstore::{TableId, WriteSet};
use braid_vfs::events::keep;
use braid_vfs::sync::Mutex;

use super::super::clock::CommitClock;
use super::{CommitRequest, Made};
use crate::options::Durability;
use crate::{Database, Error, JournalMode, Table, Transaction};

/// A `Deferred` commit is installed and read, and then a sync fails: it is in doubt. Then somebody who read it commits
/// without writes.
fn in_doubt(commit_what_was_read: impl FnOnce(&Database, Transaction) -> Result<(), Error>) {
    let db = Database::in_memory().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let stands = db.core().acked_ts();
    let core = db.core();
    let mut writes = WriteSet::new();
    writes.put(TableId(table.id()), b"key", b"in doubt");
    let installed = core
        .install(&mut CommitRequest {
            begin_ts: core.installed_ts(),
            view: None,
            exclusive: false,
            durability: Durability::Deferred,
            busy_timeout: Duration::ZERO,
            writes: &mut writes,
            reads: None,
            looks: None,
            token: None,
            schema: None,
            reserved: 0,
            made: Made::default(),
        })
        .unwrap();
    let reader = db.begin_concurrent().unwrap();
    assert!(reader.contains(&table, "key").unwrap());

    core.writer().unwrap().log.poison(&Arc::new(io::Error::other("a sync failed")));

    assert!(matches!(core.acknowledge(installed), Err(Error::CommitUnknown { .. })));
    nobody_sees_it(&db, &table);
    assert!(matches!(commit_what_was_read(&db, reader), Err(Error::Poisoned { .. })));
    nobody_sees_it(&db, &table);
    assert_eq!(db.core().acked_ts(), stands);
}

fn nobody_sees_it(db: &Database, table: &Table) {
    assert!(!db.snapshot().unwrap().contains(table, "key").unwrap());
}

#[test]
fn who_read_what_is_in_doubt_is_not_told_that_it_stands() {
    in_doubt(|_, reader| reader.commit().map(drop));
}

#[test]
fn nor_is_a_future() {
    in_doubt(|_, reader| {
        let mut commit = pin!(reader.commit_async());
        let Poll::Ready(told) = commit.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing more will be durable");
        };
        told.map(drop)
    });
}

/// Whoever commits leads a sync in the middle of that, where the clock waits for one: what was kept is not told by the end
/// of that sync.
#[test]
fn nobody_is_told_anything_while_the_gate_is_held() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let mut tx = db.begin_immediate().unwrap();
    tx.put(&table, "key", "value").unwrap();
    {
        let core = db.core();
        let clock = &mut core.writer().unwrap().section.lock().clock;
        *clock = CommitClock::new(clock.last(), clock.last());
    }
    let told = Arc::new(Mutex::new(None));
    let (tells, subscriber) = (Arc::clone(&told), db.clone());
    keep(move || *tells.lock() = Some(subscriber.core().writer().unwrap().gate.is_held()));
    tx.commit().unwrap();
    assert_eq!(*told.lock(), Some(false));
}
