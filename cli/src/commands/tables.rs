//! `braid tables`: what the database holds.

use std::path::PathBuf;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{count, say, table};

/// Lists the tables and how many rows each has
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::read_only(&args.path)?;
    let snapshot = db.snapshot()?;
    let mut rows = Vec::new();
    for name in db.tables()? {
        if let Some(table) = db.existing_table(&name)? {
            rows.push([name, count(snapshot.count(&table)?)]);
        }
    }
    say(&table(["table", "rows"], [false, true], rows))?;
    Ok(Code::Done)
}
