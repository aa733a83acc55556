//! A serializable transaction loses to what changed what it read, and to nothing else.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::ops::Bound;

use braid::{ConflictKind, Database, Error, Isolation, JournalMode, Table, Transaction, TransactionOptions};

fn database() -> (Database, Table) {
    let db = Database::in_memory().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    for key in ["b", "d", "x", "z"] {
        db.put(&table, key, "old").unwrap();
    }
    (db, table)
}

fn serializable(db: &Database) -> Transaction {
    db.begin_with(TransactionOptions { isolation: Isolation::Serializable, ..Default::default() }).unwrap()
}

/// What comes of a transaction that reads so, and writes elsewhere, when another one writes `key` meanwhile.
fn outcome(key: &str, read: impl Fn(&mut Transaction, &Table)) -> Option<ConflictKind> {
    let (db, table) = database();
    let other = db.table("other").unwrap();
    let mut tx = serializable(&db);
    read(&mut tx, &table);
    tx.put(&other, "result", "").unwrap();
    db.put(&table, key, "new").unwrap();
    match tx.commit() {
        Ok(_) => None,
        Err(Error::Busy(conflict)) => Some(conflict.kind),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_range_conflicts_up_to_its_ends_and_no_further() {
    let forward = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.range(table, "b".."e").unwrap().count(), 2);
    };
    let backward = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.range(table, "y"..).unwrap().rev().count(), 1);
    };
    let inclusive = |tx: &mut Transaction, table: &Table| {
        let ends = (Bound::Excluded("b"), Bound::Included("e"));
        assert_eq!(tx.range::<&str>(table, ends).unwrap().count(), 1);
    };
    for key in ["b", "c", "d", "dz"] {
        assert_eq!(outcome(key, forward), Some(ConflictKind::Range), "{key}");
    }
    for key in ["a", "e", "f", "x"] {
        assert_eq!(outcome(key, forward), None, "{key}");
    }
    for key in ["y", "z", "zz"] {
        assert_eq!(outcome(key, backward), Some(ConflictKind::Range), "{key}");
    }
    for key in ["x", "xz"] {
        assert_eq!(outcome(key, backward), None, "{key}");
    }
    for (key, expected) in
        [("b", None), ("ba", Some(ConflictKind::Range)), ("e", Some(ConflictKind::Range)), ("ea", None)]
    {
        assert_eq!(outcome(key, inclusive), expected, "{key}");
    }
}

#[test]
fn an_empty_range_conflicts_with_nothing() {
    let inverted = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.range(table, "e".."b").unwrap().count(), 0);
        assert_eq!(tx.range(table, "e".."b").unwrap().rev().count(), 0);
        assert_eq!(tx.delete_range(table, "zz".."a").unwrap(), 0);
    };
    for key in ["a", "b", "d", "e", "x", "zz"] {
        assert_eq!(outcome(key, inverted), None, "{key}");
    }
}

/// A count looks at no row, and answers for the whole range all the same: for one in which there is none, too.
#[test]
fn a_count_conflicts_up_to_its_ends_and_no_further() {
    let nothing = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.count_range(table, "e".."w").unwrap(), 0);
    };
    for key in ["e", "f", "vz"] {
        assert_eq!(outcome(key, nothing), Some(ConflictKind::Range), "a phantom at {key}");
    }
    for key in ["d", "w", "x"] {
        assert_eq!(outcome(key, nothing), None, "{key}");
    }
    let behind = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.count_range(table, "zz"..).unwrap(), 0);
    };
    assert_eq!((outcome("zzz", behind), outcome("z", behind)), (Some(ConflictKind::Range), None));
    let some = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.count_range(table, "b"..="d").unwrap(), 2);
    };
    assert_eq!(
        (outcome("c", some), outcome("d", some)),
        (Some(ConflictKind::Range), Some(ConflictKind::Range))
    );
    assert_eq!((outcome("a", some), outcome("da", some)), (None, None));
    let all = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.count(table).unwrap(), 4);
    };
    assert_eq!(outcome("q", all), Some(ConflictKind::Range));
    let unseen = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.untracked().count(table).unwrap(), 4);
    };
    assert_eq!(outcome("q", unseen), None);
    // A table that never had a row; and rows that come while it is sealed and folded.
    for folds in [false, true] {
        let (db, table) = database();
        let empty = db.table("empty").unwrap();
        let mut tx = serializable(&db);
        assert_eq!(tx.count(&empty).unwrap(), 0);
        tx.put(&table, "result", "none").unwrap();
        db.put(&empty, "phantom", "").unwrap();
        if folds {
            db.checkpoint().unwrap();
        }
        let lost = tx.commit().unwrap_err();
        assert_eq!(lost.conflict().unwrap().kind, ConflictKind::Range);
    }
}

#[test]
fn a_deleted_range_conflicts_up_to_its_ends_and_no_further() {
    let delete = |tx: &mut Transaction, table: &Table| {
        assert_eq!(tx.delete_range(table, "c".."e").unwrap(), 1);
    };
    assert_eq!(outcome("c", delete), Some(ConflictKind::Range));
    assert_eq!(outcome("e", delete), None);
    assert_eq!(outcome("x", delete), None);
}

#[test]
fn a_part_of_a_range_that_was_not_asked_for_was_not_read() {
    let first = |tx: &mut Transaction, table: &Table| {
        assert!(tx.range(table, "a"..).unwrap().next().is_some());
    };
    assert_eq!(outcome("a", first), Some(ConflictKind::Range));
    assert_eq!(outcome("d", first), None);
}

#[test]
fn a_step_beyond_the_end_reads_nothing_more() {
    let steps = |tx: &mut Transaction, table: &Table| {
        let mut cursor = tx.cursor(table).unwrap();
        assert!(!cursor.seek_ge(b"zz").unwrap());
        assert!(!cursor.next().unwrap());
    };
    assert_eq!(outcome("zzz", steps), Some(ConflictKind::Range));
    assert_eq!(outcome("b", steps), None);
}

#[test]
fn a_table_that_was_read_and_then_dropped_is_a_conflict() {
    let (db, table) = database();
    let other = db.table("other").unwrap();
    let mut tx = serializable(&db);
    assert!(tx.get(&table, "b").unwrap().is_some());
    tx.put(&other, "result", "").unwrap();
    assert!(db.drop_table("t").unwrap());
    let error = tx.commit().unwrap_err();
    assert_eq!(error.conflict().map(|conflict| conflict.kind), Some(ConflictKind::Schema));
}
