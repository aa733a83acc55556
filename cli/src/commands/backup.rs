//! `braid backup`: a copy as of one moment.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{bytes, count, facts, say};
use crate::progress;

/// Copies a database, as of now, into a new file
///
/// No other process may have it open for writing: a program that runs takes its backups itself, with `Database::backup`.
/// One that wants to write meanwhile is refused as `Locked`, until the copy is done. Others may read.
///
/// One that was interrupted leaves `OUT.partial`: remove it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    /// The copy; it must not exist yet
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    open::absent(&args.out)?;
    let db = open::read_only(&args.path).map_err(|failure| {
        failure.advise_on(
            Code::Locked,
            "a running program takes its backups itself, with Database::backup; or end it and try again",
        )
    })?;
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
