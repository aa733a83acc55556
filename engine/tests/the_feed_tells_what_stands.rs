//! The change feed: everything that was committed, once, in order, and not before it is on the disk.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::{
    Change, ChangeSet, Changes, Database, Durability, Error, JournalMode, Options, Timestamp,
    TransactionOptions,
};

/// The changes as words, by transaction.
fn rest(changes: &mut Changes) -> Vec<(u64, Vec<String>)> {
    std::iter::from_fn(|| changes.try_next().unwrap()).map(words).collect()
}

fn words(set: ChangeSet) -> (u64, Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(8)]).into_owned();
    let name = |table: &braid::ChangedTable| table.name.as_deref().unwrap_or("?").to_owned();
    let ts = set.timestamp().get();
    let word = |change: braid::Result<Change>| match change.unwrap() {
        Change::Put { table, key, value, .. } => format!("{}[{}]={}", name(&table), text(&key), text(&value)),
        Change::Delete { table, key, .. } => format!("{}[{}] gone", name(&table), text(&key)),
        Change::Create(table) => format!("create {}", name(&table)),
        Change::Load(table) => format!("load {}", name(&table)),
        Change::Drop(table) => format!("drop {}", name(&table)),
        other => format!("{other:?}"),
    };
    (ts, set.map(word).collect())
}

fn lines(changes: &mut Changes) -> Vec<String> {
    rest(changes).into_iter().map(|(_, words)| words.join(", ")).collect()
}

fn small(machine: &CrashFileSystem) -> Database {
    let options = Options {
        log_segment_bytes: 64 << 10,
        row_store_bytes: 256 << 10,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options).unwrap()
}

#[test]
fn every_kind_of_change_in_its_order() {
    let db = Database::in_memory().unwrap();
    let mut feed = db.changes(Timestamp::ZERO).unwrap();
    let fruit = db.table("fruit").unwrap();
    db.put(&fruit, "apple", "red").unwrap();
    let mut tx = db.begin_immediate().unwrap();
    tx.put(&fruit, "pear", "green").unwrap();
    tx.delete(&fruit, "apple").unwrap();
    let last = tx.commit().unwrap().timestamp;
    let mut loader = db.load_table("stock").unwrap();
    loader.put("one", "1").unwrap();
    loader.finish().unwrap();
    db.drop_table("fruit").unwrap();
    assert_eq!(
        lines(&mut feed),
        [
            "create fruit",
            "fruit[apple]=red",
            "fruit[apple] gone, fruit[pear]=green",
            "load stock",
            "drop fruit"
        ]
    );
    let mut again = db.changes(last).unwrap();
    assert_eq!(lines(&mut again), ["load stock", "drop fruit"], "the timestamp given is not part of it");
    assert_eq!(again.passed(), feed.passed());
    assert!(again.try_next().unwrap().is_none());
}

#[test]
fn nothing_before_it_is_on_the_disk_and_then_all_of_it() {
    let machine = CrashFileSystem::new();
    let db = small(&machine);
    let table = db.table("t").unwrap();
    let mut feed = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
    let deferred =
        TransactionOptions { durability: Some(Durability::Deferred), ..TransactionOptions::default() };
    let mut tx = db.begin_with(deferred).unwrap();
    tx.put(&table, "a", "1").unwrap();
    tx.commit().unwrap();
    assert!(feed.try_next().unwrap().is_none(), "a power cut could take it back");
    assert!(db.get(&table, "a").unwrap().is_some());
    db.sync().unwrap();
    assert_eq!(lines(&mut feed), ["t[a]=1"]);
}

#[test]
fn after_a_failed_sync_it_tells_what_stands_and_then_that() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    let table = db.table("t").unwrap();
    let mut feed = db.changes(Timestamp::ZERO).unwrap();
    db.put(&table, "a", "1").unwrap();
    faults.inject(Fault::on(Operation::SyncData).sticky());
    assert!(matches!(db.put(&table, "b", "2"), Err(Error::CommitUnknown { .. })));
    let mut told = Vec::new();
    let end = loop {
        match feed.next().unwrap() {
            Ok(set) => told.extend(words(set).1),
            Err(error) => break error,
        }
    };
    assert_eq!(told, ["create t", "t[a]=1"]);
    assert!(matches!(end, Error::Poisoned { .. }), "{end}");
    assert!(feed.next().is_none());
}

#[test]
fn it_follows_over_segments_and_checkpoints_and_large_values() {
    let machine = CrashFileSystem::new();
    let db = small(&machine);
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let mut feed = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
    let mut expected = Vec::new();
    for round in 0..40_u32 {
        let mut tx = db.begin_concurrent().unwrap();
        for row in 0..9_u32 {
            let value = vec![b'a' + (row % 26) as u8; if row == 4 { 200_000 } else { 1_000 }];
            tx.put(&table, format!("{round:03}{row}"), &value).unwrap();
        }
        expected.push(tx.commit().unwrap().timestamp.get());
        if round % 8 == 7 {
            db.checkpoint().unwrap();
        }
    }
    assert!(db.stats().feed.retained_bytes > 0, "the feed has not read them");
    let mut found = Vec::new();
    for set in std::iter::from_fn(|| feed.try_next().unwrap()) {
        found.push(set.timestamp().get());
        let rows: Vec<_> = set.map(Result::unwrap).collect();
        assert_eq!(rows.len(), 9);
        assert!(matches!(&rows[4], Change::Put { value, .. } if value.len() == 200_000));
        assert!(rows.is_sorted_by_key(|row| match row {
            Change::Put { key, .. } => key.clone(),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(found, expected);
    drop(feed);
    db.put(&table, "x", "y").unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.stats().feed.retained_bytes, 0, "nobody wants them any more");
}

/// Whichever read of the log fails, once or with everything after it: what it was to give comes when the files are well again.
#[test]
fn a_read_that_fails_passes_over_nothing() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    // Nothing is folded, so that the log stays.
    let options = Options { log_segment_bytes: 64 << 10, map_log: false, ..Options::default() };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options).unwrap();
    let table = db.table("t").unwrap();
    let after = db.snapshot().unwrap().timestamp();
    let lengths = [10, 120_000, 10, 70_000, 200_000, 10];
    let expected: Vec<_> = lengths
        .into_iter()
        .map(|length| (db.put(&table, "row", vec![7; length]).unwrap().timestamp.get(), length))
        .collect();
    let mut failed = 0;
    for nth in 1.. {
        let mut feed = db.changes(after).unwrap();
        let fired = faults.fired();
        faults.clear();
        faults.inject(Fault::on(Operation::Read).nth(nth));
        let (mut found, mut fails) = (Vec::new(), 0);
        loop {
            match feed.try_next() {
                Ok(Some(set)) => {
                    let ts = set.timestamp().get();
                    let lengths = set.map(|change| match change {
                        Ok(Change::Put { value, .. }) => Ok(value.len()),
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => Err(error),
                    });
                    match lengths.collect::<Result<Vec<_>, _>>() {
                        Ok(lengths) => found.push((ts, lengths[0])),
                        Err(_) => {
                            // One that was not read to its end is read again by a feed from before it.
                            fails += 1;
                            let before = found.last().map_or(after, |(ts, _)| Timestamp::new(*ts).unwrap());
                            feed = db.changes(before).unwrap();
                        }
                    }
                }
                Ok(None) => break,
                Err(_) => fails += 1,
            }
            assert!(fails < 2, "it fails once");
        }
        assert_eq!(found, expected, "read {nth} failed");
        if faults.fired() == fired {
            break;
        }
        failed += fails;
    }
    assert!(failed > 3, "only {failed} reads failed");
}

#[test]
fn a_history_that_is_gone_is_told() {
    let machine = CrashFileSystem::new();
    let db = small(&machine);
    let table = db.table("t").unwrap();
    let first = db.put(&table, "a", [1; 40_000]).unwrap().timestamp;
    for row in 0..20_u8 {
        db.put(&table, [row], [row; 40_000]).unwrap();
    }
    db.checkpoint().unwrap();
    let Err(Error::HistoryGone { wanted, oldest, .. }) = db.changes(first).map(drop) else {
        panic!("the log before the checkpoint is gone");
    };
    assert!(wanted == first && oldest > first);
    let last = db.put(&table, "z", "z").unwrap().timestamp;
    let mut feed = db.changes(oldest).unwrap();
    assert_eq!(rest(&mut feed).last().unwrap().0, last.get());
}

#[test]
fn the_log_goes_with_the_next_checkpoint_whatever_that_finds_to_fold() {
    let machine = CrashFileSystem::new();
    let db = small(&machine);
    let table = db.table("t").unwrap();
    let feed = db.changes(Timestamp::ZERO).unwrap();
    for row in 0..40_u8 {
        db.put(&table, [row], [b'x'; 9_000]).unwrap();
    }
    db.checkpoint().unwrap();
    assert!(db.stats().feed.retained_bytes > 0, "the feed wants it");
    drop(feed);
    assert_eq!(db.checkpoint().unwrap().rows, 0);
    assert_eq!(db.stats().feed.retained_bytes, 0, "nobody wants it any more");
}

#[test]
fn a_consumer_goes_on_where_it_was_after_closes_and_crashes() {
    let mut machine = CrashFileSystem::new();
    let mut next = 0_u32;
    let mut told = Vec::new();
    for life in 0..9 {
        let db = small(&machine);
        let table = db.table("t").unwrap();
        let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
        let mut feed = consumer.changes().unwrap();
        let mut seen = Vec::new();
        while let Some(set) = feed.try_next().unwrap() {
            let ts = set.timestamp();
            seen.extend(words(set).1);
            if seen.len() % 3 == 0 {
                consumer.acknowledge(ts).unwrap();
                told.append(&mut seen);
            }
        }
        // What was not acknowledged comes again.
        for _ in 0..25 {
            db.put(&table, next.to_string(), [b'x'; 9_000]).unwrap();
            next += 1;
        }
        match life % 3 {
            0 => {
                db.close().unwrap();
            }
            1 => drop(db),
            _ => {
                let after = machine.crash(CrashChoice::KeepNone);
                drop((feed, consumer, db));
                machine = after;
            }
        }
    }
    let db = small(&machine);
    let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
    let mut feed = consumer.changes().unwrap();
    told.extend(rest(&mut feed).into_iter().flat_map(|(_, words)| words));
    let rows: Vec<_> = (0..next).map(|row| format!("t[{row}]=xxxxxxxx")).collect();
    assert_eq!(told[0], "create t");
    assert_eq!(told[1..], rows);
    consumer.acknowledge(feed.passed()).unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.stats().feed.retained_bytes, 0);
    assert!(db.remove_consumer("index").unwrap() && !db.remove_consumer("index").unwrap());
    assert!(matches!(consumer.changes(), Err(Error::NoSuchConsumer(_))));
}

#[test]
fn a_consumer_that_never_comes_back_does_not_fill_the_disk() {
    let machine = CrashFileSystem::new();
    let options = Options {
        log_segment_bytes: 64 << 10,
        row_store_bytes: 256 << 10,
        max_retained_log_bytes: 512 << 10,
        ..Options::default()
    };
    let open =
        || Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options.clone()).unwrap();
    let db = open();
    let table = db.table("t").unwrap();
    let consumer = db.consumer("dead", Timestamp::ZERO).unwrap();
    for row in 0..200_u8 {
        db.put(&table, [row], [row; 20_000]).unwrap();
        // A checkpoint in the background lets go of the log right after it has published what it folded.
        while db.stats().feed.retained_bytes > 512 << 10 {
            std::thread::yield_now();
        }
    }
    db.checkpoint().unwrap();
    assert!(db.consumers().unwrap()[0].lost);
    assert!(matches!(consumer.changes(), Err(Error::HistoryGone { .. })));
    assert_eq!(db.stats().feed.retained_bytes, 0, "it is lost, so nothing is kept for it");
    drop(db);
    let reader =
        Database::open_read_only_in(Env::with_files(Arc::new(machine.clone())), "/db", Options::default())
            .unwrap();
    let told = reader.consumers().unwrap();
    assert_eq!((told[0].lost, told[0].held_bytes), (true, 0), "for who reads the file too");
    drop(reader);
    let db = open();
    assert_eq!(db.consumers().unwrap()[0].held_bytes, 0);
    assert!(db.consumers().unwrap()[0].lost);
    let consumer = db.consumer("dead", Timestamp::ZERO).unwrap();
    assert!(matches!(consumer.changes(), Err(Error::HistoryGone { .. })));
    consumer.acknowledge(db.snapshot().unwrap().timestamp()).unwrap();
    db.put(&db.table("t").unwrap(), "on", "again").unwrap();
    assert_eq!(lines(&mut consumer.changes().unwrap()), ["t[on]=again"], "it may begin anew from a snapshot");

    // From then on the log is kept for it as before.
    let table = db.table("t").unwrap();
    for row in 0..20_u8 {
        db.put(&table, [row], [row; 20_000]).unwrap();
        db.checkpoint().unwrap();
    }
    assert!(!db.consumers().unwrap()[0].lost);
    assert_eq!(rest(&mut consumer.changes().unwrap()).len(), 21);
    drop((table, db));
    let db = open();
    assert!(!db.consumers().unwrap()[0].lost);
    let consumer = db.consumer("dead", Timestamp::ZERO).unwrap();
    assert_eq!(rest(&mut consumer.changes().unwrap()).len(), 21);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn it_wakes_whoever_waits() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let mut feed = db.changes(db.snapshot().unwrap().timestamp()).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let mut cx = Context::from_waker(&waker);
    for round in 1..=3 {
        for _ in 0..2 {
            // Dropped and polled again: nothing is lost, and nobody is woken twice.
            assert!(matches!(std::pin::pin!(feed.next_async()).as_mut().poll(&mut cx), Poll::Pending));
        }
        db.put(&table, "a", "1").unwrap();
        // By a thread of the database's.
        while woken.0.load(Ordering::SeqCst) < round {
            std::thread::yield_now();
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), round);
        assert!(matches!(feed.poll_next(&mut cx), Poll::Ready(Some(Ok(_)))));
    }
    assert!(feed.next_timeout(Duration::from_millis(1)).unwrap().is_none());
    assert!(matches!(feed.poll_next(&mut cx), Poll::Pending));
    drop((table, db));
    assert_eq!(woken.0.load(Ordering::SeqCst), 4);
    assert!(matches!(feed.poll_next(&mut cx), Poll::Ready(None)));
    assert!(feed.next().is_none() && feed.is_ended());
}

#[test]
fn threads_follow_while_siblings_write() {
    const WRITERS: u32 = 4;
    const EACH: u32 = 150;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let options = || Options {
        row_store_bytes: 128 << 10,
        log_segment_bytes: 64 << 10,
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_millis(5),
        ..Options::default()
    };
    let db = Database::open_with(&path, options()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let start = db.snapshot().unwrap().timestamp();
    let followers: Vec<_> = (0..2)
        .map(|_| {
            let (feed, reader) = (db.changes(start).unwrap(), Database::open(&path).unwrap());
            braid::vfs::sync::thread::spawn(move || {
                let table = reader.table("t").unwrap();
                let mut seen = Vec::new();
                for set in feed.map(Result::unwrap).take((WRITERS * EACH) as usize) {
                    let ts = set.timestamp();
                    for change in set {
                        let Change::Put { key, value, .. } = change.unwrap() else { panic!() };
                        let now = reader.get(&table, &key).unwrap().unwrap();
                        assert!(now >= value, "a snapshot after the feed sees what the feed told");
                        seen.push((ts, key, value));
                    }
                }
                seen
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let db = Database::open(&path).unwrap();
            braid::vfs::sync::thread::spawn(move || {
                let table = db.table("t").unwrap();
                (0..EACH)
                    .map(|round| {
                        let mut value = round.to_be_bytes().to_vec();
                        value.resize(700, 0);
                        let key = [writer.to_le_bytes()[0], (round % 7).to_le_bytes()[0]];
                        (db.put(&table, key, &value).unwrap().timestamp, key.to_vec(), value)
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut committed: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    committed.sort();
    for follower in followers {
        assert!(follower.join().unwrap() == committed, "the same history, in commit order");
    }
    drop(table);
}

#[test]
fn a_reader_of_a_closed_file_gets_what_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let db = Database::open(&path).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "a", "1").unwrap();
    drop((table, db));
    let db = Database::open_read_only(&path).unwrap();
    let mut feed = db.changes(Timestamp::ZERO).unwrap();
    assert_eq!(lines(&mut feed), ["create t", "t[a]=1"]);
    assert!(feed.is_ended() && feed.next().is_none());
    assert!(matches!(db.consumer("c", Timestamp::ZERO), Err(Error::ReadOnly)));
}

/// A position that a power cut takes back must not have let the log go.
#[test]
fn a_position_counts_when_it_is_durable() {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let options = || Options {
        log_segment_bytes: 64 << 10,
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    let table = db.table("t").unwrap();
    let consumer = db.consumer("c", Timestamp::ZERO).unwrap();
    for row in 0..20_u8 {
        db.put(&table, [row], [row; 20_000]).unwrap();
    }
    db.sync().unwrap();
    let mut feed = consumer.changes().unwrap();
    let told = rest(&mut feed).len();
    let (to, late) = (feed.passed(), consumer.clone());
    drop(feed);
    // While the checkpoint writes: its seal has not seen this, and nothing syncs it before the log is let go.
    let fault = Fault::on(Operation::SyncData).on_paths(|path| path == std::path::Path::new("/db"));
    faults.inject(fault.call(move || late.acknowledge(to).unwrap()));
    db.checkpoint().unwrap();
    assert_eq!(consumer.position().unwrap(), to);
    let kept = db.stats().feed.retained_bytes;
    assert!(kept > 300_000, "{kept}: the position is not durable yet");
    let after = machine.crash(CrashChoice::KeepNone);
    drop((consumer, db));
    let db = Database::open_in(Env::with_files(Arc::new(after)), "/db", options()).unwrap();
    let consumer = db.consumer("c", Timestamp::MAX).unwrap();
    assert_eq!(consumer.position().unwrap(), Timestamp::ZERO, "nobody has synced the acknowledgement");
    assert_eq!(rest(&mut consumer.changes().unwrap()).len(), told);
}

#[test]
fn a_consumer_begins_no_later_than_the_newest_commit() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let newest = db.put(&table, "a", "1").unwrap().timestamp;
    for start in [newest.checked_next().unwrap(), Timestamp::MAX] {
        let refused = db.consumer("c", start);
        let is_told = |error: &Error| matches!(error, Error::FutureTimestamp { wanted, newest: at, .. } if (*wanted, *at) == (start, newest));
        assert!(refused.as_ref().is_err_and(is_told), "{refused:?}");
        assert!(db.consumers().unwrap().is_empty(), "and none is registered");
    }
    let consumer = db.consumer("c", newest).unwrap();
    let next = db.put(&table, "a", "2").unwrap().timestamp;
    let told = rest(&mut consumer.changes().unwrap());
    assert_eq!(told.last().map(|(at, _)| *at), Some(next.get()), "it hears of all that follow");
    // One that is there stands where it stood.
    assert_eq!(db.consumer("c", Timestamp::MAX).unwrap().position().unwrap(), newest);
}

#[test]
fn it_may_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Changes>();
    is_send::<ChangeSet>();
    is_send::<braid::Consumer>();
    is_send::<braid::NextChanges<'_>>();
}

/// Its row is written over again and again while the other who registers it looks for it.
#[test]
fn two_that_register_one_consumer_both_have_it() {
    let options = Options { durability: Durability::Deferred, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let commits: Vec<_> = (0..20).map(|row| db.put(&table, "k", [row]).unwrap().timestamp).collect();
    for round in 0..300 {
        let name = round.to_string();
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    both.wait();
                    let consumer = db.consumer(&name, Timestamp::ZERO).unwrap();
                    commits.iter().for_each(|ts| consumer.acknowledge(*ts).unwrap());
                });
            }
        });
        let known = db.consumers().unwrap();
        assert_eq!(known.iter().map(|one| &one.name).collect::<Vec<_>>(), [&name]);
        assert_eq!(Some(&known[0].position), commits.last());
        assert!(db.remove_consumer(&name).unwrap());
        assert!(db.consumers().unwrap().is_empty());
    }
}

/// It has no log: who goes on there from where a consumer stood would miss what came between.
#[test]
fn a_backup_knows_no_consumers() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path().join("db")).unwrap();
    let table = db.table("t").unwrap();
    let consumer = db.consumer("c", db.snapshot().unwrap().timestamp()).unwrap();
    db.put(&table, "missed", "1").unwrap();
    let backup = db.backup(folder.path().join("copy")).unwrap();
    assert_eq!((backup.tables, backup.rows), (1, 1));
    let copy = Database::open(folder.path().join("copy")).unwrap();
    assert_eq!(copy.consumers().unwrap(), []);
    let early = copy.consumer("c", consumer.position().unwrap());
    assert!(matches!(early, Err(Error::HistoryGone { .. })), "{early:?}");
    assert_eq!(db.consumers().unwrap().len(), 1);
}

/// Where it begins in the future, whatever is committed up to there would be missed.
#[test]
fn nobody_begins_after_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path().join("db")).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    db.backup(folder.path().join("copy")).unwrap();
    for i in 0..20_u8 {
        db.put(&table, [i], "").unwrap();
    }
    let last = db.snapshot().unwrap().timestamp();
    let copy = Database::open(folder.path().join("copy")).unwrap();
    let newest_there = copy.snapshot().unwrap().timestamp();
    for wanted in [last, Timestamp::MAX] {
        let feed = copy.changes(wanted);
        let refused = matches!(&feed, Err(Error::FutureTimestamp { wanted: w, newest, .. }) if *w == wanted && *newest == newest_there);
        assert!(refused, "{feed:?}");
        let consumer = copy.consumer("index", wanted);
        assert!(matches!(consumer, Err(Error::FutureTimestamp { .. })), "{consumer:?}");
    }
    assert_eq!(copy.consumers().unwrap(), []);
    let reader = Database::open_read_only(folder.path().join("db")).unwrap();
    assert!(matches!(reader.changes(Timestamp::MAX), Err(Error::FutureTimestamp { .. })));
    // The end itself is no future, nor what an open transaction sees.
    assert!(db.changes(last).unwrap().try_next().unwrap().is_none());
    let tx = db.begin_concurrent().unwrap();
    assert!(db.changes(tx.timestamp()).unwrap().try_next().unwrap().is_none());
}

#[test]
fn who_has_everything_is_not_behind() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let consumers = ["one", "two"].map(|name| db.consumer(name, Timestamp::ZERO).unwrap());
    let lags = || {
        let lag = |one: braid::ConsumerInfo| {
            assert_eq!(one.lag_bytes == 0, one.lag_timestamps == 0, "{one:?}");
            one.lag_timestamps > 0
        };
        db.consumers().unwrap().into_iter().map(lag).collect::<Vec<_>>()
    };
    assert_eq!(lags(), [true, true], "the table");
    for round in 0..3_u8 {
        db.put(&table, "row", [round]).unwrap();
        assert_eq!(lags(), [true, true]);
        let mut changes = consumers[0].changes().unwrap();
        while changes.try_next().unwrap().is_some() {}
        consumers[0].acknowledge(changes.passed()).unwrap();
        assert_eq!(lags(), [false, true], "round {round}");
        let mut changes = consumers[1].changes().unwrap();
        while changes.try_next().unwrap().is_some() {}
        consumers[1].acknowledge(changes.passed()).unwrap();
        assert_eq!(lags(), [false, false], "round {round}");
    }
    db.remove_consumer("one").unwrap();
    assert_eq!(lags(), [false], "its row is nothing for a feed");
}

/// What a killed process left is given by the next open for writing, if not to who only reads.
#[test]
fn who_only_reads_is_told_who_is_behind_as_well() {
    let mut machine = CrashFileSystem::new();
    let lag = |machine: &CrashFileSystem| {
        let env = Env::with_files(Arc::new(machine.clone()));
        let reader = Database::open_read_only_in(env, "/db", Options::default()).unwrap();
        let one = reader.consumers().unwrap().remove(0);
        assert_eq!(one.lag_bytes == 0, one.lag_timestamps == 0, "{one:?}");
        one.lag_timestamps
    };
    let read_all = |db: &Database| {
        let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
        let mut changes = consumer.changes().unwrap();
        let lines = lines(&mut changes);
        consumer.acknowledge(changes.passed()).unwrap();
        lines
    };
    let db = small(&machine);
    db.table("t").unwrap();
    read_all(&db);
    db.close().unwrap();
    assert_eq!(lag(&machine), 0);

    let db = small(&machine);
    db.put(&db.table("t").unwrap(), "row", "1").unwrap();
    let killed = machine.crash(CrashChoice::KeepAll);
    drop(db);
    machine = killed;
    assert!(lag(&machine) > 0, "the commit stands, which nothing in the log proves yet");
    let db = small(&machine);
    assert_eq!(read_all(&db), ["t[row]=1"]);
    db.close().unwrap();
    assert_eq!(lag(&machine), 0);
}

/// After a process was killed timestamps go on behind a gap, and no segment begins with the one after the position.
#[test]
fn who_only_reads_finds_where_a_consumer_stands() {
    for lives in 0..4 {
        let mut machine = CrashFileSystem::new();
        small(&machine).table("t").unwrap();
        for _ in 0..lives {
            small(&machine).close().unwrap();
        }
        let idle = small(&machine);
        let killed = machine.crash(CrashChoice::KeepAll);
        drop(idle);
        machine = killed;
        let db = small(&machine);
        let start = db.snapshot().unwrap().timestamp();
        db.consumer("index", start).unwrap();
        db.close().unwrap();
        let env = Env::with_files(Arc::new(machine.clone()));
        let reader = Database::open_read_only_in(env, "/db", Options::default()).unwrap();
        let told = reader.consumers().unwrap().remove(0);
        assert_eq!((told.position, told.lag_timestamps, told.lost), (start, 0, false), "{lives} lives");
        assert!(reader.changes(start).unwrap().try_next().unwrap().is_none());
    }
}

/// What it has installed stands, and is acknowledged once more.
#[test]
fn an_acknowledgement_that_was_dropped_is_made_good() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    db.put(&db.table("t").unwrap(), "row", "value").unwrap();
    let last = db.snapshot().unwrap().timestamp();
    let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        let _ = goes_on.lock().unwrap().recv_timeout(Duration::from_secs(30));
    }));
    let mut acknowledged = Box::pin(consumer.acknowledge_async(last));
    assert!(Arc::new(executor::Alarm::default()).poll(&mut acknowledged).is_pending());
    drop(acknowledged);
    go_on.send(()).unwrap();
    consumer.acknowledge(last).unwrap();
    assert_eq!(consumer.position().unwrap(), last);
}

/// The way back for a consumer is to be registered again; what was under way for the one before is not for it.
#[test]
fn a_late_acknowledgement_is_not_for_who_took_the_name() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    db.put(&db.table("t").unwrap(), "row", "value").unwrap();
    let last = db.snapshot().unwrap().timestamp();
    let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        let _ = goes_on.lock().unwrap().recv_timeout(Duration::from_secs(30));
    }));
    let mut late = Box::pin(consumer.acknowledge_async(last));
    assert!(Arc::new(executor::Alarm::default()).poll(&mut late).is_pending());
    go_on.send(()).unwrap();
    assert!(db.remove_consumer("index").unwrap());
    let again = db.consumer("index", Timestamp::ZERO).unwrap();
    executor::block_on(late).unwrap();
    assert_eq!(again.position().unwrap(), Timestamp::ZERO);
    assert_eq!(lines(&mut again.changes().unwrap()), ["create t", "t[row]=value"]);
    again.acknowledge(last).unwrap();
    assert_eq!(again.position().unwrap(), last);
}

#[test]
fn a_position_is_acknowledged_by_a_future_too() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let consumer = db.consumer("index", Timestamp::ZERO).unwrap();
    let last = db.put(&table, "row", "").unwrap().timestamp;
    fn may_be_spawned(_: &(impl Future<Output = braid::Result<()>> + Send)) {}
    may_be_spawned(&consumer.acknowledge_async(last));
    let future = executor::block_on(consumer.acknowledge_async(Timestamp::MAX));
    assert!(
        matches!(future, Err(Error::FutureTimestamp { wanted: Timestamp::MAX, newest, .. }) if newest >= last),
        "{future:?}"
    );
    executor::block_on(consumer.acknowledge_async(last)).unwrap();
    assert_eq!(consumer.position().unwrap(), last);
    executor::block_on(consumer.acknowledge_async(Timestamp::ZERO)).unwrap();
    assert_eq!(consumer.position().unwrap(), last, "an earlier one changes nothing");
    assert!(consumer.changes().unwrap().try_next().unwrap().is_none());
    // Beside an exclusive transaction of the same thread it waits without holding the thread.
    let next = db.put(&table, "row", "2").unwrap().timestamp;
    let holder = db.begin_immediate().unwrap();
    let mut waits = std::pin::pin!(consumer.acknowledge_async(next));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    drop(holder);
    executor::block_on(waits).unwrap();
    assert_eq!(consumer.position().unwrap(), next);
}

/// What counts against the bound is told before it is reached.
#[test]
fn a_consumer_is_told_what_is_held_for_it() {
    let machine = CrashFileSystem::new();
    let open = || {
        let options = Options { max_retained_log_bytes: 512 << 10, ..Options::default() };
        let options = Options { log_segment_bytes: 64 << 10, ..options };
        Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options).unwrap()
    };
    open().consumer("idle", Timestamp::ZERO).unwrap();
    let mut before = 0;
    loop {
        let db = open();
        let idle = db.consumers().unwrap().remove(0);
        if idle.lost {
            assert_eq!(idle.held_bytes, 0);
            break;
        }
        assert!(idle.held_bytes > before && idle.held_bytes <= (512 << 10) + 3 * (64 << 10), "{idle:?}");
        assert!(idle.lag_bytes < idle.held_bytes, "{idle:?}");
        before = idle.held_bytes;
        db.table("t").unwrap();
        db.close().unwrap();
    }
    assert!(before >= 512 << 10, "it was lost with {before} bytes held");
}
