//! `braid check`: every page and every log record, against its checksum and its neighbours.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result, ends};
use crate::output::{count, plural, printable, say};
use crate::progress;

/// Checks every page of a database; findings end in exit code 1
///
/// No other process may have it open for writing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database; not a byte of it is changed
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::read_only(&args.path)?;
    let bar = progress::bar(0, "checking", false);
    let report = db.check_with(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report?;
    let pages = plural(report.pages, "page");
    if report.is_ok() {
        say(&format!(
            "ok: {}; {pages} of the file with {}, the catalog's among them; the log is whole",
            plural(report.tables, "table"),
            plural(report.rows, "row")
        ))?;
        return Ok(Code::Done);
    }
    let findings: String = report.findings.iter().map(|finding| printable(finding) + "\n").collect();
    let more = match report.more_findings {
        0 => String::new(),
        more => format!("and {} more\n", count(more)),
    };
    let all = report.findings.len() as u64 + report.more_findings;
    let said = say(&format!("{findings}{more}damaged: {} in {pages}", plural(all, "finding")));
    progress::note(
        "hint: restore a backup, or save what is readable into a new file with `braid salvage PATH OUT`",
    );
    ends(said, Code::DataProblem)
}
