//! The command `work`: one operation so many times and nothing else, for profilers.

mod features;
mod serializable;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use braid::{Database, Durability, Options, SequenceOptions, Table};

use crate::Result;
use crate::cell::{self, options, unfolded_options, verify};
use crate::executor;
use crate::measure::times;
use crate::rows::{Dice, Order, number_of, value};

/// Rows of a scan.
const SCAN: usize = 100;
/// Rows of a short scan.
const SHORT_SCAN: usize = 10;

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
    /// Tasks, for what runs futures.
    #[arg(long, default_value_t = 64)]
    writers: u64,
    #[arg(long, default_value = "sequential")]
    order: Order,
    /// The page cache, in bytes.
    #[arg(long, default_value_t = 1 << 30)]
    cache: usize,
    #[command(flatten)]
    reads: serializable::Reads,
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
    /// Reads a row with a snapshot of its own: from the tree, or where a tenth of the rows are, from the row store.
    GetMixed,
    /// Reads a row of the tree, always with the same snapshot.
    GetInOne,
    /// Scans 100 rows of the tree with a new cursor of the same snapshot.
    ScanCursor,
    /// The same with a tenth of the rows in the row store.
    ScanCursorMixed,
    /// Scans 10 rows of the tree with a new cursor of the same snapshot.
    #[value(name = "scan-10")]
    Scan10,
    /// The same with a tenth of the rows in the row store.
    #[value(name = "scan-10-mixed")]
    Scan10Mixed,
    /// Scans 100 rows of the tree by a range.
    ScanRange,
    /// The same with a tenth of the rows in the row store.
    ScanRangeMixed,
    /// Scans all rows of the tree with a cursor, again and again; `operations` counts rows.
    FullScan,
    /// The same with a tenth of the rows in the row store.
    FullScanMixed,
    /// Commits a row, deferred.
    Deferred,
    /// Commits a row, durable.
    Durable,
    /// The same while a thread reads the change feed.
    DurableFollowed,
    /// The same by futures: `writers` tasks on `threads` threads.
    DurableAsync,
    /// Moves money between two of `rows` accounts by `transact`: two reads and two writes, deferred.
    Transfer,
    /// Commits a hundred new rows in one transaction, deferred; `operations` counts rows.
    #[value(name = "insert-100")]
    Insert100,
    /// Looks up `reads` rows of the tree in a serializable transaction, while others commit `since` times, and commits a
    /// row, deferred.
    SerializableGets,
    /// The same with a scan of the rows.
    SerializableScan,
    /// The same with the rows in the row store.
    SerializableScanUnfolded,
    /// Counts all rows, in the row store, in serializable transactions, beside a thread that commits rows.
    SerializableBeside,
    /// Adds one to one of `rows` numbers without looking at it, in a transaction of its own, deferred. Retries are counted.
    Add,
    /// Raises one of `rows` numbers, in a transaction of its own, deferred.
    Max,
    /// Lowers one.
    Min,
    /// Appends 8 bytes to one of `rows` values.
    Append,
    /// Adds one to one of `rows` numbers by a read and a write of the row.
    GetPut,
    /// Commits a new row by `begin_concurrent`, `put` and `commit`, deferred, with no feature of transactions.
    Plain,
    /// The same with a token of its own.
    Token,
    /// The same with a lease.
    Leased,
    /// The same by a transaction that is admitted exclusively.
    Exclusive,
    /// The same by `transact`.
    Transact,
    /// The same by `commit_async`, polled to its end.
    CommitAsync,
    /// The same by `transact_async`, polled to its end.
    TransactAsync,
    /// The same while a feed is open that nobody reads.
    FeedOpen,
    /// Commits two new rows by two transactions that are open at once, deferred.
    TwoAtOnce,
    /// The same with one row, so that the second loses.
    OneOfTwoLost,
    /// Begins a snapshot with a lease and drops it.
    LeasedSnapshot,
    /// Gives a table another name, in a transaction of its own, deferred.
    Rename,
    /// Makes a savepoint, writes a row and releases it, 100 times in a transaction; `operations` counts rows.
    Savepoint,
    /// Draws an id of a sequence from a block that is reserved already.
    NextId,
    /// The same where each id is a block, which a durable commit reserves.
    NextBlock,
    /// Opens a database that a run before has left; `operations` is not used.
    Reopen,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let path = arguments.dir.join("work.braid");
    if !matches!(arguments.operation, Operation::Reopen) {
        std::fs::create_dir(&arguments.dir)?;
    }
    let durability = match arguments.operation {
        Operation::Durable | Operation::DurableFollowed | Operation::DurableAsync => Durability::Sync,
        _ => Durability::Deferred,
    };
    let chosen = match arguments.operation {
        Operation::Durable | Operation::DurableFollowed | Operation::DurableAsync => options(durability),
        _ => unfolded_options(durability),
    };
    let began = std::time::Instant::now();
    let chosen = Options { cache_bytes: arguments.cache, ..chosen };
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
        Operation::GetMixed => {
            fill_both(arguments, &db, &table)?;
            get(arguments, &db, &table)?
        }
        Operation::GetInOne => {
            fill(arguments, &db, &table)?;
            db.checkpoint()?;
            let snapshot = db.snapshot()?;
            let mut dice = Dice::new(1);
            times(arguments.operations, |_| {
                let number = dice.below(arguments.rows);
                let read = snapshot.get_with(&table, arguments.order.key(number), number_of)?.flatten();
                verify("the row read", read.ok_or("a row is missing")?, number)
            })?
        }
        Operation::ScanCursor | Operation::Scan10 | Operation::ScanRange | Operation::FullScan => {
            fill(arguments, &db, &table)?;
            db.checkpoint()?;
            scan(arguments, &db, &table)?
        }
        Operation::ScanCursorMixed
        | Operation::Scan10Mixed
        | Operation::ScanRangeMixed
        | Operation::FullScanMixed => {
            fill_both(arguments, &db, &table)?;
            scan(arguments, &db, &table)?
        }
        Operation::SerializableGets | Operation::SerializableScan => {
            fill(arguments, &db, &table)?;
            db.checkpoint()?;
            let scan = matches!(arguments.operation, Operation::SerializableScan);
            serializable::transactions(arguments, &db, &table, scan)?
        }
        Operation::SerializableScanUnfolded => {
            fill(arguments, &db, &table)?;
            serializable::transactions(arguments, &db, &table, true)?
        }
        Operation::SerializableBeside => {
            fill(arguments, &db, &table)?;
            return serializable::beside(arguments, &db, &table);
        }
        Operation::Deferred | Operation::Durable => {
            let each = |thread| commit(arguments, &db, &table, thread);
            on_threads(arguments, each)?;
            tell_syncs(&db);
            return verify("rows", db.snapshot()?.count(&table)?, per_thread(arguments) * arguments.threads);
        }
        Operation::DurableFollowed => return followed(arguments, &db, &table),
        Operation::DurableAsync => return commit_async(arguments, &db, &table),
        Operation::Insert100 => {
            let each = |thread| insert_100(arguments, &db, &table, thread);
            on_threads(arguments, each)?;
            let rows = per_thread(arguments) / 100 * 100 * arguments.threads;
            return verify("rows", db.snapshot()?.count(&table)?, rows);
        }
        Operation::Add | Operation::GetPut => {
            let retries = AtomicU64::new(0);
            on_threads(arguments, |thread| {
                retries.fetch_add(count_up(arguments, &db, &table, thread)?, Ordering::Relaxed);
                Ok(())
            })?;
            eprintln!("{} retries", retries.into_inner());
            let mut sum = 0_u64;
            for row in db.snapshot()?.scan(&table)? {
                sum += number_of(&row?.1).ok_or("a value is too short")?;
            }
            return verify("the sum", sum, per_thread(arguments) * arguments.threads);
        }
        Operation::Max | Operation::Min | Operation::Append => {
            on_threads(arguments, |thread| count_up(arguments, &db, &table, thread).map(drop))?;
            let made = db.stats().updates.made;
            return verify("updates", made, per_thread(arguments) * arguments.threads);
        }
        Operation::Plain
        | Operation::Token
        | Operation::Leased
        | Operation::Exclusive
        | Operation::Transact
        | Operation::CommitAsync
        | Operation::TransactAsync
        | Operation::FeedOpen => features::run(arguments, &db, &table)?,
        Operation::TwoAtOnce | Operation::OneOfTwoLost => features::two_at_once(arguments, &db, &table)?,
        Operation::LeasedSnapshot => features::leased_snapshots(arguments, &db)?,
        Operation::Rename => features::renames(arguments, &db)?,
        Operation::Savepoint => {
            for batch in 0..arguments.operations / 100 {
                let mut tx = db.begin_concurrent()?;
                for row in 0..100 {
                    let savepoint = tx.savepoint()?;
                    let number = batch * 100 + row;
                    tx.put(&table, arguments.order.key(number), value(number, 0))?;
                    tx.release(savepoint)?;
                }
                tx.commit()?;
            }
            return Ok(());
        }
        Operation::NextId | Operation::NextBlock => {
            let in_one = matches!(arguments.operation, Operation::NextId);
            let block = if in_one { arguments.operations + 1 } else { 1 };
            let ids = db.sequence_with("ids", SequenceOptions { block, start: 0 })?;
            let mut next = ids.next()?;
            let all = times(arguments.operations, |_| {
                next = ids.next()?;
                Ok(())
            })?;
            verify("the last id", next, arguments.operations)?;
            all
        }
        Operation::Transfer => {
            fill(arguments, &db, &table)?;
            let retries = AtomicU64::new(0);
            on_threads(arguments, |thread| {
                let more = transfer(arguments, &db, &table, thread)?;
                retries.fetch_add(more, Ordering::Relaxed);
                Ok(())
            })?;
            eprintln!("{} retries", retries.into_inner());
            let snapshot = db.snapshot()?;
            let mut sum = 0_u64;
            for row in snapshot.range::<&[u8]>(&table, ..)? {
                sum = sum.wrapping_add(number_of(&row?.1).ok_or("a value is too short")?);
            }
            return verify("the sum", sum, (0..arguments.rows).sum());
        }
    };
    eprintln!("{:.0} ns each, {:.0} in the fastest slice", all.nanos_each(), all.fastest_nanos());
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

/// Fills the tree, and then writes a tenth of its rows anew.
fn fill_both(arguments: &Arguments, db: &Database, table: &Table) -> Result<()> {
    fill(arguments, db, table)?;
    db.checkpoint()?;
    let mut dice = Dice::new(7);
    let mut tx = db.begin_concurrent()?;
    for _ in 0..arguments.rows / 10 {
        let number = dice.below(arguments.rows);
        tx.put(table, arguments.order.key(number), value(number, 1))?;
    }
    tx.commit()?;
    Ok(())
}

fn scan(arguments: &Arguments, db: &Database, table: &Table) -> Result<crate::measure::Repeated> {
    let (snapshot, mut dice, mut sum) = (db.snapshot()?, Dice::new(2), 0_u64);
    let mut add = |value: &[u8]| sum = sum.wrapping_add(number_of(value).unwrap_or_default());
    let mut from = || arguments.order.key(dice.below(arguments.rows));
    let short = matches!(arguments.operation, Operation::Scan10 | Operation::Scan10Mixed);
    let rows = if short { SHORT_SCAN } else { SCAN };
    let all = match arguments.operation {
        Operation::FullScan | Operation::FullScanMixed => {
            let mut cursor = snapshot.cursor(table)?;
            times(arguments.operations, |_| {
                if !cursor.next()? {
                    cursor.first()?;
                }
                add(cursor.value()?.ok_or("a row is missing")?);
                Ok(())
            })
        }
        Operation::ScanRange | Operation::ScanRangeMixed => times(arguments.operations, |_| {
            for row in snapshot.range(table, from().as_slice()..)?.take(SCAN) {
                add(&row?.1);
            }
            Ok(())
        }),
        _ => times(arguments.operations, |_| {
            let mut cursor = snapshot.cursor(table)?;
            let mut there = cursor.seek_ge(from())?;
            let mut seen = 0;
            while there {
                add(cursor.value()?.ok_or("a row is missing")?);
                seen += 1;
                there = seen < rows && cursor.next()?;
            }
            Ok(())
        }),
    };
    eprintln!("sum {sum}");
    all
}

fn get(arguments: &Arguments, db: &Database, table: &Table) -> Result<crate::measure::Repeated> {
    let mut dice = Dice::new(1);
    times(arguments.operations, |_| {
        let number = dice.below(arguments.rows);
        let read = db.snapshot()?.get_with(table, arguments.order.key(number), number_of)?.flatten();
        verify("the row read", read.ok_or("a row is missing")?, number)
    })
}

fn per_thread(arguments: &Arguments) -> u64 {
    arguments.operations / arguments.threads
}

/// Runs `each` with the number of each thread, and tells how fast all operations were.
fn on_threads(arguments: &Arguments, each: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        let each = &each;
        let workers: Vec<_> =
            (0..arguments.threads).map(|thread| scope.spawn(move || each(thread))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    tell_rate(per_thread(arguments) * arguments.threads, began);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn tell_rate(operations: u64, began: std::time::Instant) {
    eprintln!("{:.0} 1/s", operations as f64 / began.elapsed().as_secs_f64());
}

/// The accounts' balances are the numbers that their values say; their sum stays. Returns how many attempts were lost.
fn transfer(arguments: &Arguments, db: &Database, table: &Table, thread: u64) -> Result<u64> {
    let mut dice = Dice::new(thread);
    let mut lost = 0;
    for _ in 0..per_thread(arguments) {
        let from = dice.below(arguments.rows);
        let to = (from + 1 + dice.below(arguments.rows - 1)) % arguments.rows;
        let keys = [from, to].map(|number| arguments.order.key(number));
        let outcome = db.transact(|tx| {
            let [from, to] = &keys;
            let of =
                |key| tx.get_with(table, key, number_of).map(|found| found.flatten().unwrap_or_default());
            let (payer, payee) = (of(from)?, of(to)?);
            tx.put(table, from, value(payer.wrapping_sub(1), 0))?;
            tx.put(table, to, value(payee.wrapping_add(1), 0))
        })?;
        lost += u64::from(outcome.attempts) - 1;
    }
    Ok(lost)
}

/// Updates one of the numbers, and again. Returns how many attempts were lost.
fn count_up(arguments: &Arguments, db: &Database, table: &Table, thread: u64) -> Result<u64> {
    let mut dice = Dice::new(thread);
    let mut lost = 0;
    for repetition in 0..per_thread(arguments) {
        let key = arguments.order.key(dice.below(arguments.rows));
        let number = i64::try_from(repetition)?;
        let outcome = db.transact(|tx| match arguments.operation {
            Operation::Add => tx.add(table, key, 1),
            Operation::Max => tx.max(table, key, number),
            Operation::Min => tx.min(table, key, -number),
            Operation::Append => tx.append(table, key, number.to_le_bytes()),
            _ => {
                let is = tx.get_with(table, key, number_of)?.flatten().unwrap_or_default();
                tx.put(table, key, (is + 1).to_le_bytes())
            }
        })?;
        lost += u64::from(outcome.attempts) - 1;
    }
    Ok(lost)
}

fn insert_100(arguments: &Arguments, db: &Database, table: &Table, thread: u64) -> Result<()> {
    for batch in 0..per_thread(arguments) / 100 {
        let mut tx = db.begin_concurrent()?;
        for row in 0..100 {
            let number = (thread << 40) | (batch * 100 + row);
            tx.put(table, arguments.order.key(number), value(number, 0))?;
        }
        tx.commit()?;
    }
    Ok(())
}

fn tell_syncs(db: &Database) {
    let log = db.stats().log;
    eprintln!("{} syncs, {:.1} commits for each", log.syncs, log.commits_per_sync);
}

fn commit_async(arguments: &Arguments, db: &Database, table: &Table) -> Result<()> {
    let each = arguments.operations / arguments.writers;
    let began = std::time::Instant::now();
    executor::run(usize::try_from(arguments.threads)?, usize::try_from(arguments.writers)?, |writer| {
        let (db, table, order) = (db.clone(), table.clone(), arguments.order);
        async move {
            for repetition in 0..each {
                let number = ((writer as u64) << 40) | repetition;
                let mut tx = db.begin_concurrent()?;
                tx.put(&table, order.key(number), value(number, 0))?;
                tx.commit_async().await?;
            }
            Ok(())
        }
    })?;
    tell_rate(each * arguments.writers, began);
    tell_syncs(db);
    verify("rows", db.snapshot()?.count(table)?, each * arguments.writers)
}

/// Commits on this thread, and a feed of them on another, which goes on until it has met them all.
fn followed(arguments: &Arguments, db: &Database, table: &Table) -> Result<()> {
    let mut feed = db.changes(db.snapshot()?.timestamp())?;
    std::thread::scope(|scope| {
        let follower = scope.spawn(move || -> Result<()> {
            for _ in 0..arguments.operations {
                let set = feed.next().ok_or("the feed has ended")??;
                verify("rows of a transaction", set.count() as u64, 1)?;
            }
            Ok(())
        });
        commit(arguments, db, table, 0)?;
        follower.join().map_err(|_| "the follower panicked")?
    })?;
    tell_syncs(db);
    verify("rows", db.snapshot()?.count(table)?, arguments.operations)
}

fn commit(arguments: &Arguments, db: &Database, table: &Table, thread: u64) -> Result<()> {
    for repetition in 0..per_thread(arguments) {
        let number = (thread << 40) | repetition;
        db.put(table, arguments.order.key(number), value(number, 0))?;
    }
    Ok(())
}
