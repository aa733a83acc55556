//! Threads that repeat an operation for a time or a number of times, and how long each took.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Result;
use crate::cell::Readings;

/// Parts of a run that are timed by themselves.
const SLICES: u64 = 200;

/// What came of repeating.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    /// Of each operation in the slice of [`times`] that took least: what is left where others disturb most of them.
    fastest_nanos: f64,
    latencies: Histogram<u64>,
}

impl Repeated {
    pub(crate) fn none() -> Result<Self> {
        // Nanoseconds up to a minute, three digits.
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Self { operations: 0, elapsed: Duration::ZERO, fastest_nanos: 0.0, latencies })
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn nanos_each(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations.max(1) as f64
    }

    pub(crate) fn fastest_nanos(&self) -> f64 {
        self.fastest_nanos
    }

    /// Adds what was done after this.
    pub(crate) fn then(&mut self, later: &Self) -> Result<()> {
        self.operations += later.operations;
        self.elapsed += later.elapsed;
        self.latencies.add(&later.latencies)?;
        Ok(())
    }

    pub(crate) fn add_latencies(&self, readings: &mut Readings) {
        for (metric, nanos) in [
            ("latency p50", self.latencies.value_at_quantile(0.5)),
            ("latency p99", self.latencies.value_at_quantile(0.99)),
            ("latency max", self.latencies.max()),
        ] {
            readings.add(metric, nanos as f64 / 1000.0, "µs");
        }
    }
}

/// Runs `operation(number of the thread, number of the repetition)` on so many threads for a time, at least once on each.
/// Every repetition that was begun is finished and counted; the clock stops when the last one has ended.
pub(crate) fn for_a_time<F>(threads: usize, duration: Duration, operation: F) -> Result<Repeated>
where
    F: Fn(usize, u64) -> Result<()> + Sync,
{
    let (stop, start) = (AtomicBool::new(false), Barrier::new(threads + 1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (stop, start, operation) = (&stop, &start, &operation);
                scope.spawn(move || {
                    start.wait();
                    repeat(|repetition| {
                        if repetition > 0 && stop.load(Ordering::Relaxed) {
                            return Ok(false);
                        }
                        operation(thread, repetition).map(|()| true)
                    })
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        // A worker that failed ends early; its error comes with the join.
        std::thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        let mut all = Repeated::none()?;
        for worker in workers {
            all.then(&worker.join().map_err(|_| "a worker panicked")??)?;
        }
        all.elapsed = began.elapsed();
        Ok(all)
    })
}

/// Runs `operation(number of the repetition)` so many times on this thread.
pub(crate) fn times(count: u64, mut operation: impl FnMut(u64) -> Result<()>) -> Result<Repeated> {
    let began = Instant::now();
    let mut fastest_nanos = f64::INFINITY;
    let slice = (count / SLICES).max(1);
    for first in (0..count).step_by(usize::try_from(slice)?) {
        let began = Instant::now();
        let end = count.min(first + slice);
        for repetition in first..end {
            operation(repetition)?;
        }
        fastest_nanos = fastest_nanos.min(began.elapsed().as_nanos() as f64 / (end - first) as f64);
    }
    Ok(Repeated { operations: count, elapsed: began.elapsed(), fastest_nanos, ..Repeated::none()? })
}

/// Repeats while `operation` says so. One look at the clock each: the end of one is the beginning of the next.
fn repeat(mut operation: impl FnMut(u64) -> Result<bool>) -> Result<Repeated> {
    let mut all = Repeated::none()?;
    let began = Instant::now();
    let mut last = began;
    while operation(all.operations)? {
        let now = Instant::now();
        all.latencies.saturating_record(u64::try_from((now - last).as_nanos())?);
        all.operations += 1;
        last = now;
    }
    all.elapsed = last - began;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repetition_is_counted() {
        let done = std::sync::atomic::AtomicU64::new(0);
        let all = for_a_time(3, Duration::from_millis(20), |_, _| {
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(all.operations, done.load(Ordering::Relaxed));
        assert!(all.elapsed >= Duration::from_millis(20));
    }

    #[test]
    fn an_error_ends_it() {
        assert!(for_a_time(2, Duration::ZERO, |_, _| Err("no".into())).is_err());
    }
}
