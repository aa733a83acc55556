//! Braid beside its rivals: the same work at the same durability, in turns, each cell in a process of its own.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the real machine")]

mod cell;
mod engine;
mod engines;
mod machine;
mod measure;
mod process;
mod rows;
mod runner;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cell::{Context, Size};
use crate::engine::{Failure, Settings};
use crate::process::Priority;

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs cells with engines in turns, each in a process of its own, and keeps their readings in CSV files
    Run(runner::Arguments),
    /// Shows the engines that were built in, and the cells
    List,
    /// Runs one cell with one engine in this process, and prints its readings
    Cell {
        engine: String,
        cell: String,
        /// An empty directory for the engine's files.
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        size: Size,
        /// How the scheduler treats its threads, where the system allows it
        #[arg(long, value_enum, default_value = "none")]
        priority: Priority,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::List => {
            list();
            Ok(())
        }
        Command::Run(arguments) => runner::run(&arguments),
        Command::Cell { engine, cell, dir, size, priority } => one(&engine, &cell, dir, size, priority),
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

fn one(engine: &str, name: &str, dir: PathBuf, size: Size, priority: Priority) -> engine::Result<()> {
    let kind = runner::engine(engines::ALL, engine)?;
    let cell = runner::cell(workloads::all(), name)?;
    process::die_with_parent();
    if let Err(error) = priority.set() {
        eprintln!("the priority stays as it is: {error}");
    }
    let settings =
        Settings { durability: cell.durability, cache_bytes: cell.cache_bytes, threads: cell.threads };
    for reading in (cell.run)(&Context { kind, dir, size, settings })?.0 {
        println!("{}", reading.to_line());
    }
    if let Some(bytes) = process::peak_memory_bytes() {
        println!("{}", runner::peak_line(bytes));
    }
    Ok(())
}
