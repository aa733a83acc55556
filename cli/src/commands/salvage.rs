//! `braid salvage`: what is still readable of a damaged database, into a new one.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Failure, Result, ends};
use crate::output::{count, facts, printable, say};
use crate::progress;

/// Saves what is readable of a damaged database into a new file, and lists what is not
///
/// Where the way to rows is damaged, the file is searched for pages that hold them: rows found without a parent. Where it
/// cannot be told which of those are in use, they may be older than the last checkpoint, or deleted, and the list says so.
///
/// Where it fails or is interrupted, `OUT` and `OUT-wal` stay as far as they came: remove both before another try.
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
    let report = report.map_err(|error| {
        Failure::from(error).advise_also("remove OUT and OUT-wal, if they were made, before another try")
    })?;
    let lost: String = report.losses.iter().map(|loss| format!("lost: {}\n", printable(loss))).collect();
    let found = match (report.rows_without_parent, report.may_be_old) {
        (0, _) | (_, false) => count(report.rows_without_parent),
        (found, true) => {
            format!("{}, which may be older than the last checkpoint, or deleted", count(found))
        }
    };
    let more = if report.more_lost_rows { ", and maybe more: how many is unknown" } else { "" };
    let lost_rows = format!("{}{more}", count(report.lost_rows));
    let kept = facts([
        ("kept in", args.out.display().to_string()),
        ("tables", count(report.tables)),
        ("rows of the file", count(report.rows)),
        ("of these found without a parent", found),
        ("commits of the log", count(report.commits)),
        ("rows known lost", lost_rows),
        ("losses", count(report.losses.len() as u64 + report.more_losses)),
    ]);
    let code = if report.losses.is_empty() { Code::Done } else { Code::DataProblem };
    ends(say(&format!("{lost}{kept}")), code)
}
