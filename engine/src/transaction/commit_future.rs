//! The commit as a future.
//!
//! ```text
//!            first poll                     a later poll
//! Open ──────┬──────────► Standing ────────────────────► Over: Ok, or CommitUnknown
//!   ▲  waits │  installed   ▲ waits for the sync
//!   └────────┤              └─ dropped here: the commit stands or not, like any other
//!            └──────────► Over: Busy, or another error; nothing was applied
//! ```
//!
//! Invariant: while it is open the future holds what an open transaction holds, and dropping it is a rollback. From the
//! moment that the commit is installed it holds the database open and nothing else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use braid_mvstore::Timestamp;
use braid_vfs::events::tell_kept;
use braid_vfs::sync::Arc;

use super::write::Transaction;
use crate::core::{Attempt, Commit, CommitWait, Installed, StandWait};
use crate::error::{Error, Result};
use crate::handle::Handle;

/// A commit on its way: made by [`Transaction::commit_async`].
///
/// It belongs to no runtime, and holds no thread while it waits. The first poll validates and installs, on the polling
/// thread, as [`Transaction::commit`] does on the calling one; then the future waits until a sync covers it.
///
/// **Dropping it** before the first poll, or while it waits for its turn, rolls the transaction back. Once the commit is
/// installed ([`timestamp`](Self::timestamp) says where), dropping the future gives up only the answer: the commit stands, or
/// is lost with the machine's power before the next sync, like every commit that was not yet acknowledged. It never leaves
/// a lock, or half of a commit.
#[must_use = "a commit does nothing until its future is polled"]
#[derive(Debug)]
pub struct CommitFuture {
    state: State,
    /// It is counted among those that wait.
    counted: bool,
}

#[derive(Debug)]
enum State {
    Open {
        tx: Transaction,
        wait: CommitWait,
    },
    Standing {
        handle: Arc<Handle>,
        installed: Installed,
        wait: StandWait,
    },
    /// What it is going to tell of was done by others, and has to stand.
    Reading {
        handle: Arc<Handle>,
        told: Told,
        wait: Option<StandWait>,
    },
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    /// There were no writes; what was read at this moment is right.
    Reads(Timestamp),
    /// Another transaction with its token was committed then.
    Done(Timestamp),
}

impl CommitFuture {
    pub(super) fn new(tx: Transaction) -> Self {
        Self { state: State::Open { tx, wait: CommitWait::default() }, counted: false }
    }

    /// Of a transaction whose token another one had committed at `timestamp`, as it found when it began.
    pub(crate) fn already_committed(handle: &Arc<Handle>, timestamp: Timestamp) -> Result<Self> {
        let wait = handle.core().reads_wait(timestamp)?;
        let handle = Arc::clone(handle);
        Ok(Self { state: State::Reading { handle, told: Told::Done(timestamp), wait }, counted: false })
    }

    /// The place of the commit in the history from when it is installed, before it is known to stand; `None` before that,
    /// after the end, and for a transaction that wrote nothing.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        match &self.state {
            State::Standing { installed, .. } => Some(installed.timestamp()),
            _ => None,
        }
    }

    /// As far as it goes now.
    fn advance(&mut self, waker: &Waker) -> Result<Poll<Commit>> {
        if let State::Open { tx, wait } = &mut self.state {
            match tx.attempt(wait, waker) {
                Ok(Some(Attempt::Waits)) => return Ok(Poll::Pending),
                Ok(Some(Attempt::Installed(installed))) => {
                    let handle = tx.end();
                    handle.core().look_after_log();
                    self.become_state(State::Standing { handle, installed, wait: StandWait::of(installed) });
                }
                Ok(None) => {
                    let (begin_ts, handle) = (tx.begin_ts(), tx.end());
                    let wait = handle.core().reads_wait(begin_ts)?;
                    self.become_state(State::Reading { handle, told: Told::Reads(begin_ts), wait });
                }
                Err(Error::AlreadyCommitted { timestamp }) => {
                    let handle = tx.end();
                    let wait = handle.core().reads_wait(timestamp)?;
                    self.become_state(State::Reading { handle, told: Told::Done(timestamp), wait });
                }
                Err(error) => {
                    drop(tx.end());
                    return Err(error);
                }
            }
        }
        match &mut self.state {
            State::Standing { handle, installed, wait } => {
                let core = handle.core();
                core.check_process()?;
                let Poll::Ready(commit) = core.poll_acknowledge(*installed, wait, waker) else {
                    return Ok(Poll::Pending);
                };
                let commit = commit?;
                core.counters.commits.add(1);
                Ok(Poll::Ready(commit))
            }
            State::Reading { handle, told, wait } => {
                handle.core().check_process()?;
                let (Told::Reads(timestamp) | Told::Done(timestamp)) = *told;
                let stands = handle.core().poll_acknowledge_reads(timestamp, wait.as_mut(), waker)?;
                match told {
                    Told::Done(_) if stands.is_ready() => Err(Error::AlreadyCommitted { timestamp }),
                    _ => Ok(stands),
                }
            }
            State::Open { .. } | State::Over => Err(Error::TransactionClosed),
        }
    }

    /// Counts it among those that wait as it does in the present state, or no more.
    fn count(&mut self, waits: bool) {
        if self.counted == waits {
            return;
        }
        let waiting = match &self.state {
            State::Open { tx, .. } => &tx.core().counters.futures_to_commit,
            State::Standing { handle, .. } | State::Reading { handle, .. } => {
                &handle.core().counters.futures_for_sync
            }
            State::Over => return,
        };
        if waits {
            waiting.add(1);
        } else {
            waiting.subtract(1);
        }
        self.counted = waits;
    }

    /// Leaves the places in which the present state waits, and goes on to the next.
    fn become_state(&mut self, next: State) {
        self.count(false);
        match std::mem::replace(&mut self.state, next) {
            State::Open { tx, wait } => tx.core().stop_waiting(wait),
            State::Standing { handle, wait, .. } | State::Reading { handle, wait: Some(wait), .. } => {
                handle.core().stop_standing(&wait);
            }
            State::Reading { wait: None, .. } | State::Over => {}
        }
    }
}

impl Future for CommitFuture {
    type Output = Result<Commit>;

    /// # Errors
    /// As for [`Transaction::commit`]; [`Error::TransactionClosed`] when it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Commit>> {
        let this = &mut *self;
        let answer = match this.advance(context.waker()) {
            Ok(Poll::Pending) => {
                this.count(true);
                Poll::Pending
            }
            Ok(Poll::Ready(commit)) => {
                this.become_state(State::Over);
                Poll::Ready(Ok(commit))
            }
            Err(error) => {
                this.become_state(State::Over);
                Poll::Ready(Err(error))
            }
        };
        // One that has the gate and waits for room keeps it: a subscriber that writes would wait for this very future.
        if !matches!(&this.state, State::Open { tx, .. } if tx.is_exclusive()) {
            tell_kept();
        }
        answer
    }
}

impl Drop for CommitFuture {
    fn drop(&mut self) {
        self.become_state(State::Over);
    }
}
