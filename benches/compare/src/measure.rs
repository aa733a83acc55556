//! Threads that repeat an operation for a time or a number of times, and how long each took.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::cell::{Better, Readings, metrics};
use crate::engine::{Durability, Engine, Result, Session};
use crate::processor::Since;

/// What came of repeating.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    latencies: Histogram<u64>,
}

impl Repeated {
    pub(crate) fn none() -> Result<Self> {
        // Nanoseconds up to a minute, three digits.
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Self { operations: 0, elapsed: Duration::ZERO, latencies })
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }

    /// Adds one that took so long.
    pub(crate) fn record(&mut self, latency: Duration) -> Result<()> {
        self.latencies.saturating_record(u64::try_from(latency.as_nanos())?);
        self.operations += 1;
        Ok(())
    }

    /// Adds what was done after this.
    pub(crate) fn then(&mut self, later: &Self) -> Result<()> {
        self.operations += later.operations;
        self.elapsed += later.elapsed;
        self.latencies.add(&later.latencies)?;
        Ok(())
    }

    /// How long a repetition takes of all but the share `1 - quantile`, in microseconds.
    pub(crate) fn micros_at(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(crate) fn add_latencies(&self, readings: &mut Readings) {
        for (metric, quantile) in
            [("latency p50", 0.5), ("latency p99", 0.99), ("latency p99.9", 0.999), ("latency max", 1.0)]
        {
            readings.add(metric, self.micros_at(quantile), "µs", Better::Less);
        }
    }
}

/// What one thread counts as it goes.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The number of the thread.
    pub(crate) thread: u64,
    /// Attempts at transactions, by those that committed in the end.
    pub(crate) attempts: u64,
    /// Rows seen or written, where a repetition is of many.
    pub(crate) rows: u64,
}

/// What came of threads that worked for a time.
#[derive(Debug)]
pub(crate) struct Crew {
    /// What each did, in the order of the threads' numbers.
    pub(crate) hands: Vec<(Tally, Repeated)>,
    /// All they did, from the first one's beginning to the last one's end.
    pub(crate) all: Repeated,
    /// What the process used meanwhile of all cores.
    processor: f64,
}

impl Crew {
    /// Of what each did and when it began, and of the processor since.
    pub(crate) fn of(
        ended: impl IntoIterator<Item = (Tally, Repeated, Instant)>,
        since: &Since,
    ) -> Result<Self> {
        let processor = since.share()?;
        let (mut hands, mut all) = (Vec::new(), Repeated::none()?);
        let mut span: Option<(Instant, Instant)> = None;
        for (tally, repeated, began) in ended {
            let last = began + repeated.elapsed;
            span = Some(span.map_or((began, last), |(from, to)| (from.min(began), to.max(last))));
            all.then(&repeated)?;
            hands.push((tally, repeated));
        }
        all.elapsed = span.map_or(Duration::ZERO, |(from, to)| to - from);
        Ok(Self { hands, all, processor })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.hands.iter().map(|(tally, _)| tally.rows).sum()
    }

    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows() as f64 / self.all.elapsed.as_secs_f64()
    }

    /// How many repetitions each thread did.
    pub(crate) fn repetitions(&self) -> Vec<u64> {
        self.hands.iter().map(|(_, repeated)| repeated.operations).collect()
    }

    /// Adds how many attempts a commit took.
    pub(crate) fn add_attempts(&self, readings: &mut Readings, commits: u64) {
        let attempts: u64 = self.hands.iter().map(|(tally, _)| tally.attempts).sum();
        readings.add("attempts for each", attempts as f64 / commits.max(1) as f64, "×", Better::Less);
    }

    /// Adds how busy the cores were where that tells whether they or the syncs were the limit.
    pub(crate) fn add_processor(&self, readings: &mut Readings, durability: Durability) {
        if durability == Durability::Durable {
            readings.add(metrics::PROCESSOR, self.processor, "", Better::Neither);
        }
    }
}

/// Runs `operation(session, tally, number of the repetition)` on so many threads for so many seconds, at least once on each,
/// and each with a session of its own, which `prepare` gets before the common start. Every repetition that was begun is
/// finished and counted; the clock stops when the last one has ended.
pub(crate) fn for_a_time<P, F>(
    engine: &dyn Engine,
    threads: usize,
    seconds: f64,
    prepare: P,
    operation: F,
) -> Result<Crew>
where
    P: Fn(&mut dyn Session) -> Result<()> + Sync,
    F: Fn(&mut dyn Session, &mut Tally, u64) -> Result<()> + Sync,
{
    let (stop, start) = (AtomicBool::new(false), Barrier::new(threads + 1));
    let work = |thread: usize| {
        let session = engine.session().and_then(|mut session| prepare(&mut *session).map(|()| session));
        start.wait();
        let mut session = session?;
        let mut tally = Tally { thread: thread as u64, attempts: 0, rows: 0 };
        let began = Instant::now();
        let repeated = repeat(|repetition| {
            if repetition > 0 && stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            operation(&mut *session, &mut tally, repetition).map(|()| true)
        })?;
        Ok((tally, repeated, began))
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        start.wait();
        let since = Since::now();
        // A worker that failed ends early; its error comes with the join.
        std::thread::sleep(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        // Every worker is joined before the first error is told: the scope would wait for them anyway.
        let ended: Vec<Result<_>> =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker panicked")?).collect();
        Crew::of(ended.into_iter().collect::<Result<Vec<_>>>()?, &since?)
    })
}

/// Nothing to prepare.
pub(crate) fn at_once(_session: &mut dyn Session) -> Result<()> {
    Ok(())
}

/// Runs `operation(number of the repetition)` so many times on this thread.
pub(crate) fn times(count: u64, mut operation: impl FnMut(u64) -> Result<()>) -> Result<Repeated> {
    let began = Instant::now();
    for repetition in 0..count {
        operation(repetition)?;
    }
    Ok(Repeated { operations: count, elapsed: began.elapsed(), ..Repeated::none()? })
}

/// Repeats while `operation` says so. One look at the clock each: the end of one is the beginning of the next.
fn repeat(mut operation: impl FnMut(u64) -> Result<bool>) -> Result<Repeated> {
    let mut all = Repeated::none()?;
    let began = Instant::now();
    let mut last = began;
    while operation(all.operations)? {
        let now = Instant::now();
        all.record(now - last)?;
        last = now;
    }
    all.elapsed = last - began;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::engine::{Reader, Writer};
    use crate::rows::Rows;

    /// A session that does nothing.
    struct Idle;

    impl Engine for Idle {
        fn session(&self) -> Result<Box<dyn Session + '_>> {
            Ok(Box::new(Self))
        }

        fn load(&self, _rows: &dyn Rows) -> Result<()> {
            Ok(())
        }

        fn settle(&self) -> Result<()> {
            Ok(())
        }

        fn sync(&self) -> Result<()> {
            Ok(())
        }

        fn close(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    impl Session for Idle {
        fn get(&mut self, _key: &[u8], _see: &mut dyn FnMut(&[u8])) -> Result<bool> {
            Ok(false)
        }

        fn read(&mut self, _body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
            Ok(())
        }

        fn write(&mut self, _body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_thread_works_once_at_least_and_all_is_counted() {
        let calls = AtomicU64::new(0);
        let crew = for_a_time(&Idle, 3, 0.0, at_once, |_, tally, repetition| {
            calls.fetch_add(1, Ordering::Relaxed);
            tally.attempts += 2;
            tally.rows += tally.thread;
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(tally.attempts, 2 * (repetition + 1));
            Ok(())
        })
        .unwrap();
        let repetitions = crew.repetitions();
        assert!(repetitions.len() == 3 && repetitions.iter().all(|&count| count > 0));
        assert_eq!(crew.all.operations, calls.into_inner());
        assert_eq!(crew.rows(), repetitions[1] + 2 * repetitions[2]);
        assert!(crew.all.micros_at(0.0) >= 1990.0 && crew.all.elapsed >= Duration::from_millis(2));
        let mut readings = Readings::default();
        crew.add_attempts(&mut readings, crew.all.operations);
        assert!((readings.0[0].value - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_failure_is_the_failure_of_all() {
        let fails = |_: &mut dyn Session| -> Result<()> { Err("no".into()) };
        assert!(for_a_time(&Idle, 2, 0.0, fails, |_, _, _| Ok(())).is_err());
        let second_fails = |_: &mut dyn Session, tally: &mut Tally, _| {
            if tally.thread == 1 { Err("no".into()) } else { Ok(()) }
        };
        assert!(for_a_time(&Idle, 2, 0.0, at_once, second_fails).is_err());
    }
}
