//! The command `run`: rounds of cells.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cell::{Cell, Size};
use crate::engine::{Kind, Result};
use crate::process::Priority;
use crate::runner::child::{self, Finished, INTERRUPTED};
use crate::runner::csv::Table;
use crate::runner::plan;
use crate::runner::progress::{Progress, number, words};
use crate::{engines, workloads};

/// Above this share of the machine, what others did disturbs a run.
const POLLUTED: f64 = 0.10;

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
    /// How often a run is tried again during which others used a tenth of the machine; the least disturbed counts
    #[arg(long, default_value_t = 0, value_name = "N")]
    patience: u32,
    /// How the scheduler treats the engines' threads, where the system allows it
    #[arg(long, value_enum, default_value = "nice")]
    priority: Priority,
}

impl Arguments {
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

/// Where a run is: which piece of which round.
#[derive(Clone, Copy)]
struct Turn<'a> {
    round: u32,
    cell: &'a Cell,
    kind: Kind,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kinds = plan::engines(engines::ALL, &arguments.engines)?;
    let cells = plan::cells(workloads::all(), &arguments.prefixes, arguments.short)?;
    std::fs::create_dir_all(&arguments.out)?;
    let mut results = Results::open(&arguments.out)?;
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))?;
    let turns = turns(&kinds, &cells, arguments.rounds());
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
        let began = progress.elapsed();
        let outcome = least_polluted(turn, arguments);
        if INTERRUPTED.load(Ordering::Relaxed) {
            eprintln!("interrupted; what was measured before is in the results");
            break;
        }
        match outcome {
            Ok(finished) => {
                eprintln!("{}", first_reading(turn.cell, &finished));
                results.add(turn, &finished)?;
            }
            Err(reason) => {
                failed += 1;
                eprintln!("failed: {reason}");
                results.fail(turn, &reason)?;
            }
        }
        progress.done(&turn.cell.name, turn.kind.name, progress.elapsed() - began);
    }
    if failed > 0 {
        Err(format!("{failed} runs of cells failed; failures.csv says why").into())
    } else {
        Ok(())
    }
}

/// All pieces in their order: round by round, cell by cell, the engines in another order in each round.
fn turns<'a>(kinds: &[Kind], cells: &'a [Cell], rounds: u32) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    for round in 1..=rounds {
        for cell in cells {
            for kind in plan::rotated(kinds, round as usize - 1) {
                if plan::fits(&kind, cell) {
                    turns.push(Turn { round, cell, kind });
                }
            }
        }
    }
    turns
}

fn least_polluted(turn: &Turn<'_>, arguments: &Arguments) -> std::result::Result<Finished, String> {
    let mut best = once(turn, arguments)?;
    for _ in 0..arguments.patience {
        if best.shares.others <= POLLUTED || INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
        // A repetition that fails changes nothing about the one that did not.
        if let Ok(next) = once(turn, arguments)
            && next.shares.others < best.shares.others
        {
            best = next;
        }
    }
    Ok(best)
}

/// Runs the piece in a process of its own, on an empty directory that is gone afterwards.
fn once(turn: &Turn<'_>, arguments: &Arguments) -> std::result::Result<Finished, String> {
    let place = arguments.dir.join(format!("run-{}", std::process::id()));
    let dir = place.join("engine");
    std::fs::create_dir_all(&dir).map_err(|error| format!("no directory for it: {error}"))?;
    let outcome = in_directory(turn, arguments, &dir);
    if let Err(error) = std::fs::remove_dir_all(&place) {
        eprintln!("what it wrote could not be removed: {error}");
    }
    outcome
}

fn in_directory(turn: &Turn<'_>, arguments: &Arguments, dir: &Path) -> std::result::Result<Finished, String> {
    let size = arguments.size();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["cell", turn.kind.name, &turn.cell.name, "--priority", arguments.priority.name()]);
    command.args(["--seconds", &size.seconds.to_string(), "--percent", &size.percent.to_string()]);
    command.arg("--dir").arg(dir);
    child::run(&mut command, Duration::from_secs_f64(20.0 * size.seconds + 120.0))
}

/// The number to show while it goes on.
fn first_reading(cell: &Cell, finished: &Finished) -> String {
    let Finished { readings, shares, .. } = finished;
    let shown = readings.iter().find(|reading| reading.metric == cell.primary).or(readings.first());
    let shown =
        shown.map_or_else(String::new, |it| format!("{} {} {}", it.metric, number(it.value), it.unit));
    let mark = if shares.others > POLLUTED { ", polluted" } else { "" };
    format!("{shown} (others {:.0} %{mark})", shares.others * 100.0)
}

/// The files of results.
struct Results {
    readings: Table,
    failures: Table,
}

impl Results {
    fn open(out: &Path) -> Result<Self> {
        Ok(Self {
            readings: Table::append(
                &out.join("results.csv"),
                "round,engine,cell,group,threads,durability,metric,value,unit,better,primary,others,polluted,\
                 peak_memory_bytes",
            )?,
            failures: Table::append(&out.join("failures.csv"), "round,engine,cell,reason")?,
        })
    }

    fn add(&mut self, turn: &Turn<'_>, finished: &Finished) -> Result<()> {
        let Turn { round, cell, kind } = turn;
        let (round, threads) = (round.to_string(), cell.threads.to_string());
        let durability = match cell.durability {
            crate::engine::Durability::Durable => "durable",
            crate::engine::Durability::Deferred => "deferred",
        };
        let others = format!("{:.4}", finished.shares.others);
        let polluted = (finished.shares.others > POLLUTED).to_string();
        let peak = finished.peak_memory_bytes.map_or_else(String::new, |bytes| bytes.to_string());
        let values: Vec<_> = finished.readings.iter().map(|reading| reading.value.to_string()).collect();
        self.readings.add(finished.readings.iter().zip(&values).map(|(reading, value)| {
            let primary = if reading.metric == cell.primary { "true" } else { "false" };
            vec![
                round.as_str(),
                kind.name,
                &cell.name,
                cell.group,
                &threads,
                durability,
                &reading.metric,
                value,
                &reading.unit,
                reading.better.name(),
                primary,
                &others,
                &polluted,
                &peak,
            ]
        }))?;
        Ok(())
    }

    fn fail(&mut self, turn: &Turn<'_>, reason: &str) -> Result<()> {
        let round = turn.round.to_string();
        self.failures.add([vec![round.as_str(), turn.kind.name, &turn.cell.name, reason]])?;
        Ok(())
    }
}
