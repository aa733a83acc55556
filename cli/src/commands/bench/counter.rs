//! `braid bench counter`: many writers, one row.

use std::time::Duration;

use braid::{Database, Durability, Error, Options, RetryPolicy, Table};
use clap::ValueEnum;
use serde_json::json;

use super::crew::{self, Scratch};
use super::{finish, seconds};
use crate::commands::conflicts;
use crate::commands::open;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::output::{count, duration, facts, plural};

const TABLE: &str = "counters";
/// The row that everybody wants.
const KEY: &str = "counter";

/// Counts up one row from many writers at once
///
/// The count is compared with the commits at the end, and again after closing and reopening the file; where it differs the
/// exit code is 1. Ctrl-C ends the run early and still reports.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many threads count
    #[arg(long, value_name = "W", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    writers: u64,
    /// How long for each way of counting, in seconds
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds::parse)]
    seconds: Duration,
    /// How to count; all of them by default
    #[arg(long, value_enum)]
    by: Option<By>,
    /// What a commit promises
    #[arg(long, value_parser = open::durabilities(), default_value_t = Durability::Deferred)]
    durability: Durability,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// A way to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Read the row, add one, write it: conflicts, and is tried again
    ReadModifyWrite,
    /// Add one without looking at the row: made of what is there at the commit, and no conflict
    Add,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::ReadModifyWrite => "read-modify-write",
            Self::Add => "add",
        }
    }

    /// Counts one; how many attempts it took.
    fn count(self, db: &Database, table: &Table) -> Result<u32, Error> {
        let policy = RetryPolicy::default().without_deadline().max_attempts(u32::MAX).name(self.name());
        let outcome = db.transact_with(policy, |tx| match self {
            Self::ReadModifyWrite => {
                let value = number(tx.get(table, KEY)?)?;
                tx.put(table, KEY, (value + 1).to_le_bytes())
            }
            Self::Add => tx.add(table, KEY, 1),
        })?;
        Ok(outcome.attempts)
    }
}

/// How far the counter has come.
fn counted(db: &Database) -> Result<u64> {
    let counter = db.existing_table(TABLE)?;
    let counter = counter.map(|table| db.get(&table, KEY)).transpose()?.flatten();
    // Below zero is as wrong as too few.
    Ok(number(counter)?.try_into().unwrap_or_default())
}

fn number(value: Option<Vec<u8>>) -> Result<i64, Error> {
    value.map_or(Ok(0), |bytes| {
        let bytes = bytes.try_into().map_err(|_| Error::other("the counter is not a number"))?;
        Ok(i64::from_le_bytes(bytes))
    })
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let ways = args.by.map_or_else(|| By::value_variants().to_vec(), |by| vec![by]);
    let (mut texts, mut values, mut wrong, mut interrupted) = (Vec::new(), Vec::new(), Vec::new(), false);
    for by in ways {
        let options = Options { durability: args.durability, ..Options::default() };
        let scratch = Scratch::create(options)?;
        let (db, table) = (&scratch.db, &scratch.db.table(TABLE)?);
        let done = crew::run(
            args.writers,
            args.seconds,
            &interrupt,
            |_, _| Ok(conflicts::live(db)),
            |_, _| by.count(db, table),
        )?;
        let (stats, after) = (db.stats(), counted(db)?);
        let reopened = counted(&scratch.reopened()?.db)?;
        let is_exact = after == done.commits && reopened == done.commits;
        if !is_exact {
            wrong.push(format!("a counter by {} went wrong", by.name()));
        }
        values.push(json!({
            "by": by.name(),
            "writers": args.writers,
            "seconds": done.elapsed.as_secs_f64(),
            "commits": done.commits,
            "commits_per_second": done.per_second(),
            "attempts": done.attempts,
            "counted": after,
            "reopened": reopened,
            "conflicts": conflicts::json(&stats.conflicts),
            "updates": conflicts::updates_json(stats.updates),
        }));
        let verdict = if is_exact {
            format!("{}, exact, and after reopening", count(after))
        } else {
            format!(
                "{}, {} after reopening, WRONG: {}",
                count(after),
                count(reopened),
                plural(done.commits, "commit")
            )
        };
        texts.push(format!(
            "{}, {}, {}\n\n{}\n{}",
            by.name(),
            plural(args.writers, "writer"),
            duration(done.elapsed),
            facts([
                ("counted", verdict),
                ("commits/s", count(done.per_second())),
                ("attempts per commit", done.attempts_per_commit()),
                ("updates", conflicts::updates(stats.updates)),
            ]),
            conflicts::text(&stats.conflicts),
        ));
        if done.interrupted {
            interrupted = true;
            break;
        }
    }
    finish(&if args.json { json!(values).to_string() } else { texts.join("\n") }, &wrong, interrupted)
}
