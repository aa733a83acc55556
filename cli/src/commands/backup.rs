//! `braid backup`: a copy as of one moment.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{bytes, count, facts, say};
use crate::progress;

/// Copies a database, as of now, into a new file
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    /// The copy; it must not exist yet
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    open::absent(&args.out)?;
    let db = open::read_only(&args.path)?;
    let spinner = progress::spinner("backing up");
    let report = db.backup(&args.out);
    spinner.finish_and_clear();
    let report = report?;
    say(&facts([
        ("copy", args.out.display().to_string()),
        ("as of commit", report.timestamp.to_string()),
        ("tables", count(report.tables)),
        ("rows", count(report.rows)),
        ("size", bytes(report.bytes)),
    ]))?;
    Ok(Code::Done)
}
