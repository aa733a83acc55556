//! The commands: one module each, with its arguments and `main`, which says whether all was well.

mod planted;

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
    Planted(planted::Arguments),
}

impl Arguments {
    /// Does what was asked.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Planted(arguments) => arguments.run(),
        }
    }
}
