//! `run`: the whole engine on a simulated machine, seed by seed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;

use crate::jobs::default_jobs;
use crate::progress::bar;
use crate::run::children::{self, Failure};
use crate::run::report::Figures;
use crate::run::shrink::shrink;
use crate::run::swarm::{Limits, feature_names};
use crate::seeds::parse_seeds;

/// Seeds that one child process runs.
const CHUNK: u64 = 100;
/// Runs that are spent on making one failure small.
const SHRINK_TRIES: u32 = 150;
/// Failures that are made small; the others are only named.
const SHRUNK_MAX: usize = 3;

/// Runs the whole engine on a simulated machine: one seed decides the workload, the schedule and the faults.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// One seed, or a range of them as in 0..1000.
    #[arg(long, value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// At most so many operations of each session in each life.
    #[arg(long)]
    operations: Option<u32>,
    /// At most so many sessions.
    #[arg(long)]
    sessions: Option<u32>,
    /// At most so many lives of the process.
    #[arg(long)]
    lives: Option<u32>,
    /// Operations, faults and traits to leave out.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Child processes at once; one for each processor by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Runs every seed twice, in different processes, and compares the traces.
    #[arg(long)]
    twice: bool,
    /// Runs one seed here and prints its whole trace.
    #[arg(long)]
    trace: bool,
    /// Shows how often each operation ran.
    #[arg(long)]
    coverage: bool,
    /// Does the work of a child: a line for each seed.
    #[arg(long, hide = true)]
    worker: bool,
}

/// What all children have told so far.
#[derive(Debug, Default)]
struct Told {
    figures: Figures,
    fingerprints: BTreeMap<u64, u64>,
    failures: Vec<Failure>,
}

impl Run {
    /// Runs all seeds; whether all was well.
    pub(super) fn main(&self) -> ExitCode {
        let limits = Limits {
            operations: self.operations,
            sessions: self.sessions,
            lives: self.lives,
            without: self.without.iter().cloned().collect(),
        };
        if let Some(unknown) = self.without.iter().find(|name| !feature_names().any(|known| known == *name)) {
            let known: Vec<_> = feature_names().collect();
            eprintln!("there is no `{unknown}` to leave out; there are {}", known.join(", "));
            return ExitCode::FAILURE;
        }
        if self.worker || self.trace {
            return match children::work(self.seeds.clone(), &limits, self.trace) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) | Err(_) => ExitCode::FAILURE,
            };
        }
        let told = self.run_all(&limits);
        self.report(&limits, told)
    }

    fn run_all(&self, limits: &Limits) -> Told {
        let count = self.seeds.end - self.seeds.start;
        let bar = bar(count * if self.twice { 2 } else { 1 }, "seeds");
        let told = Mutex::new(Told::default());
        let with = |work: &mut dyn FnMut(&mut Told)| {
            work(&mut told.lock().unwrap_or_else(PoisonError::into_inner));
        };
        // The second round in other chunks, so that what a process did before differs too.
        for (round, chunk) in [CHUNK, 37].into_iter().enumerate().take(if self.twice { 2 } else { 1 }) {
            let next = AtomicU64::new(self.seeds.start);
            std::thread::scope(|scope| {
                for _ in 0..self.jobs.unwrap_or_else(default_jobs).max(1) {
                    scope.spawn(|| {
                        loop {
                            let start = next.fetch_add(chunk, Ordering::Relaxed);
                            if start >= self.seeds.end {
                                return;
                            }
                            let mut seeds = start..(start + chunk).min(self.seeds.end);
                            while !seeds.is_empty() {
                                let ran = children::run(&seeds, limits, |seed, fingerprint, figures| {
                                    bar.inc(1);
                                    with(&mut |told| told.take(round, seed, fingerprint, figures));
                                });
                                let Err(failure) = ran else { break };
                                bar.inc(1);
                                seeds.start = failure.seed + 1;
                                bar.println(format!("seed {}: {}", failure.seed, failure.why));
                                with(&mut |told| told.failed(&failure));
                            }
                        }
                    });
                }
            });
        }
        bar.finish_and_clear();
        told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, limits: &Limits, mut told: Told) -> ExitCode {
        told.failures.sort_by_key(|failure| failure.seed);
        for (at, failure) in told.failures.iter().enumerate() {
            let again = |limits: &Limits| {
                let seeds = failure.seed..failure.seed + 1;
                children::run(&seeds, limits, |_, _, _| {}).err()
            };
            let tries = if at < SHRUNK_MAX && !failure.why.starts_with("hangs") { SHRINK_TRIES } else { 0 };
            let (limits, small) = shrink(failure.seed, limits, failure.clone(), tries, again);
            println!("seed {} fails: {}", failure.seed, small.why);
            for line in small.trace {
                println!("    {line}");
            }
            println!(
                "  run it again: braid-sim run --seeds {} --trace {}",
                failure.seed,
                children::arguments(&limits).join(" ")
            );
        }
        let figures = &told.figures;
        if self.coverage {
            for (name, count) in &figures.operations {
                println!("{name:20} {count}");
            }
            println!("damage found {}, points {}", figures.refused, figures.points);
        }
        println!("{} answers were judged", figures.reads);
        println!(
            "seeds={} commits={} crashes={} faults={} failures={}",
            self.seeds.end - self.seeds.start,
            figures.commits,
            figures.crashes,
            figures.faults,
            told.failures.len()
        );
        if told.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Told {
    fn take(&mut self, round: usize, seed: u64, fingerprint: u64, figures: &Figures) {
        if round == 0 {
            self.figures.add(figures);
            self.fingerprints.insert(seed, fingerprint);
        } else if self.fingerprints.get(&seed).is_some_and(|before| *before != fingerprint) {
            let why = "two runs of it differ".to_owned();
            self.failed(&Failure { seed, why, trace: Vec::new() });
        }
    }

    fn failed(&mut self, failure: &Failure) {
        if self.failures.iter().all(|known| known.seed != failure.seed) {
            self.failures.push(failure.clone());
        }
    }
}
