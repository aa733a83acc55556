//! `crash-states`: every state that a crash of some workloads may leave.

use std::process::ExitCode;

use clap::Args;

use crate::jobs::default_jobs;
use crate::progress::bar;
use crate::states::{Search, StatePath, Workload};

/// Opens and judges what crashes leave of recorded workloads, and of the recoveries from such crashes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many different states to see.
    #[arg(long, default_value_t = 500_000)]
    states: u64,
    /// The first variation of each workload.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One workload instead of all.
    #[arg(long)]
    workload: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// Fail unless one variation of each workload was gone through to its end.
    #[arg(long)]
    complete: bool,
    /// One state of one workload, as a failure names it.
    #[arg(long, requires = "workload")]
    state: Option<StatePath>,
}

impl Arguments {
    pub(super) fn run(&self) -> ExitCode {
        match self.search() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn search(&self) -> Result<ExitCode, String> {
        let workload = self.workload.as_ref().map(|name| Workload::named(name, self.seed)).transpose()?;
        if let (Some(workload), Some(path)) = (workload, &self.state) {
            Search::rerun(workload, path)?;
            println!("states=1 failures=0");
            return Ok(ExitCode::SUCCESS);
        }
        let search = Search {
            seed: self.seed,
            states: self.states,
            jobs: self.jobs,
            workload: workload.map(|workload| workload.name),
        };
        let bar = bar(self.states, "crash states");
        let figures = search.run(&bar);
        bar.finish_and_clear();
        for failure in figures.failures.iter().take(20) {
            eprintln!("{failure}");
        }
        println!(
            "complete={} of {} workloads: every moment of one variation, with everything kept, nothing, every cut and some subsets",
            figures.complete, figures.names
        );
        println!(
            "workloads={} moments={} recoveries={} tried={} states={} of_recoveries={} failures={}",
            figures.workloads,
            figures.moments,
            figures.recoveries,
            figures.tried,
            figures.states,
            figures.of_recoveries,
            figures.failures.len()
        );
        let complete = figures.complete == figures.names || !self.complete;
        let proven = figures.failures.is_empty() && figures.states >= self.states && complete;
        Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
