//! `braid bench skew`: write skew under both isolation levels.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use braid::{Database, Durability, Error, Isolation, Options, RetryPolicy, Table, TransactionOptions};
use serde_json::json;

use super::crew::{self, Scratch};
use super::{finish, seconds};
use crate::commands::conflicts;
use crate::commands::open;
use crate::exit::Result;
use crate::interrupt::Interrupt;
use crate::output::{count, plural, table};

const TABLE: &str = "rota";
const ON: &[u8] = b"on call";
const OFF: &[u8] = b"off";

/// Counts write skew under both isolation levels
///
/// Pairs of doctors are on call. Each may go home while the other stays: a transaction reads both rows and writes its own. Two
/// that do so at once leave nobody: write skew. Under Snapshot it happens, under Serializable never; if it does, or
/// if the rows are others after closing and reopening the file, the exit code is 1. Ctrl-C ends the run early and still
/// reports.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many threads write
    #[arg(long, value_name = "W", default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=1024))]
    writers: u64,
    /// How many pairs of rows there are; fewer means more skew
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pairs: u64,
    /// How long under each level, in seconds
    #[arg(long, value_name = "S", default_value = "3", value_parser = seconds::parse)]
    seconds: Duration,
    /// What a commit promises
    #[arg(long, value_parser = open::durabilities(), default_value_t = Durability::Deferred)]
    durability: Durability,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

fn key(pair: u64, side: u64) -> String {
    format!("{pair:08}-{side}")
}

/// One change of the rota, with something else between what it reads and what it writes; how many attempts it took.
fn change(
    db: &Database,
    rota: &Table,
    isolation: Isolation,
    (pair, side): (u64, u64),
    anomalies: &AtomicU64,
    between: impl Fn(),
) -> Result<u32, Error> {
    let transaction = TransactionOptions { isolation, ..TransactionOptions::default() };
    let policy = RetryPolicy::default().without_deadline().max_attempts(u32::MAX).transaction(transaction);
    let (mine, others) = (key(pair, side), key(pair, 1 - side));
    let outcome = db.transact_with(policy, |tx| {
        let is_on = |key: &str| tx.get(rota, key).map(|row| row.is_none_or(|row| row == ON));
        let (mine_on, other_on) = (is_on(&mine)?, is_on(&others)?);
        between();
        tx.put(rota, &mine, if mine_on && other_on { OFF } else { ON })?;
        if !mine_on && !other_on {
            tx.put(rota, &others, ON)?;
        }
        Ok(!mine_on && !other_on)
    })?;
    anomalies.fetch_add(u64::from(outcome.value), Ordering::Relaxed);
    Ok(outcome.attempts)
}

/// The pairs of which nobody is on call.
fn both_off(db: &Database, rota: &Table, pairs: u64) -> Result<u64, Error> {
    let at_the_end = db.snapshot()?;
    let is_off =
        |pair, side| Ok::<_, Error>(at_the_end.get(rota, key(pair, side))?.is_some_and(|row| row == OFF));
    let mut found = 0;
    for pair in 0..pairs {
        found += u64::from(is_off(pair, 0)? && is_off(pair, 1)?);
    }
    Ok(found)
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let (mut rows, mut values, mut wrong, mut interrupted) = (Vec::new(), Vec::new(), Vec::new(), false);
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let options = Options { durability: args.durability, ..Options::default() };
        let scratch = Scratch::create(options)?;
        let (db, rota) = (&scratch.db, &scratch.db.table(TABLE)?);
        let anomalies = AtomicU64::new(0);
        let done = crew::run(
            args.writers,
            args.seconds,
            &interrupt,
            |_, _| {
                let seen = anomalies.load(Ordering::Relaxed);
                Ok(format!("\n  {isolation}: {}{}", plural(seen, "skew"), conflicts::live(db)))
            },
            |writer, repetition| {
                let pair = repetition.wrapping_mul(7).wrapping_add(writer / 2) % args.pairs;
                // What makes them meet where threads are more than processors.
                change(db, rota, isolation, (pair, writer % 2), &anomalies, thread::yield_now)
            },
        )?;
        // Those that nobody has met any more.
        let anomalies = anomalies.into_inner() + both_off(db, rota, args.pairs)?;
        if isolation == Isolation::Serializable && anomalies > 0 {
            wrong.push("write skew under Serializable".to_owned());
        }
        rows.push([
            isolation.to_string(),
            count(anomalies),
            count(done.commits),
            count(done.per_second()),
            done.attempts_per_commit(),
        ]);
        values.push(json!({
            "isolation": isolation.to_string(),
            "anomalies": anomalies,
            "commits": done.commits,
            "commits_per_second": done.per_second(),
            "attempts": done.attempts,
            "conflicts": conflicts::json(&db.stats().conflicts),
            "validation": conflicts::validation_json(db.stats().validation),
        }));
        wrong.extend(scratch.changed_by_reopening(TABLE)?);
        if done.interrupted {
            interrupted = true;
            break;
        }
    }
    let report = if args.json {
        json!(values).to_string()
    } else {
        format!(
            "{}, {}\n\n{}",
            plural(args.writers, "writer"),
            plural(args.pairs, "pair"),
            table(
                ["isolation", "write skew", "commits", "commits/s", "attempts per commit"],
                [false, true, true, true, true],
                rows
            )
        )
    };
    finish(&report, &wrong, interrupted)
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;

    use braid::JournalMode;

    use super::*;

    /// The other doctor goes home while the first one has looked and not yet left.
    #[test]
    fn two_that_meet_are_skew_under_snapshot_and_never_under_serializable() -> Result<(), Error> {
        for (isolation, skew, attempts) in [(Isolation::Snapshot, 1, 1), (Isolation::Serializable, 0, 2)] {
            let db = Database::in_memory()?;
            db.set_journal_mode(JournalMode::Mvcc)?;
            let rota = db.table("rota")?;
            let anomalies = AtomicU64::new(0);
            let other = OnceCell::new();
            let took = change(&db, &rota, isolation, (0, 0), &anomalies, || {
                other.get_or_init(|| change(&db, &rota, isolation, (0, 1), &anomalies, || ()));
            })?;
            assert!(matches!(other.get(), Some(Ok(1))), "{other:?}");
            assert_eq!(took, attempts, "{isolation:?}");
            assert_eq!(both_off(&db, &rota, 1)?, skew, "{isolation:?}");
            // Whoever comes next meets it, says so and is on call again.
            change(&db, &rota, isolation, (0, 0), &anomalies, || ())?;
            assert_eq!(anomalies.into_inner(), skew, "{isolation:?}");
            assert_eq!(both_off(&db, &rota, 1)?, 0);
        }
        Ok(())
    }

    #[test]
    fn a_pair_that_nobody_has_met_since_is_found() -> Result<(), Error> {
        let db = Database::in_memory()?;
        let rota = db.table("rota")?;
        for (pair, side, row) in [(0, 0, OFF), (0, 1, OFF), (1, 0, OFF), (1, 1, ON), (2, 0, OFF)] {
            db.put(&rota, key(pair, side), row)?;
        }
        assert_eq!(both_off(&db, &rota, 4)?, 1);
        Ok(())
    }
}
