//! At each limit, one below it and one above it.
#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use braid::limits::{
    MAX_CONSUMER_NAME_BYTES, MAX_LOG_SEGMENT_BYTES, MAX_SNAPSHOTS, MAX_TABLE_NAME_BYTES,
    MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, MIN_LOG_SEGMENT_BYTES, MIN_ROW_STORE_BYTES, ROW_OVERHEAD_BYTES,
    max_key_bytes,
};
use braid::{Database, Durability, Error, Isolation, JournalMode, Options, Table, TransactionOptions};

fn database(options: Options) -> (Database, Table) {
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn assert_over<T: std::fmt::Debug>(result: braid::Result<T>, limit: usize) {
    let Err(Error::Limit { actual, limit: told, .. }) = result else { panic!("{result:?}") };
    assert_eq!((actual, told), (limit as u64 + 1, limit as u64));
}

#[test]
fn of_keys() {
    for page_bytes in [512, 4096, 65_536] {
        let (db, table) = database(Options { page_bytes, ..Options::default() });
        let limit = max_key_bytes(page_bytes);
        for len in [0, limit - 1, limit] {
            db.put(&table, vec![7; len], [1]).unwrap();
        }
        assert_over(db.put(&table, vec![7; limit + 1], [1]), limit);
        assert_over(db.delete(&table, vec![7; limit + 1]), limit);
        assert_eq!(db.get(&table, vec![7; limit + 1]).unwrap(), None, "reading one is no error");
        db.checkpoint().unwrap();
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 3);
        assert_eq!(db.get(&table, vec![7; limit]).unwrap(), Some(vec![1]));
        assert!(db.check().unwrap().is_ok());
    }
}

#[test]
fn of_values() {
    let (db, table) = database(Options::default());
    // Untouched zeros take no memory, and neither is copied.
    let mut tx = db.begin_concurrent().unwrap();
    assert_over(tx.put(&table, "key", vec![0; MAX_VALUE_BYTES + 1]), MAX_VALUE_BYTES);
    let refused = tx.put(&table, "key", vec![0; MAX_VALUE_BYTES]);
    assert!(matches!(refused, Err(Error::TransactionTooLarge { .. })), "{refused:?}");
    tx.put(&table, "key", "value").unwrap();
    tx.commit().unwrap();
}

/// Some 4 GiB of memory and as much of disk: `cargo test --release -p braid --test limits_are_kept -- --ignored`.
#[test]
#[ignore = "takes four gigabytes of memory and disk: `just long-tests`"]
fn of_the_longest_values() {
    let value = |len: usize| {
        let mut value = vec![0; len];
        (0..len).step_by(4093).for_each(|at| value[at] = at as u8 | 1);
        value[len - 1] = 7;
        value
    };
    let place = tempfile::tempdir().unwrap();
    let open = || {
        let max_transaction_bytes = MAX_VALUE_BYTES + 1024;
        let db = Database::open_with(
            place.path().join("db"),
            Options { max_transaction_bytes, durability: Durability::Deferred, ..Options::default() },
        )
        .unwrap();
        let table = db.table("t").unwrap();
        (db, table)
    };
    let holds = |db: &Database, table: &Table, len: usize| {
        let expected = value(len);
        db.snapshot().unwrap().get_with(table, "key", |found| found == expected).unwrap() == Some(true)
    };
    for len in [MAX_VALUE_BYTES - 1, MAX_VALUE_BYTES] {
        let (db, table) = open();
        db.put(&table, "key", value(len)).unwrap();
        assert!(holds(&db, &table, len), "from memory");
        assert_over(db.put(&table, "key", vec![0; MAX_VALUE_BYTES + 1]), MAX_VALUE_BYTES);
        // Through the log, and through the file.
        drop((db, table));
        let (db, table) = open();
        assert!(holds(&db, &table, len), "after reopening");
        db.checkpoint().unwrap();
        assert!(holds(&db, &table, len), "from the file");
    }
    let (db, _) = open();
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn of_the_names_of_consumers() {
    let (db, _) = database(Options { page_bytes: 512, ..Options::default() });
    let now = db.snapshot().unwrap().timestamp();
    for len in [1, MAX_CONSUMER_NAME_BYTES - 1, MAX_CONSUMER_NAME_BYTES] {
        db.consumer(&"c".repeat(len), now).unwrap();
    }
    assert_over(db.consumer(&"c".repeat(MAX_CONSUMER_NAME_BYTES + 1), now), MAX_CONSUMER_NAME_BYTES);
    assert!(matches!(db.consumer("", now), Err(Error::Limit { actual: 0, limit: 1, .. })));
    db.checkpoint().unwrap();
    assert_eq!(db.consumers().unwrap().len(), 3);
    // Bytes, not characters.
    assert!(matches!(db.consumer(&"é".repeat(61), now), Err(Error::Limit { actual: 122, .. })));
}

#[test]
fn of_names() {
    let (db, _) = database(Options { page_bytes: 512, ..Options::default() });
    for len in [1, MAX_TABLE_NAME_BYTES - 1, MAX_TABLE_NAME_BYTES] {
        db.table(&"n".repeat(len)).unwrap();
    }
    assert_over(db.table(&"n".repeat(MAX_TABLE_NAME_BYTES + 1)), MAX_TABLE_NAME_BYTES);
    assert!(matches!(db.table(""), Err(Error::Limit { actual: 0, limit: 1, .. })));
    db.checkpoint().unwrap();
    assert_eq!(db.tables().unwrap().len(), 4);
}

#[test]
fn of_options() {
    let open = |options| Database::in_memory_with(options).map(drop);
    let default = Options::default;
    open(Options { max_transaction_bytes: MAX_TRANSACTION_BYTES as usize, ..default() }).unwrap();
    let options = Options { max_transaction_bytes: MAX_TRANSACTION_BYTES as usize + 1, ..default() };
    assert_over(open(options), MAX_TRANSACTION_BYTES as usize);
    open(Options { max_snapshots: MAX_SNAPSHOTS, ..default() }).unwrap();
    assert_over(open(Options { max_snapshots: MAX_SNAPSHOTS + 1, ..default() }), MAX_SNAPSHOTS);
    open(Options { log_segment_bytes: MAX_LOG_SEGMENT_BYTES, ..default() }).unwrap();
    let options = Options { log_segment_bytes: MAX_LOG_SEGMENT_BYTES + 1, ..default() };
    assert_over(open(options), MAX_LOG_SEGMENT_BYTES as usize);
    for options in [
        Options { row_store_bytes: MIN_ROW_STORE_BYTES, ..default() },
        Options { log_segment_bytes: MIN_LOG_SEGMENT_BYTES, ..default() },
        Options { max_snapshots: 1, ..default() },
        Options { page_bytes: 512, ..default() },
        Options { page_bytes: 65_536, ..default() },
    ] {
        open(options).unwrap();
    }
    for options in [
        Options { row_store_bytes: MIN_ROW_STORE_BYTES - 1, ..default() },
        Options { log_segment_bytes: MIN_LOG_SEGMENT_BYTES - 1, ..default() },
        Options { max_snapshots: 0, ..default() },
        Options { page_bytes: 256, ..default() },
        Options { page_bytes: 131_072, ..default() },
        Options { page_bytes: 1000, ..default() },
    ] {
        assert!(matches!(open(options), Err(Error::Limit { .. })));
    }
    let told = open(Options { page_bytes: 3000, ..default() }).unwrap_err().to_string();
    assert_eq!(told, "Options::page_bytes (a power of two from 512 to 65536) is 3000");
}

#[test]
fn of_open_transactions() {
    let (db, table) = database(Options { max_snapshots: 3, ..Options::default() });
    let mut open: Vec<_> = (0..2).map(|_| db.snapshot().unwrap()).collect();
    let last = db.begin_concurrent().unwrap();
    assert_full(db.snapshot());
    assert_full(db.begin_concurrent());
    assert_full(db.put(&table, "key", ""));
    drop(last);
    db.put(&table, "key", "").unwrap();
    open.push(db.snapshot().unwrap());
    assert_full(db.snapshot());
}

fn assert_full<T: std::fmt::Debug>(refused: braid::Result<T>) {
    assert!(matches!(refused, Err(Error::TooManySnapshots { limit: 3, .. })), "{refused:?}");
}

#[test]
fn of_a_transaction() {
    const LIMIT: usize = 10_000;
    let (db, table) = database(Options { max_transaction_bytes: LIMIT, ..Options::default() });
    let fill = |value: usize| {
        let mut tx = db.begin_concurrent().unwrap();
        tx.put(&table, "key", vec![0; value]).map(|()| tx)
    };
    let most = LIMIT - ROW_OVERHEAD_BYTES - 3;
    for value in [most - 1, most] {
        fill(value).unwrap().commit().unwrap();
    }
    let refused = fill(most + 1).unwrap_err();
    let Error::TransactionTooLarge { bytes, limit, .. } = refused else { panic!("{refused}") };
    assert_eq!((bytes, limit), (LIMIT as u64 + 1, LIMIT as u64));
    assert!(refused.to_string().contains("raise Options::max_transaction_bytes"));

    // What was refused changed nothing, and a row may be replaced where another would not fit.
    let mut tx = fill(most - 500).unwrap();
    assert!(tx.put(&table, "other", vec![0; 500]).is_err());
    assert!(tx.put(&table, "key", vec![0; most + 1]).is_err());
    tx.put(&table, "key", vec![1; most]).unwrap();
    assert!(tx.delete(&table, "other").is_err());
    assert_eq!(tx.get(&table, "key").unwrap(), Some(vec![1; most]));
    assert_eq!(tx.get(&table, "other").unwrap(), None);
    tx.commit().unwrap();
    assert_eq!(db.get(&table, "key").unwrap(), Some(vec![1; most]));
}

#[test]
fn of_what_a_serializable_transaction_notes_of_its_reads() {
    const LIMIT: usize = 100_000;
    let (db, table) = database(Options { max_transaction_bytes: LIMIT, ..Options::default() });
    let options = TransactionOptions { isolation: Isolation::Serializable, ..TransactionOptions::default() };
    let tx = db.begin_with(options.clone()).unwrap();
    let refused = (0..LIMIT).find_map(|key| tx.get(&table, key.to_be_bytes()).err());
    assert!(matches!(refused, Some(Error::TransactionTooLarge { limit, .. }) if limit == LIMIT as u64));
    drop(tx);
    // The same keys again and again are not more of them.
    let tx = db.begin_with(options.clone()).unwrap();
    for round in 0..100_000_u64 {
        tx.get(&table, (round % 700).to_be_bytes()).unwrap();
    }
    drop(tx);
    // A scan is one range, and so is what a cursor passes that jumps about in it.
    let tx = db.begin_with(options.clone()).unwrap();
    let mut cursor = tx.cursor(&table).unwrap();
    assert!((0..LIMIT).all(|key| !cursor.seek_ge(key.to_be_bytes()).unwrap()));
    // A count is a range; so is each range of its own, and the same ones again and again are not more of them.
    let tx = db.begin_with(options.clone()).unwrap();
    let from_to = |number: usize| (2 * number).to_be_bytes()..(2 * number + 1).to_be_bytes();
    for round in 0..20_000 {
        assert_eq!(tx.count_range(&table, from_to(round % 900)).unwrap(), 0);
    }
    let refused = (0..LIMIT).find_map(|number| tx.count_range(&table, from_to(number)).err());
    assert!(matches!(refused, Some(Error::TransactionTooLarge { .. })), "{refused:?}");
    let refused = tx.range(&table, from_to(LIMIT)).unwrap().next();
    assert!(matches!(refused, Some(Err(Error::TransactionTooLarge { .. }))), "{refused:?}");
    // What is not tracked is not noted, in this one either.
    for number in 0..LIMIT {
        tx.get_untracked(&table, number.to_be_bytes()).unwrap();
    }
    assert_eq!(tx.untracked().count(&table).unwrap(), 0);
    assert_eq!(tx.range_untracked::<&[u8]>(&table, ..).unwrap().count(), 0);
    // Without Serializable nothing is noted.
    let tx = db.begin_concurrent().unwrap();
    for key in 0..LIMIT {
        tx.get(&table, key.to_be_bytes()).unwrap();
    }
}

#[test]
fn a_move_that_notes_too_much_passes_over_nothing() {
    let (db, table) = database(Options { max_transaction_bytes: 600, ..Options::default() });
    let long = vec![b'b'; 500];
    for key in [&b"a"[..], &long, b"c", b"d"] {
        db.put(&table, key, "").unwrap();
    }
    let options = TransactionOptions { isolation: Isolation::Serializable, ..TransactionOptions::default() };
    let tx = db.begin_with(options).unwrap();
    (0..8_u8).for_each(|key| drop(tx.get(&table, [key]).unwrap()));
    let mut cursor = tx.cursor(&table).unwrap();
    assert!(cursor.next().unwrap() && cursor.next().unwrap());
    // What is noted would be less than the limit again if it ended at a short key.
    for _ in 0..2 {
        let refused = cursor.next();
        assert!(matches!(refused, Err(Error::TransactionTooLarge { .. })), "{refused:?}");
        assert_eq!(cursor.key(), Some(&long[..]));
    }
}

#[test]
fn a_range_is_deleted_whole_or_not_at_all() {
    const ROWS: usize = 100;
    let limit = ROWS * (ROW_OVERHEAD_BYTES + 4) - 1;
    for (limit, fits) in [(limit, false), (limit + 1, true)] {
        let (db, table) = database(Options { max_transaction_bytes: limit, ..Options::default() });
        for row in 0..ROWS as u32 {
            db.put(&table, row.to_be_bytes(), [1; 50]).unwrap();
        }
        let mut tx = db.begin_concurrent().unwrap();
        let deleted = tx.delete_range::<[u8; 4]>(&table, ..);
        if fits {
            assert_eq!(deleted.unwrap(), ROWS as u64);
        } else {
            assert!(matches!(deleted, Err(Error::TransactionTooLarge { .. })), "{deleted:?}");
            assert_eq!(tx.count(&table).unwrap(), ROWS as u64, "not one is gone");
            assert_eq!(tx.delete_range(&table, 1_u32.to_be_bytes()..).unwrap(), ROWS as u64 - 1);
        }
        tx.commit().unwrap();
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), u64::from(!fits));
    }
}

#[test]
fn commits_on_their_way_count_in_the_row_store_budget() {
    // Of one transaction that is larger than the budget there may be one at a time, and of small ones as many as fit.
    const BUDGET: usize = 256 << 10;
    for value in [8 << 10, 600 << 10] {
        let (db, table) = database(Options {
            row_store_bytes: BUDGET,
            durability: Durability::Deferred,
            ..Options::default()
        });
        let done = AtomicBool::new(false);
        let most = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(db.stats().row_store.bytes);
                    braid::vfs::sync::thread::yield_now();
                }
                most
            });
            let writers: Vec<_> = (0..8_u8)
                .map(|writer| {
                    let (db, table) = (&db, &table);
                    scope.spawn(move || {
                        for _ in 0..(4 << 20) / value {
                            // A large one may lose the history that it is to be validated against.
                            while let Err(error) = db.put(table, [writer], vec![writer; value]) {
                                assert!(error.is_retryable(), "{error}");
                            }
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
            watcher.join().unwrap()
        });
        let allowed = BUDGET.max(value + 1024) as u64;
        assert!(most <= allowed, "{most} of {allowed}");
    }
}

#[test]
fn a_transaction_that_is_over_is_no_open_one_for_its_cursor() {
    let (db, table) = database(Options::default());
    db.put(&table, "key", vec![7; 10_000]).unwrap();
    db.checkpoint().unwrap();
    for commits in [true, false] {
        let mut tx = db.begin_concurrent().unwrap();
        tx.put(&table, "other", "").unwrap();
        let mut cursor = tx.cursor(&table).unwrap();
        assert!(cursor.first().unwrap());
        assert!(matches!(
            db.set_journal_mode(JournalMode::Wal),
            Err(Error::WriteTransactionsOpen { open: 1, .. })
        ));
        if commits {
            tx.commit().unwrap();
        } else {
            tx.rollback();
        }
        db.set_journal_mode(JournalMode::Wal).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        db.put(&table, "key", vec![8; 10_000]).unwrap();
        db.checkpoint().unwrap();
        db.checkpoint().unwrap();
        let value = if commits { 7 } else { 8 };
        assert_eq!(cursor.value().unwrap(), Some(&vec![value; 10_000][..]), "and its row is held");
        assert!(matches!(cursor.next(), Err(Error::TransactionClosed)));
        assert_eq!(db.stats().open_snapshots, 1);
        drop(cursor);
        assert_eq!(db.stats().open_snapshots, 0);
    }
}

#[test]
fn the_size_of_the_file_is_told_whole() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("db");
    let db = Database::open(&path).unwrap();
    let file = braid::vfs::Env::real().files;
    let len = || {
        let read = braid::vfs::OpenOptions::new(braid::vfs::OpenMode::ReadOnly);
        file.open(&path, read).unwrap().len().unwrap()
    };
    assert_eq!(db.stats().file.bytes, len());
    let table = db.table("t").unwrap();
    db.put(&table, "key", vec![7; 1 << 20]).unwrap();
    db.compact().unwrap();
    assert_eq!(db.stats().file.bytes, len());
}

/// Appends to long rows: what a refused transaction reads and makes is bounded by the limit, not by the rows.
#[test]
fn of_appends_before_all_is_read() {
    const ROWS: u32 = 100;
    const VALUE: usize = 64 << 10;
    let limit = 4 * VALUE;
    let files = braid::vfs::faulty::CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let options = Options { max_transaction_bytes: limit, cache_bytes: 0, ..Options::default() };
    let env = braid::vfs::Env::with_files(std::sync::Arc::new(files));
    let db = Database::open_in(env, "/db", options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), vec![7; VALUE]).unwrap();
    }
    db.checkpoint().unwrap();
    let append = |rows: u32| {
        faults.reset_counters();
        let mut transaction = db.begin_concurrent().unwrap();
        for row in 0..rows {
            transaction.append(&table, row.to_be_bytes(), "x").unwrap();
        }
        let committed = transaction.commit();
        (committed, faults.counters().bytes_on(braid::vfs::faulty::Operation::Read, "/db") as usize)
    };
    let (refused, read) = append(ROWS);
    let Err(Error::TransactionTooLarge { bytes, limit: told, .. }) = refused else { panic!("{refused:?}") };
    assert!(bytes > told && told == limit as u64, "{bytes} of {told}");
    assert!(read <= limit + 2 * VALUE, "{read} bytes read");
    let (committed, read) = append(3);
    assert!(committed.is_ok() && read >= 3 * VALUE, "{read} bytes read");
    assert_eq!(db.get(&table, 0_u32.to_be_bytes()).unwrap().map(|value| value.len()), Some(VALUE + 1));
}
