//! `braid-sim histories`: random transactions on many threads, through crashes and reopens, and two checkers that judge
//! everything that was read and written.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use braid::vfs::Env;
use clap::Args;
use indicatif::ProgressBar;

use crate::histories::{Figures, Plan, Played, judge, play, play_simulated, save};
use crate::{jobs, progress};

/// Checks histories of concurrent transactions by replay in commit order and by adya.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Histories {
    /// Go on until so many transactions were judged by both.
    #[arg(long, default_value_t = 500_000)]
    transactions: u64,
    /// Begin with this seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Play that seed only. On threads of the system a failure may need some tries to come again; a simulated one
    /// (`--simulated 100`) comes again at once.
    #[arg(long)]
    only: bool,
    /// About so many transactions make a history.
    #[arg(long, default_value_t = 2000)]
    history: u64,
    /// So many transactions in a hundred run in simulations, in which the seed decides what the threads do too.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    simulated: u64,
    /// How many histories play side by side, unless they are simulated.
    #[arg(long, default_value_t = jobs::default_jobs())]
    jobs: usize,
}

/// How a history plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    OfTheSystem,
    Simulated,
}

/// What was done so far.
#[derive(Debug)]
struct Progress {
    bar: ProgressBar,
    total: Mutex<Figures>,
}

impl Progress {
    fn total(&self) -> Figures {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, figures: Figures) {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner) += figures;
        self.bar.inc(figures.transactions);
    }
}

impl Histories {
    /// Plays and judges, and says whether all was well.
    #[must_use]
    pub(super) fn main(self) -> ExitCode {
        let progress =
            Progress { bar: progress::bar(self.transactions, "transactions"), total: Mutex::default() };
        let failures = if self.only {
            let threads = if self.simulated == 100 { Threads::Simulated } else { Threads::OfTheSystem };
            self.play(threads, self.seed..self.seed + 1, &progress)
        } else {
            // Not at the same time: a simulation wants the process for itself.
            let of_the_system = self.transactions - self.transactions * self.simulated / 100;
            let failures = self.play_until(of_the_system, Threads::OfTheSystem, &progress);
            failures + self.play_until(self.transactions, Threads::Simulated, &progress)
        };
        progress.bar.finish_and_clear();
        let Figures { transactions, replayed, histories, mixed, crashes, unknown, busy } = progress.total();
        println!(
            "transactions={transactions} replayed={replayed} histories={histories} mixed={mixed} crashes={crashes} unknown={unknown} busy={busy} failures={failures}"
        );
        if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Plays seed after seed until so many transactions were checked, or one fails.
    fn play_until(self, transactions: u64, threads: Threads, progress: &Progress) -> usize {
        let mut next = self.seed;
        loop {
            let missing = transactions.saturating_sub(progress.total().transactions);
            if missing == 0 {
                return 0;
            }
            let end = next + missing.div_ceil(self.history.max(1));
            let failures = self.play(threads, next..end, progress);
            if failures > 0 {
                return failures;
            }
            next = end;
        }
    }

    fn play(self, threads: Threads, seeds: Range<u64>, progress: &Progress) -> usize {
        let jobs = if threads == Threads::Simulated { 1 } else { self.jobs };
        let failures = jobs::run_all(seeds, jobs, &ProgressBar::hidden(), |seed| {
            let plan = Plan::of(seed, self.history);
            let played = match threads {
                Threads::OfTheSystem => play(&plan, &Env::with_files),
                Threads::Simulated => play_simulated(&plan).unwrap_or_else(|failure| Played {
                    troubles: vec![failure.to_string()],
                    ..Played::default()
                }),
            };
            let figures = judge(&plan, &played).inspect_err(|why| {
                progress.bar.suspend(|| self.tell(threads, &plan, &played, why));
            })?;
            progress.add(figures);
            Ok(())
        });
        failures.len()
    }

    fn tell(self, threads: Threads, plan: &Plan, played: &Played, why: &str) {
        let (seed, history) = (plan.seed, self.history);
        eprintln!("seed {seed}: {}", why.chars().take(4000).collect::<String>());
        match save(plan, played, why) {
            Ok(path) => eprintln!("the history is in {}", path.display()),
            Err(error) => eprintln!("the history could not be written: {error}"),
        }
        let simulated = if threads == Threads::Simulated { " --simulated 100" } else { "" };
        eprintln!("again: braid-sim histories --only --seed {seed} --history {history}{simulated}");
    }
}
