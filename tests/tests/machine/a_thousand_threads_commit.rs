//! A thousand threads, each with a handle of its own, commit and read at the same time, and every commit counts.

use std::path::Path;

use braid::{Database, Durability, JournalMode, Options, Result, RetryPolicy, TransactionOptions};
use braid_tests::{Place, assert_clean, number, together, value};

const THREADS: usize = 1000;

fn commits(path: &Path, thread: usize) -> Result<Database> {
    let db = Database::open(path)?;
    let table = db.table("rows")?;
    let durability = if thread.is_multiple_of(10) { Durability::Sync } else { Durability::Deferred };
    let transaction = TransactionOptions { durability: Some(durability), ..Default::default() };
    let policy =
        RetryPolicy { max_attempts: u32::MAX, deadline: None, transaction, ..RetryPolicy::default() };
    for round in 0..3 {
        db.transact_with(policy.clone(), |tx| {
            tx.insert(&table, format!("{thread} {round}"), "x")?;
            let counter = format!("counter {}", thread % 100);
            let count = tx.get(&table, &counter)?.map_or(0, |bytes| number(&bytes));
            tx.put(&table, counter, value(count + 1))
        })?;
        assert!(db.get(&table, format!("{thread} {round}"))?.is_some(), "one's own commit is read");
    }
    Ok(db)
}

#[test]
fn and_every_commit_counts() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    assert_eq!(db.journal_mode(), JournalMode::Mvcc);
    let handles = together(THREADS, |thread| commits(&place.path(), thread))?;
    let table = db.table("rows")?;
    let snapshots = handles.iter().map(Database::snapshot).collect::<Result<Vec<_>>>()?;
    for snapshot in &snapshots {
        assert_eq!(snapshot.get_with(&table, "counter 7", number)?, Some(30));
    }
    assert_eq!(db.snapshot()?.count(&table)?, 3 * THREADS as u64 + 100);
    drop((snapshots, handles));
    assert_clean(&db)
}
