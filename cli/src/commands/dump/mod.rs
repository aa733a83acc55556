//! `braid dump`: a table, or the whole database, as JSON lines.

mod line;

use std::io::Write;
use std::path::PathBuf;

use braid::{Database, Error, Snapshot, Table};

use crate::commands::open;
use crate::commands::sequences;
use crate::exit::{Code, Result};
use crate::output::{json_line, stdout};
pub(super) use line::{Head, Line, Totals, text_or_hex};

/// Prints the database, or a table, as JSON lines, in the order of the keys
///
/// Each row is a line {"key":K,"value":V}. K and V are text where the bytes are UTF-8, else {"hex":"..."}.
///
/// Without --table, all tables with their names, then the sequences; the first line names the format and the last one
/// counts, so that `braid load` needs no options and notices a dump that was cut short:
///
///   braid dump OLD | braid load NEW -
///
/// With --table, the rows of that table and nothing else; `braid load --format dump --table T` reads them back.
/// Idempotency tokens and positions of consumers of the change feed are in no dump.
///
/// The dump is of the moment when it began. No program may have the database open for writing; one that tries while the
/// dump is written is refused as `Locked`, until it is done. Others may read.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The database; not a byte of it is changed
    path: PathBuf,
    /// Only this table
    #[arg(long, value_name = "T")]
    table: Option<String>,
    /// Only keys that begin with this
    #[arg(long, value_name = "TEXT", default_value = "", requires = "table")]
    key_prefix: String,
    /// At most so many rows
    #[arg(long, value_name = "N", requires = "table")]
    limit: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::read_only(&args.path)?;
    let mut out = stdout();
    let snapshot = db.snapshot()?;
    if let Some(table) = &args.table {
        let table = existing(&db, table)?;
        let rows = snapshot.range_prefix(&table, &args.key_prefix)?;
        print(&mut out, rows.take(args.limit.unwrap_or(usize::MAX)))?;
    } else {
        whole(&mut out, &db, &snapshot)?;
    }
    out.flush()?;
    Ok(Code::Done)
}

fn existing(db: &Database, name: &str) -> Result<Table> {
    Ok(db.existing_table(name)?.ok_or_else(|| Error::NoSuchTable(name.to_owned()))?)
}

fn whole(out: &mut impl Write, db: &Database, snapshot: &Snapshot) -> Result<()> {
    let head = Head { mode: db.journal_mode(), page_bytes: db.stats().file.page_bytes };
    writeln!(out, "{}", json_line(&Line::Head(head).json()))?;
    let mut totals = Totals::default();
    for name in db.tables()? {
        let table = existing(db, &name)?;
        writeln!(out, "{}", json_line(&Line::Table(name).json()))?;
        totals.tables += 1;
        totals.rows += print(out, snapshot.scan(&table)?)?;
    }
    for (name, next) in sequences::positions(db)? {
        writeln!(out, "{}", json_line(&Line::Sequence { name, next }.json()))?;
        totals.sequences += 1;
    }
    writeln!(out, "{}", json_line(&Line::End(totals).json()))?;
    Ok(())
}

/// Prints rows, and returns how many.
fn print(out: &mut impl Write, rows: impl Iterator<Item = braid::Result<(Vec<u8>, Vec<u8>)>>) -> Result<u64> {
    let mut count = 0;
    for row in rows {
        let (key, value) = row?;
        writeln!(out, "{}", json_line(&Line::Row { key, value }.json()))?;
        count += 1;
    }
    Ok(count)
}
