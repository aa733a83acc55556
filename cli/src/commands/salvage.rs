//! `braid salvage`: what is still readable of a damaged database, into a new one.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result, ends};
use crate::output::{count, facts, printable, say};
use crate::progress;

/// Saves what is readable of a damaged database into a new file, and lists what is not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The damaged database; not a byte of it is changed
    path: PathBuf,
    /// The new database; it must not exist yet
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    open::present(&args.path)?;
    open::absent(&args.out)?;
    let spinner = progress::spinner("salvaging");
    let report = braid::salvage(&args.path, &args.out);
    spinner.finish_and_clear();
    let report = report?;
    let lost: String = report.losses.iter().map(|loss| format!("lost: {}\n", printable(loss))).collect();
    let kept = facts([
        ("kept in", args.out.display().to_string()),
        ("tables", count(report.tables)),
        ("rows of the file", count(report.rows)),
        ("commits of the log", count(report.commits)),
        ("rows known lost", count(report.lost_rows)),
        ("losses", count(report.losses.len() as u64 + report.more_losses)),
    ]);
    let code = if report.losses.is_empty() { Code::Done } else { Code::DataProblem };
    ends(say(&format!("{lost}{kept}")), code)
}
