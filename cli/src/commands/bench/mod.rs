//! `braid bench`: the engine under load.

mod bank;
mod ledger;
mod report;
mod seconds;
mod teller;

use crate::exit::Result;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Bank(bank::Args),
}

pub(crate) fn run(command: &Command) -> Result {
    match command {
        Command::Bank(args) => bank::run(args),
    }
}
