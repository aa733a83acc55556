//! The loop.

use std::time::Duration;

use braid_mvstore::Rare;
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::RetryPolicy;
use crate::core::{Commit, Core};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Admission, TransactionOptions};
use crate::transaction::{self, Transaction};

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

/// Counts the losses of one transaction; also when its closure panics.
struct Losses<'a> {
    core: &'a Core,
    attempts: u32,
    lost: u32,
    won: bool,
}

impl Losses<'_> {
    fn lost(&mut self) {
        self.lost += 1;
        self.core.conflicts.runner_lost();
    }
}

impl Drop for Losses<'_> {
    #[inline]
    fn drop(&mut self) {
        self.core.counters.max_attempts.raise(u64::from(self.attempts));
        // Who lost nothing pays nothing.
        if self.lost > 0 {
            self.core.conflicts.runner_done(
                self.attempts,
                self.lost,
                self.won || planted!(LossCountedAsAbsorbed),
            );
        }
    }
}

/// Runs `body` in a transaction and commits it, again and again while it loses.
pub(crate) fn transact<T>(
    handle: &Arc<Handle>,
    policy: &RetryPolicy,
    mut body: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<Outcome<T>> {
    let core = handle.core();
    let clock = &core.env.clock;
    let began = clock.now();
    let (mut attempt_began, mut waited, mut wasted) = (began, Duration::ZERO, Duration::ZERO);
    let mut losses = Losses { core, attempts: 0, lost: 0, won: false };
    loop {
        losses.attempts += 1;
        let mut own_options = Rare::default();
        if losses.lost > 0 || losses.attempts > policy.exclusive_after {
            *own_options = Some(options_after(core, policy, &losses, attempt_began.saturating_sub(began)));
        }
        let options = own_options.as_deref().unwrap_or(&policy.transaction);
        let error = match attempt(handle, options, &mut body) {
            Ok((value, commit, exclusive)) => {
                losses.won = true;
                let attempts = losses.attempts;
                return Ok(Outcome { value, commit, attempts, exclusive, waited, wasted });
            }
            Err(error) => error,
        };
        if !error.is_retryable() {
            return Err(error);
        }
        losses.lost();
        let lost_at = clock.now();
        wasted += lost_at.saturating_sub(attempt_began);
        attempt_began = lost_at;
        // The next attempt is exclusive and waits for its turn at the gate: no need to wait before that.
        let delay = if losses.attempts < policy.exclusive_after {
            policy.delay(losses.attempts, core.env.random.next_u64())
        } else {
            Duration::ZERO
        };
        let in_time = policy
            .deadline
            .is_none_or(|deadline| lost_at.saturating_sub(began).saturating_add(delay) < deadline);
        if losses.attempts >= policy.max_attempts || !in_time {
            return Err(error);
        }
        core.counters.retries.add(1);
        if !delay.is_zero() {
            clock.sleep(delay);
            attempt_began = clock.now();
            waited += attempt_began.saturating_sub(lost_at);
        }
    }
}

/// The options of an attempt that are not simply the policy's: one after some losses, or one that is to be exclusive.
#[cold]
fn options_after(
    core: &Core,
    policy: &RetryPolicy,
    losses: &Losses<'_>,
    elapsed: Duration,
) -> Box<TransactionOptions> {
    let mut options = Box::new(policy.transaction.clone());
    let escalates = losses.attempts > policy.exclusive_after && !planted!(NeverEscalated);
    if escalates && options.admission != Admission::Immediate {
        options.admission = Admission::Immediate;
        core.counters.escalations.add(1);
    }
    if losses.lost > 0
        && let Some(deadline) = policy.deadline
    {
        // It waits for its turn no longer than for anything else.
        let timeout = options.busy_timeout.unwrap_or(core.options.busy_timeout);
        options.busy_timeout = Some(timeout.min(deadline.saturating_sub(elapsed)));
    }
    options
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
