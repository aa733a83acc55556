//! `damage`: every bit of small databases and their logs flipped at rest, and their files lost, cut and mixed up.

use std::process::ExitCode;

use clap::Args;

use crate::damage::Run;
use crate::jobs::default_jobs;
use crate::progress::bar;

/// Damages small databases at rest in every way, and demands that nothing is lost in silence.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Bytes of a page.
    #[arg(long, default_value_t = 512)]
    page_bytes: usize,
    /// Flip only one bit of so many, and try one of a sixty-fourth as many pieces and lengths.
    #[arg(long, default_value_t = 1)]
    share: u64,
    /// Threads.
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// One group of damage, as a failure names it.
    #[arg(long)]
    group: Option<String>,
    /// One number of that group.
    #[arg(long, requires = "group")]
    number: Option<u64>,
}

impl Arguments {
    pub(super) fn run(&self) -> ExitCode {
        let run = Run {
            page_bytes: self.page_bytes,
            share: self.share,
            jobs: self.jobs,
            only: self.group.clone().map(|group| (group, self.number)),
        };
        let bar = bar(0, "damaged copies");
        let figures = run.run(&bar);
        bar.finish_and_clear();
        for failure in figures.failures.iter().take(20) {
            eprintln!("{failure}");
        }
        println!(
            "bits={} bytes={} pieces={} files={} refused={} noticed={} harmless={} limit={} salvaged={} silent={} failures={}",
            figures.bits,
            figures.bytes,
            figures.pieces,
            figures.files,
            figures.refused,
            figures.noticed,
            figures.harmless,
            figures.limit,
            figures.salvaged,
            figures.silent,
            figures.failures.len()
        );
        if figures.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
