//! Independent cases on all processors.

use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

/// How many threads run cases where nobody says.
#[must_use]
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Runs `case` for every number of the range on `jobs` threads and returns the failures with their numbers, in order.
/// A panic of a case is its failure.
pub fn run_all(
    cases: Range<u64>,
    jobs: usize,
    bar: &ProgressBar,
    case: impl Fn(u64) -> Result<(), String> + Sync,
) -> Vec<(u64, String)> {
    let next = AtomicU64::new(cases.start);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases.end {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| case(number)))
                        .unwrap_or_else(|panic| Err(said(panic.as_ref())));
                    if let Err(failure) = outcome {
                        bar.println(format!("case {number}: {failure}"));
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push((number, failure));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    failures
}

/// The words of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", words.unwrap_or("without words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_once_and_failures_keep_their_number() {
        let ran = AtomicU64::new(0);
        let failures = run_all(5..25, 3, &ProgressBar::hidden(), |number| {
            ran.fetch_add(number, Ordering::Relaxed);
            assert!(number != 7, "seven");
            if number == 20 { Err("twenty".to_owned()) } else { Ok(()) }
        });
        assert_eq!(ran.into_inner(), (5..25).sum::<u64>());
        assert_eq!(failures, [(7, "panicked: seven".to_owned()), (20, "twenty".to_owned())]);
    }
}
