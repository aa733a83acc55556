//! Time from the system's monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Clock;
use crate::sync::thread;

/// The monotonic clock, from the moment of its creation.
#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the workspace reads the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    #[cfg(target_os = "linux")]
    fn now_coarse(&self) -> Duration {
        super::coarse::now().unwrap_or_else(|| self.now())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}
