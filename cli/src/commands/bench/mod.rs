//! `braid bench`: the engine under load.

mod bank;
mod counter;
mod crew;
mod ledger;
mod long_reader;
mod report;
mod seconds;
mod skew;
mod teller;

use crate::exit::Result;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Bank(bank::Args),
    Counter(counter::Args),
    LongReader(long_reader::Args),
    Skew(skew::Args),
}

pub(crate) fn run(command: &Command) -> Result {
    match command {
        Command::Bank(args) => bank::run(args),
        Command::Counter(args) => counter::run(args),
        Command::LongReader(args) => long_reader::run(args),
        Command::Skew(args) => skew::run(args),
    }
}
