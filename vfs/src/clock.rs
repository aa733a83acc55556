//! Time that passes, for timeouts and intervals. Timestamps of transactions come from elsewhere.

use std::fmt::Debug;
use std::time::Duration;

/// A clock that never goes back.
pub trait Clock: Debug + Send + Sync {
    /// Time since some moment that stays the same for the life of the clock.
    fn now(&self) -> Duration;

    /// The same, but it may be some milliseconds behind: for what looks often and not closely. Compare it with others of its
    /// kind only.
    fn now_coarse(&self) -> Duration {
        self.now()
    }

    /// Time since the beginning of 1970, as far as the system knows; it may be set back. For what is to mean something in
    /// another process.
    fn unix_time(&self) -> Duration {
        self.now()
    }

    /// Blocks the calling thread for about `duration`.
    fn sleep(&self, duration: Duration);
}
