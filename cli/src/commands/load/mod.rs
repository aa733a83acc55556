//! `braid load`: records of a file into a table, by concurrent writers.
//!
//! One thread reads and parses (`delimited`, `json_lines`, `dumped`, over `lines`), and hands batches of rows to the writers
//! (`feed`, `writer`). A key always goes to the same writer, so the last record of a key wins whatever the number of
//! writers. Memory is bounded whatever the file holds: records, batches and the memory of keys all have limits.

mod delimited;
mod dumped;
mod feed;
mod format;
mod json_lines;
mod lines;
mod record;
mod rejects;
mod writer;

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use braid::limits::MAX_TRANSACTION_BYTES;
use braid::{Database, Durability, JournalMode, Options};
use indicatif::ProgressBar;

use crate::commands::open;
use crate::commands::sequences;
use crate::exit::{Code, Failure, Result, ends};
use crate::interrupt::Interrupt;
use crate::output::{count, duration, facts, plural, rate, say};
use crate::progress;
use dumped::{Dumped, Mark};
use feed::{Fed, Feeder, feed};
use format::{Format, Source, missing};
use record::{Item, LoadError, Records};
use rejects::Rejects;

/// What holds of a load that ended early.
const KEPT: &str = "what was loaded is kept, and loading again goes on from there";
/// What holds of one whose rejected records could not be written either.
const REJECTS_CUT: &str = "the file of --rejects is not whole";

/// Loads a CSV, TSV or JSON lines file into a table, or a dump
///
/// Each record becomes a row: its key is the text of the column --key, its value the record as a JSON object. Loading
/// the same file again changes nothing. Where a key occurs again in the file, the last record wins. Records that cannot
/// be loaded are named by line on standard error and left out; the rest is loaded, and the exit code is 1.
///
/// CSV follows RFC 4180 and begins with a header. TSV begins with a header and knows no quoting. JSON lines hold one
/// object each.
///
/// What `braid dump` wrote becomes the rows that it was made of. A dump of a whole database brings its tables and its
/// sequences along, and is recognized by its first line: it needs neither --table nor --key, and with --table only that
/// table is loaded. A dump of one table is loaded with --format dump --table T.
///
/// Where the records hold ids that a sequence has given out, raise the sequence too: see `braid sequences --help`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "braid load [OPTIONS] --table <T> --key <COLUMN> <DB> <FILE>\n       \
                            braid load [OPTIONS] --table <T> --key <COLUMN> [--into <DB>] <FILE>\n       \
                            braid load [OPTIONS] [--table <T>] <DB> <DUMP>")]
pub(crate) struct Args {
    /// The database, made where it does not exist; leave it away where --into names it. Without both it is named after
    /// FILE, with the ending .braid, in the current folder
    #[arg(value_name = "DB")]
    first: PathBuf,
    /// The file to load, `-` for standard input
    #[arg(value_name = "FILE")]
    second: Option<PathBuf>,
    /// The database, as an option
    #[arg(long, value_name = "DB", visible_alias = "db")]
    into: Option<PathBuf>,
    /// The table, made where it does not exist
    #[arg(long, value_name = "T")]
    table: Option<String>,
    /// The column, or member of the JSON object, that the key is taken from
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// How many threads write
    #[arg(long, value_name = "W", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256))]
    writers: u64,
    /// What the file holds; without it the file's ending tells, or the first line of a dump
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Who may write from now on [default: for a database without tables as the dump says, or mvcc; else as it is]
    #[arg(long, value_parser = open::modes())]
    mode: Option<JournalMode>,
    /// What a commit promises
    #[arg(long, value_parser = open::durabilities(), default_value_t = Durability::Sync)]
    durability: Durability,
    /// Write every rejected record here, as lines of line number, tab and reason
    #[arg(long, value_name = "OUT")]
    rejects: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let (path, file) = paths(args)?;
    let (input, bar) = input(&file)?;
    let source = Source::new(input, args.format, &file, args.key.as_deref());
    let mut source = source.map_err(|failure| failure.told(&file))?;
    let head = match &source {
        Source::Dump(dumped) => dumped.head(),
        Source::Records(_) => None,
    };
    if args.table.is_none() && head.is_none() {
        return Err(missing("--table T", "where the records go"));
    }
    if let Some(rejects) = &args.rejects {
        for other in [&path, &file] {
            distinct(rejects, other)?;
        }
    }
    let rejects = Rejects::new(args.rejects.as_deref())?;

    let db = open(&path, args, &source)?;
    let began = Instant::now();
    let to = Feeder { db: &db, writers: args.writers, rejects: &rejects, bar: &bar, interrupt: &interrupt };
    let (fed, outcome) = match (&mut source, &args.table) {
        (Source::Records(records), Some(name)) => to_table(to, name, &mut **records),
        (Source::Dump(dumped), Some(name)) if head.is_none() => to_table(to, name, dumped),
        (Source::Dump(dumped), only) => to_tables(to, only.as_deref(), dumped),
        (Source::Records(_), None) => (Fed::default(), Ok(())),
    };
    bar.finish_and_clear();
    let outcome = outcome.and_then(|()| Ok(db.close().map(drop)?));
    let elapsed = began.elapsed();

    let (rejected, unwritten) = rejects.tell();
    let kept = fed.rows.added + fed.rows.changed > 0;
    let said = if outcome.is_ok() || kept {
        say(&facts([
            ("database", path.display().to_string()),
            ("table", args.table.clone().unwrap_or_else(|| plural(fed.tables, "table"))),
            ("records", count(fed.records)),
            ("added", count(fed.rows.added)),
            ("changed", count(fed.rows.changed)),
            ("unchanged", count(fed.rows.unchanged)),
            ("duplicates", fed.duplicates_text()),
            ("rejected", count(rejected)),
            ("time", format!("{}, {} records/s", duration(elapsed), count(rate(fed.records, elapsed)))),
        ]))
    } else {
        Ok(())
    };
    if let Err(error) = outcome {
        let lost = error.loses_what_is_deferred() && args.durability == Durability::Deferred;
        let mut failure = error.told(&file);
        if kept && !lost {
            failure = failure.advise_also(KEPT);
        }
        return Err(if unwritten.is_some() { failure.advise_also(REJECTS_CUT) } else { failure });
    }
    if let Some(failure) = unwritten {
        return Err(failure);
    }
    if fed.interrupted {
        progress::note(&format!("interrupted; {KEPT}"));
        return ends(said, Code::Interrupted);
    }
    if let Source::Dump(dumped) = &source
        && !dumped.is_whole()
    {
        progress::note("the dump was cut short: its last line is missing; what was there is loaded");
        return ends(said, Code::DataProblem);
    }
    ends(said, if rejected == 0 { Code::Done } else { Code::DataProblem })
}

/// Loads records, or the dump of a table, into one table.
fn to_table(to: Feeder<'_>, name: &str, records: &mut dyn Records) -> (Fed, Result<(), LoadError>) {
    match to.db.table(name) {
        Ok(table) => feed(to, &table, records),
        Err(error) => (Fed::default(), Err(error.into())),
    }
}

/// Loads the dump of a whole database: all of it, or `only` one table.
fn to_tables<R: BufRead>(
    to: Feeder<'_>,
    only: Option<&str>,
    dumped: &mut Dumped<R>,
) -> (Fed, Result<(), LoadError>) {
    let mut all = Fed::default();
    let mut into = None;
    loop {
        let (fed, outcome) = match &into {
            Some(table) => feed(to, table, dumped),
            None => pass_over(to, dumped),
        };
        all.add(&fed);
        if outcome.is_err() || all.interrupted {
            return (all, outcome);
        }
        let next = match dumped.take_mark() {
            Some(Mark::Table(name)) => {
                into = None;
                if only.is_none_or(|only| only == name) {
                    to.db.table(&name).map(|table| {
                        all.tables += 1;
                        into = Some(table);
                    })
                } else {
                    Ok(())
                }
            }
            Some(Mark::Sequence { name, next }) if only.is_none() => sequences::raise(to.db, &name, next),
            Some(Mark::Sequence { .. }) => Ok(()),
            None => break,
        };
        if let Err(error) = next {
            return (all, Err(error.into()));
        }
    }
    let found = all.tables > 0 || only.is_none();
    let missing = only.filter(|_| !found).map(|only| {
        Failure::new(
            Code::NotFound,
            format!("the dump has no table `{only}`"),
            "leave --table away to load all that it has",
        )
    });
    (all, missing.map_or(Ok(()), |failure| Err(failure.into())))
}

/// Reads on to the next mark. Only rows that are wanted are counted; what cannot be read is told all the same.
fn pass_over(to: Feeder<'_>, records: &mut dyn Records) -> (Fed, Result<(), LoadError>) {
    let outcome = loop {
        match records.next() {
            Ok(Some(Item::Rejected { line, reason })) => to.rejects.add(line, reason),
            Ok(Some(Item::Row { .. })) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if to.interrupt.requested() {
            break Ok(());
        }
    };
    let mut fed = Fed::default();
    fed.interrupted = to.interrupt.requested();
    (fed, outcome)
}

/// The database and the file that the command line names.
fn paths(args: &Args) -> Result<(PathBuf, PathBuf)> {
    let usage = |message: &str| Failure::new(Code::Usage, message, "see `braid load --help`");
    match (&args.second, &args.into) {
        (Some(_), Some(_)) => Err(usage("the database is given twice: before the file and with --into")),
        (Some(file), None) => Ok((args.first.clone(), file.clone())),
        (None, Some(db)) => Ok((db.clone(), args.first.clone())),
        (None, None) => {
            let file = &args.first;
            let stem = file.file_stem().filter(|_| file.as_os_str() != "-");
            let stem = stem.ok_or_else(|| usage("name the database: `braid load DB FILE`"))?;
            Ok((Path::new(stem).with_added_extension("braid"), file.clone()))
        }
    }
}

/// Refuses to write the rejected records over the database or the input, under whatever name.
fn distinct(rejects: &Path, other: &Path) -> Result<()> {
    match (rejects.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(two)) if one == two => Err(Failure::new(
            Code::Usage,
            format!("--rejects would overwrite {}", other.display()),
            "give --rejects a file of its own",
        )),
        _ if rejects == other => Err(Failure::new(
            Code::Usage,
            format!("--rejects and the database are both {}", other.display()),
            "give --rejects a file of its own",
        )),
        _ => Ok(()),
    }
}

/// The bytes of the file and a bar that follows them.
fn input(file: &Path) -> Result<(Box<dyn Read>, ProgressBar)> {
    if file.as_os_str() == "-" {
        let bar = progress::spinner("loading");
        return Ok((Box::new(bar.wrap_read(io::stdin())), bar));
    }
    let failed = |error: io::Error| Failure::file(file, &error);
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(
            Code::Usage,
            format!("{} is a folder", file.display()),
            "give the path of a file",
        ));
    }
    let bar = progress::bar(metadata.len(), "loading", true);
    Ok((Box::new(bar.wrap_read(opened)), bar))
}

fn open(path: &Path, args: &Args, source: &Source) -> Result<Database> {
    let mut options = Options { durability: args.durability, ..Options::default() };
    let mut new = JournalMode::Mvcc;
    if let Source::Dump(dumped) = source {
        // The longest value is a transaction's own, and it stood in one before.
        options.max_transaction_bytes = usize::try_from(MAX_TRANSACTION_BYTES).unwrap_or(usize::MAX);
        if let Some(head) = dumped.head() {
            // A new database takes the same keys.
            options.page_bytes = usize::try_from(head.page_bytes).unwrap_or(usize::MAX);
            new = head.mode;
        }
    }
    let db = Database::open_with(path, options)?;
    let mode = match args.mode {
        None if db.tables()?.is_empty() => Some(new),
        mode => mode,
    };
    if let Some(mode) = mode.filter(|&mode| mode != db.journal_mode()) {
        db.set_journal_mode(mode)?;
    }
    Ok(db)
}
