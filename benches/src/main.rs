//! Figures of the engine, each with its machine, its spread and a check that the work was really done.
//!
//! `figures` runs every cell in a process of its own, on a fresh database, in rounds: so a slow minute of the machine
//! falls on all of them and not on one. A cell verifies what it did before it says how fast that was. How much of the
//! machine others used meanwhile is measured too, and a cell that was disturbed is marked.
#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures the real machine, and its results are numbers for people"
)]

mod cell;
mod cells;
mod executor;
mod figures;
mod measure;
mod report;
mod rows;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What goes wrong here ends the cell; nobody branches on it.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(about = "Figures of the Braid engine")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures cells and prints a table in Markdown; progress goes to the standard error.
    Figures(figures::Arguments),
    /// Lists the cells.
    List,
    /// Repeats one operation, for profilers: perf, callgrind, strace.
    Work(work::Arguments),
    /// One cell, once, in this process; prints a reading a line.
    #[command(hide = true)]
    Cell {
        name: String,
        #[command(flatten)]
        size: cell::Size,
        #[arg(long)]
        dir: PathBuf,
    },
    /// Commits, says so, and waits to be killed.
    #[command(hide = true)]
    Victim(cells::reopen::Victim),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Figures(arguments) => figures::run(&arguments),
        Command::List => {
            for cell in cells::ALL {
                println!("{:<28} {}", cell.name, cell.about);
            }
            Ok(())
        }
        Command::Work(arguments) => work::run(&arguments),
        Command::Cell { name, size, dir } => cell::run(&name, size, dir),
        Command::Victim(victim) => victim.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
