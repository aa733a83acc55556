//! What scenarios share: a small database, rows that are counted, and threads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use braid::vfs::memory::{MemoryFileSystem, SeededRandom, VirtualClock};
use braid::vfs::sync::thread::{self, JoinHandle};
use braid::vfs::{Env, FileSystem, ThreadSpawn};
use braid::{
    Commit, ConflictKind, Database, Durability, Error, JournalMode, Options, Outcome, Result, RetryPolicy,
    Snapshot, Table, Timestamp, Transaction, TransactionOptions,
};
use shuttle::rand::Rng as _;

pub(crate) const PATH: &str = "/db.braid";
/// Where the log is.
pub(crate) const LOG: &str = "/db.braid-wal";
/// The row that counts the others.
pub(crate) const COUNTER: &[u8] = b"counter";

/// An outside that repeats itself.
pub(crate) fn env(files: impl FileSystem + 'static) -> Env {
    Env {
        files: Arc::new(files),
        clock: Arc::new(VirtualClock::new(Duration::from_micros(1))),
        random: Arc::new(SeededRandom::new(1)),
        spawn: Arc::new(ThreadSpawn),
    }
}

/// The smallest of everything, so that all of it happens.
pub(crate) fn options() -> Options {
    Options {
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        deferred_sync_interval: Duration::ZERO,
        map_log: false,
        ..Options::default()
    }
}

pub(crate) fn open(env: &Env) -> Result<Database> {
    Database::open_in(env.clone(), PATH, options())
}

/// A new database with one table, for concurrent writers.
pub(crate) fn create(env: &Env) -> (Database, Table) {
    let db = open(env).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

/// One that is in nobody's way.
pub(crate) fn database() -> (Database, Table) {
    create(&env(MemoryFileSystem::new()))
}

/// Tries until it wins.
pub(crate) fn stubborn(durability: Durability) -> RetryPolicy {
    let transaction = TransactionOptions { durability: Some(durability), ..TransactionOptions::default() };
    RetryPolicy { deadline: None, max_attempts: u32::MAX, transaction, ..RetryPolicy::default() }
}

/// Has its turn however long that takes: a wait runs out whenever the checker says so, and ends a run.
pub(crate) fn transact<T>(
    db: &Database,
    policy: RetryPolicy,
    mut body: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<Outcome<T>> {
    loop {
        match db.transact_with(policy.clone(), &mut body) {
            Err(Error::Busy(conflict)) if conflict.kind == ConflictKind::Timeout => thread::yield_now(),
            ended => return ended,
        }
    }
}

/// Adds a row and counts it, both or neither.
pub(crate) fn try_add(db: &Database, table: &Table, key: &[u8], durability: Durability) -> Result<Commit> {
    let outcome = transact(db, stubborn(durability), |tx| {
        let rows = tx.get(table, COUNTER)?.map_or(0, |count| count[0]);
        tx.put(table, key, [7; 300])?;
        tx.put(table, COUNTER, [rows + 1])
    })?;
    Ok(outcome.commit)
}

pub(crate) fn add(db: &Database, table: &Table, key: &[u8], durability: Durability) -> Timestamp {
    try_add(db, table, key, durability).unwrap().timestamp
}

/// The rows that a snapshot counts, which are the rows that it finds.
pub(crate) fn count(snapshot: &Snapshot, table: &Table) -> u8 {
    try_count(snapshot, table).unwrap()
}

/// The same of one that may be revoked.
pub(crate) fn try_count(snapshot: &Snapshot, table: &Table) -> Result<u8> {
    let counted = snapshot.get(table, COUNTER)?.map_or(0, |count| count[0]);
    let mut found = 0;
    for row in snapshot.scan(table)? {
        found += usize::from(row?.0 != COUNTER);
    }
    assert_eq!(usize::from(counted), found, "a snapshot is of one moment");
    assert_eq!(snapshot.count(table)?, u64::from(counted) + u64::from(counted > 0));
    Ok(counted)
}

pub(crate) fn look(db: &Database, table: &Table) -> u8 {
    count(&db.snapshot().unwrap(), table)
}

/// A number below `end`, by the checker's dice.
pub(crate) fn pick(end: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..end)
}

/// Lets the others go on for a while.
pub(crate) fn linger(most: usize) {
    for _ in 0..pick(most) {
        thread::yield_now();
    }
}

pub(crate) fn spawn(
    db: &Database,
    table: &Table,
    work: impl FnOnce(&Database, &Table) + Send + 'static,
) -> JoinHandle<()> {
    let (db, table) = (db.clone(), table.clone());
    thread::spawn(move || work(&db, &table))
}

pub(crate) fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What threads were told, noted without a step of the schedule.
#[derive(Debug)]
pub(crate) struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Notes<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Notes<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn note(&self, told: T) {
        self.0.lock().unwrap().push(told);
    }

    /// What is noted by now.
    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}
