//! The retry runner: the loop that everybody needs around an optimistic transaction, written once.
//!
//! It cannot starve: after a number of losses the transaction is admitted exclusively, and then it cannot lose.

use std::time::Duration;

use braid_vfs::sync::Arc;

use crate::core::Commit;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Admission, TransactionOptions};
use crate::transaction::{self, Transaction};

/// When to try again, and when to give up.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. Default: 64.
    pub max_attempts: u32,
    /// No attempt begins later than this after the first; `None`: no such limit. Default: 30 seconds.
    pub deadline: Option<Duration>,
    /// After how many losses the transaction is admitted exclusively. Default: 8.
    pub exclusive_after: u32,
    /// The longest wait after the first loss; the wait is drawn at random below it. It doubles with each loss.
    /// Default: 50 µs.
    pub base_delay: Duration,
    /// What the longest wait grows to. Default: 10 ms.
    pub max_delay: Duration,
    /// How each attempt begins.
    pub transaction: TransactionOptions,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 64,
            deadline: Some(Duration::from_secs(30)),
            exclusive_after: 8,
            base_delay: Duration::from_micros(50),
            max_delay: Duration::from_millis(10),
            transaction: TransactionOptions::default(),
        }
    }
}

impl RetryPolicy {
    /// A wait with full jitter after so many losses.
    fn delay(&self, losses: u32, random: u64) -> Duration {
        let longest =
            self.base_delay.saturating_mul(1 << losses.saturating_sub(1).min(20)).min(self.max_delay);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        // The high half of a product spreads a random number over a range without a division.
        let drawn = (u128::from(random) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }
}

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
}

/// Runs `body` in a transaction and commits it, again and again while it loses.
pub(crate) fn transact<T>(
    handle: &Arc<Handle>,
    policy: &RetryPolicy,
    mut body: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<Outcome<T>> {
    let core = handle.core();
    let clock = &core.env.clock;
    let began = policy.deadline.map(|deadline| (clock.now(), deadline));
    let mut waited = Duration::ZERO;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut options = policy.transaction.clone();
        if attempts > policy.exclusive_after && options.admission != Admission::Immediate {
            options.admission = Admission::Immediate;
            core.counters.escalations.add(1);
        }
        let error = match attempt(handle, &options, &mut body) {
            Ok((value, commit, exclusive)) => {
                core.counters.max_attempts.raise(u64::from(attempts));
                return Ok(Outcome { value, commit, attempts, exclusive, waited });
            }
            Err(error) => error,
        };
        let in_time = began.is_none_or(|(began, deadline)| clock.now().saturating_sub(began) < deadline);
        if !error.is_retryable() || attempts >= policy.max_attempts || !in_time {
            core.counters.max_attempts.raise(u64::from(attempts));
            return Err(error);
        }
        core.counters.retries.add(1);
        // The next attempt is exclusive and waits for its turn at the gate: no need to wait before that.
        if attempts < policy.exclusive_after {
            let delay = policy.delay(attempts, core.env.random.next_u64());
            waited += delay;
            clock.sleep(delay);
        }
    }
}

fn attempt<T>(
    handle: &Arc<Handle>,
    options: &TransactionOptions,
    body: &mut impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<(T, Commit, bool), Error> {
    let mut tx = transaction::begin(handle, options)?;
    let value = body(&mut tx)?;
    let exclusive = tx.is_exclusive();
    let commit = tx.commit()?;
    Ok((value, commit, exclusive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_no_further() {
        let policy = RetryPolicy {
            base_delay: Duration::from_micros(100),
            max_delay: Duration::from_millis(1),
            ..RetryPolicy::default()
        };
        assert_eq!(policy.delay(1, 0), Duration::ZERO);
        assert!(policy.delay(1, u64::MAX) < Duration::from_micros(100));
        assert!(policy.delay(2, u64::MAX) > Duration::from_micros(199));
        assert!(policy.delay(u32::MAX, u64::MAX) < Duration::from_millis(1));
    }
}
