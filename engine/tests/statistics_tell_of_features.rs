//! What the features of transactions leave in the statistics, and nothing where they are not used.
#![allow(missing_docs, reason = "a test")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use braid::{
    Admission, Database, Durability, Error, Isolation, JournalMode, Options, Result, Table,
    TransactionOptions,
};

const SHORT: Duration = Duration::from_millis(20);

fn database() -> Result<(Database, Table)> {
    let db = Database::in_memory_with(Options { durability: Durability::Sync, ..Options::default() })?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    for key in ["a", "b", "c"] {
        db.put(&table, key, "there")?;
    }
    Ok((db, table))
}

fn concurrent() -> TransactionOptions {
    TransactionOptions {
        admission: Admission::Concurrent,
        busy_timeout: Some(SHORT),
        ..TransactionOptions::default()
    }
}

#[test]
fn what_is_not_used_is_not_counted() -> Result<()> {
    let (db, table) = database()?;
    let mut tx = db.begin_with(concurrent())?;
    tx.get(&table, "a")?;
    tx.put(&table, "a", "")?;
    tx.commit()?;
    drop(db.begin_immediate()?);
    let stats = db.stats();
    assert_eq!(stats.validation, Default::default());
    assert_eq!(stats.savepoints, Default::default());
    assert_eq!(stats.tokens, Default::default());
    assert_eq!(stats.gate, Default::default());
    assert_eq!(stats.futures, Default::default());
    assert_eq!(db.remembered_tokens()?, 0);
    Ok(())
}

#[test]
fn a_transaction_with_savepoints_is_one() -> Result<()> {
    let (db, table) = database()?;
    let mut tx = db.begin_with(concurrent())?;
    let outer = tx.savepoint()?;
    tx.put(&table, "a", "")?;
    let inner = tx.savepoint()?;
    tx.rollback_to(&inner)?;
    tx.rollback_to(&outer)?;
    assert!(matches!(tx.rollback_to(&inner), Err(Error::NoSuchSavepoint)));
    tx.commit()?;
    let savepoints = db.stats().savepoints;
    assert_eq!((savepoints.transactions, savepoints.rollbacks), (1, 2));
    Ok(())
}

#[test]
fn work_that_comes_twice_is_counted_whether_it_is_found_at_the_begin_or_at_the_commit() -> Result<()> {
    let (db, table) = database()?;
    let once = || concurrent().token("request");
    let (mut first, mut second) = (db.begin_with(once())?, db.begin_with(once())?);
    first.put(&table, "a", "1")?;
    second.put(&table, "b", "2")?;
    first.commit()?;
    assert!(matches!(second.commit(), Err(Error::AlreadyCommitted { .. })));
    assert_eq!(db.stats().tokens.refused, 1);
    assert!(matches!(db.begin_with(once()), Err(Error::AlreadyCommitted { .. })));
    assert_eq!(db.stats().tokens.refused, 2);
    assert_eq!(db.remembered_tokens()?, 1);
    db.checkpoint()?;
    let mut other = db.begin_with(concurrent().token("other"))?;
    other.put(&table, "a", "1")?;
    other.commit()?;
    assert_eq!(db.remembered_tokens()?, 2, "one in the tree, one above it");
    Ok(())
}

#[test]
fn a_commit_looks_at_what_was_read_and_one_without_writes_at_nothing() -> Result<()> {
    let (db, table) = database()?;
    let begin = || db.begin_with(TransactionOptions { isolation: Isolation::Serializable, ..concurrent() });
    let read = |tx: &braid::Snapshot| -> Result<()> {
        tx.get(&table, "a")?;
        tx.get(&table, "none")?;
        assert_eq!(tx.range(&table, "b".."c")?.count(), 1);
        Ok(())
    };
    let mut tx = begin()?;
    read(&tx)?;
    tx.get_untracked(&table, "c")?;
    tx.put(&table, "d", "")?;
    tx.commit()?;
    let looked = db.stats().validation;
    assert_eq!((looked.looks, looked.keys, looked.ranges), (1, 2, 1));
    let reader = begin()?;
    read(&reader)?;
    reader.commit()?;
    assert_eq!(db.stats().validation, looked);
    Ok(())
}

#[test]
fn waits_for_exclusive_ones_are_counted_with_their_time() -> Result<()> {
    let (db, table) = database()?;
    let mut held_back = db.begin_with(concurrent())?;
    held_back.put(&table, "a", "")?;
    let exclusive = db.begin_immediate()?;
    assert!(held_back.commit().is_err());
    let turn = TransactionOptions { admission: Admission::Immediate, ..concurrent() };
    assert!(db.begin_with(turn).is_err());
    let gate = db.stats().gate;
    assert_eq!((gate.commits.count, gate.turns.count), (1, 1));
    assert!(gate.commits.time >= SHORT && gate.turns.time >= SHORT, "{gate:?}");
    drop(exclusive);
    db.put(&table, "a", "")?;
    drop(db.begin_immediate()?);
    assert_eq!(db.stats().gate, gate, "nobody had to wait");
    Ok(())
}

#[test]
fn futures_are_counted_while_they_wait() -> Result<()> {
    let (db, table) = database()?;
    let mut context = Context::from_waker(Waker::noop());
    let begin = || -> Result<_> {
        let mut tx = db.begin_with(TransactionOptions { busy_timeout: None, ..concurrent() })?;
        tx.put(&table, "a", "")?;
        Ok(tx)
    };
    let waiting = || {
        let futures = db.stats().futures;
        (futures.to_commit, futures.for_sync)
    };
    {
        let held_back = begin()?;
        let exclusive = db.begin_immediate()?;
        let mut held_back = pin!(held_back.commit_async());
        assert_eq!(waiting(), (0, 0), "it was not polled");
        for _ in 0..2 {
            assert!(held_back.as_mut().poll(&mut context).is_pending());
            assert_eq!(waiting(), (1, 0));
        }
        assert_eq!(db.stats().gate.commits.count, 0, "it still waits");
        drop(exclusive);
        let mut polled = held_back.as_mut().poll(&mut context);
        assert_eq!(db.stats().gate.commits.count, 1);
        while polled.is_pending() {
            assert_eq!(waiting(), (0, 1), "for the sync now");
            std::thread::yield_now();
            polled = held_back.as_mut().poll(&mut context);
        }
        assert!(matches!(polled, Poll::Ready(Ok(_))));
        assert_eq!(waiting(), (0, 0));
    }
    // One that is dropped waits no more.
    let dropped = begin()?;
    let exclusive = db.begin_immediate()?;
    {
        let mut dropped = pin!(dropped.commit_async());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        let mut turn = pin!(db.transact_async_with(exclusively(), |_| Ok(())));
        assert!(turn.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(waiting(), (0, 0));
    let gate = db.stats().gate;
    assert_eq!((gate.commits.count, gate.turns.count), (2, 1));
    drop(exclusive);
    Ok(())
}

fn exclusively() -> braid::RetryPolicy {
    braid::RetryPolicy::default().exclusive_after(0)
}
