//! Braid beside its rivals: the same work at the same durability, in turns, each cell in a process of its own.

mod cell;
mod engine;
mod engines;
mod machine;
mod measure;
mod report;
mod rows;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cell::{Context, Size};
use crate::engine::{Failure, Settings};

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the engines that were built in, and the cells.
    List,
    /// Runs one cell with one engine in this process, and prints its readings.
    Cell {
        engine: String,
        cell: String,
        /// An empty directory for the engine's files.
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Makes tables, plots and one page of what was measured.
    Report(report::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::List => {
            list();
            Ok(())
        }
        Command::Cell { engine, cell, dir, size } => one(&engine, &cell, dir, size),
        Command::Report(arguments) => report::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Broken(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(Failure::Conflict) => {
            eprintln!("a transaction lost a conflict where none can be");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for kind in engines::ALL {
        println!("{} {}: {}", kind.name, kind.version, kind.facts.writers);
    }
    for cell in workloads::all() {
        println!("{}: {}", cell.name, cell.about);
    }
}

fn one(engine: &str, name: &str, dir: PathBuf, size: Size) -> engine::Result<()> {
    let kind = *engines::ALL
        .iter()
        .find(|kind| kind.name == engine)
        .ok_or("there is no such engine; `list` shows them")?;
    let cells = workloads::all();
    let cell =
        cells.iter().find(|cell| cell.name == name).ok_or("there is no such cell; `list` shows them")?;
    let settings =
        Settings { durability: cell.durability, cache_bytes: cell.cache_bytes, threads: cell.threads };
    for reading in (cell.run)(&Context { kind, dir, size, settings })?.0 {
        println!("{}", reading.to_line());
    }
    Ok(())
}
