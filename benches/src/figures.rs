//! The command `figures`: rounds of cells, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use braid_measure::machine::{self, DISTURBED, Usage};

use crate::Result;
use crate::cell::{Cell, Reading, Size};
use crate::cells::ALL;
use crate::report::Report;

/// What to measure, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Cells, or beginnings of their names; all of them if none is given.
    names: Vec<String>,
    /// Where the databases are made; a directory on the disk to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    size: Size,
    /// How often each cell is run.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How often a run that others disturbed is tried again; the least disturbed one counts.
    #[arg(long, default_value_t = 0)]
    patience: u32,
    /// Every reading of every round, for other programs.
    #[arg(long)]
    csv: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cells = chosen(&arguments.names)?;
    for (name, value) in machine::describe(&arguments.dir) {
        println!("- {name}: {value}");
    }
    println!();
    let began = Instant::now();
    let mut report = Report::default();
    let mut failed = 0;
    for round in 1..=arguments.rounds {
        for cell in &cells {
            eprint!(
                "round {round} of {}, {:>4.0} s: {} … ",
                arguments.rounds,
                began.elapsed().as_secs_f64(),
                cell.name
            );
            match least_disturbed(cell, arguments) {
                Ok((readings, others)) => {
                    let first = readings.first().map_or_else(String::new, |first| {
                        format!("{} {:.0} {}", first.metric, first.value, first.unit)
                    });
                    let mark = if others > DISTURBED { ", disturbed" } else { "" };
                    eprintln!("{first} (others {:.0} %{mark})", others * 100.0);
                    report.add(cell.name, readings, others);
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("failed: {error}");
                }
            }
        }
    }
    println!("{}", report.markdown());
    println!(
        "\"others\": the share of the machine that other programs used while the cell ran; \
         ⚠ above {:.0} %.",
        DISTURBED * 100.0
    );
    if let Some(path) = &arguments.csv {
        std::fs::write(path, report.csv())?;
    }
    if failed > 0 { Err(format!("{failed} runs of cells failed").into()) } else { Ok(()) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Cell>> {
    if let Some(unknown) =
        names.iter().find(|name| !ALL.iter().any(|cell| cell.name.starts_with(name.as_str())))
    {
        return Err(format!("there is no cell {unknown}; `list` shows them").into());
    }
    let is_chosen =
        |cell: &&Cell| names.is_empty() || names.iter().any(|name| cell.name.starts_with(name.as_str()));
    Ok(ALL.iter().filter(is_chosen).collect())
}

/// One cell, tried again while others disturb it.
fn least_disturbed(cell: &Cell, arguments: &Arguments) -> Result<(Vec<Reading>, f64)> {
    let mut best = one(cell, arguments)?;
    for _ in 0..arguments.patience {
        if best.1 <= DISTURBED {
            break;
        }
        let again = one(cell, arguments)?;
        if again.1 < best.1 {
            best = again;
        }
    }
    Ok(best)
}

/// One cell in a process of its own, and what others used meanwhile.
fn one(cell: &Cell, arguments: &Arguments) -> Result<(Vec<Reading>, f64)> {
    let dir = arguments.dir.join(format!("braid-figures-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(cell, &arguments.size, &dir);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(cell: &Cell, size: &Size, dir: &Path) -> Result<(Vec<Reading>, f64)> {
    let before = Usage::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["cell", cell.name, "--seconds", &size.seconds.to_string(), "--rows", &size.rows.to_string()])
        .arg("--dir")
        .arg(dir)
        .stderr(Stdio::inherit())
        .output()?;
    let others = Usage::now().zip(before).map_or(0.0, |(after, before)| after.since(&before).others);
    if !output.status.success() {
        return Err(output.status.to_string().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let readings: Option<Vec<_>> = text.lines().map(Reading::from_line).collect();
    Ok((readings.ok_or("a line of output is no reading")?, others))
}
