//! What the features of transactions cost where they are used: each operation commits one new row, as `plain` does without any.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use braid::{Admission, Database, SnapshotOptions, Table, Transaction, TransactionOptions};

use super::{Arguments, Operation};
use crate::Result;
use crate::cell::verify;
use crate::measure::{Repeated, times};
use crate::rows::value;

/// Far away, so that nothing is revoked.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Commits of one row each, by one of the ways to do so.
pub(super) fn run(arguments: &Arguments, db: &Database, table: &Table) -> Result<Repeated> {
    let before = db.stats().commits;
    let put =
        |tx: &mut Transaction, number: u64| tx.put(table, arguments.order.key(number), value(number, 0));
    let plain = || TransactionOptions { admission: Admission::Concurrent, ..TransactionOptions::default() };
    let commit = |options: TransactionOptions, number| -> Result<()> {
        let mut tx = db.begin_with(options)?;
        put(&mut tx, number)?;
        tx.commit()?;
        Ok(())
    };
    let all = match arguments.operation {
        Operation::Token => {
            times(arguments.operations, |number| commit(plain().token(number.to_be_bytes()), number))
        }
        Operation::Leased => times(arguments.operations, |number| {
            commit(TransactionOptions { max_age: Some(MAX_AGE), ..plain() }, number)
        }),
        Operation::Exclusive => times(arguments.operations, |number| {
            commit(TransactionOptions { admission: Admission::Immediate, ..plain() }, number)
        }),
        Operation::Transact => times(arguments.operations, |number| {
            db.transact(|tx| put(tx, number))?;
            Ok(())
        }),
        Operation::CommitAsync => times(arguments.operations, |number| {
            let mut tx = db.begin_with(plain())?;
            put(&mut tx, number)?;
            polled(tx.commit_async())?;
            Ok(())
        }),
        Operation::TransactAsync => times(arguments.operations, |number| {
            polled(db.transact_async(|tx| put(tx, number)))?;
            Ok(())
        }),
        Operation::FeedOpen => {
            let feed = db.changes(db.snapshot()?.timestamp())?;
            let all = times(arguments.operations, |number| commit(plain(), number));
            drop(feed);
            all
        }
        _ => times(arguments.operations, |number| commit(plain(), number)),
    }?;
    verify("commits", db.stats().commits - before, arguments.operations)?;
    Ok(all)
}

/// Two transactions that are open at once and write one row each: the same one, so that the second loses, or two.
pub(super) fn two_at_once(arguments: &Arguments, db: &Database, table: &Table) -> Result<Repeated> {
    let same = matches!(arguments.operation, Operation::OneOfTwoLost);
    let before = db.stats().conflicts.kinds.write_write;
    let all = times(arguments.operations, |number| {
        let (first_key, second_key) = (2 * number, 2 * number + u64::from(!same));
        let (mut first, mut second) = (db.begin_concurrent()?, db.begin_concurrent()?);
        first.put(table, arguments.order.key(first_key), value(number, 0))?;
        second.put(table, arguments.order.key(second_key), value(number, 1))?;
        first.commit()?;
        match second.commit() {
            Err(error) if same && error.is_retryable() => Ok(()),
            Ok(_) if !same => Ok(()),
            other => Err(format!("the second ended with {other:?}").into()),
        }
    })?;
    let lost = db.stats().conflicts.kinds.write_write - before;
    verify("lost commits", lost, if same { arguments.operations } else { 0 })?;
    Ok(all)
}

/// Snapshots with a lease, begun and dropped.
pub(super) fn leased_snapshots(arguments: &Arguments, db: &Database) -> Result<Repeated> {
    times(arguments.operations, |_| {
        drop(db.snapshot_with(SnapshotOptions::default().max_age(MAX_AGE))?);
        Ok(())
    })
}

/// A table gets another name, and another one.
pub(super) fn renames(arguments: &Arguments, db: &Database) -> Result<Repeated> {
    db.table("one")?;
    let mut names = ["one", "other"];
    let all = times(arguments.operations, |_| {
        let [from, to] = names;
        db.rename_table(from, to)?;
        names = [to, from];
        Ok(())
    })?;
    let [name, gone] = names;
    verify("tables of the last name", db.existing_table(name)?.is_some().into(), 1)?;
    verify("tables of the name before", db.existing_table(gone)?.is_some().into(), 0)?;
    Ok(all)
}

/// Polls until it is ready: at once, where nothing is to be waited for.
fn polled<T>(future: impl Future<Output = braid::Result<T>>) -> braid::Result<T> {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
