//! Sixteen threads that all add to one row: the sum is exact and nobody starves.

use braid::{Database, Durability, JournalMode, Options, Result, RetryPolicy};
use braid_tests::{Place, assert_clean, number, number_at, scale, together, value};

fn count_together(mode: JournalMode, durability: Durability, each: u64) -> Result<()> {
    const THREADS: usize = 16;
    let place = Place::new();
    let options = Options { durability, ..Options::default() };
    let db = place.open_with(options.clone())?;
    db.set_journal_mode(mode)?;
    let table = db.table("counters")?;
    let policy =
        RetryPolicy { max_attempts: 1000, deadline: None, exclusive_after: 8, ..RetryPolicy::default() };
    let attempts = together(THREADS, |_| -> Result<u32> {
        let sibling = Database::open_with(place.path(), options.clone())?;
        let mut most = 0;
        for _ in 0..each {
            let outcome = sibling.transact_with(policy.clone(), |tx| {
                let sum = tx.get(&table, 0_u64.to_be_bytes())?.map_or(0, |bytes| number(&bytes));
                tx.put(&table, 0_u64.to_be_bytes(), value(sum + 1))?;
                Ok(sum + 1)
            })?;
            assert!(outcome.value > 0);
            assert!(outcome.exclusive || outcome.attempts <= 8, "after 8 losses the turn is exclusive");
            most = most.max(outcome.attempts);
        }
        Ok(most)
    })?;
    let expected = i64::try_from(THREADS as u64 * each).expect("a small number");
    assert_eq!(number_at(&db.snapshot()?, &table, 0)?, Some(expected));
    let most = attempts.into_iter().max().unwrap_or(0);
    assert!(most <= 9, "an attempt that is admitted exclusively wins, and {most} were needed");
    let losses = db.stats().conflicts.kinds.write_write;
    if mode == JournalMode::Wal {
        assert_eq!(losses, 0, "writers that take turns do not conflict");
    }
    assert_clean(&db)
}

#[test]
fn with_concurrent_writers() -> Result<()> {
    count_together(JournalMode::Mvcc, Durability::Sync, 25 * scale())
}

#[test]
fn with_concurrent_writers_that_do_not_wait_for_the_disk() -> Result<()> {
    count_together(JournalMode::Mvcc, Durability::Deferred, 250 * scale())
}

#[test]
fn with_writers_that_take_turns() -> Result<()> {
    count_together(JournalMode::Wal, Durability::Sync, 25 * scale())
}
