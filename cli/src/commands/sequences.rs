//! `braid sequences`: how far the sequences have come, and raising them where rows with their ids come from elsewhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use braid::{Database, SequenceOptions};
use serde_json::{Value, json};

use crate::commands::open;
use crate::exit::{Code, Failure, Result};
use crate::output::{say, stdout, table};

/// How much is read of a list.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Lists the sequences, or raises them
///
/// NEXT is the first id that was not reserved: neither it nor any above was ever given out. Give a database that gets the
/// rows of another one its sequences too, or it gives out ids that are in those rows:
///
///   braid sequences OLD --json | braid sequences NEW --raise-from -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The database; not a byte of it is changed unless something is raised
    path: PathBuf,
    /// Have NAME give out no id below NEXT. It is made where it does not exist, and never lowered. May be given many times
    #[arg(long, value_name = "NAME=NEXT", value_parser = name_and_next)]
    raise: Vec<(String, u64)>,
    /// The same for each line of a file that --json wrote, `-` for standard input
    #[arg(long, value_name = "FILE")]
    raise_from: Option<PathBuf>,
    /// As JSON lines: {"name":NAME,"next":NEXT}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut raise = args.raise.clone();
    if let Some(file) = &args.raise_from {
        raise.extend(listed(file)?);
    }
    if raise.is_empty() && args.raise_from.is_none() {
        return list(&open::read_only(&args.path)?, args.json);
    }
    let db = open::existing(&args.path)?;
    for (name, next) in &raise {
        let made = SequenceOptions { start: *next, ..SequenceOptions::default() };
        db.sequence_with(name, made)?.raise_to(*next)?;
    }
    let done = list(&db, args.json);
    db.close()?;
    done
}

fn list(db: &Database, as_json: bool) -> Result {
    let all = positions(db)?;
    if as_json {
        let mut out = stdout();
        for (name, next) in all {
            writeln!(out, "{}", json!({"name": name, "next": next}))?;
        }
        out.flush()?;
    } else {
        let rows = all.into_iter().map(|(name, next)| [name, next.to_string()]).collect();
        say(&table(["sequence", "next"], [false, true], rows))?;
    }
    Ok(Code::Done)
}

/// Each sequence and its first id that was not reserved.
pub(super) fn positions(db: &Database) -> Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for name in db.sequences()? {
        if let Some(next) = db.unreserved_id(&name)? {
            all.push((name, next));
        }
    }
    Ok(all)
}

/// The lines of a file that `--json` wrote. Nothing is raised unless all of them can be read.
fn listed(file: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |error: io::Error| Failure::file(file, &error);
    let input: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(failed)?)
    };
    let mut text = String::new();
    let read = input.take(MAX_LIST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MAX_LIST_BYTES {
        return Err(bad(format!("{} is larger than 64 MiB", file.display())));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(at, line)| {
        let what =
            || bad(format!("line {} of {} does not name a sequence and its next id", at + 1, file.display()));
        let value: Value = serde_json::from_str(line).map_err(|_| what())?;
        let name = value.get("name").and_then(Value::as_str);
        let next = value.get("next").and_then(Value::as_u64);
        name.map(str::to_owned).zip(next).ok_or_else(what)
    });
    parsed.collect()
}

fn bad(message: String) -> Failure {
    Failure::new(Code::DataProblem, message, "make the list with `braid sequences DB --json`")
}

/// What `--raise` is given. A name may hold an equals sign, a number does not.
fn name_and_next(text: &str) -> std::result::Result<(String, u64), String> {
    let (name, next) = text.rsplit_once('=').ok_or("it has the form NAME=NEXT")?;
    Ok((name.to_owned(), next.parse().map_err(|_| "NEXT is a number from 0 to 18446744073709551615")?))
}
