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

use crate::exit::{Code, Failure, Result, ends};
use crate::output::say;
use crate::progress;

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

/// Tells the report, and what is wrong with the engine by it: no interruption excuses that.
fn finish(report: &str, wrong: &[String], interrupted: bool) -> Result {
    let said = say(report);
    if interrupted {
        progress::note("interrupted; the report is of what was done until then");
    }
    if !wrong.is_empty() {
        return Err(Failure::new(Code::DataProblem, wrong.join("; "), "report it, with the command line"));
    }
    ends(said, if interrupted { Code::Interrupted } else { Code::Done })
}
