//! The journal mode belongs to the database: siblings share it, a reopen keeps it, it switches both ways at any time,
//! and an open write transaction holds a switch back.

use std::time::Duration;

use braid::{ConflictKind, Database, Error, JournalMode, Options, Result};
use braid_tests::{Place, assert_clean, number, together, value};

#[test]
fn over_reopens_and_among_siblings() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let sibling = Database::open(place.path())?;
    assert_eq!(db.journal_mode(), JournalMode::Wal, "a new database is in Wal");
    let table = db.table("rows")?;
    let mut rows = 0_u64;
    for mode in [JournalMode::Mvcc, JournalMode::Wal, JournalMode::Wal, JournalMode::Mvcc] {
        db.set_journal_mode(mode)?;
        assert_eq!(sibling.journal_mode(), mode);
        sibling.put(&table, rows.to_be_bytes(), "x")?;
        rows += 1;
        assert_eq!(sibling.begin_concurrent().is_ok(), mode == JournalMode::Mvcc);
    }
    drop((db, sibling, table));
    for mode in [JournalMode::Mvcc, JournalMode::Wal, JournalMode::Mvcc, JournalMode::Wal] {
        let db = place.open()?;
        db.set_journal_mode(mode)?;
        if rows.is_multiple_of(2) {
            db.checkpoint()?;
        }
        let table = db.table("rows")?;
        db.put(&table, rows.to_be_bytes(), "x")?;
        rows += 1;
        drop((db, table));
        let db = place.open()?;
        assert_eq!(db.journal_mode(), mode);
        assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, rows);
        assert_clean(&db)?;
        drop(db);
        let db = Database::open_read_only(place.path())?;
        assert_eq!(db.journal_mode(), mode);
    }
    Ok(())
}

/// It is for what the call makes, and for nothing that is there.
#[test]
fn the_option_is_for_a_new_database() -> Result<()> {
    let wanting = |mode| Options { journal_mode: Some(mode), ..Options::default() };
    let place = Place::new();
    let db = place.open_with(wanting(JournalMode::Mvcc))?;
    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
    let sibling = place.open_with(wanting(JournalMode::Wal))?;
    assert_eq!(sibling.journal_mode(), JournalMode::Mvcc, "a sibling changes nothing, and is let in");
    drop((db, sibling));
    for mode in [JournalMode::Mvcc, JournalMode::Wal] {
        let db = place.open_with(wanting(JournalMode::Wal))?;
        assert_eq!(db.journal_mode(), mode);
        db.set_journal_mode(JournalMode::Wal)?;
    }
    let db = Database::in_memory_with(wanting(JournalMode::Mvcc))?;
    db.begin_concurrent()?.commit()?;
    Ok(())
}

#[test]
fn a_switch_survives_a_kill() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let killed = place.copy();
    assert_eq!(killed.open()?.journal_mode(), JournalMode::Mvcc);
    db.checkpoint()?;
    db.set_journal_mode(JournalMode::Wal)?;
    let killed = place.copy();
    assert_eq!(killed.open()?.journal_mode(), JournalMode::Wal);
    Ok(())
}

#[test]
fn an_open_write_transaction_holds_it_back() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { busy_timeout: Duration::ZERO, ..Options::default() })?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    let first = db.begin_concurrent()?;
    let mut second = db.begin_concurrent()?;
    let refused = db.set_journal_mode(JournalMode::Wal);
    assert!(matches!(refused, Err(Error::WriteTransactionsOpen { open: 2, .. })), "{refused:?}");
    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
    db.set_journal_mode(JournalMode::Mvcc)?;
    first.rollback();
    second.put(&table, "a", "1")?;
    second.commit()?;
    let snapshot = db.snapshot()?;
    db.set_journal_mode(JournalMode::Wal)?;
    assert_eq!(snapshot.get(&table, "a")?, Some(b"1".to_vec()), "a reader does not mind");

    let third = db.begin_immediate()?;
    let refused = db.set_journal_mode(JournalMode::Mvcc);
    match &refused {
        Err(Error::WriteTransactionsOpen { open: 1, .. }) => {}
        Err(error) if error.conflict().is_some_and(|c| c.kind == ConflictKind::Timeout) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(db.journal_mode(), JournalMode::Wal);
    third.commit()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    assert_clean(&db)
}

#[test]
fn switching_among_busy_siblings_loses_nothing() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    let policy = braid::RetryPolicy { max_attempts: u32::MAX, deadline: None, ..Default::default() };
    together(5, |thread| -> Result<()> {
        let sibling = Database::open(place.path())?;
        for round in 0..60 {
            if thread == 0 {
                let mode = if round % 2 == 0 { JournalMode::Mvcc } else { JournalMode::Wal };
                match sibling.set_journal_mode(mode) {
                    Ok(()) | Err(Error::WriteTransactionsOpen { .. } | Error::Busy(_)) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            sibling.transact_with(policy.clone(), |tx| {
                let sum = tx.get(&table, "sum")?.map_or(0, |bytes| number(&bytes));
                tx.put(&table, "sum", value(sum + 1))
            })?;
        }
        Ok(())
    })?;
    assert_eq!(db.get(&table, "sum")?, Some(value(4 * 60)));
    assert_clean(&db)
}
