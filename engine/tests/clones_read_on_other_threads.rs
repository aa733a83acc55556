//! Clones of a transaction's snapshot read what it writes, on any thread, whatever it does meanwhile: behind its end they
//! are told that it is over, and never shown what was there before it.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::cell::Cell;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use braid::{
    CachedPage, ClockCache, Database, Error, Isolation, JournalMode, Options, Page, PageCache,
    PageGeneration, PageId, Result, Snapshot, Table, Transaction, TransactionOptions,
};

use executor::block_on;

thread_local! {
    /// Whether this thread stops at the next page that it reads.
    static STOPS: Cell<bool> = const { Cell::new(false) };
}

/// Stops a thread in the middle of a read: says so, and waits until it may go on.
#[derive(Debug)]
struct Stops {
    cache: ClockCache,
    stopped: Sender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl PageCache for Stops {
    fn get(&self, page: PageId, generation: PageGeneration) -> Option<CachedPage> {
        if STOPS.replace(false) {
            self.stopped.send(()).unwrap();
            self.goes_on.lock().unwrap().recv().unwrap();
        }
        self.cache.get(page, generation)
    }

    fn insert(&self, page: Page) {
        self.cache.insert(page);
    }

    fn capacity_bytes(&self) -> usize {
        self.cache.capacity_bytes()
    }

    fn resident_bytes(&self) -> usize {
        self.cache.resident_bytes()
    }

    fn evictions(&self) -> u64 {
        self.cache.evictions()
    }
}

fn number(row: i64) -> [u8; 8] {
    row.to_le_bytes()
}

/// What a read on another thread answers that is stopped at the first page, while the transaction does something.
///
/// The file has the rows `b`, `d` and `f`, each 5.
fn beside<R: Send + 'static>(
    isolation: Isolation,
    write: impl FnOnce(&mut Transaction, &Table),
    read: impl FnOnce(&Snapshot, &Table) -> R + Send + 'static,
    meanwhile: impl FnOnce(Transaction) -> Option<Transaction>,
) -> R {
    let ((stopped, stops), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    let cache = Stops { cache: ClockCache::new(1 << 20), stopped, goes_on: Mutex::new(goes_on) };
    let options = Options { page_cache: Some(Arc::new(cache)), ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    for key in ["b", "d", "f"] {
        db.put(&table, key, number(5)).unwrap();
    }
    db.checkpoint().unwrap();
    let options = TransactionOptions { isolation, ..TransactionOptions::default() };
    let mut tx = db.begin_with(options).unwrap();
    write(&mut tx, &table);
    let clone = tx.clone();
    let reader = thread::spawn(move || {
        STOPS.set(true);
        read(&clone, &table)
    });
    stops.recv().unwrap();
    let tx = meanwhile(tx);
    go_on.send(()).unwrap();
    let answer = reader.join().unwrap();
    drop(tx);
    answer
}

fn rows(snapshot: &Snapshot, table: &Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    snapshot.scan(table)?.collect()
}

/// The last row, which a deleted one is passed for.
fn last(snapshot: &Snapshot, table: &Table) -> Result<Vec<u8>> {
    let mut cursor = snapshot.cursor(table)?;
    assert!(cursor.last()?);
    Ok(cursor.key().unwrap().to_vec())
}

fn count(snapshot: &Snapshot, table: &Table) -> Result<u64> {
    snapshot.count(table)
}

/// One row written anew, one deleted, three new ones.
fn change(tx: &mut Transaction, table: &Table) {
    for key in ["a", "b", "c", "e"] {
        tx.put(table, key, number(6)).unwrap();
    }
    tx.delete(table, "f").unwrap();
}

fn changed() -> Vec<(Vec<u8>, Vec<u8>)> {
    [("a", 6), ("b", 6), ("c", 6), ("d", 5), ("e", 6)]
        .map(|(key, row)| (key.as_bytes().to_vec(), number(row).to_vec()))
        .to_vec()
}

fn right_or_over<R: PartialEq + std::fmt::Debug>(answer: Result<R>, right: &R) {
    match answer {
        Ok(answer) => assert_eq!(answer, *right),
        Err(Error::TransactionClosed) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_commit_under_a_read_takes_nothing_from_it() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let by_thread = |tx: Transaction| {
            tx.commit().unwrap();
            None
        };
        let by_future = |tx: Transaction| {
            block_on(tx.commit_async()).unwrap();
            None
        };
        right_or_over(beside(isolation, change, rows, by_thread), &changed());
        right_or_over(beside(isolation, change, rows, by_future), &changed());
        right_or_over(beside(isolation, change, last, by_thread), &b"e".to_vec());
        right_or_over(beside(isolation, change, last, by_future), &b"e".to_vec());
        right_or_over(beside(isolation, change, count, by_thread), &5);
        right_or_over(beside(isolation, change, count, by_future), &5);
    }
}

#[test]
fn a_rollback_under_a_read_is_told() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let rolled_back = |tx: Transaction| {
            tx.rollback();
            None
        };
        right_or_over(beside(isolation, change, rows, rolled_back), &changed());
        right_or_over(beside(isolation, change, last, rolled_back), &b"e".to_vec());
        right_or_over(beside(isolation, change, count, rolled_back), &5);
    }
}

/// The read has looked at the row below the update by then, and nothing hides that any more.
#[test]
fn an_update_that_is_taken_back_under_a_read_leaves_the_row() {
    let five = number(5).to_vec();
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let savepoint = Cell::new(None);
        let update = |tx: &mut Transaction, table: &Table| {
            savepoint.set(Some(tx.savepoint().unwrap()));
            tx.add(table, "d", 1).unwrap();
        };
        let take_back = |mut tx: Transaction| {
            tx.rollback_to(&savepoint.get().unwrap()).unwrap();
            Some(tx)
        };
        let get = |snapshot: &Snapshot, table: &Table| snapshot.get(table, "d");
        assert_eq!(beside(isolation, update, get, take_back).unwrap(), Some(five.clone()));
        let all = beside(isolation, update, rows, take_back).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(_, value)| *value == five));
        assert_eq!(beside(isolation, update, count, take_back).unwrap(), 3);
        // With nothing done to it, it is made.
        let get = |snapshot: &Snapshot, table: &Table| snapshot.get(table, "d");
        assert_eq!(beside(isolation, update, get, Some).unwrap(), Some(number(6).to_vec()));
    }
}
