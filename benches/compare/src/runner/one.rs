//! The command `cell`: one piece of work in this process.

use std::path::PathBuf;
use std::time::Duration;

use crate::cell::{Context, Size};
use crate::engine::{Durability, Result};
use crate::process::{self, Priority};
use crate::raw::RawLog;
use crate::runner::{child, plan};
use crate::{engines, workloads};

/// How long the disk alone is measured, before a durable cell and after it.
const RAW_SLICE: Duration = Duration::from_millis(300);

/// Which cell, with which engine.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    engine: String,
    cell: String,
    /// An empty directory for the engine's files
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    size: Size,
    /// How the scheduler treats its threads, where the system allows it
    #[arg(long, value_enum, default_value = "none")]
    priority: Priority,
}

/// Prints the readings, one a line.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let Arguments { engine, cell, dir, size, priority } = arguments;
    let kind = plan::engine(engines::ALL, &engine)?;
    let cell = plan::cell(workloads::all(), &cell)?;
    if !plan::fits(&kind, &cell) {
        return Err(format!("{engine} has no setting that syncs before it acknowledges").into());
    }
    process::die_with_parent();
    // Where the system does not allow it, the facts of the run say so.
    let _ = priority.of(cell.durability).set();
    let mut raw = match cell.durability {
        Durability::Durable => Some(RawLog::beside(&dir)?),
        Durability::Deferred => None,
    };
    if let Some(raw) = &mut raw {
        raw.run(RAW_SLICE)?;
    }
    let mut readings = (cell.run)(&Context { kind, dir, size, settings: cell.settings() })?.0;
    if let Some(mut raw) = raw {
        raw.run(RAW_SLICE)?;
        readings.push(raw.finish()?);
    }
    for reading in readings {
        println!("{}", reading.to_line());
    }
    if let Some(bytes) = process::peak_memory_bytes() {
        println!("{}", child::peak_line(bytes));
    }
    Ok(())
}
