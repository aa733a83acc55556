//! The journal mode changes under those who write.

use braid::Durability::Sync;
use braid::vfs::explore;
use braid::vfs::memory::MemoryFileSystem;
use braid::{ConflictKind, Error, JournalMode};

use crate::kit::*;

/// Writers that do not care for the mode, beside one who changes it; the file keeps the last one.
#[test]
fn the_mode_changes_between_write_transactions() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        let modes = spawn(&db, &table, |db, _| {
            for mode in [JournalMode::Wal, JournalMode::Mvcc, JournalMode::Wal] {
                match db.set_journal_mode(mode) {
                    Ok(()) => assert_eq!(db.journal_mode(), mode),
                    Err(Error::WriteTransactionsOpen { .. } | Error::Busy(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        join([1, 2].map(|writer: u8| {
            spawn(&db, &table, move |db, table| (0..2).for_each(|i| _ = add(db, table, &[writer, i], Sync)))
        }));
        join([modes]);
        assert_eq!(look(&db, &table), 4);
        let mode = db.journal_mode();
        drop((db, table));
        assert_eq!(open(&env).unwrap().journal_mode(), mode);
    });
}

/// No concurrent transaction commits in a mode that has none: one that was let in keeps the mode as it is.
#[test]
fn nobody_commits_concurrently_in_the_other_mode() {
    explore!(|| {
        let (db, table) = database();
        let modes = spawn(&db, &table, |db, _| match db.set_journal_mode(JournalMode::Wal) {
            Ok(()) | Err(Error::WriteTransactionsOpen { .. }) | Err(Error::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        });
        join([1, 2].map(|writer: u8| {
            spawn(&db, &table, move |db, table| match db.begin_concurrent() {
                Ok(mut tx) => {
                    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
                    tx.put(table, [writer], []).unwrap();
                    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
                    match tx.commit() {
                        Ok(_) => {}
                        // The change held the gate for longer than it cared to wait.
                        Err(Error::Busy(conflict)) => assert_eq!(conflict.kind, ConflictKind::Timeout),
                        Err(error) => panic!("{error}"),
                    }
                }
                Err(Error::JournalMode) => {}
                Err(error) => panic!("{error}"),
            })
        }));
        join([modes]);
    });
}
