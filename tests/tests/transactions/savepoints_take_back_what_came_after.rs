//! A transaction that goes back to a savepoint is what it was there: its writes, its size, and what its cursors see.

use braid::{ConflictKind, Error, Isolation, JournalMode, Options, Result, TransactionOptions};
use braid_tests::{Place, assert_clean, assert_nothing_logged, contents, key, value};

#[test]
fn nested_and_again() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 1..=5 {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    let mut tx = db.begin_immediate()?;
    tx.put(&table, key(1), value(2))?;
    let outer = tx.savepoint()?;
    let at_outer = contents(&tx, &table)?;
    tx.put(&table, key(1), value(3))?;
    tx.delete(&table, key(2))?;
    let inner = tx.savepoint()?;
    let at_inner = contents(&tx, &table)?;
    for _ in 0..3 {
        tx.put(&table, key(2), value(4))?;
        tx.put(&table, key(9), value(4))?;
        assert_eq!(tx.delete_range(&table, key(3)..=key(4))?, 2);
        assert_eq!(tx.count(&table)?, 4);
        tx.rollback_to(&inner)?;
        assert_eq!(contents(&tx, &table)?, at_inner);
        assert_eq!(tx.count(&table)?, 4);
    }
    tx.insert(&table, key(2), value(5))?;
    tx.release(inner)?;
    assert_eq!(tx.get(&table, key(2))?, Some(value(5)), "a release keeps what was written");
    tx.rollback_to(&outer)?;
    assert_eq!(contents(&tx, &table)?, at_outer);
    tx.put(&table, key(7), value(6))?;
    let open_at_the_end = tx.savepoint()?;
    tx.put(&table, key(8), value(6))?;
    assert_ne!(open_at_the_end, outer);
    let expected = contents(&tx, &table)?;
    tx.commit()?;
    assert_eq!(contents(&db.snapshot()?, &table)?, expected, "a commit keeps everything");
    assert_clean(&db)
}

#[test]
fn only_one_that_is_open_and_its_own() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let (mut tx, mut other) = (db.begin_concurrent()?, db.begin_concurrent()?);
    let (first, second) = (tx.savepoint()?, tx.savepoint()?);
    tx.put(&table, key(1), value(1))?;
    let refused = |done: Result<()>| assert!(matches!(done, Err(Error::NoSuchSavepoint)), "{done:?}");
    refused(other.rollback_to(&first));
    let foreign = other.savepoint()?;
    refused(tx.rollback_to(&foreign));
    refused(tx.release(foreign));
    tx.rollback_to(&first)?;
    refused(tx.rollback_to(&second));
    tx.put(&table, key(1), value(2))?;
    let third = tx.savepoint()?;
    tx.release(first)?;
    for gone in [first, second, third] {
        refused(tx.rollback_to(&gone));
        refused(tx.release(gone));
    }
    assert_eq!(tx.get(&table, key(1))?, Some(value(2)), "what is refused changes nothing");
    tx.commit()?;
    let mut next = db.begin_concurrent()?;
    refused(next.rollback_to(&first));
    next.savepoint()?;
    refused(next.rollback_to(&first));
    assert_clean(&db)
}

#[test]
fn a_transaction_that_has_taken_everything_back_wrote_nothing() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let (table, doomed) = (db.table("rows")?, db.table("doomed")?);
    let appended = db.stats().log.bytes_appended;
    let mut tx = db.begin_concurrent()?;
    let start = tx.savepoint()?;
    tx.put(&table, key(1), value(1))?;
    tx.put(&doomed, key(1), value(1))?;
    tx.rollback_to(&start)?;
    let begin = tx.timestamp();
    assert_eq!(tx.commit()?.timestamp, begin);
    assert_nothing_logged(&db, appended);

    let mut tx = db.begin_concurrent()?;
    tx.put(&table, key(1), value(1))?;
    let start = tx.savepoint()?;
    tx.put(&doomed, key(1), value(1))?;
    tx.rollback_to(&start)?;
    let mut writer = db.begin_concurrent()?;
    writer.put(&doomed, key(2), value(2))?;
    db.drop_table("doomed")?;
    tx.commit()?;
    let lost = writer.commit().expect_err("its table is gone");
    assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(ConflictKind::Schema));
    assert_clean(&db)
}

#[test]
fn what_was_read_stays_read() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("rows")?;
    let options = TransactionOptions { isolation: Isolation::Serializable, ..Default::default() };
    let mut tx = db.begin_with(options)?;
    let start = tx.savepoint()?;
    assert_eq!(tx.count_range(&table, key(5)..key(9))?, 0);
    tx.rollback_to(&start)?;
    tx.release(start)?;
    tx.put(&table, key(1), value(1))?;
    db.put(&table, key(7), value(7))?;
    let lost = tx.commit().expect_err("a row came into the range that it counted");
    assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(ConflictKind::Range));
    assert_clean(&db)
}

#[test]
fn what_it_keeps_is_counted() -> Result<()> {
    const LIMIT: usize = 1 << 20;
    let place = Place::new();
    let db = place.open_with(Options { max_transaction_bytes: LIMIT, ..Options::default() })?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    tx.put(&table, key(1), vec![1; LIMIT * 2 / 5])?;
    let first = tx.savepoint()?;
    tx.put(&table, key(1), vec![2; LIMIT * 2 / 5])?;
    let second = tx.savepoint()?;
    let refused = tx.put(&table, key(1), vec![3; LIMIT * 2 / 5]);
    assert!(matches!(refused, Err(Error::TransactionTooLarge { .. })), "{refused:?}");
    tx.release(second)?;
    for round in 0..10 {
        tx.put(&table, key(1), vec![round; LIMIT * 2 / 5])?;
    }
    tx.rollback_to(&first)?;
    assert_eq!(tx.get(&table, key(1))?, Some(vec![1; LIMIT * 2 / 5]));
    tx.release(first)?;
    // With none open nothing is kept, and with one each row once.
    for _ in 0..100 {
        let statement = tx.savepoint()?;
        for round in 0..20 {
            tx.put(&table, key(2), vec![round; LIMIT / 4])?;
        }
        tx.release(statement)?;
    }
    let refused = (0..=LIMIT).try_for_each(|_| tx.savepoint().map(drop));
    assert!(matches!(refused, Err(Error::TransactionTooLarge { .. })), "{refused:?}");
    tx.commit()?;
    assert_clean(&db)
}

#[test]
fn statements_within_a_savepoint_do_not_pile_up() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { max_transaction_bytes: 1 << 20, ..Options::default() })?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    let around = tx.savepoint()?;
    for round in 0..2000_i64 {
        let statement = tx.savepoint()?;
        for number in 0..10 {
            tx.put(&table, key(number), vec![7; 1000])?;
        }
        if round % 3 == 0 {
            tx.rollback_to(&statement)?;
        }
        tx.release(statement)?;
    }
    tx.rollback_to(&around)?;
    assert_eq!(tx.count(&table)?, 0);
    tx.commit()?;
    assert_clean(&db)
}

#[test]
fn a_cursor_goes_on_from_where_it_stands() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    for number in [10, 20, 30, 40] {
        db.put(&table, key(number), value(1))?;
    }
    db.checkpoint()?;
    let mut tx = db.begin_concurrent()?;
    tx.put(&table, key(25), value(2))?;
    let savepoint = tx.savepoint()?;
    tx.put(&table, key(15), value(3))?;
    tx.delete(&table, key(20))?;
    tx.put(&table, key(25), value(4))?;
    tx.put(&table, key(35), value(3))?;
    let mut cursor = tx.cursor(&table)?;
    assert!(cursor.seek_ge(key(15))?);
    let mut ahead = tx.cursor(&table)?;
    assert!(ahead.seek_ge(key(35))?);
    let mut range = tx.range(&table, key(10)..)?;
    assert_eq!(range.next().transpose()?, Some((key(10).to_vec(), value(1))));
    tx.rollback_to(&savepoint)?;
    let row = |number, is| (key(number).to_vec(), value(is));
    assert_eq!(cursor.row()?, Some((&key(15)[..], &value(3)[..])), "the row under it stays");
    assert!(cursor.next()?);
    assert_eq!(cursor.key(), Some(&key(20)[..]), "a deletion was taken back");
    assert!(cursor.next()?);
    assert_eq!(cursor.row()?, Some((&key(25)[..], &value(2)[..])), "the value from before the savepoint");
    assert!(ahead.prev()? && ahead.prev()?);
    assert_eq!(ahead.key(), Some(&key(25)[..]));
    assert!(ahead.next()? && ahead.next()?);
    assert_eq!(ahead.key(), Some(&key(40)[..]), "the row that it stood on is gone");
    let rest = range.collect::<Result<Vec<_>>>()?;
    assert_eq!(rest, [row(20, 1), row(25, 2), row(30, 1), row(40, 1)]);
    tx.commit()?;
    assert_clean(&db)
}
