//! When to try again, and when to give up.

use std::sync::Arc;
use std::time::Duration;

use crate::options::TransactionOptions;

/// When to try again, and when to give up.
///
/// ```
/// use braid::RetryPolicy;
/// use std::time::Duration;
///
/// // Short and rarely disputed: try again at once.
/// let _ = RetryPolicy::without_backoff();
/// // A request that has a second, and a name in the statistics.
/// let _ = RetryPolicy::default().deadline(Duration::from_secs(1)).name("checkout");
/// // Long work, which backs off further, and is admitted alone after three losses.
/// let _ = RetryPolicy::backoff(Duration::from_millis(1), Duration::from_millis(200)).exclusive_after(3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included, which is always made. Default: 64.
    pub max_attempts: u32,
    /// No attempt begins later than this after the first, and none waits for its turn for longer than is left of it; `None`: no
    /// such limit. Default: 30 seconds.
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
    /// Tries again at once, without a wait.
    #[must_use]
    pub fn without_backoff() -> Self {
        Self::backoff(Duration::ZERO, Duration::ZERO)
    }

    /// Waits after each loss for a time drawn at random below a limit, which begins at `first` and doubles up to `longest`: full
    /// jitter, so that those who lost together do not meet again.
    #[must_use]
    pub fn backoff(first: Duration, longest: Duration) -> Self {
        Self { base_delay: first, max_delay: longest, ..Self::default() }
    }

    /// Sets [`base_delay`](Self#structfield.base_delay).
    #[must_use]
    pub fn base_delay(self, base_delay: Duration) -> Self {
        Self { base_delay, ..self }
    }

    /// Sets [`max_delay`](Self#structfield.max_delay).
    #[must_use]
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// Begins no attempt later than this after the first, and waits for no turn longer, in the first attempt either.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Goes on for as long as the attempts last.
    #[must_use]
    pub fn without_deadline(self) -> Self {
        Self { deadline: None, ..self }
    }

    /// Makes so many attempts at most.
    #[must_use]
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        Self { max_attempts, ..self }
    }

    /// Is admitted exclusively after so many losses; 0: from the start.
    #[must_use]
    pub fn exclusive_after(self, losses: u32) -> Self {
        Self { exclusive_after: losses, ..self }
    }

    /// Is never admitted exclusively: it holds nobody back, and may starve.
    #[must_use]
    pub fn never_exclusive(self) -> Self {
        self.exclusive_after(u32::MAX)
    }

    /// Gives the transaction a name, by which [`Stats::conflicts`](crate::Stats::conflicts) and traces tell it.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.transaction.name = Some(name.into());
        self
    }

    /// Begins each attempt like this. A name that was given before stays, unless there is one here.
    #[must_use]
    pub fn transaction(self, mut transaction: TransactionOptions) -> Self {
        transaction.name = transaction.name.or(self.transaction.name);
        Self { transaction, ..self }
    }

    /// A wait with full jitter after so many losses.
    pub(super) fn delay(&self, losses: u32, random: u64) -> Duration {
        let longest =
            self.base_delay.saturating_mul(1 << losses.saturating_sub(1).min(20)).min(self.max_delay);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        // The high half of a product spreads a random number over a range without a division.
        let drawn = (u128::from(random) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_other_options() {
        let named = || RetryPolicy::default().name("checkout");
        let name = |policy: RetryPolicy| policy.transaction.name;
        assert_eq!(name(named().transaction(TransactionOptions::default())).as_deref(), Some("checkout"));
        let other = TransactionOptions { name: Some("other".into()), ..TransactionOptions::default() };
        assert_eq!(name(named().transaction(other)).as_deref(), Some("other"));
    }

    #[test]
    fn delays_grow_to_their_limit_and_no_further() {
        let policy = RetryPolicy::backoff(Duration::from_micros(100), Duration::from_millis(1));
        assert_eq!(policy.delay(1, 0), Duration::ZERO);
        assert!(policy.delay(1, u64::MAX) < Duration::from_micros(100));
        assert!(policy.delay(2, u64::MAX) > Duration::from_micros(199));
        assert!(policy.delay(u32::MAX, u64::MAX) < Duration::from_millis(1));
        let own = RetryPolicy::default().base_delay(policy.base_delay).max_delay(policy.max_delay);
        assert_eq!(own.delay(2, u64::MAX), policy.delay(2, u64::MAX));
        assert_eq!(own.delay(9, u64::MAX), policy.delay(9, u64::MAX));
        assert_eq!(RetryPolicy::without_backoff().delay(5, u64::MAX), Duration::ZERO);
    }
}
