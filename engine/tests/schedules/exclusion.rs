//! Exclusive transactions beside concurrent ones.

use braid::Durability::Sync;
use braid::vfs::explore;
use braid::{Database, Error, JournalMode, Table, Transaction};

use crate::kit::*;

/// Waits until its turn comes, as long as that takes.
fn begin_exclusive(db: &Database) -> Transaction {
    loop {
        match db.begin_immediate() {
            Ok(tx) => return tx,
            Err(Error::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Its commit cannot lose.
pub(crate) fn add_exclusively(db: &Database, table: &Table, key: &[u8]) {
    let mut tx = begin_exclusive(db);
    let rows = tx.get(table, COUNTER).unwrap().map_or(0, |count| count[0]);
    tx.put(table, key, [7; 300]).unwrap();
    tx.put(table, COUNTER, [rows + 1]).unwrap();
    tx.commit().unwrap();
}

#[test]
fn exclusive_transactions_and_concurrent_ones_wait_for_each_other() {
    explore!(|| {
        let (db, table) = database();
        join([
            spawn(&db, &table, |db, table| _ = add(db, table, &[1], Sync)),
            spawn(&db, &table, |db, table| _ = add(db, table, &[2], Sync)),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[3])),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[4])),
        ]);
        assert_eq!(look(&db, &table), 4);
    });
}

/// With checkpoints, which go on while the gate is held.
#[test]
fn writers_who_take_turns_never_lose() {
    explore!(|| {
        let (db, table) = database();
        db.set_journal_mode(JournalMode::Wal).unwrap();
        let folds = spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok())));
        join(
            [1, 2, 3]
                .map(|writer: u8| spawn(&db, &table, move |db, table| add_exclusively(db, table, &[writer]))),
        );
        join([folds]);
        assert_eq!(look(&db, &table), 3);
        assert_eq!(db.stats().conflicts.kinds.write_write, 0);
    });
}

/// One that gives up without a commit leaves the gate open.
#[test]
fn a_rollback_lets_the_next_one_in() {
    explore!(|| {
        let (db, table) = database();
        join([
            spawn(&db, &table, |db, table| {
                let mut tx = begin_exclusive(db);
                tx.put(table, COUNTER, [100]).unwrap();
                tx.rollback();
            }),
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[1])),
            spawn(&db, &table, |db, table| _ = add(db, table, &[2], Sync)),
        ]);
        assert_eq!(look(&db, &table), 2);
    });
}
