//! The command `run`: rounds of cells.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use braid_measure::machine::DISTURBED;
use braid_measure::number;

use crate::cell::{Cell, Size};
use crate::engine::{Durability, Kind, Result};
use crate::process::Priority;
use crate::runner::child::{self, Failure, Finished, INTERRUPTED};
use crate::runner::progress::{Progress, words};
use crate::runner::results::{Results, Turn};
use crate::runner::{facts, plan};
use crate::{engines, workloads};

/// What to measure, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Beginnings of cells' names, such as `bank` or `commits-durable-8`; all cells if none is given
    #[arg(value_name = "CELL-PREFIX")]
    prefixes: Vec<String>,
    /// Engines, with commas between them; all that were built in if none is given
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    engines: Vec<String>,
    /// How often each cell is run with each engine; 3 with --short, 5 without
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// How long a measurement runs that runs for a time; 1 with --short, 3 without
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Size of the tables, of what the cells are described with; 10 with --short, 100 without
    #[arg(long, value_name = "P")]
    percent: Option<u64>,
    /// Only the cells of the short form, and smaller
    #[arg(long)]
    short: bool,
    /// Where the databases are made, and removed: a directory on the disk to be measured
    #[arg(long, default_value = "target/compare/data")]
    dir: PathBuf,
    /// Where the results go
    #[arg(long, default_value = "target/compare/results")]
    out: PathBuf,
    /// Goes on with the results that are there: what they hold is not run again
    #[arg(long)]
    resume: bool,
    /// How often a run is tried again during which others used a tenth of the machine; the least disturbed counts
    #[arg(long, default_value_t = 0, value_name = "N")]
    patience: u32,
    /// After how many seconds a run is killed and counts as failed, and is left out of later rounds; 20 times --seconds
    /// and two minutes if not given
    #[arg(long, value_name = "S")]
    limit: Option<f64>,
    /// How the scheduler treats the engines' threads, where the system allows it
    #[arg(long, value_enum, default_value = "auto")]
    priority: Priority,
}

impl Arguments {
    fn limit(&self) -> Duration {
        let seconds = self.limit.unwrap_or(20.0 * self.size().seconds + 120.0);
        // What is no length of time is no limit.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.short { 3 } else { 5 })
    }

    fn size(&self) -> Size {
        Size {
            seconds: self.seconds.unwrap_or(if self.short { 1.0 } else { 3.0 }),
            percent: self.percent.unwrap_or(if self.short { 10 } else { 100 }),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kinds = plan::engines(engines::ALL, &arguments.engines)?;
    let cells = plan::cells(workloads::all(), &arguments.prefixes, arguments.short)?;
    let mut results = Results::open(&arguments.out, arguments.resume)?;
    std::fs::create_dir_all(&arguments.dir)?;
    write_facts(arguments, &kinds)?;
    child::stop_on_interrupt()?;
    let mut turns = turns(&kinds, &cells, arguments.rounds());
    turns.retain(|turn| !results.has(turn));
    let mut progress = Progress::new();
    let mut failed = 0;
    for (index, turn) in turns.iter().enumerate() {
        let rest = turns.iter().skip(index).map(|turn| (turn.cell.name.as_str(), turn.kind.name));
        eprint!(
            "round {} of {} · {} of {} · {}, {} left · {} {} … ",
            turn.round,
            arguments.rounds(),
            index + 1,
            turns.len(),
            words(progress.elapsed()),
            words(progress.estimate(rest)),
            turn.cell.name,
            turn.kind.name,
        );
        if results.is_too_long(turn) {
            eprintln!("left out, as it was not done within the limit");
            progress.done(&turn.cell.name, turn.kind.name, Duration::ZERO);
            continue;
        }
        let began = progress.elapsed();
        match least_polluted(turn, arguments) {
            Ok((finished, tries)) => {
                eprintln!("{}", first_reading(turn.cell, &finished));
                results.add(turn, &finished, tries)?;
            }
            // Its end says nothing about the engine.
            Err(_) if INTERRUPTED.load(Ordering::Relaxed) => eprintln!(),
            Err(failure) => {
                failed += 1;
                eprintln!("failed: {failure}");
                results.fail(turn, &failure)?;
            }
        }
        progress.done(&turn.cell.name, turn.kind.name, progress.elapsed() - began);
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err("interrupted: what was measured before is kept, and --resume goes on after it".into());
        }
    }
    if failed > 0 {
        Err(format!("{failed} runs of cells failed; failures.csv says why").into())
    } else {
        Ok(())
    }
}

/// Writes down what the results are of, before there are any.
fn write_facts(arguments: &Arguments, kinds: &[Kind]) -> Result<()> {
    let size = arguments.size();
    let mut facts = facts::common(&arguments.dir);
    facts.extend([
        ("command", facts::command_line(std::env::args())),
        ("rounds", arguments.rounds().to_string()),
        ("seconds", size.seconds.to_string()),
        ("percent", size.percent.to_string()),
        ("priority in durable cells", priority(arguments, Durability::Durable)?),
        ("priority in other cells", priority(arguments, Durability::Deferred)?),
    ]);
    let out = kinds.iter().filter(|kind| kind.facts.durable.is_none()).map(|kind| kind.name);
    let out = out.collect::<Vec<_>>().join(", ");
    if !out.is_empty() {
        eprintln!(
            "left out of durable cells, for want of a setting that syncs before it acknowledges: {out}"
        );
        facts.push(("left out of durable cells", out));
    }
    facts::write(&arguments.out.join("machine.txt"), &facts)?;
    facts::write_engines(&arguments.out.join("engines.csv"), kinds)
}

/// What asking for the priority comes to here, tried by a process that does nothing else.
fn priority(arguments: &Arguments, durability: Durability) -> Result<String> {
    let asked = arguments.priority.of(durability);
    let mut command = Command::new(std::env::current_exe()?);
    let said = child::output(command.args(["priority", asked.name()]), Duration::from_secs(10))?;
    Ok(said.trim().to_owned())
}

/// All pieces in their order: round by round, cell by cell, and with each cell and each round another engine first, so that in
/// one round alone none is always the first or the second after a pause or after another.
fn turns<'a>(kinds: &[Kind], cells: &'a [Cell], rounds: u32) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    for round in 1..=rounds {
        for (place, cell) in cells.iter().enumerate() {
            for kind in plan::rotated(kinds, place + round as usize - 1) {
                if plan::fits(&kind, cell) {
                    turns.push(Turn { round, cell, kind });
                }
            }
        }
    }
    turns
}

/// The run during which others did least, and how many it is of.
fn least_polluted(turn: &Turn<'_>, arguments: &Arguments) -> std::result::Result<(Finished, u32), Failure> {
    let (mut best, mut tries) = (once(turn, arguments)?, 1);
    while best.shares.others > DISTURBED
        && tries <= arguments.patience
        && !INTERRUPTED.load(Ordering::Relaxed)
    {
        tries += 1;
        // A repetition that fails changes nothing about the one that did not.
        if let Ok(next) = once(turn, arguments)
            && next.shares.others < best.shares.others
        {
            best = next;
        }
    }
    Ok((best, tries))
}

/// Runs the piece in a process of its own, on an empty directory that is gone afterwards.
fn once(turn: &Turn<'_>, arguments: &Arguments) -> std::result::Result<Finished, Failure> {
    let place = arguments.dir.join(format!("run-{}", std::process::id()));
    let dir = place.join("engine");
    // There may be one of an earlier process of this id that was killed.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&dir).map_err(|error| format!("no directory for it: {error}"))?;
    let outcome = in_directory(turn, arguments, &dir);
    if let Err(error) = std::fs::remove_dir_all(&place) {
        eprintln!("what it wrote could not be removed: {error}");
    }
    outcome
}

fn in_directory(
    turn: &Turn<'_>,
    arguments: &Arguments,
    dir: &Path,
) -> std::result::Result<Finished, Failure> {
    let size = arguments.size();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["cell", turn.kind.name, &turn.cell.name, "--priority", arguments.priority.name()]);
    command.args(["--seconds", &size.seconds.to_string(), "--percent", &size.percent.to_string()]);
    command.arg("--dir").arg(dir);
    child::run(&mut command, arguments.limit())
}

/// The number to show while it goes on.
fn first_reading(cell: &Cell, finished: &Finished) -> String {
    let Finished { readings, shares, .. } = finished;
    let shown = readings.iter().find(|reading| reading.metric == cell.primary).or(readings.first());
    let shown =
        shown.map_or_else(String::new, |it| format!("{} {} {}", it.metric, number(it.value), it.unit));
    let mark = if shares.others > DISTURBED { ", polluted" } else { "" };
    format!("{shown} (others {:.0} %{mark})", shares.others * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_first_in_some_round_and_what_cannot_be_is_left_out() {
        let able = engines::ALL[0];
        let mut unable = able;
        (unable.name, unable.facts.durable) = ("unable", None);
        let cells: Vec<_> = workloads::all().into_iter().filter(|cell| cell.name.ends_with("-8")).collect();
        let turns = turns(&[able, unable], &cells, 2);
        let of = |round, name: &str| -> Vec<_> {
            let turns = turns.iter().filter(|turn| turn.round == round && turn.cell.name == name);
            turns.map(|turn| turn.kind.name).collect()
        };
        assert_eq!(of(1, "commits-durable-8"), ["braid"]);
        assert_eq!(of(1, "commits-deferred-8"), ["braid", "unable"]);
        assert_eq!(of(2, "commits-deferred-8"), ["unable", "braid"]);
    }
}
