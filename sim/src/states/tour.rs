//! A way through all moments of one variation of a workload, in turns.

use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use indicatif::ProgressBar;

use super::path::StatePath;
use super::search::Shared;
use super::workload::Workload;
use crate::jobs::run_all;

/// The moments in a random order, so that any part of the way is a sample of the whole.
#[derive(Debug)]
pub(super) struct Tour {
    workload: Workload,
    /// The most random choices of a moment.
    random_max: u64,
    /// The moments that are left; `None` before the first turn.
    left: Option<Vec<usize>>,
}

impl Tour {
    pub(super) const fn new(workload: Workload, random_max: u64) -> Self {
        Self { workload, random_max, left: None }
    }

    /// Whether every moment was gone through.
    pub(super) fn is_over(&self) -> bool {
        self.left.as_ref().is_some_and(Vec::is_empty)
    }

    /// How many moments are left, after a turn.
    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        self.left.as_ref().map_or(u64::MAX, |left| left.len() as u64)
    }

    /// Records the workload, and goes on through what is left of its moments until enough was seen.
    pub(super) fn go_on(&mut self, shared: &Shared<'_>, jobs: usize) -> Vec<String> {
        let Workload { name, seed } = self.workload;
        let command = format!("braid-sim crash-states --workload {name} --seed {seed}");
        let recording = match self.workload.record() {
            Ok(recording) => recording,
            Err(error) => {
                self.left = Some(Vec::new());
                return vec![format!("{error}; again: {command}")];
            }
        };
        let order = self.left.take().unwrap_or_else(|| {
            let mut order: Vec<_> = (0..recording.moments.len()).collect();
            Rng::with_seed(seed).shuffle(&mut order);
            order
        });
        let gone: Vec<_> = order.iter().map(|_| AtomicBool::new(false)).collect();
        let failures = run_all(0..order.len() as u64, jobs, &ProgressBar::hidden(), |number| {
            let place = usize::try_from(number).unwrap_or(0);
            let (Some(moment), Some(gone)) = (order.get(place), gone.get(place)) else { return Ok(()) };
            if shared.is_done() {
                return Ok(());
            }
            gone.store(true, Ordering::Relaxed);
            shared.moments.fetch_add(1, Ordering::Relaxed);
            shared.explore(&recording, *moment, &StatePath::default(), self.random_max)
        });
        let left = order.iter().zip(&gone).filter(|(_, gone)| !gone.load(Ordering::Relaxed));
        self.left = Some(left.map(|(moment, _)| *moment).collect());
        failures.into_iter().map(|(_, failure)| format!("{failure}; again: {command}")).collect()
    }
}
