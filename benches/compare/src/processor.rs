//! How much of all cores this process used for a while. Where that is nearly all, it is the processor that bounds a rate.

use std::time::{Duration, Instant};

use crate::engine::Result;
use crate::process::processor_time;

/// From when on.
#[derive(Debug)]
pub(crate) struct Since {
    began: Instant,
    /// Until then.
    used: Duration,
}

impl Since {
    pub(crate) fn now() -> Result<Self> {
        Ok(Self { began: Instant::now(), used: processor_time()? })
    }

    /// The processor time of all threads since, by what all cores had to give: 1 where every core was busy.
    pub(crate) fn share(&self) -> Result<f64> {
        let cores = std::thread::available_parallelism()?.get() as f64;
        let used = processor_time()?.saturating_sub(self.used);
        Ok(used.as_secs_f64() / (self.began.elapsed().as_secs_f64() * cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_compute_use_it() {
        let least = Duration::from_millis(20);
        let (began, since, before) = (Instant::now(), Since::now().unwrap(), processor_time().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| while processor_time().unwrap() - before < least {});
        });
        let share = since.share().unwrap();
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let used = share * cores * began.elapsed().as_secs_f64();
        // The system counts threads that run at ticks, which are a part of so short a time.
        assert!(used >= least.as_secs_f64() && share < 2.0, "{share}, {used} s");
    }
}
