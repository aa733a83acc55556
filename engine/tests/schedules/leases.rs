//! Snapshots that are revoked at any time: while they begin, read, walk, commit and end.

use std::time::Duration;

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::memory::MemoryFileSystem;
use braid::{Database, Error, JournalMode, Options, Result, Table};

use crate::kit::*;

/// With limits that everything exceeds sooner or later.
fn strict(options: Options) -> (Database, Table) {
    let db = Database::open_in(env(MemoryFileSystem::new()), PATH, options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn keeps_nothing() -> Options {
    Options { snapshot_max_pinned_bytes: Some(0), ..options() }
}

fn lives_shortly() -> Options {
    Options { snapshot_max_age: Some(Duration::from_micros(200)), ..options() }
}

/// What a revoked one says is that, and it says it again.
fn revoked<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Error::BusySnapshot { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn reads_are_right_or_refused(options: Options) {
    let (db, table) = strict(options);
    let commits = Notes::new();
    let writers = [1, 2].map(|writer: u8| {
        let commits = commits.clone();
        spawn(&db, &table, move |db, table| {
            for i in 0..2 {
                let durability = if writer == 1 { Sync } else { Deferred };
                commits.note(add(db, table, &[writer, i], durability));
            }
        })
    });
    let looks = Notes::new();
    let readers = [(), ()].map(|()| {
        let looks = looks.clone();
        spawn(&db, &table, move |db, table| {
            for round in 0..2 {
                let mut over = false;
                let tx = (round == 1).then(|| db.begin_concurrent().unwrap());
                let snapshot = db.snapshot().unwrap();
                let snapshot = tx.as_deref().unwrap_or(&snapshot);
                for _ in 0..3 {
                    match revoked(try_count(snapshot, table)) {
                        Some(seen) => {
                            assert!(!over, "a revoked snapshot reads again");
                            looks.note((snapshot.timestamp(), seen));
                        }
                        None => over = true,
                    }
                }
            }
        })
    });
    let folds = spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok())));
    join(writers);
    join(readers);
    join([folds]);
    let commits = commits.all();
    for (at, seen) in looks.all() {
        let expected = commits.iter().filter(|commit_ts| **commit_ts <= at).count();
        assert_eq!(usize::from(seen), expected, "a snapshot at {at}, of commits at {commits:?}");
    }
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn reads_are_right_or_refused_where_nothing_may_be_kept() {
    explore!(|| reads_are_right_or_refused(keeps_nothing()));
}

#[test]
fn reads_are_right_or_refused_where_none_may_last() {
    explore!(|| reads_are_right_or_refused(lives_shortly()));
}

/// A cursor that stands somewhere while its snapshot is revoked: each row that it comes to is the right one.
#[test]
fn a_cursor_walks_on_or_is_told() {
    explore!(|| {
        let (db, table) = strict(keeps_nothing());
        for row in 0..6_u8 {
            db.put(&table, [row], [7]).unwrap();
        }
        if pick(2) == 0 {
            db.checkpoint().unwrap();
        }
        let snapshot = db.snapshot().unwrap();
        let walker = spawn(&db, &table, move |_, table| {
            let Some(mut cursor) = revoked(snapshot.cursor(table)) else { return };
            drop(snapshot);
            for row in 0..6_u8 {
                match revoked(cursor.next()) {
                    Some(there) => {
                        assert!(there);
                        let found =
                            revoked(cursor.row().map(|row| row.map(|(key, value)| (key[0], value[0]))));
                        assert!(found.is_none_or(|found| found == Some((row, 7))), "{found:?} at {row}");
                    }
                    None => return assert!(revoked(cursor.next()).is_none()),
                }
            }
            assert!(revoked(cursor.next()).is_none_or(|there| !there));
        });
        let writer = spawn(&db, &table, |db, table| {
            for row in 0..6_u8 {
                db.put(table, [row], [8]).unwrap();
                db.put(table, [row], [9]).unwrap();
            }
        });
        let folds = spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok())));
        join([walker, writer, folds]);
    });
}

/// Counters that are read and written back, by transactions that are revoked at any time: no increment is lost, be it in
/// the middle of a commit.
fn no_update_is_lost(options: Options) {
    let (db, table) = strict(options);
    let counted = Notes::new();
    let writers = [1, 2, 3].map(|_| {
        let counted = counted.clone();
        spawn(&db, &table, move |db, table| {
            for _ in 0..2 {
                let mut tx = db.begin_concurrent().unwrap();
                let Some(count) = revoked(tx.get(table, COUNTER)) else { continue };
                linger(60);
                let next = count.map_or(0, |count| count[0]) + 1;
                if revoked(tx.put(table, COUNTER, [next])).is_none() {
                    continue;
                }
                match tx.commit() {
                    Ok(_) => counted.note(next),
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        })
    });
    let folds = spawn(&db, &table, |db, _| (0..3).for_each(|_| assert!(db.checkpoint().is_ok())));
    join(writers);
    join([folds]);
    let count = db.get(&table, COUNTER).unwrap().map_or(0, |count| count[0]);
    let mut counted = counted.all();
    counted.sort_unstable();
    assert_eq!(counted, (1..=count).collect::<Vec<_>>(), "each commit counted once");
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn no_update_is_lost_where_nothing_may_be_kept() {
    explore!(|| no_update_is_lost(keeps_nothing()));
}

#[test]
fn no_update_is_lost_where_none_may_last() {
    explore!(|| no_update_is_lost(lives_shortly()));
}
