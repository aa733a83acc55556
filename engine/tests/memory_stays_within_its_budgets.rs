//! Random updates of a table much larger than the cache take no more memory than the budgets of the cache and of the row
//! store, a fifth more, and what a checkpoint and the log need at any size.
//!
//! Memory is what the allocator gave out at most at one time: not what it loses between allocations, nor what is mapped.
#![allow(missing_docs, clippy::cast_possible_truncation, clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::Ordering;

use braid::{Database, Durability, JournalMode, Options};

#[path = "common/counting.rs"]
mod counting;
use counting::{Counting, MOST, NOW};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CACHE: usize = 2 << 20;
const ROW_STORE: usize = 8 << 20;
/// The write buffer of a checkpoint, the records and buffers of the log, threads.
const SMALL: usize = 3 << 19;
const ROWS: u64 = 150_000;
const UPDATES: u64 = 150_000;

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

#[test]
fn random_updates_beyond_the_cache_take_what_the_budgets_allow() {
    let before = NOW.load(Ordering::Relaxed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = Options {
        cache_bytes: CACHE,
        row_store_bytes: ROW_STORE,
        durability: Durability::Deferred,
        ..Options::default()
    };
    let db = Database::open_with(&path, options.clone()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let mut load = db.load_table("t").unwrap();
    for number in 0..ROWS {
        load.put(key(number), [7; 100]).unwrap();
    }
    load.finish().unwrap();
    drop(load);
    db.close().unwrap();

    let db = Database::open_with(&path, options).unwrap();
    let table = db.table("t").unwrap();
    // The load is over, and what it took given back.
    MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    let (mut state, mut most_seen, mut at_most) = (1_u64, 0, None);
    for update in 0..UPDATES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 33) % ROWS;
        let outcome = db.transact(|tx| {
            tx.get(&table, key(number))?;
            tx.put(&table, key(number), [update as u8; 100])
        });
        outcome.unwrap();
        if update % 64 == 0 {
            let now = NOW.load(Ordering::Relaxed) - before;
            if now > most_seen {
                let stats = db.stats();
                (most_seen, at_most) = (now, Some((stats.row_store, stats.cache)));
            }
        }
    }
    let most = MOST.load(Ordering::Relaxed) - before;
    let stats = db.stats();
    assert!(stats.checkpoints.count > 2, "{:?}", stats.checkpoints);
    assert!(stats.cache.evictions > 1000, "the table is larger than the cache: {:?}", stats.cache);
    let allowed = (CACHE + ROW_STORE) / 5 * 6 + SMALL;
    assert!(most <= allowed, "{most} bytes, allowed {allowed}; of {most_seen} {at_most:?}");
    db.close().unwrap();
}
