//! Commits by future, on a machine that may have no thread beside the one that acts.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use braid::{Commit, Database, Error, Result, Transaction};

use super::FutureEnd;

/// A future that waits for a sync is over after one.
const POLLS_MAX: u32 = 8;

/// Commits by a future; `None` where nobody is told what comes of it. Whoever waits has the log synced himself.
pub(super) fn commit(db: &Database, tx: Transaction, end: FutureEnd) -> Result<Option<Commit>> {
    let mut future = tx.commit_async();
    if end == FutureEnd::Unpolled {
        return Ok(None);
    }
    for _ in 0..POLLS_MAX {
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(committed) = polled {
            return committed.map(Some);
        }
        if end == FutureEnd::Unwatched && future.timestamp().is_some() {
            return Ok(None);
        }
        // Where that fails, the future says what it means for this commit.
        let _ = db.sync();
    }
    Err(Error::other("a future waits for nothing"))
}
