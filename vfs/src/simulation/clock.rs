//! The time of a run.

use std::time::Duration;

use super::current;
use crate::Clock;
use crate::sync::thread;

/// The virtual time of the run that the calling thread belongs to; outside of one, always zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulatedClock;

impl Clock for SimulatedClock {
    fn now(&self) -> Duration {
        current().map_or(Duration::ZERO, |task| task.now())
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}
