//! `braid load`: records of a file into a table, by concurrent writers.
//!
//! One thread reads and parses (`delimited`, `json_lines`, over `lines`), and hands batches of rows to the writers
//! (`feed`, `writer`). A key always goes to the same writer, so the last record of a key wins whatever the number of
//! writers. Memory is bounded whatever the file holds: records, batches and the memory of keys all have limits.

mod delimited;
mod feed;
mod format;
mod json_lines;
mod lines;
mod record;
mod rejects;
mod writer;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use braid::{Database, JournalMode, Options};
use indicatif::ProgressBar;

use crate::commands::open::{Durability, Mode};
use crate::exit::{Code, Failure, Result, ends};
use crate::interrupt::Interrupt;
use crate::output::{count, duration, facts, rate, say};
use crate::progress;
use format::Format;
use rejects::Rejects;

/// Loads a CSV, TSV or JSON lines file into a table
///
/// Each record becomes a row: its key is the text of the column --key, its value the record as a JSON object. Loading
/// the same file again changes nothing. Where a key occurs again in the file, the last record wins. Records that cannot
/// be loaded are named by line on standard error and left out; the rest is loaded, and the exit code is 1.
///
/// CSV follows RFC 4180 and begins with a header. TSV begins with a header and knows no quoting. JSON lines hold one
/// object each.
///
/// Where the records hold ids that a sequence has given out, raise the sequence too: see `braid sequences --help`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "braid load [OPTIONS] --table <T> --key <COLUMN> <DB> <FILE>\n       \
                            braid load [OPTIONS] --table <T> --key <COLUMN> [--into <DB>] <FILE>")]
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
    table: String,
    /// The column, or member of the JSON object, that the key is taken from
    #[arg(long, value_name = "COLUMN")]
    key: String,
    /// How many threads write
    #[arg(long, value_name = "W", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256))]
    writers: u64,
    /// What the file holds; without it the file's ending tells
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Who may write from now on [default: mvcc for a database without tables, else as it is]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// What a commit promises
    #[arg(long, value_enum, default_value_t = Durability::Sync)]
    durability: Durability,
    /// Write every rejected record here, as lines of line number, tab and reason
    #[arg(long, value_name = "OUT")]
    rejects: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let (path, file) = paths(args)?;
    let format = match args.format {
        Some(format) => format,
        None => Format::of(&file)?,
    };
    let (input, bar) = input(&file)?;
    let mut records = format.records(input, &args.key).map_err(|failure| failure.told(&file))?;
    if let Some(rejects) = &args.rejects {
        for other in [&path, &file] {
            distinct(rejects, other)?;
        }
    }
    let rejects = Rejects::new(args.rejects.as_deref())?;

    let db = open(&path, args)?;
    let table = db.table(&args.table)?;
    let began = Instant::now();
    let fed = feed::feed(&db, &table, &mut *records, args.writers, &rejects, &bar, &interrupt);
    bar.finish_and_clear();
    let fed = fed.map_err(|failure| failure.told(&file))?;
    db.close()?;
    let elapsed = began.elapsed();

    let rejected = rejects.tell()?;
    let said = say(&facts([
        ("database", path.display().to_string()),
        ("table", args.table.clone()),
        ("records", count(fed.records)),
        ("added", count(fed.rows.added)),
        ("changed", count(fed.rows.changed)),
        ("unchanged", count(fed.rows.unchanged)),
        ("duplicates", fed.duplicates_text()),
        ("rejected", count(rejected)),
        ("time", format!("{}, {} records/s", duration(elapsed), count(rate(fed.records, elapsed)))),
    ]));
    if fed.interrupted {
        progress::note("interrupted; what was loaded is kept, and loading again goes on from there");
        return ends(said, Code::Interrupted);
    }
    ends(said, if rejected == 0 { Code::Done } else { Code::DataProblem })
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

fn open(path: &Path, args: &Args) -> Result<Database> {
    let options = Options { durability: args.durability.into(), ..Options::default() };
    let db = Database::open_with(path, options)?;
    let mode = match args.mode {
        None if db.tables()?.is_empty() => Some(JournalMode::Mvcc),
        mode => mode.map(JournalMode::from),
    };
    if let Some(mode) = mode.filter(|&mode| mode != db.journal_mode()) {
        db.set_journal_mode(mode)?;
    }
    Ok(db)
}
