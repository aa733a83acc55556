//! The loop as a future.
//!
//! ```text
//!        ┌─► Next ──────────────► the closure ──► Committing ──► Over: what it did
//!        │    │ needs the gate        ▲               │ lost
//!        │    └──────► Turn ──────────┘               ▼
//!        └───────────────────────────────────────── Resting ──► Over: the last error, once the policy says so
//! ```
//!
//! One whose token turns out to be committed already, when it begins, waits until that commit stands (`Done`) and is over.
//!
//! Invariant: no lock, no place among those who wait, and no open transaction outlives the future, at whatever step it is
//! dropped. Each step has what it holds in a value of its own, whose drop gives it back.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use braid_mvstore::{Rare, Timestamp};
use braid_vfs::sync::Arc;

use super::RetryPolicy;
use super::run::{Failed, Outcome, Run};
use super::waits::{Rest, Turn};
use crate::core::{Core, Exclusive};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::TransactionOptions;
use crate::transaction::{CommitFuture, Transaction, begin_by};

/// A transaction that is run and committed, again and again while it loses: made by
/// [`Database::transact_async`](crate::Database::transact_async).
///
/// It belongs to no runtime, and holds no thread while it waits: for a sync, for room, for its turn to be admitted
/// exclusively, or for the time between two attempts. The closure runs on the thread that polls, within one poll.
///
/// **Dropping it** rolls back the attempt that is under way, gives up its turn, and stops its timer: nothing is locked, and
/// nothing waits for it. Only where the commit is installed already, which [`timestamp`](Self::timestamp) tells, does dropping
/// it give up the answer and not the commit: that stands, or is lost with the machine's power before the next sync, as for
/// [`CommitFuture`]. There is never half of a commit. The losses so far are in the statistics either way.
///
/// One that is neither polled nor dropped holds back nobody while it waits for its turn or between attempts. From when
/// it is admitted exclusively until its commit is installed it holds the gate, as an exclusive transaction does: that
/// is over within one poll, unless the row store is full, or the log has first to make a reservation of further
/// timestamps durable.
///
/// Its turn to be admitted exclusively is there for 10 ms; where it is not polled meanwhile, others go before it, and
/// it keeps its place. So the runner does not starve if its executor polls in time, or threads that are admitted
/// exclusively cease for once.
#[must_use = "nothing is run until the future is polled"]
pub struct TransactFuture<T, F> {
    state: State<T>,
    policy: RetryPolicy,
    body: F,
}

enum State<T> {
    /// Not polled yet; or why it cannot be run.
    New(Result<Arc<Handle>>),
    Open(Box<Open<T>>),
    Over,
}

struct Open<T> {
    step: Step<T>,
    /// Where they are not the policy's.
    own_options: Rare<TransactionOptions>,
    run: Run<Held>,
    handle: Arc<Handle>,
}

#[derive(Default)]
enum Step<T> {
    /// An attempt is to begin.
    #[default]
    Next,
    Turn(Turn),
    /// Another one with its token has committed, and is to stand before that is told.
    Done(CommitFuture),
    Committing {
        value: T,
        exclusive: bool,
        commit: CommitFuture,
    },
    Resting(Rest),
}

/// A core that is held open.
#[derive(Debug)]
struct Held(Arc<Handle>);

impl Deref for Held {
    type Target = Core;

    fn deref(&self) -> &Core {
        self.0.core()
    }
}

/// Nothing in it is ever pinned: neither the closure nor its value is passed on as such.
impl<T, F> Unpin for TransactFuture<T, F> {}

impl<T, F> fmt::Debug for TransactFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.state {
            State::New(_) => "New",
            State::Over => "Over",
            State::Open(open) => match open.step {
                Step::Next => "Next",
                Step::Turn(_) => "Turn",
                Step::Done(_) => "Done",
                Step::Committing { .. } => "Committing",
                Step::Resting(_) => "Resting",
            },
        };
        f.debug_struct("TransactFuture").field("step", &step).finish_non_exhaustive()
    }
}

impl<T, F: FnMut(&mut Transaction) -> Result<T>> TransactFuture<T, F> {
    pub(crate) fn new(handle: Result<Arc<Handle>>, policy: RetryPolicy, body: F) -> Self {
        Self { state: State::New(handle), policy, body }
    }

    /// The place of the commit in the history from when it is installed, before it is known to stand; `None` before that,
    /// after the end, and for a transaction that wrote nothing.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        match &self.state {
            State::Open(open) => match &open.step {
                Step::Committing { commit, .. } => commit.timestamp(),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<T> Open<T> {
    fn new(handle: Arc<Handle>) -> Result<Self> {
        handle.core().check_process()?;
        handle.core().serve_futures()?;
        let run = Run::new(Held(Arc::clone(&handle)));
        Ok(Self { step: Step::Next, own_options: Rare::default(), run, handle })
    }

    /// As far as it goes now.
    fn advance(
        &mut self,
        policy: &RetryPolicy,
        body: &mut impl FnMut(&mut Transaction) -> Result<T>,
        waker: &Waker,
    ) -> Result<Poll<Outcome<T>>> {
        loop {
            self.handle.core().check_process()?;
            let went = match &mut self.step {
                Step::Next => {
                    self.own_options = self.run.begin(policy);
                    self.begin(policy, body)
                }
                Step::Turn(turn) => match turn.poll(waker) {
                    Ok(Poll::Pending) => return Ok(Poll::Pending),
                    Ok(Poll::Ready(exclusive)) => self.begin_exclusive(policy, exclusive, body),
                    Err(error) => Err(error.into()),
                },
                Step::Done(done) => match Pin::new(done).poll(&mut Context::from_waker(waker)) {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(told) => told.map(drop).map_err(Failed::Itself),
                },
                Step::Committing { commit, .. } => {
                    match Pin::new(commit).poll(&mut Context::from_waker(waker)) {
                        Poll::Pending => return Ok(Poll::Pending),
                        Poll::Ready(Ok(commit)) => {
                            let Step::Committing { value, exclusive, .. } = std::mem::take(&mut self.step)
                            else {
                                return Err(Error::TransactionClosed);
                            };
                            return Ok(Poll::Ready(self.run.won(value, commit, exclusive)));
                        }
                        Poll::Ready(Err(error)) => Err(error.into()),
                    }
                }
                Step::Resting(rest) => match rest.poll(waker)? {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(()) => {
                        if rest.is_for_a_time() {
                            self.run.waited();
                        }
                        self.step = Step::Next;
                        Ok(())
                    }
                },
            };
            if let Err(failed) = went {
                // Whatever the attempt held goes first.
                self.step = Step::Next;
                let delay = self.run.lost(policy, failed)?;
                let until = (!delay.is_zero()).then(|| self.run.until(delay));
                self.step = Step::Resting(Rest::new(&self.handle, until));
            }
        }
    }

    fn options<'a>(&'a self, policy: &'a RetryPolicy) -> &'a TransactionOptions {
        self.own_options.as_deref().unwrap_or(&policy.transaction)
    }

    /// Begins an attempt, unless it has to wait for its turn.
    fn begin(
        &mut self,
        policy: &RetryPolicy,
        body: &mut impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<(), Failed> {
        let mut turn = None;
        let begun = begin_by(&self.handle, self.options(policy), |_, timeout, name| {
            turn = Some(Turn::new(&self.handle, timeout, name.map(Arc::from)));
            Err(Error::JournalMode)
        });
        if let Some(turn) = turn {
            self.step = Step::Turn(turn);
            return Ok(());
        }
        self.attempt(begun, body)
    }

    /// Begins the attempt whose turn has come.
    fn begin_exclusive(
        &mut self,
        policy: &RetryPolicy,
        exclusive: Exclusive,
        body: &mut impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<(), Failed> {
        // A panic of the closure leaves nothing here.
        self.step = Step::Next;
        // If it was by the journal mode that it had to wait, and that has changed, it needs no turn any more.
        let begun = begin_by(&self.handle, self.options(policy), |_, _, _| Ok(exclusive));
        self.attempt(begun, body)
    }

    fn attempt(
        &mut self,
        begun: Result<Transaction>,
        body: &mut impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<(), Failed> {
        let mut tx = match begun {
            Err(Error::AlreadyCommitted { timestamp }) => {
                self.step = Step::Done(CommitFuture::already_committed(&self.handle, timestamp)?);
                return Ok(());
            }
            begun => begun?,
        };
        let exclusive = tx.is_exclusive();
        tx.set_in_closure(true);
        let value = body(&mut tx).map_err(|error| Failed::in_closure(error, &tx))?;
        // The commit may be polled by any thread.
        tx.set_in_closure(false);
        self.step = Step::Committing { value, exclusive, commit: tx.commit_async() };
        Ok(())
    }
}

impl<T, F: FnMut(&mut Transaction) -> Result<T>> Future for TransactFuture<T, F> {
    type Output = Result<Outcome<T>>;

    /// # Errors
    /// As for [`Database::transact`](crate::Database::transact); [`Error::TransactionClosed`] when it is polled after it was
    /// ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // It is over if anything ends it, a panic too.
        let opened = match std::mem::replace(&mut this.state, State::Over) {
            State::New(handle) => handle.and_then(Open::new).map(Box::new),
            State::Open(open) => Ok(open),
            State::Over => Err(Error::TransactionClosed),
        };
        let mut open = match opened {
            Ok(open) => open,
            Err(error) => return Poll::Ready(Err(error)),
        };
        match open.advance(&this.policy, &mut this.body, context.waker()) {
            Ok(Poll::Pending) => {
                this.state = State::Open(open);
                Poll::Pending
            }
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
