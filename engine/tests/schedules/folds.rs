//! Seals, folds and publications of views, beside those who begin, read and commit.

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{Fault, FaultyFileSystem, Operation};
use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::sync::thread;
use braid::{Database, Error, Table, Timestamp};

use crate::kit::*;

/// A moment, and how many rows there were.
type Look = (Timestamp, u8);

/// Begins both kinds of snapshot and reads each twice.
fn read(db: &Database, table: &Table, looks: &Notes<Look>) {
    for round in 0..2 {
        if round == 0 {
            let snapshot = db.snapshot().unwrap();
            let seen = count(&snapshot, table);
            thread::yield_now();
            assert_eq!(count(&snapshot, table), seen);
            looks.note((snapshot.timestamp(), seen));
        } else {
            let tx = db.begin_concurrent().unwrap();
            let seen = count(&tx, table);
            thread::yield_now();
            assert_eq!(count(&tx, table), seen);
            looks.note((tx.timestamp(), seen));
        }
    }
}

/// Every look is of exactly the commits up to its moment: not one too many, as of a base that is too new; not one
/// missing, as of a generation that was sealed before it.
fn assert_exact(commits: &Notes<Timestamp>, looks: &Notes<Look>) {
    let commits = commits.all();
    for (at, seen) in looks.all() {
        let expected = commits.iter().filter(|commit_ts| **commit_ts <= at).count();
        assert_eq!(usize::from(seen), expected, "a snapshot at {at}, of commits at {commits:?}");
    }
}

#[test]
fn a_snapshot_sees_exactly_its_moment() {
    explore!(|| {
        let (db, table) = database();
        let (commits, looks) = (Notes::new(), Notes::new());
        let writers = [1, 2].map(|writer: u8| {
            let commits = commits.clone();
            spawn(&db, &table, move |db, table| {
                for i in 0..2 {
                    let durability = if writer == 1 { Sync } else { Deferred };
                    commits.note(add(db, table, &[writer, i], durability));
                }
            })
        });
        let readers = [(), ()].map(|()| {
            let looks = looks.clone();
            spawn(&db, &table, move |db, table| read(db, table, &looks))
        });
        let folds = spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok())));
        join(writers);
        join(readers);
        join([folds]);
        assert_exact(&commits, &looks);
    });
}

/// The two ways in which a begin could take a view and a moment that do not fit: a seal and a commit come between them,
/// or a commit and a fold. Nothing else runs, so that schedules meet just these places.
#[test]
fn a_begin_takes_a_view_and_a_moment_that_fit() {
    explore!(|| {
        let (db, table) = database();
        let (commits, looks) = (Notes::new(), Notes::new());
        commits.note(add(&db, &table, &[0], Sync));
        let reader = {
            let looks = looks.clone();
            spawn(&db, &table, move |db, table| {
                let snapshot = db.snapshot().unwrap();
                looks.note((snapshot.timestamp(), count(&snapshot, table)));
                let tx = db.begin_concurrent().unwrap();
                looks.note((tx.timestamp(), count(&tx, table)));
            })
        };
        db.checkpoint().unwrap();
        commits.note(add(&db, &table, &[1], Deferred));
        db.checkpoint().unwrap();
        join([reader]);
        assert_exact(&commits, &looks);
    });
}

/// A hot row, whose chain is trimmed by every commit while one that it follows is not acknowledged yet: who begins then
/// still reads what stood before both.
#[test]
fn a_trim_leaves_what_the_next_snapshot_reads() {
    explore!(|| {
        let (db, table) = database();
        let (commits, looks) = (Notes::new(), Notes::new());
        commits.note(add(&db, &table, &[0], Sync));
        let writers = [1, 2].map(|writer: u8| {
            let commits = commits.clone();
            spawn(&db, &table, move |db, table| commits.note(add(db, table, &[writer], Sync)))
        });
        for _ in 0..3 {
            let snapshot = db.snapshot().unwrap();
            looks.note((snapshot.timestamp(), count(&snapshot, &table)));
        }
        join(writers);
        assert_exact(&commits, &looks);
    });
}

/// A compaction moves pages that readers stand on and writers fold into.
#[test]
fn a_compaction_changes_nothing_that_is_read() {
    explore!(|| {
        let (db, table) = database();
        let (commits, looks) = (Notes::new(), Notes::new());
        for i in 0..2 {
            commits.note(add(&db, &table, &[0, i], Sync));
            db.checkpoint().unwrap();
        }
        let writer = {
            let commits = commits.clone();
            spawn(&db, &table, move |db, table| {
                commits.note(add(db, table, &[1], Sync));
                db.checkpoint().unwrap();
            })
        };
        let reader = {
            let looks = looks.clone();
            spawn(&db, &table, move |db, table| read(db, table, &looks))
        };
        let compaction = spawn(&db, &table, |db, _| drop(db.compact().unwrap()));
        join([writer, reader, compaction]);
        assert_exact(&commits, &looks);
        assert_eq!(look(&db, &table), 3);
        assert!(db.check().unwrap().is_ok());
    });
}

/// Two checkpoints at once, beside the one in the background: one after the other, and none folds twice.
#[test]
fn checkpoints_take_turns() {
    explore!(|| {
        let (db, table) = database();
        let fold = |db: &Database, table: &Table, key: u8| {
            let commit_ts = add(db, table, &[key], Sync);
            assert!(
                db.checkpoint().unwrap().timestamp >= commit_ts,
                "a checkpoint holds what came before it"
            );
        };
        join([1, 2].map(|key| spawn(&db, &table, move |db, table| fold(db, table, key))));
        assert_eq!(look(&db, &table), 2);
        assert!(db.check().unwrap().is_ok());
    });
}

/// A checkpoint that finds the disk full: nothing is lost or stuck, and the next one folds what that one sealed.
#[test]
fn a_fold_that_fails_is_made_up_for() {
    explore!(|| {
        let disk = FaultyFileSystem::new(std::sync::Arc::new(MemoryFileSystem::new()));
        let (db, table) = create(&env(disk.clone()));
        let full = Fault::on(Operation::Write).kind(std::io::ErrorKind::StorageFull);
        disk.faults().inject(full.on_paths_ending(PATH).nth(1 + pick(6) as u64));
        let writers = [1, 2].map(|writer: u8| {
            spawn(&db, &table, move |db, table| (0..2).for_each(|i| _ = add(db, table, &[writer, i], Sync)))
        });
        let folds = [(), ()].map(|()| {
            spawn(&db, &table, |db, _| match db.checkpoint() {
                Ok(_) | Err(Error::NoSpace(_)) => {}
                Err(error) => panic!("{error}"),
            })
        });
        join(writers);
        join(folds);
        assert_eq!(look(&db, &table), 4);
        disk.faults().clear();
        db.checkpoint().unwrap();
        assert_eq!(look(&db, &table), 4);
        assert!(db.check().unwrap().is_ok());
    });
}

/// More rows than the row store takes: writers wait for the checkpoint, one of them to be let in alone, and all get on.
#[test]
fn writers_that_wait_for_room_get_it() {
    explore!(|| {
        let (db, table) = database();
        join([(1_u8, 30 << 10), (2, 30 << 10), (3, 70 << 10)].map(|(writer, bytes)| {
            spawn(&db, &table, move |db, table| {
                for i in 0..2 {
                    transact(db, stubborn(Deferred), |tx| tx.put(table, [writer, i], vec![writer; bytes]))
                        .unwrap();
                }
            })
        }));
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 6);
    });
}
