//! The commands: one module each, with its arguments and `main`, which says whether all was well.

mod crash_states;
mod damage;
mod histories;
mod io_failures;
mod machine;
mod planted;
mod prove;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Proves Braid by simulation.
#[derive(Debug, Parser)]
#[command(name = "braid-sim", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    CrashStates(crash_states::Arguments),
    Damage(damage::Arguments),
    IoFailures(io_failures::Arguments),
    Histories(histories::Histories),
    Prove(prove::Prove),
    Run(run::Run),
    Machine(machine::Arguments),
    Planted(planted::Arguments),
}

impl Arguments {
    /// Does what was asked.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::CrashStates(arguments) => arguments.run(),
            Command::Damage(arguments) => arguments.run(),
            Command::IoFailures(arguments) => arguments.run(),
            Command::Histories(histories) => histories.main(),
            Command::Prove(prove) => prove.main(),
            Command::Run(run) => run.main(),
            Command::Machine(arguments) => arguments.run(),
            Command::Planted(arguments) => arguments.run(),
        }
    }
}
