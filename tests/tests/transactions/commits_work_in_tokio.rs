//! Commits and retries by future in a runtime that others wrote: on one thread and on several, with timeouts, and with
//! tasks that are aborted half way.

use std::time::Duration;

use braid::{Database, JournalMode, RetryPolicy, Table, Transaction};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

fn database() -> (tempfile::TempDir, Database, Table) {
    let folder = tempfile::tempdir().expect("it is made");
    let db = Database::open(folder.path().join("db.braid")).expect("it is made");
    db.set_journal_mode(JournalMode::Mvcc).expect("it is made");
    let table = db.table("rows").expect("it is made");
    (folder, db, table)
}

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_time().build().expect("it is made"),
        Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("it is made"),
    ]
}

async fn put(db: &Database, table: &Table, key: String) -> braid::Result<braid::Commit> {
    let mut tx = db.begin_concurrent()?;
    tx.put(table, key, "value")?;
    tx.commit_async().await
}

#[test]
fn tasks_share_syncs() {
    for runtime in runtimes() {
        let (_folder, db, table) = database();
        let before = db.stats().log.syncs;
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..32 {
                let (db, table) = (db.clone(), table.clone());
                tasks.spawn(async move {
                    for row in 0..10 {
                        put(&db, &table, format!("{task} {row}")).await.unwrap();
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        });
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 320);
        let syncs = db.stats().log.syncs - before;
        assert!(syncs < 320, "{syncs} syncs");
    }
}

#[test]
fn a_timeout_while_it_is_held_back_rolls_it_back() {
    for runtime in runtimes() {
        let (_folder, db, table) = database();
        let exclusive = db.begin_immediate().unwrap();
        runtime.block_on(async {
            let late =
                tokio::time::timeout(Duration::from_millis(20), put(&db, &table, "late".to_owned())).await;
            assert!(late.is_err(), "it cannot have committed");
        });
        exclusive.commit().unwrap();
        assert_eq!(db.get(&table, "late").unwrap(), None);
        db.begin_immediate().unwrap().commit().unwrap();
    }
}

/// An aborted task has committed or not; whoever was told of a commit finds it, and nothing is locked.
#[test]
fn aborted_tasks_leave_whole_commits() {
    for runtime in runtimes() {
        let (_folder, db, table) = database();
        let told = runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..64_u64 {
                let (db, table) = (db.clone(), table.clone());
                let aborted = tasks.spawn(async move {
                    let mut tx = db.begin_concurrent().unwrap();
                    for part in ["left", "right"] {
                        tx.put(&table, format!("{task} {part}"), "value").unwrap();
                    }
                    tx.commit_async().await.map(|_| task)
                });
                if task % 3 == 0 {
                    tokio::task::yield_now().await;
                    aborted.abort();
                }
            }
            let mut told = Vec::new();
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok(committed) => told.push(committed.unwrap()),
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            told
        });
        assert!(told.len() >= 42);
        // Both halves, or none; once somebody has waited for it all.
        db.begin_immediate().unwrap().commit().unwrap();
        let snapshot = db.snapshot().unwrap();
        for task in 0..64 {
            let [left, right] = ["left", "right"]
                .map(|part| snapshot.get(&table, format!("{task} {part}")).unwrap().is_some());
            assert_eq!(left, right, "{task}");
            assert!(left || !told.contains(&task), "{task} was told that it stands");
        }
    }
}

/// Tasks that count, all on one row: they back off, escalate, are aborted half way, and share their threads.
#[test]
fn the_retry_runner_holds_no_thread() {
    for runtime in runtimes() {
        let (_folder, db, table) = database();
        let policy = RetryPolicy::default().exclusive_after(3).deadline(Duration::from_secs(300));
        let counted = runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for task in 0..24 {
                let (db, table, policy) = (db.clone(), table.clone(), policy.clone());
                let aborted = tasks.spawn(async move {
                    for _ in 0..8 {
                        let counts = |tx: &mut Transaction| {
                            let count = tx.get(&table, "count")?.map_or(0, |bytes| bytes.len());
                            tx.put(&table, "count", vec![b'x'; count + 1])
                        };
                        db.transact_async_with(policy.clone(), counts).await.unwrap();
                    }
                });
                if task % 4 == 0 {
                    tokio::task::yield_now().await;
                    aborted.abort();
                }
            }
            let mut whole = 0;
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok(()) => whole += 8,
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            whole
        });
        // Nobody is in the way of the next one, and whoever was told of a commit is in the count.
        db.begin_immediate().unwrap().commit().unwrap();
        let count = db.get(&table, "count").unwrap().unwrap().len();
        assert!((counted..=24 * 8).contains(&count), "{count}, of which {counted} were told");
        assert!(counted >= 18 * 8);
    }
}
