//! `braid backup`: a copy as of one moment.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::say;
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
    let _ = report;
    say(&format!("{} holds everything that {} held", args.out.display(), args.path.display()))?;
    Ok(Code::Done)
}
