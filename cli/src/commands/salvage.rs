//! `braid salvage`: what is still readable of a damaged database, into a new one.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{plural, printable, say};
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
    if !args.path.exists() {
        return Err(braid::Error::NotFound(args.path.clone()).into());
    }
    open::absent(&args.out)?;
    let spinner = progress::spinner("salvaging");
    let report = braid::salvage(&args.path, &args.out);
    spinner.finish_and_clear();
    let report = report?;
    let lost: String = report.lost.iter().map(|lost| format!("lost: {}\n", printable(lost))).collect();
    say(&format!(
        "{lost}{} of {} kept in {}, {} lost",
        plural(report.rows, "row"),
        plural(report.tables, "table"),
        args.out.display(),
        plural(report.lost.len() as u64, "place")
    ))?;
    Ok(if report.lost.is_empty() { Code::Done } else { Code::DataProblem })
}
