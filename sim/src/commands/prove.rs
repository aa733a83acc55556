//! `braid-sim prove`: all proofs in one run, and one table of what they came to.

use std::process::ExitCode;
use std::time::Duration;

use braid_vfs::{Clock as _, RealClock};
use clap::Args;
use comfy_table::Table;

use crate::prove::{Level, Outcome, Proof, proofs, run};

/// Runs all proofs and prints what was asked of each and what was done.
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// How much of each.
    #[arg(long, value_enum, default_value = "full")]
    level: Level,
    /// Only the proofs whose name or command holds this word.
    #[arg(long)]
    only: Option<String>,
}

impl Prove {
    pub(super) fn main(&self) -> ExitCode {
        let wanted = |proof: &Proof| {
            let word = self.only.as_deref().unwrap_or_default();
            proof.what.contains(word) || proof.command_line().contains(word)
        };
        let proofs: Vec<_> = proofs(self.level).into_iter().filter(wanted).collect();
        if proofs.is_empty() {
            eprintln!("there is no such proof; leave --only out to see all");
            return ExitCode::FAILURE;
        }
        let clock = RealClock::new();
        let began = clock.now();
        let mut rows = Vec::new();
        for (number, proof) in (1..).zip(&proofs) {
            eprintln!("[{number} of {}] {}: {}", proofs.len(), proof.what, proof.command_line());
            let began = clock.now();
            let outcome = run(proof).unwrap_or_else(|error| Outcome {
                reached: 0,
                failure: Some(format!("it could not be run: {error}")),
            });
            if let Some(failure) = &outcome.failure {
                eprintln!("    FAILED: {failure}");
            }
            rows.push((proof, outcome, clock.now().saturating_sub(began)));
        }
        println!("{}", table(&rows));
        let failures = rows.iter().filter(|(_, outcome, _)| outcome.failure.is_some()).count();
        println!(
            "proofs={} seconds={} failures={failures}",
            rows.len(),
            clock.now().saturating_sub(began).as_secs()
        );
        if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn table(rows: &[(&Proof, Outcome, Duration)]) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::ASCII_MARKDOWN)
        .set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(["figure", "command", "asked", "reached", "of the full run's", "seconds", "verdict"]);
    for (proof, outcome, took) in rows {
        table.add_row([
            proof.what.to_owned(),
            format!("`{}`", proof.command_line()),
            if proof.asked == 0 { "all".to_owned() } else { proof.asked.to_string() },
            outcome.reached.to_string(),
            if proof.target == 0 { "all".to_owned() } else { proof.target.to_string() },
            took.as_secs().to_string(),
            outcome.failure.clone().unwrap_or_else(|| "good".to_owned()),
        ]);
    }
    table
}
