//! `add`, `max`, `min` and `append` are made of the row as it is at the commit, so that nobody loses; a transaction that
//! has looked at the row or written it is an ordinary writer of it.

use std::io::ErrorKind;
use std::ops::Bound;

use braid::vfs::faulty::{Fault, Operation};
use braid::{
    Admission, ConflictKind, Database, Durability, Error, Isolation, JournalMode, Options, Refusal, Result,
    Table, Transaction, TransactionOptions,
};
use braid_tests::{Place, assert_clean, assert_nothing_logged, faulty_env, seeds, together};
use fastrand::Rng;

fn bytes(number: i64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn number(db: &Database, table: &Table, key: &str) -> Result<Option<i64>> {
    Ok(db
        .get(table, key)?
        .map(|value| i64::from_le_bytes(value.try_into().expect("a number has eight bytes"))))
}

fn begin(db: &Database, isolation: Isolation) -> Result<Transaction> {
    db.begin_with(TransactionOptions { admission: Admission::Concurrent, isolation, ..Default::default() })
}

/// With the rows in the row store, in the tree, and in the tree with newer ones above.
fn in_every_layer(
    check: impl Fn(&Database, &Table, Isolation, &dyn Fn() -> Result<()>) -> Result<()>,
) -> Result<()> {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for folds in [0, 1, 2] {
            let place = Place::new();
            let db = place.open_mvcc(Options::default())?;
            let table = db.table("rows")?;
            db.put(&table, "number", bytes(100))?;
            db.put(&table, "text", "ab")?;
            if folds > 0 {
                db.checkpoint()?;
            }
            let between = || if folds == 2 { db.checkpoint().map(drop) } else { Ok(()) };
            check(&db, &table, isolation, &between)?;
            let conflicts = db.stats().conflicts.kinds.total();
            assert_clean(&db)?;
            let rows: Vec<_> = db.snapshot()?.scan(&table)?.collect::<Result<_>>()?;
            drop((db, table));
            let db = place.open()?;
            let again: Vec<_> = db.snapshot()?.scan(&db.table("rows")?)?.collect::<Result<_>>()?;
            assert_eq!(
                again, rows,
                "the log holds what was made, {isolation:?}, {folds}, {conflicts} conflicts"
            );
        }
    }
    Ok(())
}

#[test]
fn whoever_commits_first() -> Result<()> {
    in_every_layer(|db, table, isolation, between| {
        let mut open: Vec<_> = (0..4).map(|_| begin(db, isolation)).collect::<Result<_>>()?;
        for (at, tx) in (0_i64..).zip(&mut open) {
            tx.add(table, "number", 10 + at)?;
            tx.max(table, "highest", at)?;
            tx.min(table, "lowest", -at)?;
            tx.append(table, "text", [b'0' + u8::try_from(at).unwrap_or(0)])?;
        }
        while let Some(tx) = open.pop() {
            tx.commit()?;
            between()?;
        }
        assert_eq!(number(db, table, "number")?, Some(146));
        assert_eq!(number(db, table, "highest")?, Some(3));
        assert_eq!(number(db, table, "lowest")?, Some(-3));
        assert_eq!(db.get(table, "text")?.as_deref(), Some(&b"ab3210"[..]));
        let stats = db.stats();
        assert_eq!(stats.conflicts.kinds.total(), 0);
        assert_eq!(
            (stats.updates.made, stats.updates.absorbed),
            (16, 12),
            "the first one has nobody before it"
        );
        Ok(())
    })
}

#[test]
fn beside_writers_of_the_row() -> Result<()> {
    in_every_layer(|db, table, isolation, between| {
        let (mut adds, mut deletes) = (begin(db, isolation)?, begin(db, isolation)?);
        adds.add(table, "number", 1)?;
        db.put(table, "number", bytes(7))?;
        between()?;
        adds.commit()?;
        assert_eq!(number(db, table, "number")?, Some(8), "it is made of what was put meanwhile");
        between()?;
        deletes.delete(table, "number")?;
        let lost = deletes.commit().expect_err("the row was updated meanwhile");
        assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(ConflictKind::WriteWrite));

        let mut adds = begin(db, isolation)?;
        adds.add(table, "number", 5)?;
        db.delete(table, "number")?;
        between()?;
        adds.commit()?;
        assert_eq!(number(db, table, "number")?, Some(5), "a row that was deleted counts as 0");

        let mut reads = begin(db, isolation)?;
        reads.get(table, "number")?;
        reads.put(table, "other", "1")?;
        db.add(table, "number", 1)?;
        between()?;
        let lost = reads.commit().err().and_then(|lost| lost.conflict().map(|conflict| conflict.kind));
        let expected = (isolation == Isolation::Serializable).then_some(ConflictKind::ReadWrite);
        assert_eq!(lost, expected, "what was read has changed");
        Ok(())
    })
}

#[test]
fn unless_the_row_was_looked_at() -> Result<()> {
    type Look = fn(&mut Transaction, &Table) -> Result<()>;
    let looks: [(&str, Look); 8] = [
        ("get", |tx, table| {
            assert_eq!(tx.get(table, "number")?, Some(bytes(103)));
            Ok(())
        }),
        ("contains", |tx, table| {
            assert!(tx.contains(table, "number")?);
            Ok(())
        }),
        ("insert", |tx, table| {
            assert!(matches!(tx.insert(table, "number", "x"), Err(Error::KeyExists { .. })));
            Ok(())
        }),
        ("range", |tx, table| {
            let row = tx.range(table, "a".."o")?.next().transpose()?;
            assert_eq!(row, Some((b"number".to_vec(), bytes(103))));
            Ok(())
        }),
        ("a range from behind", |tx, table| {
            let rows: Vec<_> =
                tx.scan(table)?.rev().map(|row| row.map(|(key, _)| key)).collect::<Result<_>>()?;
            assert_eq!(rows, [&b"text"[..], b"number"]);
            Ok(())
        }),
        ("cursor", |tx, table| {
            let mut cursor = tx.cursor(table)?;
            assert!(cursor.seek_le(b"o")?);
            assert_eq!(cursor.row()?, Some((&b"number"[..], &bytes(103)[..])));
            Ok(())
        }),
        ("count", |tx, table| {
            assert_eq!(tx.count(table)?, 2);
            Ok(())
        }),
        ("put", |tx, table| tx.put(table, "number", bytes(103))),
    ];
    in_every_layer(|db, table, isolation, between| {
        for (name, look) in looks {
            let mut tx = begin(db, isolation)?;
            tx.add(table, "number", 1)?;
            tx.add(table, "number", 2)?;
            look(&mut tx, table)?;
            let mut rival = begin(db, isolation)?;
            rival.add(table, "number", 0)?;
            rival.commit()?;
            between()?;
            let lost = tx.commit().expect_err(name);
            let kind = lost.conflict().map(|conflict| conflict.kind);
            assert_eq!(kind, Some(ConflictKind::WriteWrite), "{name}");
        }
        assert_eq!(number(db, table, "number")?, Some(100));
        Ok(())
    })
}

#[test]
fn after_own_writes_they_are_made_at_once() -> Result<()> {
    in_every_layer(|db, table, isolation, between| {
        let mut tx = begin(db, isolation)?;
        tx.put(table, "mine", bytes(5))?;
        tx.add(table, "mine", 2)?;
        tx.max(table, "mine", 6)?;
        assert_eq!(tx.get(table, "mine")?, Some(bytes(7)));
        tx.delete(table, "number")?;
        tx.add(table, "number", 2)?;
        assert_eq!(tx.get(table, "number")?, Some(bytes(2)));
        tx.put(table, "text", "x")?;
        tx.append(table, "text", "y")?;
        let refused = tx.add(table, "text", 1);
        assert!(
            matches!(refused, Err(Error::UpdateRefused { refusal: Refusal::NotANumber { bytes: 2 }, .. })),
            "{refused:?}"
        );
        tx.put(table, "mine", bytes(i64::MAX))?;
        let refused = tx.add(table, "mine", 1);
        assert!(
            matches!(refused, Err(Error::UpdateRefused { refusal: Refusal::Overflow, .. })),
            "{refused:?}"
        );
        between()?;
        tx.commit()?;
        assert_eq!(db.get(table, "text")?.as_deref(), Some(&b"xy"[..]));
        assert_eq!(number(db, table, "mine")?, Some(i64::MAX));
        Ok(())
    })
}

#[test]
fn a_write_after_it_replaces_it_and_another_shape_settles_it() -> Result<()> {
    in_every_layer(|db, table, isolation, _| {
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        tx.delete(table, "number")?;
        tx.append(table, "text", "cdefgh")?;
        tx.add(table, "text", 1)?;
        assert_eq!(tx.get(table, "number")?, None);
        tx.append(table, "log", "1")?;
        tx.append(table, "log", "2")?;
        tx.commit()?;
        assert_eq!(db.get(table, "number")?, None);
        assert_eq!(db.get(table, "log")?.as_deref(), Some(&b"12"[..]));
        assert_eq!(db.get(table, "text")?.as_deref(), Some(&b"bbcdefgh"[..]));
        Ok(())
    })
}

#[test]
fn what_cannot_be_made_is_refused_whole() -> Result<()> {
    in_every_layer(|db, table, isolation, between| {
        let appended = db.stats().log.bytes_appended;
        let attempt = |update: &dyn Fn(&mut Transaction) -> Result<()>| -> Result<Error> {
            let mut tx = begin(db, isolation)?;
            tx.put(table, "beside", "1")?;
            tx.add(table, "also", 1)?;
            update(&mut tx)?;
            Ok(tx.commit().expect_err("it cannot be made"))
        };
        let refused = attempt(&|tx| tx.add(table, "text", 1))?;
        let Error::UpdateRefused { table: name, key, refusal, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!((&**name, &**key, *refusal), ("rows", &b"text"[..], Refusal::NotANumber { bytes: 2 }));
        assert!(!refused.is_retryable());
        let refused = attempt(&|tx| tx.add(table, "number", i64::MAX))?;
        assert!(matches!(refused, Error::UpdateRefused { refusal: Refusal::Overflow, .. }), "{refused:?}");
        assert_eq!((db.get(table, "beside")?, db.get(table, "also")?), (None, None), "nothing was applied");
        assert_nothing_logged(db, appended);

        // What counts is the row as it is at the commit.
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", i64::MAX)?;
        db.put(table, "number", bytes(-1))?;
        between()?;
        tx.commit()?;
        assert_eq!(number(db, table, "number")?, Some(i64::MAX - 1));
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        db.add(table, "number", 1)?;
        between()?;
        assert!(matches!(tx.commit(), Err(Error::UpdateRefused { refusal: Refusal::Overflow, .. })));
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        assert!(matches!(
            tx.get(table, "number"),
            Err(Error::UpdateRefused { refusal: Refusal::Overflow, .. })
        ));
        Ok(())
    })
}

#[test]
fn a_savepoint_takes_them_back() -> Result<()> {
    in_every_layer(|db, table, isolation, between| {
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        let first = tx.savepoint()?;
        tx.add(table, "number", 10)?;
        tx.add(table, "fresh", 10)?;
        let second = tx.savepoint()?;
        assert_eq!(tx.get(table, "number")?, Some(bytes(111)));
        tx.put(table, "fresh", bytes(1))?;
        tx.rollback_to(&second)?;
        tx.add(table, "number", 5)?;
        assert_eq!(tx.get(table, "fresh")?, Some(bytes(10)));
        tx.delete(table, "number")?;
        tx.rollback_to(&first)?;
        db.add(table, "number", 1000)?;
        between()?;
        // What was read stays read.
        let lost = tx.commit().expect_err("it was read");
        let serializable = isolation == Isolation::Serializable;
        let kind = if serializable { ConflictKind::ReadWrite } else { ConflictKind::WriteWrite };
        assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(kind));

        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        let before = tx.savepoint()?;
        tx.add(table, "number", 10)?;
        tx.put(table, "fresh", bytes(10))?;
        tx.rollback_to(&before)?;
        db.add(table, "number", 1000)?;
        between()?;
        tx.commit()?;
        assert_eq!(number(db, table, "number")?, Some(2101), "it is blind again");
        assert_eq!(number(db, table, "fresh")?, None);
        Ok(())
    })
}

#[test]
fn sixteen_writers_of_one_counter_lose_nothing() -> Result<()> {
    const EACH: i64 = 40;
    let place = Place::new();
    let db = place.open_mvcc(Options { row_store_bytes: 64 << 10, ..Options::default() })?;
    let table = db.table("rows")?;
    let counts = together(16, |_| {
        for _ in 0..EACH {
            db.add(&table, "counter", 1)?;
        }
        Ok::<_, Error>(EACH)
    })?;
    let sum: i64 = counts.into_iter().sum();
    assert_eq!(number(&db, &table, "counter")?, Some(sum));
    let stats = db.stats();
    assert_eq!((stats.conflicts.kinds.total(), stats.retries), (0, 0), "{stats:?}");
    assert_eq!(stats.updates.made, sum.unsigned_abs(), "{:?}", stats.updates);
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(number(&db, &db.table("rows")?, "counter")?, Some(sum), "the log holds what was made");
    assert_clean(&db)
}

#[test]
fn above_a_checkpoint_that_has_sealed_and_could_not_write() -> Result<()> {
    let (env, faults) = faulty_env();
    let place = Place::new();
    let db = Database::open_in(env, place.path(), Options::default())?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    db.put(&table, "number", bytes(1))?;
    db.checkpoint()?;
    let mut tx = db.begin_concurrent()?;
    tx.add(&table, "number", 1000)?;
    db.put(&table, "number", bytes(7))?;
    db.put(&table, "text", "ab")?;
    faults.inject(
        Fault::on(Operation::Write).on_paths_ending("/data.braid").kind(ErrorKind::StorageFull).sticky(),
    );
    assert!(matches!(db.checkpoint(), Err(Error::NoSpace(_))));
    tx.commit()?;
    assert_eq!(number(&db, &table, "number")?, Some(1007));
    assert_eq!(db.stats().updates.absorbed, 1);
    db.append(&table, "text", "c")?;
    db.delete(&table, "text")?;
    assert!(db.checkpoint().is_err());
    db.append(&table, "text", "d")?;
    assert_eq!(db.get(&table, "text")?.as_deref(), Some(&b"d"[..]), "a deleted row is empty");
    faults.clear();
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open()?;
    let table = db.table("rows")?;
    assert_eq!(number(&db, &table, "number")?, Some(1007));
    assert_clean(&db)
}

#[test]
fn a_row_that_cannot_be_read_is_not_updated() -> Result<()> {
    let (env, faults) = faulty_env();
    let place = Place::new();
    let db = Database::open_in(env.clone(), place.path(), Options::default())?;
    let table = db.table("rows")?;
    db.put(&table, "number", bytes(1))?;
    db.close()?;
    drop(table);
    let db = Database::open_in(env, place.path(), Options::default())?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    tx.add(&table, "number", 1)?;
    tx.put(&table, "beside", "1")?;
    faults.inject(Fault::on(Operation::Read).on_paths_ending("/data.braid").sticky());
    let failed = tx.commit();
    faults.clear();
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert_eq!((number(&db, &table, "number")?, db.get(&table, "beside")?), (Some(1), None));
    db.add(&table, "number", 1)?;
    assert_eq!(number(&db, &table, "number")?, Some(2));
    assert_clean(&db)
}

#[test]
fn in_every_mode_and_admission() -> Result<()> {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let place = Place::new();
        let db = place.open()?;
        db.set_journal_mode(mode)?;
        let table = db.table("rows")?;
        for durability in [Durability::Sync, Durability::Deferred] {
            let options = TransactionOptions {
                admission: Admission::Immediate,
                durability: Some(durability),
                ..Default::default()
            };
            let mut tx = db.begin_with(options)?;
            tx.add(&table, "number", 2)?;
            tx.append(&table, "text", "x")?;
            tx.commit()?;
            db.add(&table, "number", 3)?;
            db.max(&table, "number", 4)?;
            db.min(&table, "number", 100)?;
            db.append(&table, "text", "y")?;
        }
        assert_eq!(number(&db, &table, "number")?, Some(10));
        assert_eq!(db.get(&table, "text")?.as_deref(), Some(&b"xyxy"[..]));
        assert_eq!(db.stats().conflicts.kinds.total(), 0);
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn values_that_grow_keep_within_the_budgets() -> Result<()> {
    let place = Place::new();
    let options = Options {
        row_store_bytes: 64 << 10,
        max_transaction_bytes: 200 << 10,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    let mut length = 0;
    let refused = loop {
        match db.append(&table, "long", [7; 5000]) {
            Ok(_) => length += 5000,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TransactionTooLarge { .. }), "{refused:?}");
    assert!(length > 190_000, "{length}");
    assert_eq!(db.get(&table, "long")?, Some(vec![7; length]));
    let mut tx = db.begin_concurrent()?;
    let filled = (0..=length).try_for_each(|_| tx.append(&table, "log", [1; 1000]));
    assert!(matches!(filled, Err(Error::TransactionTooLarge { .. })), "{filled:?}");
    tx.commit()?;
    together(4, |at| {
        for round in 0..20_u8 {
            db.append(&table, format!("{}", at % 2), [round; 500])?;
        }
        Ok::<_, Error>(())
    })?;
    assert_eq!(db.get(&table, "0")?.map(|value| value.len()), Some(20_000));
    assert_clean(&db)
}

#[test]
fn a_dropped_table_takes_none() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let mut tx = db.begin_concurrent()?;
    tx.add(&table, "number", 1)?;
    db.drop_table("rows")?;
    let lost = tx.commit().expect_err("its table is gone");
    assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(ConflictKind::Schema));
    assert_clean(&db)
}

/// Many rows, random updates, writes, reads, savepoints: beside a map to which everything is done at once.
#[test]
fn alone_they_do_what_writes_would() -> Result<()> {
    use std::collections::BTreeMap;
    for seed in seeds(25) {
        let mut rng = Rng::with_seed(seed);
        let place = Place::new();
        let db =
            place.open_with(Options { row_store_bytes: 64 << 10, page_bytes: 512, ..Options::default() })?;
        let table = db.table("rows")?;
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for _ in 0..12 {
            let mut tx = db.begin_immediate()?;
            let mut savepoints = Vec::new();
            for _ in 0..rng.u32(1..300) {
                let key = format!("k{}", rng.u8(0..120)).into_bytes();
                let is = model.get(&key).and_then(|value| <[u8; 8]>::try_from(&**value).ok());
                let is = is.map(i64::from_le_bytes);
                let operand = rng.i64(-50..50);
                let is_number = is.is_some() || !model.contains_key(&key);
                match rng.u8(0..20) {
                    0..5 if is_number => {
                        tx.add(&table, &key, operand)?;
                        model.insert(key, bytes(is.unwrap_or(0) + operand));
                    }
                    5 if is_number => {
                        tx.max(&table, &key, operand)?;
                        model.insert(key, bytes(is.map_or(operand, |is| is.max(operand))));
                    }
                    6 if is_number => {
                        tx.min(&table, &key, operand)?;
                        model.insert(key, bytes(is.map_or(operand, |is| is.min(operand))));
                    }
                    7 | 8 => {
                        tx.append(&table, &key, [1, 2])?;
                        model.entry(key).or_default().extend([1, 2]);
                    }
                    9 => {
                        tx.put(&table, &key, bytes(operand))?;
                        model.insert(key, bytes(operand));
                    }
                    10 | 11 => {
                        tx.delete(&table, &key)?;
                        model.remove(&key);
                    }
                    12 => assert_eq!(tx.get(&table, &key)?.as_ref(), model.get(&key), "seed {seed}"),
                    13 => {
                        let mut found = tx.range(&table, key.clone()..)?.take(3);
                        for (key, value) in model.range(key..).take(3) {
                            assert_eq!(
                                found.next().transpose()?,
                                Some((key.clone(), value.clone())),
                                "seed {seed}"
                            );
                        }
                    }
                    14 => {
                        let mut cursor = tx.cursor(&table)?;
                        let before =
                            model.range::<Vec<u8>, _>((Bound::Unbounded, Bound::Included(key.clone())));
                        let mut expected = before.rev();
                        let mut found = cursor.seek_le(&key)?;
                        for _ in 0..4 {
                            assert_eq!(
                                cursor.row()?,
                                expected.next().map(|(k, v)| (&**k, &**v)),
                                "seed {seed}"
                            );
                            found = found && cursor.prev()?;
                        }
                    }
                    15 if rng.u8(0..6) == 0 => {
                        assert_eq!(tx.count(&table)?, model.len() as u64, "seed {seed}");
                    }
                    16 => savepoints.push((tx.savepoint()?, model.clone())),
                    17 if !savepoints.is_empty() => {
                        savepoints.truncate(rng.usize(1..=savepoints.len()));
                        if let Some((savepoint, then)) = savepoints.last() {
                            tx.rollback_to(savepoint)?;
                            model.clone_from(then);
                        }
                    }
                    18 if !savepoints.is_empty() => {
                        savepoints.truncate(rng.usize(1..=savepoints.len()));
                        if let Some((savepoint, _)) = savepoints.pop() {
                            tx.release(savepoint)?;
                        }
                    }
                    _ => {}
                }
            }
            tx.commit()?;
            if rng.bool() {
                db.checkpoint()?;
            }
            let rows: BTreeMap<_, _> = db.snapshot()?.scan(&table)?.collect::<Result<_>>()?;
            assert_eq!(rows, model, "seed {seed}");
        }
        assert_clean(&db)?;
    }
    Ok(())
}

/// What a scan, a count or a deletion passes over is within its bounds; the row beyond them, which it has to find to know
/// where to end, is not looked at.
#[test]
fn a_scan_that_ends_before_the_row_leaves_it_alone() -> Result<()> {
    type Pass = fn(&mut Transaction, &Table) -> Result<()>;
    let passes: [(&str, Pass); 9] = [
        ("an empty range", |tx, table| {
            assert_eq!(tx.range(table, "a".."b")?.count(), 0);
            Ok(())
        }),
        ("a range up to the row", |tx, table| {
            assert_eq!(tx.range(table, ..="left")?.count(), 1);
            Ok(())
        }),
        ("a range up to the row itself", |tx, table| {
            assert_eq!(tx.range(table, .."number")?.count(), 1);
            Ok(())
        }),
        ("from behind", |tx, table| {
            assert_eq!(tx.range(table, "o"..)?.rev().count(), 1);
            Ok(())
        }),
        ("from behind, down to the row itself", |tx, table| {
            let behind = (Bound::Excluded("number"), Bound::<&str>::Unbounded);
            assert_eq!(tx.range::<&str>(table, behind)?.rev().count(), 1);
            Ok(())
        }),
        ("from both ends", |tx, table| {
            let mut rows = tx.range(table, "a".."b")?;
            assert!(rows.next_back().is_none() && rows.next().is_none());
            Ok(())
        }),
        ("a count", |tx, table| {
            assert_eq!((tx.count_range(table, "a".."number")?, tx.count_range(table, "o"..)?), (1, 1));
            Ok(())
        }),
        ("a deletion", |tx, table| tx.delete_range(table, "a".."left").map(|deleted| assert_eq!(deleted, 0))),
        ("another table's end", |tx, table| {
            let mut cursor = tx.cursor(table)?;
            assert!(cursor.seek_ge(b"text")? && !cursor.next()?);
            Ok(())
        }),
    ];
    in_every_layer(|db, table, isolation, between| {
        db.put(table, "left", "x")?;
        for (name, pass) in passes {
            let before = number(db, table, "number")?.unwrap_or_default();
            let mut tx = begin(db, isolation)?;
            tx.add(table, "number", 1)?;
            pass(&mut tx, table)?;
            db.add(table, "number", 10)?;
            between()?;
            tx.commit().unwrap_or_else(|error| panic!("{name}, {isolation:?}: {error}"));
            assert_eq!(number(db, table, "number")?, Some(before + 11), "{name}");
        }
        // One that does look further sees what the transaction makes of it.
        let before = number(db, table, "number")?.unwrap_or_default();
        let mut tx = begin(db, isolation)?;
        tx.add(table, "number", 1)?;
        assert_eq!(tx.range(table, .."n")?.count(), 1);
        let found: Vec<_> = tx.range(table, .."o")?.collect::<Result<_>>()?;
        assert_eq!(found.last().map(|(_, value)| value.clone()), Some(bytes(before + 1)));
        db.add(table, "number", 10)?;
        assert!(tx.commit().is_err_and(|error| error.is_retryable()));
        Ok(())
    })
}
