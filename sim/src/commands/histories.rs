//! `braid-sim histories`: random transactions on many threads, through crashes and reopens, and two checkers that judge
//! everything that was read and written.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use braid::vfs::Env;
use clap::Args;
use indicatif::ProgressBar;

use crate::histories::{Figures, Plan, Played, judge, play, save};
use crate::{jobs, progress};

/// Checks histories of concurrent transactions by replay in commit order and by adya.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Histories {
    /// Go on until so many transactions were checked.
    #[arg(long, default_value_t = 500_000)]
    transactions: u64,
    /// Begin with this seed; with `--only`, play it alone.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Play one seed only. Threads are the system's, so a failure may need some tries to come again.
    #[arg(long)]
    only: bool,
    /// About so many transactions make a history.
    #[arg(long, default_value_t = 2000)]
    history: u64,
    /// How many histories play side by side.
    #[arg(long, default_value_t = jobs::default_jobs())]
    jobs: usize,
}

impl Histories {
    /// Plays and judges, and says whether all was well.
    #[must_use]
    pub(super) fn run(self) -> ExitCode {
        let bar = progress::bar(if self.only { 1 } else { self.transactions }, "transactions");
        let total = Mutex::new(Figures::default());
        let mut failures = 0;
        let mut next = self.seed;
        loop {
            let done = total.lock().unwrap_or_else(PoisonError::into_inner).transactions;
            if failures > 0 || (self.only && next > self.seed) || done >= self.transactions {
                break;
            }
            let missing = (self.transactions - done).div_ceil(self.history.max(1));
            let count = if self.only { 1 } else { missing };
            failures += jobs::run_all(next..next + count, self.jobs, &ProgressBar::hidden(), |seed| {
                let figures = self.one(seed, &bar)?;
                bar.inc(figures.transactions);
                *total.lock().unwrap_or_else(PoisonError::into_inner) += figures;
                Ok(())
            })
            .len();
            next += count;
        }
        bar.finish_and_clear();
        let Figures { transactions, histories, crashes, unknown, busy } =
            *total.lock().unwrap_or_else(PoisonError::into_inner);
        println!(
            "transactions={transactions} histories={histories} crashes={crashes} unknown={unknown} busy={busy} failures={failures}"
        );
        if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn one(self, seed: u64, bar: &ProgressBar) -> Result<Figures, String> {
        let plan = Plan::of(seed, self.history);
        let played = play(&plan, &Env::with_files);
        judge(&plan, &played).map_err(|why| {
            bar.suspend(|| self.tell(&plan, &played, &why));
            why
        })?;
        Ok(Figures::of(&played))
    }

    fn tell(self, plan: &Plan, played: &Played, why: &str) {
        let seed = plan.seed;
        eprintln!("seed {seed}: {}", why.chars().take(4000).collect::<String>());
        match save(plan, played, why) {
            Ok(path) => eprintln!("the history is in {}", path.display()),
            Err(error) => eprintln!("the history could not be written: {error}"),
        }
        eprintln!("again: braid-sim histories --only --seed {seed} --history {}", self.history);
    }
}
