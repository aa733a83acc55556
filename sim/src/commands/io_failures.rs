//! `io-failures`: every call to a file fails in every way, once and for good.

use std::process::ExitCode;

use clap::Args;

use crate::failures::Run;
use crate::jobs::default_jobs;
use crate::progress::bar;

/// Lets every call to a file fail in every way while a database is used, and judges what is left.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Try only one case of so many.
    #[arg(long, default_value_t = 1)]
    share: u64,
    /// Threads.
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// One case, as a failure names it.
    #[arg(long)]
    case: Option<u64>,
}

impl Arguments {
    pub(super) fn run(&self) -> ExitCode {
        let run = Run { share: self.share, jobs: self.jobs, only: self.case };
        let bar = bar(0, "failing calls");
        let figures = run.run(&bar);
        bar.finish_and_clear();
        for failure in figures.failures.iter().take(20) {
            eprintln!("{failure}");
        }
        println!(
            "calls={} runs={} errors={} failures={}",
            figures.calls,
            figures.runs,
            figures.errors,
            figures.failures.len()
        );
        if figures.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
