//! Tables come and go beside those who use them.

use braid::Durability::Sync;
use braid::vfs::explore;
use braid::vfs::sync::thread;
use braid::{Error, Isolation, JournalMode, RetryPolicy, SequenceOptions, TransactionOptions};

use crate::kit::*;

#[test]
fn a_dropped_table_takes_its_rows_along() {
    explore!(|| {
        let (db, table) = database();
        db.put(&table, "first", []).unwrap();
        let writer = spawn(&db, &table, |db, table| {
            for i in 0..2 {
                match transact(db, stubborn(Sync), |tx| tx.put(table, [i], [])) {
                    Ok(_) => {}
                    Err(Error::NoSuchTable(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let reader = spawn(&db, &table, |db, table| {
            let snapshot = db.snapshot().unwrap();
            match snapshot.count(table) {
                Ok(rows) => {
                    assert!(rows > 0);
                    thread::yield_now();
                    assert_eq!(snapshot.count(table).unwrap(), rows, "a snapshot keeps the table");
                    assert_eq!(snapshot.scan(table).unwrap().count() as u64, rows);
                }
                Err(Error::NoSuchTable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        });
        let folds = spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok())));
        let dropper = spawn(&db, &table, |db, _| assert!(db.drop_table("t").unwrap()));
        join([writer, reader, folds, dropper]);
        assert!(matches!(db.get(&table, "first"), Err(Error::NoSuchTable(_))));
        assert!(db.existing_table("t").unwrap().is_none());
        let again = db.table("t").unwrap();
        assert_eq!(db.snapshot().unwrap().count(&again).unwrap(), 0, "the name is new, and so is the table");
        db.checkpoint().unwrap();
        assert!(db.check().unwrap().is_ok());
    });
}

#[test]
fn those_who_make_one_table_share_it() {
    explore!(|| {
        let (db, table) = database();
        let folds = spawn(&db, &table, |db, _| assert!(db.checkpoint().is_ok()));
        join([1, 2].map(|who: u8| {
            spawn(&db, &table, move |db, _| {
                let table = db.table("shared").unwrap();
                db.put(&table, [who], []).unwrap();
            })
        }));
        join([folds]);
        assert_eq!(db.tables().unwrap(), ["shared", "t"]);
        let table = db.existing_table("shared").unwrap().unwrap();
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 2);
    });
}

/// Exclusive writers read the catalog as they find it.
#[test]
fn a_table_is_dropped_between_exclusive_transactions() {
    explore!(|| {
        let (db, table) = database();
        db.set_journal_mode(JournalMode::Wal).unwrap();
        let dropper = spawn(&db, &table, |db, _| match db.drop_table("t") {
            Ok(dropped) => assert!(dropped),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        });
        let writer = spawn(&db, &table, |db, table| {
            match transact(db, stubborn(Sync), |tx| tx.put(table, "row", [])) {
                Ok(_) | Err(Error::NoSuchTable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        });
        join([dropper, writer]);
        assert!(db.check().unwrap().is_ok());
    });
}

/// A new version takes the place of a table, whole, beside writers, readers and folds: no row that was acknowledged is lost
/// with the old one, and nobody sees half of the exchange.
#[test]
fn a_table_is_replaced_under_its_writers() {
    explore!(|| {
        let (db, table) = database();
        db.put(&table, "first", "old").unwrap();
        let told = Notes::new();
        let note = told.clone();
        let writer = spawn(&db, &table, move |db, _| {
            for i in 0..2_u8 {
                let put = transact(db, stubborn(Sync), |tx| {
                    let table = tx.existing_table("t")?.ok_or_else(|| Error::NoSuchTable("t".into()))?;
                    tx.put(&table, [i], "new")
                });
                put.unwrap();
                note.note(i);
            }
        });
        let replacer = spawn(&db, &table, |db, _| {
            let policy = stubborn(Sync);
            let transaction =
                TransactionOptions { isolation: Isolation::Serializable, ..policy.transaction.clone() };
            transact(db, RetryPolicy { transaction, ..policy }, |tx| {
                let old = tx.existing_table("t")?.ok_or_else(|| Error::NoSuchTable("t".into()))?;
                let new = tx.create_table("t, new")?;
                for row in tx.scan(&old)? {
                    let (key, value) = row?;
                    tx.put(&new, key, value)?;
                }
                tx.drop_table("t")?;
                tx.rename_table("t, new", "t")
            })
            .unwrap();
        });
        let reader = spawn(&db, &table, |db, _| {
            for _ in 0..2 {
                let snapshot = db.snapshot().unwrap();
                assert_eq!(snapshot.tables().unwrap(), ["t"]);
                let table = snapshot.existing_table("t").unwrap().unwrap();
                assert!(snapshot.contains(&table, "first").unwrap());
            }
        });
        let folds = spawn(&db, &table, |db, _| assert!(db.checkpoint().is_ok()));
        join([writer, replacer, reader, folds]);
        let now = db.table("t").unwrap();
        assert_ne!(now.id(), table.id());
        for row in told.all() {
            assert!(db.get(&now, [row]).unwrap().is_some(), "row {row} was acknowledged");
        }
        assert!(db.check().unwrap().is_ok());
    });
}

/// Two exchange names crosswise while others use them by name.
#[test]
fn names_are_exchanged_whole() {
    explore!(|| {
        let (db, table) = database();
        let other = db.table("u").unwrap();
        let ids = [table.id(), other.id()];
        let swaps = [(); 2].map(|()| {
            spawn(&db, &table, |db, _| {
                transact(db, stubborn(Sync), |tx| {
                    tx.rename_table("t", "between")?;
                    tx.rename_table("u", "t")?;
                    tx.rename_table("between", "u")
                })
                .unwrap();
            })
        });
        let reader = spawn(&db, &table, move |db, _| {
            let snapshot = db.snapshot().unwrap();
            let mut seen = ["t", "u"].map(|name| snapshot.existing_table(name).unwrap().unwrap().id());
            seen.sort_unstable();
            assert_eq!(seen, ids);
        });
        join(swaps);
        join([reader]);
        assert_eq!(db.table("t").unwrap().id(), table.id(), "twice is as before");
        assert_eq!(db.tables().unwrap(), ["t", "u"]);
    });
}

/// Handles reserve beside commits, an exclusive transaction and a checkpoint.
#[test]
fn ids_are_given_out_once() {
    explore!(|| {
        let (db, table) = database();
        let given = Notes::new();
        let drawers = [1, 2].map(|block| {
            let given = given.clone();
            spawn(&db, &table, move |db, table| {
                let options = SequenceOptions { block, ..SequenceOptions::default() };
                let ids = db.sequence_with("ids", options).unwrap();
                let mut tx = (block == 1).then(|| db.begin_immediate().unwrap());
                let mut newest = 0;
                for _ in 0..3 {
                    let id = ids.next().unwrap();
                    assert!(id > newest);
                    newest = id;
                    given.note(id);
                    if let Some(tx) = &mut tx {
                        tx.put(table, id.to_be_bytes(), []).unwrap();
                    }
                }
                tx.map(braid::Transaction::commit).transpose().unwrap();
            })
        });
        let folds = spawn(&db, &table, |db, _| assert!(db.checkpoint().is_ok()));
        join(drawers);
        join([folds]);
        let mut given = given.all();
        given.sort_unstable();
        let count = given.len();
        given.dedup();
        assert_eq!((count, given.len()), (6, 6));
    });
}
