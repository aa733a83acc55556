//! Work without end, to be killed at any moment.
//!
//! Each thread commits the numbers 1, 2, 3, ... and prints `ack THREAD NUMBER` after each commit. Threads of even number
//! commit with `Sync`, the others with `Deferred`. Commit `n` of a thread inserts its row `n`, deletes its row
//! `n - WINDOW`, sets its row `last` to `n`, and every [`SHARED_EVERY`]th adds one to a row that all threads share. Beside
//! them one thread checkpoints, compacts, and makes and drops tables. Another follows the changes as the consumer
//! [`FOLLOWER`], if there is one, prints `told THREAD NUMBER` for each commit, and acknowledges now and then what it has told.
//! Once the input ends it all comes to an end, and the database is closed.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use braid::{
    Change, ChangeSet, Database, Durability, Error, JournalMode, Options, Result, RetryPolicy, Table,
    Timestamp, TransactionOptions,
};
use fastrand::Rng;

use super::say;
use crate::{number, value};

/// How many rows of each thread there are.
pub(crate) const WINDOW: i64 = 60;
/// How often a commit also changes the row that all threads share.
pub(crate) const SHARED_EVERY: i64 = 8;

/// The consumer of the changes.
pub(crate) const FOLLOWER: &str = "follower";

/// The row of a thread's commit.
pub(crate) fn row(thread: usize, number: i64) -> (String, Vec<u8>) {
    let length = usize::try_from(number % 40).unwrap_or(0) * 25;
    let byte = u8::try_from((number + i64::try_from(thread).unwrap_or(0)) % 251).unwrap_or(0);
    (format!("{thread} {number:09}"), vec![byte; length])
}

/// The row that says how far a thread is.
pub(crate) fn last(thread: usize) -> String {
    format!("{thread} last")
}

pub(crate) fn options(mapped: bool) -> Options {
    Options {
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        log_bytes: 128 << 10,
        cache_bytes: 256 << 10,
        page_bytes: 1024,
        map_log: mapped,
        deferred_sync_interval: Duration::from_millis(10),
        ..Options::default()
    }
}

pub(super) fn work(path: &str, threads: usize, seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let db = Database::open_with(path, options(rng.u8(..4) > 0))?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    say("ready");
    let goes_on = AtomicBool::new(true);
    std::thread::scope(|scope| -> Result<()> {
        let (goes_on, db, table) = (&goes_on, &db, &table);
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || commits(db, table, thread, goes_on))).collect();
        let keeper = scope.spawn(move || keep_house(db, &mut rng, goes_on));
        let follower = scope.spawn(move || follow(db, seed, goes_on));
        let mut input = Vec::new();
        // Whatever ends the input ends the work.
        let _ = std::io::stdin().read_to_end(&mut input);
        goes_on.store(false, Ordering::Relaxed);
        for worker in workers {
            worker.join().map_err(|_| Error::other("a worker panicked"))??;
        }
        follower.join().map_err(|_| Error::other("the follower panicked"))??;
        keeper.join().map_err(|_| Error::other("the keeper panicked"))?
    })?;
    drop(table);
    say("closing");
    db.close()?;
    say("closed");
    Ok(())
}

fn commits(db: &Database, table: &Table, thread: usize, goes_on: &AtomicBool) -> Result<()> {
    let durability = if thread.is_multiple_of(2) { Durability::Sync } else { Durability::Deferred };
    let mut at = db.get(table, last(thread))?.map_or(0, |bytes| number(&bytes));
    while goes_on.load(Ordering::Relaxed) {
        at += 1;
        commit(db, table, thread, at, durability)?;
        if !say(&format!("ack {thread} {at}")) {
            goes_on.store(false, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn commit(db: &Database, table: &Table, thread: usize, at: i64, durability: Durability) -> Result<()> {
    let transaction = TransactionOptions { durability: Some(durability), ..Default::default() };
    let policy =
        RetryPolicy { max_attempts: u32::MAX, deadline: None, transaction, ..RetryPolicy::default() };
    db.transact_with(policy, |tx| {
        let (key, bytes) = row(thread, at);
        tx.insert(table, key, bytes)?;
        if at > WINDOW {
            tx.delete(table, row(thread, at - WINDOW).0)?;
        }
        tx.put(table, last(thread), value(at))?;
        if at % SHARED_EVERY == 0 {
            let sum = tx.get(table, "shared")?.map_or(0, |bytes| number(&bytes));
            tx.put(table, "shared", value(sum + 1))?;
        }
        Ok(())
    })
    .map(drop)
}

fn keep_house(db: &Database, rng: &mut Rng, goes_on: &AtomicBool) -> Result<()> {
    while goes_on.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_micros(rng.u64(0..20_000)));
        match rng.u8(..8) {
            0..4 => {
                say("checkpoint begins");
                db.checkpoint()?;
                say("checkpoint ends");
            }
            4 => {
                say("compact begins");
                db.compact()?;
                say("compact ends");
            }
            _ => {
                let name = format!("scratch {}", rng.u8(..3));
                let table = db.table(&name)?;
                db.put(&table, "a", vec![7; rng.usize(..5000)])?;
                if rng.bool() {
                    db.drop_table(&name)?;
                }
            }
        }
    }
    Ok(())
}

/// Tells what is committed, and acknowledges it once it is told.
fn follow(db: &Database, seed: u64, goes_on: &AtomicBool) -> Result<()> {
    if !db.consumers()?.iter().any(|consumer| consumer.name == FOLLOWER) {
        return Ok(());
    }
    let mut rng = Rng::with_seed(!seed);
    let follower = db.consumer(FOLLOWER, Timestamp::ZERO)?;
    let mut changes = follower.changes()?;
    while goes_on.load(Ordering::Relaxed) {
        let set = changes.next_timeout(Duration::from_millis(5))?;
        if let Some((thread, at)) = set.map(told).transpose()?.flatten() {
            say(&format!("told {thread} {at}"));
        }
        if rng.u8(..6) == 0 {
            follower.acknowledge(changes.passed())?;
        }
    }
    Ok(())
}

/// The commits of threads that a transaction is; one at most.
pub(crate) fn told(set: ChangeSet) -> Result<Option<(usize, i64)>> {
    let mut told = None;
    for change in set {
        let Change::Put { table, key, value, .. } = change? else { continue };
        let thread =
            key.strip_suffix(b" last").and_then(|thread| std::str::from_utf8(thread).ok()?.parse().ok());
        if let (Some("rows"), Some(thread)) = (table.name.as_deref(), thread) {
            told = Some((thread, number(&value)));
        }
    }
    Ok(told)
}
