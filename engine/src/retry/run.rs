//! What a runner has been through, and what it does next.

use std::ops::Deref;
use std::time::Duration;

use braid_mvstore::Rare;
use braid_vfs::planted;

use super::RetryPolicy;
use crate::core::{Commit, Core};
use crate::error::{Error, Result};
use crate::options::{Admission, TransactionOptions};
use crate::transaction::Transaction;

/// What `transact` did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// What the closure returned in the attempt that committed.
    pub value: T,
    /// The commit.
    pub commit: Commit,
    /// How many attempts it took.
    pub attempts: u32,
    /// Whether the last one was admitted exclusively.
    pub exclusive: bool,
    /// Time spent waiting between attempts.
    pub waited: Duration,
    /// Time spent in attempts that were lost.
    pub wasted: Duration,
}

/// What ended an attempt.
#[derive(Debug)]
pub(super) enum Failed {
    /// It could not begin, or not be committed.
    Itself(Error),
    /// The closure has returned this. It may be of another transaction's: what it says of a wait is not of this one's.
    Closure {
        error: Error,
        /// Whether the attempt itself has lost, and not only what the closure did beside it.
        lost: bool,
    },
}

impl Failed {
    pub(super) fn in_closure(error: Error, tx: &Transaction) -> Self {
        Self::Closure { error, lost: tx.has_lost() }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Itself(error)
    }
}

/// The losses of one transaction. They are counted also when its closure panics, or its future is dropped.
#[derive(Debug)]
pub(super) struct Run<C: Deref<Target = Core>> {
    core: C,
    attempts: u32,
    lost: u32,
    /// Of these, the ones that the conflict report has: not what the closure lost beside its transaction, which is counted
    /// there.
    reported: u32,
    won: bool,
    began: Duration,
    /// When the present attempt began, or the last one was lost.
    since: Duration,
    waited: Duration,
    wasted: Duration,
    /// What the attempts so far have left of `busy_timeout`; `None`: all of it.
    turn_left: Option<Duration>,
}

impl<C: Deref<Target = Core>> Run<C> {
    #[inline]
    pub(super) fn new(core: C) -> Self {
        let began = core.env.clock.now();
        Self {
            core,
            attempts: 0,
            lost: 0,
            reported: 0,
            won: false,
            began,
            since: began,
            waited: Duration::ZERO,
            wasted: Duration::ZERO,
            turn_left: None,
        }
    }

    /// Another attempt begins; with options of its own, unless they are simply the policy's.
    #[inline]
    pub(super) fn begin(&mut self, policy: &RetryPolicy) -> Rare<TransactionOptions> {
        self.attempts += 1;
        let mut own = Rare::default();
        if self.lost > 0 || self.attempts > policy.exclusive_after || self.is_pressed(policy) {
            *own = Some(self.options(policy));
        }
        own
    }

    /// The options of an attempt after some losses, or of one that is to be exclusive.
    #[cold]
    fn options(&self, policy: &RetryPolicy) -> Box<TransactionOptions> {
        let mut options = Box::new(policy.transaction.clone());
        let escalates = self.attempts > policy.exclusive_after && !planted!(NeverEscalated);
        if escalates && options.admission != Admission::Immediate {
            options.admission = Admission::Immediate;
            self.core.counters.escalations.add(1);
        }
        let mut timeout = self.busy_timeout(policy);
        if let Some(left) = self.turn_left {
            timeout = timeout.min(left);
        }
        if let Some(deadline) = policy.deadline {
            // It waits for its turn no longer than for anything else.
            let elapsed = self.since.saturating_sub(self.began);
            timeout = timeout.min(deadline.saturating_sub(elapsed));
        }
        options.busy_timeout = Some(timeout);
        options
    }

    fn busy_timeout(&self, policy: &RetryPolicy) -> Duration {
        policy.transaction.busy_timeout.unwrap_or(self.core.options.busy_timeout)
    }

    /// Whether the deadline comes before the end of a wait for its turn.
    #[inline]
    fn is_pressed(&self, policy: &RetryPolicy) -> bool {
        policy.deadline.is_some_and(|deadline| deadline < self.busy_timeout(policy))
    }

    /// The attempt has committed.
    #[inline]
    pub(super) fn won<T>(&mut self, value: T, commit: Commit, exclusive: bool) -> Outcome<T> {
        self.won = true;
        let Self { attempts, waited, wasted, .. } = *self;
        Outcome { value, commit, attempts, exclusive, waited, wasted }
    }

    /// The attempt has failed: how long to wait before the next one, if there is to be one.
    pub(super) fn lost(&mut self, policy: &RetryPolicy, failed: Failed) -> Result<Duration> {
        let (error, is_own, is_reported) = match failed {
            Failed::Itself(error) => (error, true, true),
            Failed::Closure { error, lost } => (error, false, lost),
        };
        if !error.is_retryable() {
            return Err(error);
        }
        self.lost += 1;
        if is_reported {
            self.reported += 1;
            self.core.conflicts.runner_lost();
        }
        let now = self.core.env.clock.now();
        self.wasted += now.saturating_sub(self.since);
        self.since = now;
        // The next attempt is exclusive and waits for its turn at the gate: no need to wait before that.
        let delay = if self.attempts < policy.exclusive_after {
            policy.delay(self.attempts, self.core.env.random.next_u64())
        } else {
            Duration::ZERO
        };
        let in_time = policy
            .deadline
            .is_none_or(|deadline| now.saturating_sub(self.began).saturating_add(delay) < deadline);
        // Whose turn did not come has waited for as long as it may.
        let conflict = error.conflict().filter(|_| is_own);
        let was_admitted = !(is_own && error.is_timeout());
        self.turn_left = conflict.and_then(|conflict| conflict.turn_left).or(self.turn_left);
        if self.attempts >= policy.max_attempts || !in_time || !was_admitted {
            return Err(error);
        }
        self.core.counters.retries.add(1);
        Ok(delay)
    }

    /// The wait before the next attempt is over.
    pub(super) fn waited(&mut self) {
        let now = self.core.env.clock.now();
        if !planted!(WaitNotTold) {
            self.waited += now.saturating_sub(self.since);
        }
        self.since = now;
    }

    /// When a wait of `delay` after the last loss ends.
    pub(super) fn until(&self, delay: Duration) -> Duration {
        self.since.saturating_add(delay)
    }
}

impl<C: Deref<Target = Core>> Drop for Run<C> {
    #[inline]
    fn drop(&mut self) {
        self.core.counters.max_attempts.raise(u64::from(self.attempts));
        // Who lost nothing pays nothing.
        if self.reported > 0 {
            let won = self.won || planted!(LossCountedAsAbsorbed);
            self.core.conflicts.runner_done(self.attempts, self.reported, won);
        }
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use braid_vfs::memory::VirtualClock;
    use braid_vfs::sync::{Arc, thread};
    use braid_vfs::{Clock, Env};

    use super::*;
    use crate::options::{JournalMode, Options};
    use crate::{Database, Table};

    const FOR_EVER: Duration = Duration::from_secs(1 << 20);

    fn database() -> (Database, Table) {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        (db, table)
    }

    /// An attempt that was held back, and then lost.
    fn lost_after_a_wait(db: &Database, table: &Table) -> Error {
        let mut tx = db
            .begin_with(TransactionOptions { busy_timeout: Some(FOR_EVER), ..TransactionOptions::default() })
            .unwrap();
        tx.put(table, "row", "loser").unwrap();
        let mut holder = db.begin_immediate().unwrap();
        holder.put(table, "row", "winner").unwrap();
        let held_back = thread::spawn(move || tx.commit().unwrap_err());
        while db.core().commits_held_back() == 0 {
            thread::yield_now();
        }
        holder.commit().unwrap();
        held_back.join().unwrap()
    }

    #[test]
    fn the_next_wait_has_what_the_last_one_left() {
        let (db, table) = database();
        let policy = RetryPolicy {
            transaction: TransactionOptions { busy_timeout: Some(FOR_EVER), ..TransactionOptions::default() },
            ..RetryPolicy::without_backoff().without_deadline()
        };
        let mut run = Run::new(&**db.core());
        assert!(run.begin(&policy).is_none(), "the policy's own");
        let error = lost_after_a_wait(&db, &table);
        let left = error.conflict().unwrap().turn_left.unwrap();
        assert!(left < FOR_EVER, "{error}");
        run.lost(&policy, error.into()).unwrap();
        let waits = |run: &mut Run<_>| run.begin(&policy).as_ref().and_then(|options| options.busy_timeout);
        assert_eq!(waits(&mut run), Some(left));
        // Revoked, it has waited for nothing.
        let revoked = Error::BusySnapshot {
            begin_ts: braid_mvstore::Timestamp::ZERO,
            why: crate::SnapshotLoss::HistoryGivenUp { oldest_ts: braid_mvstore::Timestamp::ZERO },
        };
        run.lost(&policy, revoked.into()).unwrap();
        assert_eq!(waits(&mut run), Some(left));
    }

    /// The same without a thread: the time between two polls counts, and what comes after the wait does not.
    #[test]
    fn a_future_accounts_for_its_wait() {
        let clock = Arc::new(VirtualClock::new(Duration::ZERO));
        let env = Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Env::in_memory() };
        let db = Database::open_in(env, "/db", Options::default()).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let seconds = Duration::from_secs;
        let timeout = TransactionOptions { busy_timeout: Some(seconds(5)), ..TransactionOptions::default() };
        let mut tx = db.begin_with(timeout).unwrap();
        tx.put(&table, "row", "loser").unwrap();
        let mut commit = tx.commit_async();
        let mut poll = || Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop()));
        let mut holder = db.begin_immediate().unwrap();
        assert!(poll().is_pending());
        clock.advance(seconds(1));
        holder.rollback();
        holder = db.begin_immediate().unwrap();
        assert!(poll().is_pending(), "another one holds the gate");
        clock.advance(seconds(3));
        holder.put(&table, "row", "winner").unwrap();
        holder.commit().unwrap();
        let Poll::Ready(Err(error)) = poll() else { panic!("it has lost") };
        assert_eq!(error.conflict().unwrap().turn_left, Some(seconds(1)));
    }

    #[test]
    fn no_wait_is_longer_than_the_deadline() {
        let (db, _) = database();
        let waits = |policy: &RetryPolicy| {
            let own = Run::new(&**db.core()).begin(policy);
            own.as_ref().and_then(|options| options.busy_timeout)
        };
        let second = Duration::from_secs(1);
        assert_eq!(waits(&RetryPolicy::default()), None, "it has longer than any wait");
        assert_eq!(waits(&RetryPolicy::default().deadline(second)), Some(second));
        assert_eq!(waits(&RetryPolicy::default().exclusive_after(0).deadline(second)), Some(second));
        assert_eq!(
            waits(&RetryPolicy::default().exclusive_after(0)),
            Some(Duration::from_secs(5)),
            "as the database says"
        );
    }
}
