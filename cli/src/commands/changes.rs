//! `braid changes`: what was committed, as JSON lines.

use std::io::Write;
use std::path::{Path, PathBuf};
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
const LOST: &str = "more was committed than the log is kept for, or the database was opened too often since; read the \
                    tables with `braid dump`, and have the consumer forgotten (`--forget`) or give another name, which \
                    has the log kept from now on";

/// Prints what was committed, as JSON lines, in the order of the commits
///
/// Each line is one change: {"ts":N,"op":"put","table":T,"id":N,"key":K,"value":V}, or with another op: "delete" of a row,
/// and "create", "load", "rename" and "drop" of a table. Keys and values are text where the bytes are UTF-8, else
/// {"hex":"..."}.
///
/// The changes are read from the log, which a checkpoint or a clean close lets go, but for what a named consumer has not
/// acknowledged.
///
/// A program that has the database open for writing keeps this command out, and the other way round: while the changes are
/// read, a program that opens it for writing is refused as `Locked`. With --follow that is a moment twice a second: have
/// the program try again.
///
/// Ctrl-C ends the list after a whole commit, which --consumer then goes on behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    /// Only what was committed after this timestamp; without it, as far back as the log reaches
    #[arg(long, value_name = "TS")]
    from: Option<u64>,
    /// Goes on until interrupted: prints what others commit, each time that they have closed the database. It looks twice a
    /// second, and has the database open at these moments alone. Without --consumer it ends with code 3 once they have let go
    /// of the log before it was printed
    #[arg(long)]
    follow: bool,
    /// Goes on where this consumer stands, has the log kept for it, and acknowledges what was printed; a new one begins at
    /// --from, or now. It stays, and the log with it, until --forget. Opens the database for writing; with --follow only
    /// when there is something to print
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
    print_all(args, &interrupt, &mut stdout, &mut || thread::sleep(LOOK_AGAIN))
}

/// Prints to what `out` gives, and with `--follow` again and again, after a wait each time.
fn print_all<W: Write>(
    args: &Args,
    interrupt: &Interrupt,
    out: &mut dyn FnMut() -> W,
    wait: &mut dyn FnMut(),
) -> Result {
    let mut from = args.from.map(|from| Timestamp::new(from).unwrap_or(Timestamp::MAX));
    let mut told = false;
    loop {
        let printed = match print_new(args, &mut from, interrupt, &mut out()) {
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
        wait();
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
fn print_new(
    args: &Args,
    from: &mut Option<Timestamp>,
    interrupt: &Interrupt,
    out: &mut dyn Write,
) -> Result<Printed> {
    let Some(name) = &args.consumer else {
        let db = open::read_only(&args.path)?;
        let mut changes = match *from {
            Some(from) => db.changes(from)?,
            None => everything(&db)?,
        };
        let printed = print(&mut changes, interrupt, out)?;
        *from = Some(changes.passed());
        return Ok(printed);
    };
    if args.follow && has_all(&args.path, name)? {
        return Ok(Printed::Nothing);
    }
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
    let printed = print(&mut changes, interrupt, out)?;
    if printed != Printed::Nothing {
        consumer.acknowledge(changes.passed())?;
    }
    drop(changes);
    db.close()?;
    Ok(printed)
}

/// Whether there is nothing to print for a consumer. To know it, nothing is written: each open for writing begins a file of the
/// log, which is kept for the consumer, so that one who looks often would lose it by looking.
fn has_all(path: &Path, name: &str) -> Result<bool> {
    let consumers = open::read_only(path)?.consumers()?;
    Ok(consumers.iter().any(|one| one.name == name && !one.lost && one.lag_timestamps == 0))
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
fn print(changes: &mut Changes, interrupt: &Interrupt, out: &mut dyn Write) -> Result<Printed> {
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ffi::OsString;
    use std::io;
    use std::rc::Rc;

    use super::*;

    /// How often it looks in vain.
    const IDLE: usize = 40;

    #[derive(Clone, Debug, Default)]
    struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Every file of the log, and how long it is.
    fn log_of(path: &Path) -> Vec<(OsString, u64)> {
        let entries = std::fs::read_dir(braid::log_dir(path)).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().len())).collect();
        files.sort();
        files
    }

    /// Follows as the consumer `index`, and calls `between` after each look, with its number, until that ends it.
    fn follow(path: &Path, mut between: impl FnMut(usize, &Interrupt, &str)) {
        let args = Args {
            path: path.to_owned(),
            from: None,
            follow: true,
            consumer: Some("index".to_owned()),
            forget: false,
        };
        let (interrupt, paper) = (Interrupt::default(), Paper::default());
        let mut looks = 0;
        let mut wait = || {
            looks += 1;
            let text = String::from_utf8(paper.0.borrow().clone()).unwrap();
            between(looks, &interrupt, &text);
        };
        let ended = print_all(&args, &interrupt, &mut || paper.clone(), &mut wait);
        assert!(matches!(ended, Ok(Code::Done)), "{ended:?}");
    }

    fn put(path: &Path, key: &str) -> Database {
        let db = Database::open(path).unwrap();
        db.put(&db.table("t").unwrap(), key, "1").unwrap();
        db
    }

    fn behind(path: &Path) -> u64 {
        Database::open_read_only(path).unwrap().consumers().unwrap()[0].lag_timestamps
    }

    #[test]
    fn who_follows_in_vain_leaves_the_log_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.braid");
        put(&path, "before").close().unwrap();
        let mut idle = Vec::new();
        follow(&path, |looks, interrupt, text| match looks {
            // The first registers it.
            1 => idle = log_of(&path),
            ..IDLE => {
                assert_eq!(log_of(&path), idle, "after {looks} looks");
                assert_eq!(text, "");
            }
            IDLE => {
                put(&path, "after").close().unwrap();
            }
            _ if looks == IDLE + 1 => {
                assert!(text.contains(r#""key":"after""#), "{text}");
                assert_eq!((text.lines().count(), behind(&path)), (1, 0));
                idle = log_of(&path);
            }
            _ if looks < 2 * IDLE => assert_eq!(log_of(&path), idle, "after {looks} looks"),
            _ => {
                assert_eq!(text.lines().count(), 1, "{text}");
                interrupt.request();
            }
        });
    }

    /// The end of its log is proven to be on the disk only by the next open for writing.
    #[test]
    fn what_a_program_left_that_did_not_close_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.braid");
        put(&path, "before").close().unwrap();
        let copy = folder.path().join("copy.braid");
        follow(&path, |_, interrupt, _| interrupt.request());
        // A copy of the files at this moment is what `kill -9` leaves.
        let open = put(&path, "last");
        std::fs::create_dir(braid::log_dir(&copy)).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        for (name, _) in log_of(&path) {
            let from = braid::log_dir(&path).join(&name);
            std::fs::copy(from, braid::log_dir(&copy).join(&name)).unwrap();
        }
        open.close().unwrap();
        follow(&copy, |looks, interrupt, text| {
            assert!(text.contains(r#""key":"last""#), "{text}");
            if looks == 3 {
                assert_eq!((text.lines().count(), behind(&copy)), (1, 0));
                interrupt.request();
            }
        });
    }
}
