//! What a runner has been through, and what it does next.

use std::ops::Deref;
use std::time::Duration;

use braid_mvstore::Rare;
use braid_vfs::planted;

use super::RetryPolicy;
use crate::core::{Commit, Core};
use crate::error::{Error, Result};
use crate::options::{Admission, TransactionOptions};

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

/// The losses of one transaction. They are counted also when its closure panics, or its future is dropped.
#[derive(Debug)]
pub(super) struct Run<C: Deref<Target = Core>> {
    core: C,
    attempts: u32,
    lost: u32,
    won: bool,
    began: Duration,
    /// When the present attempt began, or the last one was lost.
    since: Duration,
    waited: Duration,
    wasted: Duration,
}

impl<C: Deref<Target = Core>> Run<C> {
    #[inline]
    pub(super) fn new(core: C) -> Self {
        let began = core.env.clock.now();
        Self {
            core,
            attempts: 0,
            lost: 0,
            won: false,
            began,
            since: began,
            waited: Duration::ZERO,
            wasted: Duration::ZERO,
        }
    }

    /// Another attempt begins; with options of its own, unless they are simply the policy's.
    #[inline]
    pub(super) fn begin(&mut self, policy: &RetryPolicy) -> Rare<TransactionOptions> {
        self.attempts += 1;
        let mut own = Rare::default();
        if self.lost > 0 || self.attempts > policy.exclusive_after {
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
        if self.lost > 0
            && let Some(deadline) = policy.deadline
        {
            // It waits for its turn no longer than for anything else.
            let timeout = options.busy_timeout.unwrap_or(self.core.options.busy_timeout);
            let elapsed = self.since.saturating_sub(self.began);
            options.busy_timeout = Some(timeout.min(deadline.saturating_sub(elapsed)));
        }
        options
    }

    /// The attempt has committed.
    #[inline]
    pub(super) fn won<T>(&mut self, value: T, commit: Commit, exclusive: bool) -> Outcome<T> {
        self.won = true;
        let Self { attempts, waited, wasted, .. } = *self;
        Outcome { value, commit, attempts, exclusive, waited, wasted }
    }

    /// The attempt has failed: how long to wait before the next one, if there is to be one.
    pub(super) fn lost(&mut self, policy: &RetryPolicy, error: Error) -> Result<Duration> {
        if !error.is_retryable() {
            return Err(error);
        }
        self.lost += 1;
        self.core.conflicts.runner_lost();
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
        if self.attempts >= policy.max_attempts || !in_time {
            return Err(error);
        }
        self.core.counters.retries.add(1);
        Ok(delay)
    }

    /// The wait before the next attempt is over.
    pub(super) fn waited(&mut self) {
        let now = self.core.env.clock.now();
        self.waited += now.saturating_sub(self.since);
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
        if self.lost > 0 {
            let won = self.won || planted!(LossCountedAsAbsorbed);
            self.core.conflicts.runner_done(self.attempts, self.lost, won);
        }
    }
}
