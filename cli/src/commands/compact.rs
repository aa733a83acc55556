//! `braid compact`: gives free space back to the file system.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{bytes, facts, say};
use crate::progress;

/// Rewrites a database so that free pages go back to the file system
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::existing(&args.path)?;
    let spinner = progress::spinner("compacting");
    let report = db.compact();
    spinner.finish_and_clear();
    let report = report?;
    db.close()?;
    let mut lines = vec![
        ("before", bytes(report.bytes_before)),
        ("after", bytes(report.bytes_after)),
        ("given back", bytes(report.bytes_before.saturating_sub(report.bytes_after))),
    ];
    if report.held_bytes > 0 {
        lines.push(("held back", bytes(report.held_bytes)));
    }
    say(&facts(lines))?;
    Ok(Code::Done)
}
