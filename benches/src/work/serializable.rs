//! What the validation of reads costs, to the transaction that asks for it and to those beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use braid::{Admission, Database, Isolation, Table, Transaction, TransactionOptions};

use super::Arguments;
use crate::Result;
use crate::measure::{Repeated, times};
use crate::rows::{Dice, number_of, value};

/// What is read, and how.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Reads {
    /// Rows that one transaction reads.
    #[arg(long, default_value_t = 10)]
    reads: u64,
    /// Commits of others between its begin and its commit.
    #[arg(long, default_value_t = 0)]
    since: u64,
    /// Not validated: what the same costs under `Snapshot`.
    #[arg(long)]
    snapshot: bool,
}

fn begin(arguments: &Arguments, db: &Database) -> Result<Transaction> {
    let isolation = if arguments.reads.snapshot { Isolation::Snapshot } else { Isolation::Serializable };
    let admission = Admission::Concurrent;
    Ok(db.begin_with(TransactionOptions { admission, isolation, ..TransactionOptions::default() })?)
}

/// Transactions that each read some rows and write one, with commits of others in between.
pub(super) fn transactions(
    arguments: &Arguments,
    db: &Database,
    table: &Table,
    scan: bool,
) -> Result<Repeated> {
    let (results, others) = (db.table("results")?, db.table("others")?);
    let (mut dice, mut sum) = (Dice::new(1), 0_u64);
    let reads = &arguments.reads;
    let all = times(arguments.operations, |_| {
        let mut tx = begin(arguments, db)?;
        let mut add = |value: &[u8]| sum = sum.wrapping_add(number_of(value).unwrap_or_default());
        if scan {
            let mut cursor = tx.cursor(table)?;
            let mut there = cursor.seek_ge(arguments.order.key(dice.below(arguments.rows)))?;
            for _ in 0..reads.reads {
                let Some(value) = cursor.value()?.filter(|_| there) else { break };
                add(value);
                there = cursor.next()?;
            }
        } else {
            for _ in 0..reads.reads {
                tx.get_with(table, arguments.order.key(dice.below(arguments.rows)), &mut add)?;
            }
        }
        for other in 0..reads.since {
            db.put(&others, arguments.order.key(other), value(other, 0))?;
        }
        tx.put(&results, arguments.order.key(dice.below(1000)), value(0, 0))?;
        tx.commit()?;
        Ok(())
    });
    eprintln!("sum {sum}");
    all
}

/// Counts of all rows, which are in the row store, beside a thread that commits small transactions: how long the slowest
/// of these takes, for the commit section is not theirs meanwhile.
pub(super) fn beside(arguments: &Arguments, db: &Database, table: &Table) -> Result<()> {
    let (results, others) = (db.table("results")?, db.table("others")?);
    let over = AtomicBool::new(false);
    let (slow, commits) = std::thread::scope(|scope| {
        let small = scope.spawn(|| -> Result<_> {
            let (mut slowest, mut commits) = (Vec::new(), 0_u64);
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                db.put(&others, arguments.order.key(commits % 1000), value(commits, 0))?;
                slowest.push(began.elapsed());
                commits += 1;
            }
            slowest.sort_unstable();
            Ok((slowest, commits))
        });
        let counted = (0..arguments.operations).try_for_each(|number| -> Result<()> {
            let mut tx = begin(arguments, db)?;
            tx.count(table)?;
            tx.put(&results, arguments.order.key(number % 1000), value(0, 0))?;
            tx.commit()?;
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        let small = small.join().map_err(|_| "a writer panicked")?;
        counted.and(small)
    })?;
    // One of each count may have waited for it: the tenth slowest of them all is no accident of the machine.
    let at = |from_top: usize| slow.len().checked_sub(from_top).and_then(|at| slow.get(at)).copied();
    let micros = |time: Option<Duration>| time.unwrap_or_default().as_micros();
    eprintln!(
        "{commits} commits beside; slowest {} us, tenth slowest {} us, median {} us",
        micros(at(1)),
        micros(at(10)),
        micros(slow.get(slow.len() / 2).copied()),
    );
    Ok(())
}
