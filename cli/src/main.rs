//! The `braid` command: measure, load, inspect, check and repair Braid databases.
//!
//! It knows only what the crate `braid` offers to everybody. Results go to standard output, everything else (progress,
//! warnings, errors) to standard error; `exit` holds the exit codes.

mod commands;
mod exit;
mod interrupt;
mod output;
mod progress;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{backup, bench, changes, check, compact, dump, load, salvage, sequences, stat, tables};

#[derive(Debug, Parser)]
#[command(name = "braid", version, about, long_about = None, after_help = exit::CODES, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the engine under load
    #[command(subcommand)]
    Bench(bench::Command),
    Load(load::Args),
    Dump(dump::Args),
    Changes(changes::Args),
    Tables(tables::Args),
    Sequences(sequences::Args),
    Stat(stat::Args),
    Check(check::Args),
    Compact(compact::Args),
    Backup(backup::Args),
    Salvage(salvage::Args),
}

fn main() -> ExitCode {
    let result = match &Cli::parse().command {
        Command::Bench(command) => bench::run(command),
        Command::Load(args) => load::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Changes(args) => changes::run(args),
        Command::Tables(args) => tables::run(args),
        Command::Sequences(args) => sequences::run(args),
        Command::Stat(args) => stat::run(args),
        Command::Check(args) => check::run(args),
        Command::Compact(args) => compact::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Salvage(args) => salvage::run(args),
    };
    exit::report(result)
}
