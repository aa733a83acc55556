//! A table that a sibling drops or renames under an open transaction: whoever wrote to it or read it, at either level, is
//! refused with `Busy(Schema)` and nothing of its work is applied; whoever did neither commits.

use std::collections::BTreeSet;

use braid::{ConflictKind, Database, Error, Isolation, Options, Result, Snapshot, Table, Transaction};
use braid_tests::{Layering, Place, assert_clean, contents};

use crate::desk::{Desk, each, settle};

/// What the sibling does to the table `used`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Drop,
    DropAndMakeAnew,
    Rename,
    /// Another table takes its name.
    Replace,
    /// A table that is not the one in use comes and goes.
    Elsewhere,
}

/// What the transaction did with it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Write,
    Read,
    Scan,
    Count,
    /// It read it, and wants to answer for none of it.
    Untracked,
    /// It asked whether there is one of that name.
    Lookup,
    /// It listed all tables.
    List,
    Nothing,
}

fn apply(db: &Database, change: Change) -> Result<()> {
    match change {
        Change::Drop => drop(db.drop_table("used")?),
        Change::DropAndMakeAnew => {
            db.drop_table("used")?;
            db.put(&db.table("used")?, "row", "of the new table")?;
        }
        Change::Rename => _ = db.rename_table("used", "was used")?,
        Change::Replace => {
            let mut tx = db.begin()?;
            let new = tx.create_table("new")?;
            tx.put(&new, "row", "of the new table")?;
            tx.rename_table("used", "was used")?;
            tx.rename_table("new", "used")?;
            tx.commit()?;
        }
        Change::Elsewhere => {
            db.table("passing")?;
            db.rename_table("passing", "passed")?;
            db.drop_table("passed")?;
        }
    }
    Ok(())
}

fn work(tx: &mut Transaction, used: &Table, witness: &Table, how: Use) -> Result<()> {
    match how {
        Use::Write => tx.put(used, "row", "of the loser")?,
        Use::Read => drop(tx.get(used, "row")?),
        Use::Scan => drop(tx.scan(used)?.collect::<Result<Vec<_>>>()?),
        Use::Count => assert_eq!(tx.count(used)?, 1),
        Use::Untracked => {
            tx.get_untracked(used, "row")?;
            tx.untracked().scan(used)?.collect::<Result<Vec<_>>>()?;
        }
        Use::Lookup => drop(tx.existing_table("used")?),
        Use::List => drop(tx.tables()?),
        Use::Nothing => {}
    }
    tx.put(witness, "row", "of the loser")
}

fn loses(isolation: Isolation, change: Change, how: Use) -> bool {
    let serializable = isolation == Isolation::Serializable;
    match how {
        Use::Nothing | Use::Untracked => false,
        // A list is of all tables, also of one that has come and gone since: it goes by versions, not by what is left.
        Use::List => serializable,
        Use::Write | Use::Read | Use::Scan | Use::Count => change != Change::Elsewhere,
        Use::Lookup => serializable && change != Change::Elsewhere,
    }
}

fn run(isolation: Isolation, layering: Layering, change: Change, how: Use) -> Result<()> {
    let context = format!("{isolation:?}, {layering:?}, {change:?}, {how:?}");
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let (used, witness) = (db.table("used")?, db.table("witness")?);
    db.put(&used, "row", "old")?;
    db.put(&witness, "row", "old")?;
    settle(&db, layering, Layering::Tree)?;
    let [user, changer] = [(); 2].map(|()| Desk::start(&place));
    let (mine, its) = (used.clone(), witness.clone());
    user.run(move |desk| {
        desk.begin(isolation)?;
        work(desk.tx(), &mine, &its, how)
    })?;
    let before = db.snapshot()?;
    changer.run(move |desk| apply(&desk.db, change))?;
    settle(&db, layering, Layering::Moving)?;
    // What it sees stays what it was.
    let mine = used.clone();
    user.run(move |desk| {
        let tx = desk.tx.as_ref().expect("it has begun");
        let row: &[u8] = if how == Use::Write { b"of the loser" } else { b"old" };
        let peek: &Snapshot = &tx.untracked();
        assert_eq!(peek.get(&mine, "row")?.as_deref(), Some(row));
        // Asked at the end: for a serializable one it would count as a use.
        if isolation == Isolation::Snapshot {
            assert_eq!(tx.existing_table("used")?.map(|table| table.id()), Some(mine.id()));
            assert_eq!(tx.tables()?, ["used", "witness"]);
        }
        Ok::<_, Error>(())
    })?;
    let committed = user.run(|desk| desk.tx.take().expect("it has begun").commit());
    let left = contents(&db.snapshot()?, &witness)?;
    let left = left.values().next().expect("the witness has a row");
    if loses(isolation, change, how) {
        let error = committed.expect_err(&context);
        assert!(error.is_retryable(), "{context}: {error}");
        let conflict = error.conflict().expect("a lost race is Busy");
        assert_eq!(conflict.kind, ConflictKind::Schema, "{context}: {conflict}");
        assert!(conflict.winner_ts.is_some_and(|winner| winner > conflict.begin_ts), "{context}");
        assert_eq!(left, b"old", "{context}: nothing of the loser was applied");
        assert_eq!(db.stats().conflicts.kinds.schema, 1);
    } else {
        committed.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(left, b"of the loser", "{context}");
    }
    assert_eq!(before.get(&used, "row")?.as_deref(), Some(&b"old"[..]), "{context}");
    assert_eq!(before.existing_table("used")?.map(|table| table.id()), Some(used.id()), "{context}");
    if matches!(change, Change::DropAndMakeAnew | Change::Replace) {
        let now = db.table("used")?;
        assert_eq!(db.get(&now, "row")?.as_deref(), Some(&b"of the new table"[..]), "{context}");
    }
    assert_eq!(db.tables()?, db.snapshot()?.tables()?, "{context}");
    drop(before);
    assert_clean(&db)
}

fn all(isolation: Isolation) -> Result<()> {
    use Change::{Drop, DropAndMakeAnew, Elsewhere, Rename, Replace};
    use Use::{Count, List, Lookup, Nothing, Read, Scan, Untracked, Write};
    for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
        for change in [Drop, DropAndMakeAnew, Rename, Replace, Elsewhere] {
            for how in [Write, Read, Scan, Count, Untracked, Lookup, List, Nothing] {
                run(isolation, layering, change, how)?;
            }
        }
    }
    Ok(())
}

#[test]
fn under_snapshot() -> Result<()> {
    all(Isolation::Snapshot)
}

#[test]
fn under_serializable() -> Result<()> {
    all(Isolation::Serializable)
}

type Step = fn(&mut Transaction) -> Result<()>;
type Leaves = fn(&mut BTreeSet<&str>);

/// What is done to the tables `a` and `b`, and the names that it leaves of these.
const STEPS: [(Step, Leaves); 4] = [
    (|tx| tx.create_table("free").map(drop), |names| names.extend(["free"])),
    (
        |tx| tx.rename_table("a", "free"),
        |names| {
            names.retain(|name| *name != "a");
            names.extend(["free"]);
        },
    ),
    (|tx| tx.drop_table("a").map(drop), |names| names.retain(|name| *name != "a")),
    (
        |tx| tx.rename_table("b", "free"),
        |names| {
            names.retain(|name| *name != "b");
            names.extend(["free"]);
        },
    ),
];

fn change_one_name(isolation: Isolation, layering: Layering, first: usize, second: usize) -> Result<()> {
    let context = format!("{isolation:?}, {layering:?}, {first}, {second}");
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    db.table("a")?;
    db.table("b")?;
    settle(&db, layering, Layering::Tree)?;
    let [one, other] = [(); 2].map(|()| Desk::start(&place));
    let (before, mut left) = (["a", "b"], BTreeSet::from(["a", "b"]));
    for (session, (step, names)) in [(&one, STEPS[first]), (&other, STEPS[second])] {
        let seen = session.run(move |desk| {
            desk.begin(isolation)?;
            step(desk.tx())?;
            desk.tx().untracked().tables()
        })?;
        let mut own = BTreeSet::from(before);
        names(&mut own);
        assert_eq!(seen, own.into_iter().collect::<Vec<_>>(), "{context}: it sees its own change only");
        assert_eq!(db.tables()?, before, "{context}: and nobody else does");
        settle(&db, layering, Layering::Moving)?;
    }
    let won = one.run(Desk::commit)?;
    STEPS[first].1(&mut left);
    settle(&db, layering, Layering::Moving)?;
    // Dropping `a` has nothing to do with making `free`, nor with making it of `b`.
    let independent = matches!((first, second), (0 | 3, 2) | (2, 0 | 3));
    let committed = other.run(Desk::commit);
    if independent {
        committed?;
        STEPS[second].1(&mut left);
    } else {
        let error = committed.expect_err("they work on one name");
        let conflict = error.conflict().expect("a lost race is Busy");
        assert!(error.is_retryable(), "{context}");
        assert_eq!(conflict.kind, ConflictKind::Schema, "{context}: {conflict}");
        assert_eq!(conflict.winner_ts, Some(won.timestamp), "{context}: {conflict}");
    }
    assert_eq!(db.tables()?, left.into_iter().collect::<Vec<_>>(), "{context}");
    assert_eq!(db.tables()?, db.snapshot()?.tables()?, "{context}: the map is what the rows say");
    assert_clean(&db)
}

/// Of two that work on one name the second is refused, at either level.
#[test]
fn two_changes_of_one_name_conflict() -> Result<()> {
    each(|isolation, layering| {
        for first in 0..STEPS.len() {
            for second in 0..STEPS.len() {
                change_one_name(isolation, layering, first, second)?;
            }
        }
        Ok(())
    })
}
