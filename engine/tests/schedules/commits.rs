//! Commits, the sync that many share, and who sees what when.

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;

use crate::kit::*;

#[test]
fn nothing_is_lost_or_torn_beside_checkpoints_and_readers() {
    explore!(|| {
        let (db, table) = database();
        let reader = spawn(&db, &table, |db, table| {
            let mut last = 0;
            for _ in 0..3 {
                let seen = look(db, table);
                assert!(seen >= last, "acknowledged commits do not go away");
                last = seen;
            }
        });
        join([
            spawn(&db, &table, |db, table| (0..3).for_each(|i| _ = add(db, table, &[1, i], Sync))),
            spawn(&db, &table, |db, table| (0..3).for_each(|i| _ = add(db, table, &[2, i], Deferred))),
            spawn(&db, &table, |db, _| (0..2).for_each(|_| assert!(db.checkpoint().is_ok()))),
            reader,
        ]);
        assert_eq!(look(&db, &table), 6, "every acknowledged commit is there, once");
        db.checkpoint().unwrap();
        assert_eq!(look(&db, &table), 6);
        assert!(db.check().unwrap().is_ok());
    });
}

/// What a writer is told has been acknowledged: a reader that begins afterwards sees it.
#[test]
fn what_is_acknowledged_is_seen() {
    explore!(|| {
        let (db, table) = database();
        join([1, 2].map(|writer: u8| {
            spawn(&db, &table, move |db, table| {
                for i in 0..2 {
                    db.put(table, [writer], [i]).unwrap();
                    assert_eq!(db.get(table, [writer]).unwrap().as_deref(), Some(&[i][..]));
                }
            })
        }));
    });
}

/// Four commits wait for syncs of the same log, and one thread asks for one of its own.
#[test]
fn everybody_who_waits_for_a_sync_is_told() {
    explore!(|| {
        let (db, table) = database();
        let sync = spawn(&db, &table, |db, _| db.sync().unwrap());
        let writers = [1, 2, 3, 4].map(|writer: u8| {
            let durability = if writer == 4 { Deferred } else { Sync };
            spawn(&db, &table, move |db, table| _ = add(db, table, &[writer], durability))
        });
        join(writers);
        join([sync]);
        assert_eq!(look(&db, &table), 4);
    });
}
