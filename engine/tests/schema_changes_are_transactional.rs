//! Tables are made, dropped and renamed like rows are written: seen by their own transaction, by others after the commit,
//! and by nobody after a rollback.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use braid::{Database, Error, Options, Result, Table, Transaction};

fn mvcc() -> Result<Database> {
    let db = Database::in_memory()?;
    db.set_journal_mode(braid::JournalMode::Mvcc)?;
    Ok(db)
}

fn text(tx: &Transaction, table: &Table, key: &str) -> Result<Option<String>> {
    Ok(tx.get(table, key)?.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

#[test]
fn a_table_is_there_for_its_own_transaction_and_after_the_commit_for_all() -> Result<()> {
    for concurrent in [false, true] {
        let db = mvcc()?;
        let before = db.snapshot()?;
        let mut tx = if concurrent { db.begin_concurrent()? } else { db.begin_immediate()? };
        let made = tx.create_table("made")?;
        assert_eq!(made.name(), "made");
        tx.put(&made, "a", "1")?;
        assert_eq!(tx.tables()?, ["made"]);
        assert_eq!(tx.existing_table("made")?.map(|table| table.id()), Some(made.id()));
        let same = tx.table("made")?;
        tx.put(&same, "b", "2")?;
        assert_eq!((text(&tx, &same, "a")?, text(&tx, &made, "b")?), (Some("1".into()), Some("2".into())));
        assert_eq!((tx.count(&made)?, tx.scan(&made)?.count()), (2, 2));
        assert!(matches!(tx.create_table("made"), Err(Error::TableExists(name)) if name == "made"));

        assert_eq!(db.tables()?, Vec::<String>::new(), "nobody else sees it");
        assert!(db.existing_table("made")?.is_none());
        let of_another = db.get(&made, "a");
        assert!(
            matches!(&of_another, Err(Error::UncommittedTable(name)) if name == "made"),
            "{of_another:?}"
        );
        if concurrent {
            let mut other = db.begin_concurrent()?;
            assert!(matches!(other.put(&made, "c", "3"), Err(Error::UncommittedTable(_))));
            assert!(matches!(other.cursor(&made), Err(Error::UncommittedTable(_))));
            assert!(other.existing_table("made")?.is_none());
        }
        let kept = made.clone();
        tx.commit()?;
        assert_eq!(db.get(&kept, "a")?.as_deref(), Some(&b"1"[..]), "the handle is everybody's now");
        assert_eq!(db.tables()?, ["made"]);
        assert_eq!(db.table("made")?.id(), made.id());
        assert!(before.existing_table("made")?.is_none(), "older snapshots see what they saw");
        assert!(before.tables()?.is_empty());
        assert!(db.check()?.is_ok());
    }
    Ok(())
}

#[test]
fn a_rollback_leaves_nothing() -> Result<()> {
    let db = mvcc()?;
    let kept = db.table("kept")?;
    db.put(&kept, "row", "1")?;
    let mut tx = db.begin_concurrent()?;
    let made = tx.create_table("made")?;
    tx.put(&made, "row", "1")?;
    assert!(tx.drop_table("kept")?);
    tx.rename_table("made", "kept")?;
    assert_eq!(tx.tables()?, ["kept"]);
    let mut cursor = tx.cursor(&made)?;
    assert!(cursor.next()?);
    tx.rollback();
    assert!(matches!(cursor.next(), Err(Error::TransactionClosed)));
    assert_eq!(db.tables()?, ["kept"]);
    assert_eq!(db.get(&kept, "row")?.as_deref(), Some(&b"1"[..]));
    let never = db.put(&made, "row", "2");
    assert!(matches!(&never, Err(Error::NoSuchTable(_))), "{never:?}");
    let another = db.table("made")?;
    assert_ne!(another.id(), made.id(), "its id is not given again");
    assert_eq!(db.snapshot()?.count(&another)?, 0);
    assert!(matches!(db.get(&made, "row"), Err(Error::NoSuchTable(_))));
    assert_eq!(db.stats().tables, 2);
    db.checkpoint()?;
    assert!(db.check()?.is_ok());
    Ok(())
}

#[test]
fn many_changes_make_one_commit() -> Result<()> {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("many.braid");
    let db = Database::open(&path)?;
    db.set_journal_mode(braid::JournalMode::Mvcc)?;
    let (a, b) = (db.table("a")?, db.table("b")?);
    db.put(&a, "is", "a")?;
    db.put(&b, "is", "b")?;
    let mut tx = db.begin_concurrent()?;
    // Crosswise.
    tx.rename_table("a", "between")?;
    tx.rename_table("b", "a")?;
    tx.rename_table("between", "b")?;
    // Made, filled, dropped, and made again.
    let first = tx.create_table("again")?;
    tx.put(&first, "first", "1")?;
    let mut cursor = tx.cursor(&first)?;
    assert!(cursor.next()?);
    assert!(tx.drop_table("again")?);
    assert!(!tx.drop_table("again")?);
    assert!(
        matches!(tx.put(&first, "late", "2"), Err(Error::NoSuchTable(_))),
        "it is gone for its maker too"
    );
    assert!(matches!(cursor.prev(), Err(Error::NoSuchTable(_))));
    assert!(matches!(tx.delete_range::<&str>(&first, ..), Err(Error::NoSuchTable(_))));
    let second = tx.create_table("again")?;
    assert_ne!(first.id(), second.id());
    assert_eq!(tx.count(&second)?, 0);
    tx.put(&second, "second", "1")?;
    // Renamed back to what it was: nothing has changed.
    tx.rename_table("again", "elsewhere")?;
    tx.rename_table("elsewhere", "again")?;
    assert_eq!(tx.tables()?, ["a", "again", "b"]);
    tx.put(&a, "was", "a")?;
    tx.commit()?;
    let look = |db: &Database| -> Result<()> {
        assert_eq!(db.tables()?, ["a", "again", "b"]);
        let (now_a, now_b, again) = (db.table("a")?, db.table("b")?, db.table("again")?);
        assert_eq!((now_a.id(), now_b.id(), again.id()), (b.id(), a.id(), second.id()));
        assert_eq!(db.get(&now_a, "is")?.as_deref(), Some(&b"b"[..]));
        assert_eq!(db.get(&now_b, "is")?.as_deref(), Some(&b"a"[..]));
        assert_eq!(db.get(&now_b, "was")?.as_deref(), Some(&b"a"[..]));
        assert_eq!(db.snapshot()?.count(&again)?, 1);
        assert!(db.check()?.is_ok());
        Ok(())
    };
    look(&db)?;
    assert_eq!(
        db.get(&a, "is")?.as_deref(),
        Some(&b"a"[..]),
        "a handle is its table's, whatever that is called"
    );
    assert!(matches!(db.get(&first, "first"), Err(Error::NoSuchTable(_))));
    db.checkpoint()?;
    look(&db)?;
    for folded in [true, false] {
        let db = Database::open(&path)?;
        look(&db)?;
        if !folded {
            continue;
        }
        drop(db);
    }
    drop(db);
    look(&Database::open(&path)?)
}

#[test]
fn what_the_log_alone_holds_is_replayed() -> Result<()> {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("replayed.braid");
    let db = Database::open(&path)?;
    let old = db.table("old")?;
    db.put(&old, "row", "old")?;
    db.checkpoint()?;
    let mut tx = db.begin_immediate()?;
    let new = tx.create_table("new")?;
    tx.put(&new, "row", "new")?;
    let passing = tx.create_table("passing")?;
    tx.put(&passing, "row", "passing")?;
    assert!(tx.drop_table("passing")?);
    tx.rename_table("old", "older")?;
    tx.rename_table("new", "old")?;
    tx.commit()?;
    drop(db);
    for round in 0..2 {
        let db = Database::open(&path)?;
        assert_eq!(db.tables()?, ["old", "older"], "round {round}");
        let (new, old) = (db.table("old")?, db.table("older")?);
        assert_eq!(db.get(&new, "row")?.as_deref(), Some(&b"new"[..]));
        assert_eq!(db.get(&old, "row")?.as_deref(), Some(&b"old"[..]));
        let fresh = db.table(&format!("fresh {round}"))?;
        assert!(fresh.id() > passing.id(), "the id of a table that never lasted is not given again");
        assert!(db.drop_table(fresh.name())?);
        db.checkpoint()?;
        assert!(db.check()?.is_ok());
    }
    let reader = Database::open_read_only(&path)?;
    assert_eq!(reader.tables()?, ["old", "older"]);
    assert_eq!(reader.snapshot()?.tables()?, ["old", "older"]);
    assert!(reader.snapshot()?.existing_table("older")?.is_some());
    assert!(matches!(reader.rename_table("old", "x"), Err(Error::ReadOnly)));
    Ok(())
}

#[test]
fn a_snapshot_finds_by_name_what_it_could_see() -> Result<()> {
    let db = mvcc()?;
    let doomed = db.table("doomed")?;
    db.put(&doomed, "row", "1")?;
    db.table("other")?;
    drop(doomed);
    let before = db.snapshot()?;
    let mut tx = db.begin_concurrent()?;
    assert!(db.drop_table("doomed")?);
    db.rename_table("other", "doomed")?;
    db.checkpoint()?;
    // Further drops, which let go of what nobody can ask for.
    db.table("third")?;
    assert!(db.drop_table("third")?);
    assert_eq!(before.tables()?, ["doomed", "other"]);
    let doomed = before.existing_table("doomed")?.expect("it was there");
    assert_eq!(before.get(&doomed, "row")?.as_deref(), Some(&b"1"[..]));
    assert!(matches!(db.get(&doomed, "row"), Err(Error::NoSuchTable(_))), "newer ones do not see it");
    let found = tx.existing_table("other")?.expect("it was called so");
    tx.put(&found, "row", "2")?;
    let error = tx.commit().expect_err("it was renamed");
    assert_eq!(error.conflict().map(|conflict| conflict.kind), Some(braid::ConflictKind::Schema));
    assert_eq!(error.conflict().and_then(|conflict| conflict.table.clone()).as_deref(), Some("doomed"));
    drop((before, doomed));
    assert_eq!(db.tables()?, ["doomed"]);
    Ok(())
}

#[test]
fn names_that_cannot_be_are_refused_and_change_nothing() -> Result<()> {
    let db = mvcc()?;
    db.table("a")?;
    db.table("b")?;
    let mut tx = db.begin_concurrent()?;
    assert!(matches!(tx.rename_table("missing", "x"), Err(Error::NoSuchTable(name)) if name == "missing"));
    assert!(matches!(tx.rename_table("a", "b"), Err(Error::TableExists(name)) if name == "b"));
    assert!(matches!(tx.rename_table("a", ""), Err(Error::Limit { .. })));
    assert!(matches!(tx.create_table(&"x".repeat(121)), Err(Error::Limit { .. })));
    assert!(tx.existing_table(&"x".repeat(100_000))?.is_none());
    assert!(!tx.drop_table("missing")?);
    tx.rename_table("a", "a")?;
    let commit = tx.commit()?;
    assert_eq!(commit.timestamp, db.snapshot()?.timestamp(), "nothing was written");
    assert_eq!(db.tables()?, ["a", "b"]);
    assert!(matches!(db.rename_table("missing", "x"), Err(Error::NoSuchTable(_))));
    let renamed = db.rename_table("a", "c")?;
    assert_eq!(renamed.timestamp, db.snapshot()?.timestamp());
    assert_eq!(db.tables()?, ["b", "c"]);
    Ok(())
}

#[test]
fn a_change_that_does_not_fit_is_not_half_made() -> Result<()> {
    let options = Options { max_transaction_bytes: 1000, ..Options::default() };
    let db = Database::in_memory_with(options)?;
    let mut tx = db.begin_immediate()?;
    let mut made = 0;
    let refused = loop {
        match tx.create_table(&format!("table {made}")) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TransactionTooLarge { .. }), "{refused}");
    assert_eq!(tx.tables()?.len(), made);
    tx.commit()?;
    assert_eq!(db.tables()?.len(), made);
    assert!(db.check()?.is_ok());
    Ok(())
}

/// What savepoints keep counts for a change of the catalog, too.
#[test]
fn a_change_that_does_not_fit_beside_savepoints_is_refused() -> Result<()> {
    let options = Options { max_transaction_bytes: 4000, ..Options::default() };
    let db = Database::in_memory_with(options)?;
    let table = db.table("t")?;
    let mut tx = db.begin_immediate()?;
    let is_full = |done: Result<()>| match done {
        Ok(()) => false,
        Err(Error::TransactionTooLarge { .. }) => true,
        Err(error) => panic!("{error}"),
    };
    let before = tx.savepoint()?;
    while !is_full(tx.put(&table, "row", [1; 100])) {
        tx.savepoint()?;
    }
    assert!(is_full(tx.create_table("made").map(drop)));
    assert!(is_full(tx.rename_table("t", "renamed")));
    assert!(is_full(tx.drop_table("t").map(drop)));
    assert_eq!(tx.tables()?, ["t"]);
    tx.rollback_to(&before)?;
    tx.create_table("made")?;
    tx.commit()?;
    assert_eq!(db.tables()?, ["made", "t"]);
    Ok(())
}

#[test]
fn a_salvage_follows_renames_in_the_log() -> Result<()> {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (path, out) = (place.path().join("from.braid"), place.path().join("to.braid"));
    let db = Database::open(&path)?;
    let (a, b) = (db.table("a")?, db.table("b")?);
    db.put(&a, "is", "a")?;
    db.put(&b, "is", "b")?;
    db.checkpoint()?;
    let mut tx = db.begin_immediate()?;
    tx.rename_table("a", "between")?;
    tx.rename_table("b", "a")?;
    tx.rename_table("between", "b")?;
    tx.put(&a, "more", "a")?;
    tx.commit()?;
    drop(db);
    let report = braid::salvage(&path, &out)?;
    assert!(report.losses.is_empty(), "{report:?}");
    let saved = Database::open(&out)?;
    assert_eq!(saved.tables()?, ["a", "b"]);
    let (a, b) = (saved.table("a")?, saved.table("b")?);
    assert_eq!(saved.get(&a, "is")?.as_deref(), Some(&b"b"[..]));
    assert_eq!(saved.get(&b, "is")?.as_deref(), Some(&b"a"[..]));
    assert_eq!(saved.get(&b, "more")?.as_deref(), Some(&b"a"[..]));
    Ok(())
}

#[test]
fn dropped_space_comes_back_after_the_last_snapshot() -> Result<()> {
    let db = mvcc()?;
    let big = db.table("big")?;
    let mut tx = db.begin_concurrent()?;
    for row in 0..2000_u32 {
        tx.put(&big, row.to_be_bytes(), [7; 500])?;
    }
    tx.commit()?;
    db.checkpoint()?;
    let free = |db: &Database| -> Result<u64> {
        db.checkpoint()?;
        Ok(db.stats().file.free_bytes)
    };
    let held = db.snapshot()?;
    let mut tx = db.begin_concurrent()?;
    assert!(tx.drop_table("big")?);
    tx.create_table("small")?;
    tx.commit()?;
    let withheld = free(&db)?;
    assert_eq!(held.count(&big)?, 2000);
    drop((held, big));
    db.put(&db.table("small")?, "row", "1")?;
    let given_back = free(&db)?;
    assert!(given_back > withheld + 1_000_000, "{withheld} {given_back}");
    assert!(db.check()?.is_ok());
    Ok(())
}

#[test]
fn what_is_asked_of_names_untracked_is_not_answered_for() -> Result<()> {
    let db = mvcc()?;
    let other = db.table("other")?;
    let options = || braid::TransactionOptions {
        isolation: braid::Isolation::Serializable,
        ..braid::TransactionOptions::default()
    };
    for tracked in [false, true] {
        for lists in [false, true] {
            let mut tx = db.begin_with(options())?;
            let all = tx.untracked();
            let reader = if tracked { &*tx } else { &all };
            if lists {
                reader.tables()?;
            } else {
                assert!(reader.existing_table("made")?.is_none());
            }
            tx.put(&other, "row", "1")?;
            db.table("made")?;
            let committed = tx.commit();
            assert_eq!(committed.is_err(), tracked, "{committed:?}");
            db.drop_table("made")?;
        }
    }
    Ok(())
}
