//! Validation: against the active generation, sealed ones, folded ones, and those that commit at the same time.

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::{Admission, Database, Error, Isolation, Table, Transaction, TransactionOptions};

use crate::kit::*;

fn begin_serializable(db: &Database) -> Transaction {
    db.begin_with(TransactionOptions {
        admission: Admission::Concurrent,
        isolation: Isolation::Serializable,
        ..TransactionOptions::default()
    })
    .unwrap()
}

/// Whether it committed; if not, it lost.
fn won(tx: Transaction) -> bool {
    match tx.commit() {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_retryable(), "{error}");
            false
        }
    }
}

fn checkpoints(db: &Database) {
    (0..2).for_each(|_| assert!(db.checkpoint().is_ok()));
}

/// A writer that began before another commit and its fold must lose to it, wherever that is by then.
#[test]
fn an_old_writer_meets_what_was_folded() {
    explore!(|| {
        let (db, table) = database();
        let mut old = db.begin_concurrent().unwrap();
        assert!(old.get(&table, COUNTER).unwrap().is_none());
        let writers = [
            spawn(&db, &table, |db, table| _ = add(db, table, &[1], Sync)),
            spawn(&db, &table, |db, _| checkpoints(db)),
        ];
        // Anywhere from before the commit to after the last fold.
        linger(400);
        old.put(&table, COUNTER, [9]).unwrap();
        let won = won(old);
        join(writers);
        // The other added to it, or it was never there.
        let expected = if won { 10 } else { 1 };
        assert_eq!(db.get(&table, COUNTER).unwrap().as_deref(), Some(&[expected][..]));
    });
}

/// The same for what a `Serializable` transaction has only read.
#[test]
fn an_old_reader_meets_what_was_folded() {
    explore!(|| {
        let (db, table) = database();
        let mut old = begin_serializable(&db);
        let by_range = pick(2) == 0;
        let nothing =
            if by_range { old.count(&table).unwrap() == 0 } else { old.get(&table, [1]).unwrap().is_none() };
        assert!(nothing);
        let added = Notes::new();
        let note = added.clone();
        let writers = [
            spawn(&db, &table, move |db, table| note.note(add(db, table, &[1], Sync))),
            spawn(&db, &table, |db, _| checkpoints(db)),
        ];
        linger(400);
        old.put(&table, b"other", [9]).unwrap();
        let committed = old.commit();
        join(writers);
        match committed {
            Ok(commit) => assert!(commit.timestamp < added.all()[0], "what it read was no longer so"),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    });
}

/// Two that each look whether the other was there, beside commits that raise the clock and checkpoints that move the
/// history: one of them has to see the other.
fn look_then_write(looks: fn(&Transaction, &Table, u8) -> bool) {
    let (db, table) = database();
    let winners = Notes::new();
    let writers = [0, 1].map(|me: u8| {
        let winners = winners.clone();
        spawn(&db, &table, move |db, table| {
            let mut tx = begin_serializable(db);
            if looks(&tx, table, 1 - me) {
                tx.put(table, [me], []).unwrap();
                if won(tx) {
                    winners.note(me);
                }
            }
        })
    });
    let folds = spawn(&db, &table, |db, _| checkpoints(db));
    let beside = spawn(&db, &table, |db, table| _ = db.put(table, "beside", []).unwrap());
    join(writers);
    join([folds, beside]);
    let there = [0, 1].map(|who: u8| db.get(&table, [who]).unwrap().is_some());
    assert_ne!(there, [true, true], "neither saw the other");
    assert_eq!(winners.all().len(), there.into_iter().filter(|there| *there).count());
}

#[test]
fn writes_do_not_cross_reads() {
    explore!(|| look_then_write(|tx, table, other| tx.get(table, [other]).unwrap().is_none()));
}

#[test]
fn writes_do_not_cross_ranges() {
    explore!(|| look_then_write(|tx, table, _| { tx.range(table, [0]..=[1]).unwrap().next().is_none() }));
}

/// So many lookups that the reads are looked through before the section, and what comes meanwhile inside it.
#[test]
fn writes_do_not_cross_many_reads() {
    explore!(|| {
        look_then_write(|tx, table, other| {
            (2..40_u8).for_each(|key| assert!(tx.get(table, [key]).unwrap().is_none()));
            tx.get(table, [other]).unwrap().is_none()
        });
    });
}

/// A range read while commits stream by: whoever commits is at the place where its count is right.
#[test]
fn a_count_is_right_where_it_commits() {
    explore!(|| {
        let (db, table) = database();
        let (rows, counts) = (Notes::new(), Notes::new());
        let writers = [1, 2].map(|writer: u8| {
            let rows = rows.clone();
            spawn(&db, &table, move |db, table| {
                for i in 0..3 {
                    let options =
                        TransactionOptions { durability: Some(Deferred), ..TransactionOptions::default() };
                    let mut tx = db.begin_with(options).unwrap();
                    tx.put(table, [writer, i], []).unwrap();
                    rows.note(tx.commit().unwrap().timestamp);
                }
            })
        });
        let other = db.table("other").unwrap();
        let counters = [1, 2].map(|who: u8| {
            let (counts, other) = (counts.clone(), other.clone());
            spawn(&db, &table, move |db, table| {
                for _ in 0..2 {
                    let mut tx = begin_serializable(db);
                    let count = tx.count(table).unwrap();
                    tx.put(&other, [who], [9]).unwrap();
                    match tx.commit() {
                        Ok(commit) => counts.note((commit.timestamp, count)),
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            })
        });
        let folds = spawn(&db, &table, |db, _| checkpoints(db));
        join(writers);
        join(counters);
        join([folds]);
        let rows = rows.all();
        for (at, count) in counts.all() {
            let before = rows.iter().filter(|row| **row < at).count() as u64;
            assert_eq!(count, before, "a count that committed at {at}, of rows at {rows:?}");
        }
    });
}

/// First committer wins, once: of three who set the same row from the same moment, one does.
#[test]
fn one_of_those_who_began_together_wins() {
    explore!(|| {
        let (db, table) = database();
        let winners = Notes::new();
        let began: Vec<_> = (0..3).map(|_| db.begin_concurrent().unwrap()).collect();
        let threads: Vec<_> = (0_u8..)
            .zip(began)
            .map(|(me, mut tx)| {
                let winners = winners.clone();
                spawn(&db, &table, move |_, table| {
                    tx.put(table, COUNTER, [me]).unwrap();
                    match tx.commit() {
                        Ok(_) => winners.note(me),
                        Err(Error::Busy(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        let folds = spawn(&db, &table, |db, _| checkpoints(db));
        join(threads);
        join([folds]);
        let winners = winners.all();
        assert_eq!(winners.len(), 1);
        assert_eq!(db.get(&table, COUNTER).unwrap().unwrap(), winners);
    });
}
