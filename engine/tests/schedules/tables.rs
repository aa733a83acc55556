//! Tables come and go beside those who use them.

use braid::Durability::Sync;
use braid::vfs::explore;
use braid::vfs::sync::thread;
use braid::{Error, JournalMode};

use crate::kit::*;

#[test]
fn a_dropped_table_takes_its_rows_along() {
    explore!(|| {
        let (db, table) = database();
        db.put(&table, "first", []).unwrap();
        let writer = spawn(&db, &table, |db, table| {
            for i in 0..2 {
                match db.transact(stubborn(Sync), |tx| tx.put(table, [i], [])) {
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
            match db.transact(stubborn(Sync), |tx| tx.put(table, "row", [])) {
                Ok(_) | Err(Error::NoSuchTable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        });
        join([dropper, writer]);
        assert!(db.check().unwrap().is_ok());
    });
}
