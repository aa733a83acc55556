//! Braid beside its rivals: the same work at the same durability, in turns, each cell in a process of its own.
#![cfg_attr(
    not(feature = "all"),
    allow(dead_code, reason = "some of what engines are told and given is for rivals")
)]

mod cell;
mod engine;
mod engines;
mod measure;
mod pattern;
mod process;
mod processor;
mod raw;
mod report;
mod rows;
mod runner;
mod tasks;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::engine::Failure;

const EXAMPLES: &str = "Examples:
  braid-compare run --short                        every engine in the short form's cells
  braid-compare run bank ycsb --engines braid,lmdb two kinds of work, two engines
  braid-compare run --resume --rounds 10           five rounds more, or what Ctrl-C left
  braid-compare syncs                              who syncs before it acknowledges";

#[derive(Debug, Parser)]
#[command(about, version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs cells with engines in turns, each in a process of its own, and keeps their readings in CSV files
    Run(runner::Arguments),
    /// Counts, with strace, each engine's syncs, and tells whether it syncs before it acknowledges
    Syncs(runner::syncs::Arguments),
    /// Shows the engines that were built in, and the cells
    List,
    /// Runs one cell with one engine in this process, and prints its readings
    Cell(runner::one::Arguments),
    /// Commits, with a mark after each, to be traced
    #[command(hide = true)]
    Probe(runner::syncs::Probe),
    /// Tells what asking for a priority comes to
    #[command(hide = true)]
    Priority { asked: process::Priority },
    /// The second process of a cell that needs one
    #[command(hide = true)]
    HelpCell {
        #[arg(value_enum)]
        task: workloads::helper::Task,
        engine: String,
        rows: u64,
        #[arg(long)]
        cache_bytes: usize,
        #[arg(long)]
        dir: PathBuf,
    },
    /// Makes tables, plots and one page of what was measured
    Report(report::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => runner::run(&arguments),
        Command::Syncs(arguments) => runner::syncs::run(&arguments),
        Command::List => {
            print!("{}", runner::listing(engines::ALL, &workloads::all()));
            Ok(())
        }
        Command::Cell(arguments) => runner::one::run(arguments),
        Command::Probe(arguments) => runner::syncs::probe(arguments),
        Command::Priority { asked } => {
            println!("{}", asked.try_out());
            Ok(())
        }
        Command::HelpCell { task, engine, rows, cache_bytes, dir } => {
            runner::plan::engine(engines::ALL, &engine)
                .map_err(Failure::from)
                .and_then(|kind| workloads::helper::run(task, kind, &dir, rows, cache_bytes))
        }
        Command::Report(arguments) => report::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Broken(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        Err(Failure::Conflict) => {
            eprintln!("error: a transaction lost a conflict where none can be");
            ExitCode::FAILURE
        }
    }
}
