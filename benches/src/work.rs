//! The command `work`: one operation so many times and nothing else, for profilers.

use std::path::PathBuf;

use braid::{Database, Durability, Table};

use crate::Result;
use crate::cell::{self, options, unfolded_options, verify};
use crate::measure::times;
use crate::rows::{Dice, Order, number_of, value};

/// What to repeat, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    operation: Operation,
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Rows that are there before, for what reads them.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    #[arg(long, default_value_t = 1)]
    threads: u64,
    #[arg(long, default_value = "sequential")]
    order: Order,
    /// A directory that does not exist yet; it stays.
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Operation {
    /// Fills the table and ends: what the others do before they begin.
    Nothing,
    /// Begins a snapshot and drops it.
    Snapshot,
    /// Begins a concurrent transaction and drops it.
    Begin,
    /// Reads a row of the tree with a snapshot of its own.
    Get,
    /// Reads a row of the row store with a snapshot of its own.
    GetUnfolded,
    /// Commits a row, deferred.
    Deferred,
    /// Commits a row, durable.
    Durable,
    /// Opens a database that a run before has left; `operations` is not used.
    Reopen,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let path = arguments.dir.join("work.braid");
    if !matches!(arguments.operation, Operation::Reopen) {
        std::fs::create_dir(&arguments.dir)?;
    }
    let durability = match arguments.operation {
        Operation::Durable => Durability::Sync,
        _ => Durability::Deferred,
    };
    let chosen = match arguments.operation {
        Operation::Durable => options(durability),
        _ => unfolded_options(durability),
    };
    let began = std::time::Instant::now();
    let (db, table) = cell::create(&path, chosen)?;
    eprintln!("open after {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    let all = match arguments.operation {
        Operation::Nothing => {
            fill(arguments, &db, &table)?;
            times(0, |_| Ok(()))?
        }
        Operation::Reopen => times(1, |_| Ok(()))?,
        Operation::Snapshot => times(arguments.operations, |_| {
            drop(db.snapshot()?);
            Ok(())
        })?,
        Operation::Begin => times(arguments.operations, |_| {
            drop(db.begin_concurrent()?);
            Ok(())
        })?,
        Operation::Get => {
            fill(arguments, &db, &table)?;
            db.checkpoint()?;
            get(arguments, &db, &table)?
        }
        Operation::GetUnfolded => {
            fill(arguments, &db, &table)?;
            get(arguments, &db, &table)?
        }
        Operation::Deferred | Operation::Durable => {
            let began = std::time::Instant::now();
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..arguments.threads)
                    .map(|thread| {
                        let (db, table) = (&db, &table);
                        scope.spawn(move || commit(arguments, db, table, thread))
                    })
                    .collect();
                workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
            })?;
            let total = arguments.operations / arguments.threads * arguments.threads;
            verify("rows", db.snapshot()?.count(&table)?, total)?;
            eprintln!("{:.0} 1/s", total as f64 / began.elapsed().as_secs_f64());
            return Ok(());
        }
    };
    eprintln!("{:.0} ns each", all.nanos_each());
    Ok(())
}

fn fill(arguments: &Arguments, db: &Database, table: &Table) -> Result<()> {
    let mut tx = db.begin_concurrent()?;
    for number in 0..arguments.rows {
        tx.put(table, arguments.order.key(number), value(number, 0))?;
    }
    tx.commit()?;
    Ok(())
}

fn get(arguments: &Arguments, db: &Database, table: &Table) -> Result<crate::measure::Repeated> {
    let mut dice = Dice::new(1);
    times(arguments.operations, |_| {
        let number = dice.below(arguments.rows);
        let read = db.snapshot()?.get_with(table, arguments.order.key(number), number_of)?.flatten();
        verify("the row read", read.ok_or("a row is missing")?, number)
    })
}

fn commit(arguments: &Arguments, db: &Database, table: &Table, thread: u64) -> Result<()> {
    for repetition in 0..arguments.operations / arguments.threads {
        let number = (thread << 40) | repetition;
        db.put(table, arguments.order.key(number), value(number, 0))?;
    }
    Ok(())
}
