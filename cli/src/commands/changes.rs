//! `braid changes`: what was committed, as JSON lines.

use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use braid::{Change, ChangedTable, Changes, Database, Error, Timestamp};
use serde_json::{Value, json};

use crate::commands::dump::text_or_hex;
use crate::commands::open;
use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{json_line, stdout};
use crate::progress::note;

/// How often `--follow` looks whether somebody has committed something and closed the database.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What is to be done where the log was not kept for a consumer.
const LOST: &str = "more was committed than the log is kept for; read the tables with `braid dump`, and have the consumer \
                    forgotten (`--forget`) or give another name, which has the log kept from now on";

/// Prints what was committed, as JSON lines, in the order of the commits
///
/// Each line is one change: {"ts":N,"op":"put","table":T,"id":N,"key":K,"value":V}, or with another op: "delete" of a row,
/// and "create", "load", "rename" and "drop" of a table. Keys and values are text where the bytes are UTF-8, else
/// {"hex":"..."}.
///
/// The changes are read from the log, which a checkpoint or a clean close lets go, but for what a named consumer has not
/// acknowledged.
///
/// Ctrl-C ends the list after a whole commit, which --consumer then goes on behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    /// Only what was committed after this timestamp; without it, as far back as the log reaches
    #[arg(long, value_name = "TS")]
    from: Option<u64>,
    /// Goes on until interrupted: prints what others commit, each time that they have closed the database. Without --consumer
    /// it ends with code 3 once they have let go of the log before it was printed
    #[arg(long)]
    follow: bool,
    /// Goes on where this consumer stands, has the log kept for it, and acknowledges what was printed; a new one begins at
    /// --from, or now. It stays, and the log with it, until --forget. Opens the database for writing
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Forgets the consumer instead, and lets go of the log that was kept for it
    #[arg(long, requires = "consumer", conflicts_with_all = ["from", "follow"])]
    forget: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    if let (true, Some(name)) = (args.forget, &args.consumer) {
        return forget(args, name);
    }
    let interrupt = Interrupt::listen();
    let mut from = args.from.map(|from| Timestamp::new(from).unwrap_or(Timestamp::MAX));
    let mut told = false;
    loop {
        let printed = match print_new(args, &mut from, &interrupt) {
            // Somebody has it open: there is something to print once it is closed.
            Err(Failure::Told { code: Code::Locked, .. }) if args.follow => {
                if !told {
                    note(
                        "another process has the database open; what it writes is printed once it has closed it",
                    );
                }
                told = true;
                Printed::Nothing
            }
            outcome => {
                told = false;
                outcome?
            }
        };
        if !args.follow {
            return Ok(if printed == Printed::Part { Code::Interrupted } else { Code::Done });
        }
        if interrupt.requested() {
            return Ok(Code::Done);
        }
        thread::sleep(LOOK_AGAIN);
        if interrupt.requested() {
            return Ok(Code::Done);
        }
    }
}

fn forget(args: &Args, name: &str) -> Result {
    let db = open::existing(&args.path)?;
    let was_there = db.remove_consumer(name)?;
    db.close()?;
    if !was_there {
        let hint = "list the consumers with `braid stat PATH`";
        return Err(Failure::new(Code::NotFound, format!("there is no consumer `{name}`"), hint));
    }
    note(&format!("consumer `{name}` is forgotten"));
    Ok(Code::Done)
}

/// How much was printed of what there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    Nothing,
    All,
    /// The user wanted no more.
    Part,
}

/// Prints what there is after `from`, and moves that on.
fn print_new(args: &Args, from: &mut Option<Timestamp>, interrupt: &Interrupt) -> Result<Printed> {
    let Some(name) = &args.consumer else {
        let db = open::read_only(&args.path)?;
        let mut changes = match *from {
            Some(from) => db.changes(from)?,
            None => everything(&db)?,
        };
        let printed = print(&mut changes, interrupt)?;
        *from = Some(changes.passed());
        return Ok(printed);
    };
    let db = open::existing(&args.path)?;
    let start = match *from {
        Some(from) => from,
        None => db.snapshot()?.timestamp(),
    };
    let consumer = db.consumer(name, start)?;
    let mut changes = consumer.changes().map_err(|error| {
        let lost = matches!(error, Error::HistoryGone { .. });
        let failure = Failure::from(error);
        if lost { failure.advise(LOST) } else { failure }
    })?;
    let printed = print(&mut changes, interrupt)?;
    if printed != Printed::Nothing {
        consumer.acknowledge(changes.passed())?;
    }
    drop(changes);
    db.close()?;
    Ok(printed)
}

/// All that the log holds.
fn everything(db: &Database) -> Result<Changes> {
    Ok(match db.changes(Timestamp::ZERO) {
        Err(Error::HistoryGone { oldest, .. }) => {
            note(&format!("the log reaches back to commit {oldest}; what came before is not printed"));
            db.changes(oldest)?
        }
        changes => changes?,
    })
}

/// Prints until there is nothing more, or the user wants no more of it.
fn print(changes: &mut Changes, interrupt: &Interrupt) -> Result<Printed> {
    let mut out = stdout();
    let mut printed = Printed::Nothing;
    while let Some(set) = changes.try_next()? {
        let timestamp = set.timestamp();
        for change in set {
            writeln!(out, "{}", json_line(&line(timestamp, change?)))?;
        }
        printed = Printed::All;
        if interrupt.requested() {
            printed = Printed::Part;
            break;
        }
    }
    out.flush()?;
    Ok(printed)
}

fn line(timestamp: Timestamp, change: Change) -> Value {
    let about = |op: &str, table: &ChangedTable| json!({"ts": timestamp.get(), "op": op, "table": table.name.as_deref(), "id": table.id});
    let with = |mut line: Value, name: &str, value: Value| {
        line[name] = value;
        line
    };
    match change {
        Change::Put { table, key, value, .. } => {
            let row = with(about("put", &table), "key", text_or_hex(key));
            with(row, "value", text_or_hex(value))
        }
        Change::Delete { table, key, .. } => with(about("delete", &table), "key", text_or_hex(key)),
        Change::Create(table) => about("create", &table),
        Change::Load(table) => about("load", &table),
        Change::Rename { table, from, .. } => with(about("rename", &table), "from", json!(from.as_deref())),
        Change::Drop(table) => about("drop", &table),
        other => about("other", other.table()),
    }
}
