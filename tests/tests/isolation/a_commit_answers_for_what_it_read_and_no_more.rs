//! Every way of reading against every key that somebody else may write meanwhile: under Serializable the commit loses to
//! exactly those that the answers hung on, under Snapshot to none but what it wrote itself.

use std::ops::{Bound, RangeInclusive};

use braid::{Admission, TransactionOptions};
use braid::{
    ConflictKind, Database, Durability, Error, Isolation, Options, Range, Result, Table, Transaction,
};
use braid_tests::{Place, assert_clean, key};

/// Keys that others write: those of the rows, and one between each two and beyond.
const KEYS: RangeInclusive<u64> = 1..=19;

/// The even ones are rows.
fn is_row(number: u64) -> bool {
    number.is_multiple_of(2)
}

struct Case {
    name: &'static str,
    read: fn(&mut Transaction, &Table) -> Result<()>,
    /// The keys that it has read.
    reads: &'static [RangeInclusive<u64>],
    /// The keys that it writes.
    writes: &'static [u64],
}

const fn reads(
    name: &'static str,
    read: fn(&mut Transaction, &Table) -> Result<()>,
    reads: &'static [RangeInclusive<u64>],
) -> Case {
    Case { name, read, reads, writes: &[] }
}

const fn writes(
    name: &'static str,
    read: fn(&mut Transaction, &Table) -> Result<()>,
    reads: &'static [RangeInclusive<u64>],
    writes: &'static [u64],
) -> Case {
    Case { name, read, reads, writes }
}

/// Takes so many rows from the front of a range, and so many from its back.
fn take(tx: &Transaction, table: &Table, range: (u64, u64), front: usize, back: usize) -> Result<()> {
    take_of(tx.range(table, key(range.0)..key(range.1))?, front, back)
}

fn take_of(mut rows: Range, front: usize, back: usize) -> Result<()> {
    assert_eq!(rows.by_ref().take(front).collect::<Result<Vec<_>>>()?.len(), front);
    assert_eq!(rows.by_ref().rev().take(back).collect::<Result<Vec<_>>>()?.len(), back);
    Ok(())
}

/// Takes all rows, of which there are so many.
fn rows(range: Range, count: usize, backwards: bool) -> Result<()> {
    let rows =
        if backwards { range.rev().collect::<Result<Vec<_>>>()? } else { range.collect::<Result<_>>()? };
    assert_eq!(rows.len(), count);
    Ok(())
}

fn all(tx: &Transaction, table: &Table, range: (u64, u64), rows: usize) -> Result<()> {
    assert_eq!(tx.range(table, key(range.0)..key(range.1))?.collect::<Result<Vec<_>>>()?.len(), rows);
    Ok(())
}

const CASES: &[Case] = &[
    reads("nothing", |_, _| Ok(()), &[]),
    reads("a row", |tx, t| tx.get(t, key(6)).map(|row| assert!(row.is_some())), &[6..=6]),
    reads("no row", |tx, t| tx.get(t, key(7)).map(|row| assert!(row.is_none())), &[7..=7]),
    reads("whether a row is there", |tx, t| tx.contains(t, key(6)).map(|is| assert!(is)), &[6..=6]),
    reads("a range nobody went through", |tx, t| tx.range(t, key(4)..key(12)).map(drop), &[]),
    reads("a whole range", |tx, t| all(tx, t, (4, 12), 4), &[4..=11]),
    reads("a range without rows", |tx, t| all(tx, t, (7, 8), 0), &[7..=7]),
    reads("a range the wrong way round", |tx, t| all(tx, t, (12, 4), 0), &[]),
    reads("the beginning of a range", |tx, t| take(tx, t, (3, 12), 2, 0), &[3..=6]),
    reads("the end of a range", |tx, t| take(tx, t, (3, 12), 0, 2), &[8..=11]),
    reads("both ends of a range", |tx, t| take(tx, t, (3, 13), 1, 1), &[3..=4, 12..=12]),
    reads(
        "all rows of a range, and not that there is no other",
        |tx, t| take(tx, t, (3, 9), 1, 2),
        &[3..=4, 6..=8],
    ),
    reads(
        "a range until its ends meet",
        |tx, t| {
            let mut rows = tx.range(t, key(3)..key(9))?;
            assert!(rows.next().is_some() && rows.next_back().is_some());
            assert_eq!(rows.count(), 1);
            Ok(())
        },
        &[3..=8],
    ),
    reads(
        "half the steps of a turning cursor",
        |tx, t| {
            let mut cursor = tx.cursor(t)?;
            assert!(cursor.seek_ge(key(5))? && cursor.next()? && cursor.prev()? && cursor.prev()?);
            assert_eq!(cursor.key(), Some(&key(4)[..]));
            Ok(())
        },
        &[4..=8],
    ),
    reads(
        "a seek",
        |tx, t| {
            assert!(tx.cursor(t)?.seek_le(key(9))?);
            Ok(())
        },
        &[8..=9],
    ),
    reads(
        "two seeks of a cursor",
        |tx, t| {
            let mut cursor = tx.cursor(t)?;
            assert!(cursor.seek_ge(key(3))? && cursor.seek_ge(key(13))?);
            Ok(())
        },
        &[3..=4, 13..=14],
    ),
    reads(
        "a seek beyond the last row, and the last row",
        |tx, t| {
            let mut cursor = tx.cursor(t)?;
            assert!(!cursor.seek_ge(key(19))? && cursor.prev()?);
            Ok(())
        },
        &[18..=19],
    ),
    reads(
        "the first row",
        |tx, t| {
            assert!(tx.cursor(t)?.first()?);
            Ok(())
        },
        &[1..=2],
    ),
    reads("a count", |tx, t| tx.count(t).map(|rows| assert_eq!(rows, 9)), &[1..=19]),
    reads(
        "a count of a range",
        |tx, t| tx.count_range(t, key(4)..key(9)).map(|rows| assert_eq!(rows, 3)),
        &[4..=8],
    ),
    writes(
        "a deleted range",
        |tx, t| tx.delete_range(t, key(5)..key(11)).map(|rows| assert_eq!(rows, 3)),
        &[5..=10],
        &[6, 8, 10],
    ),
    reads("a prefix", |tx, t| rows(tx.range_prefix(t, key(6))?, 1, false), &[6..=6]),
    reads("a prefix without rows", |tx, t| rows(tx.range_prefix(t, key(7))?, 0, false), &[7..=7]),
    reads("a prefix of all", |tx, t| rows(tx.range_prefix(t, &key(7)[..7])?, 9, true), &[1..=19]),
    reads("the first rows of a prefix", |tx, t| take_of(tx.range_prefix(t, [0; 7])?, 2, 0), &[1..=4]),
    reads("the last row of a prefix", |tx, t| take_of(tx.range_prefix(t, [0; 7])?, 0, 1), &[18..=19]),
    reads("what has no such prefix", |tx, t| rows(tx.range_prefix(t, [1])?, 0, true), &[]),
    reads(
        "a count of a prefix",
        |tx, t| tx.count_prefix(t, key(6)).map(|rows| assert_eq!(rows, 1)),
        &[6..=6],
    ),
    writes(
        "a deleted prefix",
        |tx, t| tx.delete_prefix(t, key(6)).map(|rows| assert_eq!(rows, 1)),
        &[6..=6],
        &[6],
    ),
    writes("a taken row", |tx, t| tx.take(t, key(6)).map(|row| assert!(row.is_some())), &[6..=6], &[6]),
    reads("nothing to take", |tx, t| tx.take(t, key(7)).map(|row| assert!(row.is_none())), &[7..=7]),
    reads("what comes after a row", |tx, t| rows(tx.range_after(t, key(6))?, 6, false), &[7..=19]),
    reads("what comes after no row", |tx, t| rows(tx.range_after(t, key(7))?, 6, true), &[8..=19]),
    reads("the next page", |tx, t| take_of(tx.range_after(t, key(6))?, 2, 0), &[7..=10]),
    reads("the last row after a row", |tx, t| take_of(tx.range_after(t, key(6))?, 0, 1), &[18..=19]),
    reads("what comes after the last row", |tx, t| rows(tx.range_after(t, key(18))?, 0, false), &[19..=19]),
    writes(
        "a cleared table",
        |tx, t| tx.clear(t).map(|rows| assert_eq!(rows, 9)),
        &[1..=19],
        &[2, 4, 6, 8, 10, 12, 14, 16, 18],
    ),
    writes(
        "a cleared table with a row of its own",
        |tx, t| {
            tx.put(t, key(7), "mine")?;
            tx.clear(t).map(|rows| assert_eq!(rows, 10))
        },
        &[1..=19],
        &[2, 4, 6, 7, 8, 10, 12, 14, 16, 18],
    ),
    writes("an insert", |tx, t| tx.insert(t, key(7), "mine"), &[7..=7], &[7]),
    reads(
        "an insert of a row that is there",
        |tx, t| {
            assert!(matches!(tx.insert(t, key(6), "mine"), Err(Error::KeyExists { .. })));
            Ok(())
        },
        &[6..=6],
    ),
    writes(
        "its own write",
        |tx, t| {
            tx.put(t, key(6), "mine")?;
            tx.get(t, key(6)).map(|row| assert_eq!(row.as_deref(), Some(&b"mine"[..])))
        },
        &[],
        &[6],
    ),
    writes(
        "a row that its own delete hides from a scan",
        |tx, t| {
            tx.delete(t, key(6))?;
            take(tx, t, (4, 12), 2, 0)
        },
        &[4..=8],
        &[6],
    ),
    writes(
        "a gap that its own row ends",
        |tx, t| {
            tx.put(t, key(7), "mine")?;
            let mut cursor = tx.cursor(t)?;
            assert!(cursor.seek_le(key(7))? && cursor.prev()?);
            Ok(())
        },
        &[6..=7],
        &[7],
    ),
    reads(
        "what asks not to be tracked",
        |tx, t| {
            assert!(tx.get_untracked(t, key(6))?.is_some());
            assert_eq!(tx.range_untracked(t, key(4)..key(9))?.count(), 3);
            let untracked = tx.untracked();
            assert!(untracked.contains(t, key(8))?);
            assert_eq!((untracked.count(t)?, untracked.scan(t)?.count()), (9, 9));
            assert_eq!(untracked.range_prefix(t, key(6))?.count(), 1);
            assert_eq!(untracked.range_after(t, key(6))?.count(), 6);
            let mut cursor = untracked.cursor(t)?;
            assert!(cursor.seek_le(key(9))? && cursor.prev()? && cursor.next()?);
            Ok(())
        },
        &[],
    ),
    writes(
        "its own write, not tracked",
        |tx, t| {
            tx.put(t, key(7), "mine")?;
            assert_eq!(tx.get_untracked(t, key(7))?.as_deref(), Some(&b"mine"[..]));
            assert_eq!(tx.range_untracked(t, key(6)..key(9))?.count(), 3);
            Ok(())
        },
        &[],
        &[7],
    ),
    reads(
        "tracked reads beside others that are not",
        |tx, t| {
            let untracked = tx.untracked();
            let (mut one, mut other) = (tx.cursor(t)?, untracked.cursor(t)?);
            assert!(one.seek_ge(key(4))? && other.seek_ge(key(12))?);
            assert!(one.next()? && other.next()?);
            assert!(tx.contains(t, key(17)).is_ok_and(|is| !is));
            Ok(())
        },
        &[4..=6, 17..=17],
    ),
];

/// Where the rows are.
#[derive(Clone, Copy, Debug)]
enum Layer {
    RowStore,
    Tree,
    FoldedMeanwhile,
}

fn begin(db: &Database, isolation: Isolation) -> Result<Transaction> {
    db.begin_with(TransactionOptions {
        admission: Admission::Concurrent,
        isolation,
        durability: Some(Durability::Deferred),
        ..TransactionOptions::default()
    })
}

fn run(isolation: Isolation, layer: Layer) -> Result<()> {
    let place = Place::in_memory();
    let options = Options { row_store_bytes: 64 << 10, ..Options::default() };
    let mine = place.open_mvcc(options)?;
    let theirs = Database::open(place.path())?;
    let other = mine.table("other")?;
    for (number, case) in CASES.iter().enumerate() {
        let name = format!("t{number}");
        let table = mine.table(&name)?;
        for written in KEYS {
            let mut fill = begin(&mine, Isolation::Snapshot)?;
            fill.delete_range::<[u8; 8]>(&table, ..)?;
            for row in KEYS.filter(|row| is_row(*row)) {
                fill.put(&table, key(row), "old")?;
            }
            fill.commit()?;
            if matches!(layer, Layer::Tree) {
                mine.checkpoint()?;
            }

            let mut tx = begin(&mine, isolation)?;
            (case.read)(&mut tx, &table)?;
            tx.put(&other, "result", name.as_bytes())?;
            std::thread::scope(|scope| {
                let rival = scope.spawn(|| {
                    let table = theirs.table(&name)?;
                    let mut rival = begin(&theirs, Isolation::Snapshot)?;
                    if written % 3 == 0 {
                        rival.delete(&table, key(written))?;
                    } else {
                        rival.put(&table, key(written), "")?;
                    }
                    rival.commit()?;
                    if matches!(layer, Layer::FoldedMeanwhile) {
                        theirs.checkpoint().map(drop)
                    } else {
                        Ok(())
                    }
                });
                rival.join().expect("the rival does not panic")
            })?;
            let committed = tx.commit();

            let was_read = case.reads.iter().any(|read| read.contains(&written));
            let was_written = case.writes.contains(&written);
            let loses = was_written || (was_read && isolation == Isolation::Serializable);
            let what = format!("{}: {written} was written meanwhile, {isolation:?}, {layer:?}", case.name);
            match committed {
                Ok(_) => assert!(!loses, "{what}"),
                Err(Error::Busy(conflict)) => {
                    assert!(loses, "{what}: {conflict}");
                    assert_eq!(conflict.key.as_deref(), Some(&key(written)[..]), "{what}");
                    assert_eq!(conflict.kind == ConflictKind::WriteWrite, was_written, "{what}: {conflict}");
                }
                Err(error) => return Err(error),
            }
        }
    }
    assert_clean(&mine)
}

#[test]
fn under_snapshot() -> Result<()> {
    run(Isolation::Snapshot, Layer::RowStore)
}

#[test]
fn under_serializable_in_the_row_store() -> Result<()> {
    run(Isolation::Serializable, Layer::RowStore)
}

#[test]
fn under_serializable_in_the_tree() -> Result<()> {
    run(Isolation::Serializable, Layer::Tree)
}

#[test]
fn under_serializable_folded_meanwhile() -> Result<()> {
    run(Isolation::Serializable, Layer::FoldedMeanwhile)
}

/// One who only reads stands where it began, whatever it read and whoever wrote meanwhile.
#[test]
fn who_wrote_nothing_answers_for_nothing() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("t")?;
    for row in KEYS.filter(|row| is_row(*row)) {
        db.put(&table, key(row), "old")?;
    }
    let mut tx = begin(&db, Isolation::Serializable)?;
    assert_eq!(tx.count(&table)?, 9);
    assert_eq!(tx.delete_range(&table, key(7)..key(8))?, 0);
    db.put(&table, key(6), "new")?;
    db.put(&table, key(7), "new")?;
    let began = tx.timestamp();
    assert_eq!(tx.commit()?.timestamp, began);
    Ok(())
}

/// Bounds of every kind, and no bound, by a range from either end.
#[test]
fn bounds_are_what_they_say() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let (table, other) = (db.table("t")?, db.table("other")?);
    let bounds =
        [Bound::Unbounded, Bound::Included(key(6)), Bound::Excluded(key(6)), Bound::Included(key(7))];
    for row in KEYS.filter(|row| is_row(*row)) {
        db.put(&table, key(row), "old")?;
    }
    for from in bounds {
        for to in
            [Bound::Unbounded, Bound::Included(key(12)), Bound::Excluded(key(12)), Bound::Excluded(key(11))]
        {
            for written in KEYS {
                let mut tx = begin(&db, Isolation::Serializable)?;
                let mut rows = tx.range::<[u8; 8]>(&table, (from, to))?;
                while let Some(row) = if written % 2 == 0 { rows.next() } else { rows.next_back() } {
                    row?;
                }
                drop(rows);
                tx.put(&other, "result", "")?;
                let mut rival = begin(&db, Isolation::Snapshot)?;
                rival.put(&table, key(written), "old")?;
                rival.commit()?;
                let inside = std::ops::RangeBounds::contains(&(from, to), &key(written));
                assert_eq!(tx.commit().is_err(), inside, "{from:?} {to:?} {written}");
                if !is_row(written) {
                    db.delete(&table, key(written))?;
                }
            }
        }
    }
    Ok(())
}
