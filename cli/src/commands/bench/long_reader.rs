//! `braid bench long-reader`: what a snapshot that is held costs the writers, and what it keeps.

use std::time::Duration;

use braid::{Database, Durability, Error, Options, SnapshotOptions, Table};
use serde_json::json;

use super::crew::{self, Scratch, digest};
use super::{finish, seconds};
use crate::commands::conflicts;
use crate::commands::open;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::output::{bytes, count, plural, rate, table};

const TABLE: &str = "rows";
/// Rows of the table, which are there before the first part and are written over and over.
const ROWS: u64 = 100_000;
/// Bytes of a value.
const VALUE: usize = 100;
/// Samples of each part of the run.
const SAMPLES: u32 = 5;

/// Holds a snapshot while writers run
///
/// The same writers write over the rows of a table, three times for as long: without a reader, beside one that holds a snapshot,
/// and after it has let go. In between the reader reads all of its rows again; where one has changed, or the table is another
/// after closing and reopening the file, the exit code is 1. Ctrl-C ends the run early and still reports.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many threads write
    #[arg(long, value_name = "W", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1024))]
    writers: u64,
    /// How long each part lasts, in seconds
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds::parse)]
    seconds: Duration,
    /// Bytes of recent rows kept in memory, in MiB: fewer means more checkpoints
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    row_store: u64,
    /// What a commit promises
    #[arg(long, value_parser = open::durabilities(), default_value_t = Durability::Deferred)]
    durability: Durability,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// How things stand at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    part: &'static str,
    at: Duration,
    commits_per_second: u64,
    row_store: u64,
    pinned: u64,
    file: u64,
    withheld: u64,
    log: u64,
}

fn key(number: u64) -> String {
    format!("{number:08}")
}

/// The table with all of its rows, so that every part of the run does the same work.
fn fill(db: &Database) -> Result<Table, Error> {
    let mut load = db.load_table(TABLE)?;
    for number in 0..ROWS {
        load.put(key(number), [0; VALUE])?;
    }
    Ok(load.finish()?.0)
}

fn write(db: &Database, rows: &Table, (writer, writers): (u64, u64), repetition: u64) -> Result<u32, Error> {
    // Each writer has rows of its own, spread over the table.
    let number = (repetition.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % (ROWS / writers) * writers + writer;
    let mut value = [0; VALUE];
    for (byte, digit) in value.iter_mut().zip(repetition.to_le_bytes().iter().chain(&writer.to_le_bytes())) {
        *byte = *digit;
    }
    db.put(rows, key(number), value)?;
    Ok(1)
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let row_store_bytes = usize::try_from(args.row_store << 20).unwrap_or(usize::MAX);
    let options = Options { durability: args.durability, row_store_bytes, ..Options::default() };
    let scratch = Scratch::create(options)?;
    let (db, rows) = (&scratch.db, &fill(&scratch.db)?);
    let mut samples = Vec::new();
    let mut wrong = Vec::new();
    let mut part = |name| measure(args, db, rows, name, &interrupt, &mut samples);
    let mut interrupted = part("no reader")?;
    if !interrupted {
        let reader = db.snapshot_with(SnapshotOptions::default().name("long reader"))?;
        let before = digest(&reader, rows)?;
        interrupted = part("a reader")?;
        let after = digest(&reader, rows)?;
        if before != after {
            wrong.push(format!("the snapshot had {before:?} at first and {after:?} later"));
        }
    }
    interrupted = interrupted || part("it let go")?;
    wrong.extend(scratch.changed_by_reopening(TABLE)?);
    let report = if args.json { json(&samples) } else { text(args, &samples) };
    finish(&report, &wrong, interrupted)
}

/// One part of the run; whether the user has ended it early.
fn measure(
    args: &Args,
    db: &Database,
    rows: &Table,
    part: &'static str,
    interrupt: &Interrupt,
    samples: &mut Vec<Sample>,
) -> Result<bool> {
    let first = args.seconds / SAMPLES;
    let mut next = first;
    let (mut last_at, mut last) = (Duration::ZERO, 0);
    let mut take = |at, commits| {
        let stats = db.stats();
        samples.push(Sample {
            part,
            at,
            commits_per_second: rate(commits - last, at - last_at),
            row_store: stats.row_store.bytes,
            pinned: stats.row_store.pinned_bytes,
            file: stats.file.bytes,
            withheld: stats.file.withheld_bytes,
            log: stats.log.retained_bytes,
        });
        (last_at, last) = (at, commits);
    };
    let look = |counts: &crew::Counts, at: Duration| {
        if at >= next {
            next = at + first;
            take(at, counts.commits());
        }
        Ok(below(db, part))
    };
    let done = crew::run(args.writers, args.seconds, interrupt, look, |writer, repetition| {
        write(db, rows, (writer, args.writers), repetition)
    })?;
    if done.interrupted || next == first {
        take(done.elapsed, done.commits);
    }
    Ok(done.interrupted)
}

/// What is shown with the live line: writers have rows of their own, so conflicts are not expected, and to be seen if
/// there are any.
fn below(db: &Database, part: &str) -> String {
    format!(" ({part}){}", conflicts::live(db))
}

fn text(args: &Args, samples: &[Sample]) -> String {
    let rows = samples
        .iter()
        .map(|sample| {
            [
                sample.part.to_owned(),
                format!("{:.1}", sample.at.as_secs_f64()),
                count(sample.commits_per_second),
                bytes(sample.row_store),
                bytes(sample.pinned),
                bytes(sample.file),
                bytes(sample.withheld),
                bytes(sample.log),
            ]
        })
        .collect();
    let header =
        ["beside", "second", "commits/s", "row store", "pinned rows", "file", "withheld in it", "log"];
    let numeric = [false, true, true, true, true, true, true, true];
    format!("{}\n\n{}", plural(args.writers, "writer"), table(header, numeric, rows))
}

fn json(samples: &[Sample]) -> String {
    let samples: Vec<_> = samples
        .iter()
        .map(|sample| {
            json!({
                "beside": sample.part,
                "seconds": sample.at.as_secs_f64(),
                "commits_per_second": sample.commits_per_second,
                "row_store_bytes": sample.row_store,
                "pinned_bytes": sample.pinned,
                "file_bytes": sample.file,
                "withheld_bytes": sample.withheld,
                "log_bytes": sample.log,
            })
        })
        .collect();
    json!(samples).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid::JournalMode;

    #[test]
    fn conflicts_are_shown_while_it_runs() -> braid::Result<()> {
        let db = Database::in_memory()?;
        db.set_journal_mode(JournalMode::Mvcc)?;
        let rows = db.table(TABLE)?;
        assert_eq!(below(&db, "a reader"), " (a reader)");
        let mut loser = db.begin_concurrent()?;
        loser.put(&rows, key(7), "late")?;
        write(&db, &rows, (7, ROWS), 0)?;
        assert!(loser.commit().is_err());
        let shown = below(&db, "a reader");
        for part in [" (a reader)\n", "1 write-write", TABLE, &key(7)] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        Ok(())
    }
}
