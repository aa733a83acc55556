//! What every engine that was built in has to get right before its figures count.
//!
//! Each test runs with every engine at every durability it has; what is printed last before a failure names the engine.

use std::fmt::Debug;
use std::path::Path;

use tempfile::TempDir;

use super::ALL;
use crate::engine::{Durability, Engine, Failure, Kind, Reader, Result, Session, Settings};
use crate::rows::{Fresh, Order, Rows, key, value};
use crate::workloads::disk;

/// One engine at one durability, in a directory of its own.
struct Trial {
    kind: Kind,
    settings: Settings,
    dir: TempDir,
}

impl Trial {
    fn open(&self) -> Box<dyn Engine> {
        self.open_at(self.dir.path())
    }

    fn open_at(&self, dir: &Path) -> Box<dyn Engine> {
        (self.kind.open)(dir, self.settings).done()
    }
}

/// Runs `test` with every engine at both durabilities, but for what has no durable commits.
fn with_every_engine(test: impl Fn(&Trial)) {
    for kind in ALL {
        for durability in [Durability::Durable, Durability::Deferred] {
            if durability == Durability::Durable && kind.facts.durable.is_none() {
                continue;
            }
            println!("{} {}, {durability:?}", kind.name, kind.version);
            let settings = Settings { durability, cache_bytes: 32 << 20, threads: 3 };
            test(&Trial { kind: *kind, settings, dir: TempDir::new().unwrap() });
        }
    }
}

/// [`Failure`] is no error that `unwrap` could show.
trait Done<T> {
    fn done(self) -> T;
}

impl<T, E: Debug> Done<T> for std::result::Result<T, E> {
    #[track_caller]
    fn done(self) -> T {
        self.unwrap_or_else(|failure| panic!("{failure:?}"))
    }
}

fn put(session: &mut dyn Session, id: u64, round: u64) {
    session.transact(&mut |tx| tx.put(&key(id), &value(id, round))).done();
}

fn get(session: &mut dyn Session, id: u64) -> Option<Vec<u8>> {
    let mut found = None;
    let there = session.get(&key(id), &mut |value| found = Some(value.to_vec())).done();
    assert_eq!(there, found.is_some(), "what `get` says is what it shows");
    found
}

fn read_in(reader: &mut dyn Reader, id: u64) -> Option<Vec<u8>> {
    let mut found = None;
    let there = reader.get(&key(id), &mut |value| found = Some(value.to_vec())).done();
    assert_eq!(there, found.is_some(), "what `get` says is what it shows");
    found
}

type Row = (Vec<u8>, Vec<u8>);

fn scan_in(reader: &mut dyn Reader, from: &[u8], limit: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    let count = reader.scan(from, limit, &mut |key, value| rows.push((key.to_vec(), value.to_vec()))).done();
    assert_eq!(count, rows.len() as u64, "what `scan` counts is what it shows");
    rows
}

fn scan(session: &mut dyn Session, from: &[u8], limit: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    session
        .read(&mut |snapshot| {
            rows = scan_in(snapshot, from, limit);
            Ok(())
        })
        .done();
    rows
}

fn ids(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|(key, _)| crate::rows::id_of(key).unwrap()).collect()
}

/// All rows in the order of their keys.
fn sorted(rows: &dyn Rows) -> Vec<Row> {
    let mut all = Vec::new();
    for number in 0..rows.len() {
        rows.with(number, &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .done();
    }
    all.sort();
    all
}

/// Copies what a `kill` leaves, if no file is written meanwhile.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_row_is_read_as_it_was_written_last() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        assert_eq!(get(&mut *session, 7), None);
        put(&mut *session, 7, 1);
        assert_eq!(get(&mut *session, 7), Some(value(7, 1).to_vec()));
        put(&mut *session, 7, 2);
        assert_eq!(get(&mut *session, 7), Some(value(7, 2).to_vec()));
        assert_eq!(get(&mut *session, 6), None);
        assert_eq!(get(&mut *session, 8), None);
        drop(session);
        engine.close().done();
    });
}

#[test]
fn a_load_is_read_back_in_order() {
    with_every_engine(|trial| {
        for (order, dir) in [(Order::Sequential, "sequential"), (Order::Random, "random")] {
            let dir = trial.dir.path().join(dir);
            std::fs::create_dir(&dir).unwrap();
            let rows = Fresh { order, count: 25_000 };
            let all = sorted(&rows);
            let engine = trial.open_at(&dir);
            engine.load(&rows).done();
            for settled in [false, true] {
                if settled {
                    engine.settle().done();
                }
                let mut session = engine.session().done();
                assert!(scan(&mut *session, &[], u64::MAX) == all, "all rows, {order:?}, settled: {settled}");
                for row in all.iter().step_by(997) {
                    let mut found = None;
                    assert!(session.get(&row.0, &mut |value| found = Some(value.to_vec())).done());
                    assert_eq!(found.as_ref(), Some(&row.1));
                }
            }
            engine.close().done();
            let engine = trial.open_at(&dir);
            assert!(scan(&mut *engine.session().done(), &[], u64::MAX) == all, "all rows again");
            engine.close().done();
        }
    });
}

#[test]
fn a_scan_begins_at_its_key_and_ends_at_its_limit() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        assert_eq!(scan(&mut *session, &[], 10), []);
        // In transactions of ten rows: SQLRite's hold no more than some twenty of them.
        for ten in 0..5 {
            let ids = 10 * ten..10 * (ten + 1);
            session
                .transact(&mut |tx| ids.clone().try_for_each(|id| tx.put(&key(2 * id), &value(id, 0))))
                .done();
        }
        assert_eq!(ids(&scan(&mut *session, &key(10), 3)), [10, 12, 14]);
        assert_eq!(ids(&scan(&mut *session, &key(11), 3)), [12, 14, 16]);
        assert_eq!(ids(&scan(&mut *session, &key(96), 9)), [96, 98]);
        assert_eq!(scan(&mut *session, &key(99), 9), []);
        assert_eq!(scan(&mut *session, &[], 0), []);
        assert_eq!(ids(&scan(&mut *session, &[], 1)), [0]);
        let rows = scan(&mut *session, &[], u64::MAX);
        assert_eq!(rows.len(), 50);
        assert!(rows.iter().zip(0..).all(|(row, id)| *row == (key(2 * id).to_vec(), value(id, 0).to_vec())));
        drop(session);
        engine.close().done();
    });
}

#[test]
fn a_transaction_sees_its_own_writes() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        session.transact(&mut |tx| (0..5).try_for_each(|id| tx.put(&key(id), &value(id, 0)))).done();
        session
            .transact(&mut |tx| {
                tx.put(&key(1), &value(1, 1))?;
                tx.put(&key(9), &value(9, 1))?;
                tx.delete(&key(3))?;
                assert_eq!(read_in(tx, 1), Some(value(1, 1).to_vec()));
                assert_eq!(read_in(tx, 2), Some(value(2, 0).to_vec()));
                assert_eq!(read_in(tx, 3), None);
                assert_eq!(read_in(tx, 9), Some(value(9, 1).to_vec()));
                assert_eq!(ids(&scan_in(tx, &key(1), u64::MAX)), [1, 2, 4, 9]);
                assert_eq!(ids(&scan_in(tx, &key(1), 3)), [1, 2, 4]);
                Ok(())
            })
            .done();
        drop(session);
        engine.close().done();
    });
}

#[test]
fn a_deleted_row_is_gone() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        session.transact(&mut |tx| (0..5).try_for_each(|id| tx.put(&key(id), &value(id, 0)))).done();
        session.transact(&mut |tx| tx.delete(&key(2))).done();
        // What is not there can be deleted too.
        session.transact(&mut |tx| tx.delete(&key(7))).done();
        assert_eq!(get(&mut *session, 2), None);
        assert_eq!(ids(&scan(&mut *session, &[], u64::MAX)), [0, 1, 3, 4]);
        put(&mut *session, 2, 1);
        assert_eq!(get(&mut *session, 2), Some(value(2, 1).to_vec()));
        drop(session);
        engine.close().done();
    });
}

#[test]
fn nothing_is_left_of_a_body_that_fails() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        put(&mut *session, 1, 0);
        let lost = session.write(&mut |tx| {
            tx.put(&key(1), &value(1, 1))?;
            tx.put(&key(2), &value(2, 1))?;
            Err(Failure::Conflict)
        });
        assert!(matches!(lost, Err(Failure::Conflict)));
        let broken = session.transact(&mut |tx| {
            tx.put(&key(3), &value(3, 1))?;
            Err("broken on purpose".into())
        });
        assert!(matches!(broken, Err(Failure::Broken(_))));
        assert_eq!(scan(&mut *session, &[], u64::MAX), [(key(1).to_vec(), value(1, 0).to_vec())]);
        put(&mut *session, 1, 2);
        assert_eq!(get(&mut *session, 1), Some(value(1, 2).to_vec()));
        drop(session);
        engine.close().done();
    });
}

#[test]
fn a_snapshot_does_not_see_later_commits() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        session.transact(&mut |tx| (0..5).try_for_each(|id| tx.put(&key(id), &value(id, 0)))).done();
        let before = scan(&mut *session, &[], u64::MAX);
        session
            .read(&mut |snapshot| {
                assert_eq!(read_in(snapshot, 1), Some(value(1, 0).to_vec()));
                std::thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        let mut other = engine.session().done();
                        other
                            .transact(&mut |tx| {
                                tx.put(&key(1), &value(1, 1))?;
                                tx.put(&key(7), &value(7, 1))?;
                                tx.delete(&key(2))
                            })
                            .done();
                    });
                    writer.join().unwrap();
                });
                assert_eq!(read_in(snapshot, 1), Some(value(1, 0).to_vec()));
                assert_eq!(read_in(snapshot, 2), Some(value(2, 0).to_vec()));
                assert_eq!(read_in(snapshot, 7), None);
                assert_eq!(scan_in(snapshot, &[], u64::MAX), before);
                Ok(())
            })
            .done();
        assert_eq!(get(&mut *session, 1), Some(value(1, 1).to_vec()));
        assert_eq!(ids(&scan(&mut *session, &[], u64::MAX)), [0, 1, 3, 4, 7]);
        drop(session);
        engine.close().done();
    });
}

/// Adds one to the number that a row holds.
fn increment(session: &mut dyn Session, id: u64) -> Result<u64> {
    session.transact(&mut |tx| {
        let mut count = 0;
        tx.get(&key(id), &mut |value| count = crate::rows::number_of(value).unwrap())?;
        tx.put(&key(id), &value(count + 1, 0))
    })
}

#[test]
fn no_update_is_lost() {
    const EACH: u64 = 200;
    with_every_engine(|trial| {
        let engine = trial.open();
        put(&mut *engine.session().done(), 0, 0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut session = engine.session().done();
                    for _ in 0..EACH {
                        assert!(increment(&mut *session, 0).done() >= 1);
                    }
                });
            }
        });
        assert_eq!(get(&mut *engine.session().done(), 0), Some(value(2 * EACH, 0).to_vec()));
        engine.close().done();
    });
}

#[test]
fn writers_of_different_rows_all_commit() {
    const EACH: u64 = 100;
    with_every_engine(|trial| {
        let engine = trial.open();
        std::thread::scope(|scope| {
            for thread in 0..trial.settings.threads as u64 {
                let engine = &engine;
                scope.spawn(move || {
                    let mut session = engine.session().done();
                    (0..EACH).for_each(|number| put(&mut *session, thread << 32 | number, 0));
                });
            }
        });
        let rows = scan(&mut *engine.session().done(), &[], u64::MAX);
        assert_eq!(rows.len() as u64, trial.settings.threads as u64 * EACH);
        engine.close().done();
    });
}

#[test]
fn everything_is_there_after_a_close() {
    with_every_engine(|trial| {
        let engine = trial.open();
        let mut session = engine.session().done();
        (0..20).for_each(|id| put(&mut *session, id, 0));
        session.transact(&mut |tx| tx.delete(&key(4))).done();
        let all = scan(&mut *session, &[], u64::MAX);
        assert_eq!(all.len(), 19);
        drop(session);
        engine.close().done();

        let engine = trial.open();
        assert_eq!(scan(&mut *engine.session().done(), &[], u64::MAX), all);
        engine.sync().done();
        engine.close().done();
    });
}

#[test]
fn a_commit_is_in_the_log_where_there_is_one() {
    with_every_engine(|trial| {
        let dir = trial.dir.path();
        let engine = trial.open();
        put(&mut *engine.session().done(), 1, 0);
        let written = disk::written(dir, trial.kind.log).done();
        assert_eq!(written > 0, !trial.kind.log.is_empty(), "{written} bytes");
        engine.close().done();
    });
}

#[test]
fn acknowledged_commits_survive_what_they_have_to() {
    with_every_engine(|trial| {
        let survives = match trial.settings.durability {
            Durability::Durable => true,
            Durability::Deferred => trial.kind.facts.deferred_survives_kill,
        };
        let (live, copy) = (trial.dir.path().join("live"), trial.dir.path().join("copy"));
        std::fs::create_dir(&live).unwrap();
        let engine = trial.open_at(&live);
        let mut session = engine.session().done();
        (0..20).for_each(|id| put(&mut *session, id, 0));
        let all = scan(&mut *session, &[], u64::MAX);
        if !survives {
            engine.sync().done();
        }
        copy_files(&live, &copy);
        let after_the_kill = trial.open_at(&copy);
        assert_eq!(scan(&mut *after_the_kill.session().done(), &[], u64::MAX), all);
        after_the_kill.close().done();

        drop(session);
        drop(engine);
        let again = trial.open_at(&live);
        let after_the_drop = scan(&mut *again.session().done(), &[], u64::MAX);
        assert_eq!(after_the_drop, all);
        again.close().done();
    });
}
