//! How many times an operation allocates, and how many bytes: counted by the allocator itself.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use braid::{Database, Durability, JournalMode, Options};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator with the same arguments, so what that guarantees holds here, and
// what it asks for is asked of our caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are the same.
        unsafe { System.dealloc(address, layout) }
    }

    unsafe fn realloc(&self, address: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.realloc(address, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REPETITIONS: u64 = 10_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn measure<T>(name: &str, mut operation: impl FnMut(u64) -> braid::Result<T>) -> Result<()> {
    for repetition in 0..100 {
        operation(repetition)?;
    }
    let (calls, bytes) = (CALLS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    for repetition in 0..REPETITIONS {
        operation(100 + repetition)?;
    }
    let each = |now: u64, before: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
        let mean = (now - before) as f64 / REPETITIONS as f64;
        mean
    };
    let (calls, bytes) =
        (each(CALLS.load(Ordering::Relaxed), calls), each(BYTES.load(Ordering::Relaxed), bytes));
    println!("| {name} | {calls:.2} | {bytes:.0} |");
    Ok(())
}

fn main() -> Result<()> {
    let db = Database::in_memory_with(Options {
        durability: Durability::Deferred,
        row_store_bytes: 1 << 30,
        log_bytes: 1 << 40,
        ..Options::default()
    })?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    let key = |number: u64| u128::from(number).to_be_bytes();
    println!("| operation | allocations | bytes |\n|---|--:|--:|");
    measure("snapshot, begin and drop", |_| db.snapshot())?;
    measure("concurrent transaction, begin and drop", |_| db.begin_concurrent())?;
    measure("commit of one new row by `put`", |number| db.put(&table, key(number), [0; 100]))?;
    measure("commit of one row that is there, by `put`", |_| db.put(&table, key(0), [0; 100]))?;
    measure("read and write of one row by `transact`", |_| {
        db.transact(|tx| {
            let there = tx.contains(&table, key(0))?;
            tx.put(&table, key(0), [u8::from(there); 100])
        })
    })?;
    let snapshot = db.snapshot()?;
    measure("`get_with` from the row store", |number| snapshot.get_with(&table, key(number), <[u8]>::len))?;
    measure("`get` from the row store", |number| snapshot.get(&table, key(number)))?;
    drop(snapshot);
    db.checkpoint()?;
    let snapshot = db.snapshot()?;
    measure("`get_with` from the tree", |number| snapshot.get_with(&table, key(number), <[u8]>::len))?;
    measure("`get` from the tree", |number| snapshot.get(&table, key(number)))?;
    measure("a new cursor and its seek, tree", |number| snapshot.cursor(&table)?.seek_ge(key(number)))?;
    let mut cursor = snapshot.cursor(&table)?;
    measure("`next` of a cursor, tree", |_| cursor.next())?;
    let mut range = snapshot.range(&table, ..key(u64::MAX))?;
    measure("`next` of a range, tree", |_| range.next().transpose())?;
    Ok(())
}
