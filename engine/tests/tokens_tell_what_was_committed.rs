//! An idempotency token is there exactly when the transaction is that was committed with it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use braid::limits::MAX_TOKEN_BYTES;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::memory::VirtualClock;
use braid::vfs::{Clock as _, Env};
use braid::{
    Admission, Database, Durability, Error, Isolation, JournalMode, Options, RetryPolicy, Table,
    TransactionOptions,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn options() -> Options {
    Options { row_store_bytes: 64 << 10, log_segment_bytes: 64 << 10, ..Options::default() }
}

fn open(machine: &CrashFileSystem) -> Database {
    Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options()).unwrap()
}

fn memory() -> (Database, Table) {
    let db = Database::in_memory().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn with(token: &str) -> TransactionOptions {
    TransactionOptions::default().token(token.as_bytes())
}

fn done_at<T: std::fmt::Debug>(result: Result<T, Error>) -> braid::Timestamp {
    match result {
        Err(Error::AlreadyCommitted { timestamp, .. }) => timestamp,
        other => panic!("not refused as done: {other:?}"),
    }
}

#[test]
fn a_token_is_answered_once_it_is_committed() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for admission in [Admission::Concurrent, Admission::Immediate] {
            let (db, table) = memory();
            let options = || TransactionOptions { isolation, admission, ..with("one") };
            assert_eq!(db.was_committed("one").unwrap(), None);
            let mut tx = db.begin_with(options()).unwrap();
            tx.put(&table, "k", "1").unwrap();
            assert_eq!(db.was_committed("one").unwrap(), None);
            tx.rollback();
            assert_eq!(db.was_committed("one").unwrap(), None, "it was rolled back");
            let mut tx = db.begin_with(options()).unwrap();
            tx.put(&table, "k", "2").unwrap();
            let commit = tx.commit().unwrap();
            assert_eq!(db.was_committed("one").unwrap(), Some(commit.timestamp));
            assert_eq!(done_at(db.begin_with(options())), commit.timestamp);
            assert_eq!(db.was_committed("another").unwrap(), None);
            assert_eq!(db.tables().unwrap(), ["t"]);
        }
    }
}

#[test]
fn a_transaction_that_wrote_nothing_is_remembered_too() {
    let (db, _) = memory();
    let commit = db.begin_with(with("nothing")).unwrap().commit().unwrap();
    assert_eq!(db.was_committed("nothing").unwrap(), Some(commit.timestamp));
}

#[test]
fn of_two_that_race_with_one_token_one_is_done() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let (db, table) = memory();
        let options = || TransactionOptions { isolation, ..with("race") };
        let (mut one, mut other) = (db.begin_with(options()).unwrap(), db.begin_with(options()).unwrap());
        one.put(&table, "one", "1").unwrap();
        other.put(&table, "other", "1").unwrap();
        let commit = one.commit().unwrap();
        assert_eq!(done_at(other.commit()), commit.timestamp);
        assert_eq!(db.get(&table, "other").unwrap(), None, "nothing of it was applied");
        assert_eq!(db.stats().conflicts.kinds.total(), 0, "it has not lost: it was done");
    }
}

/// Two that do the same work meet in more than the token, and what comes before it.
#[test]
fn of_two_that_race_one_is_done_whatever_else_they_meet_in() {
    for (isolation, checkpoint) in
        [Isolation::Snapshot, Isolation::Serializable].into_iter().flat_map(|one| [(one, false), (one, true)])
    {
        let (db, table) = memory();
        let options = || TransactionOptions { isolation, ..with("race") };
        let (mut one, mut other) = (db.begin_with(options()).unwrap(), db.begin_with(options()).unwrap());
        for tx in [&mut one, &mut other] {
            let made = tx.create_table("made").unwrap();
            tx.put(&made, "k", "1").unwrap();
            tx.add(&table, "count", 1).unwrap();
        }
        let commit = one.commit().unwrap();
        if checkpoint {
            db.checkpoint().unwrap();
        }
        assert_eq!(done_at(other.commit()), commit.timestamp, "both make a table");

        let options = || TransactionOptions { isolation, ..with("another") };
        let (mut one, mut other) = (db.begin_with(options()).unwrap(), db.begin_with(options()).unwrap());
        for tx in [&mut one, &mut other] {
            tx.add(&table, "count", 1).unwrap();
        }
        let commit = one.commit().unwrap();
        db.drop_table("t").unwrap();
        if checkpoint {
            db.checkpoint().unwrap();
        }
        assert_eq!(done_at(other.commit()), commit.timestamp, "the table has gone since");
        assert_eq!(db.stats().conflicts.kinds.total(), 0, "nobody has lost");
    }
}

#[test]
fn one_that_lost_is_not_answered_and_can_be_tried_again() {
    let (db, table) = memory();
    let mut loser = db.begin_with(with("again")).unwrap();
    loser.put(&table, "k", "loser").unwrap();
    db.put(&table, "k", "winner").unwrap();
    assert!(loser.commit().unwrap_err().is_retryable());
    assert_eq!(db.was_committed("again").unwrap(), None);
    let policy = RetryPolicy { transaction: with("again"), ..RetryPolicy::default() };
    let outcome = db.transact_with(policy.clone(), |tx| tx.put(&table, "k", "at last")).unwrap();
    assert_eq!(db.was_committed("again").unwrap(), Some(outcome.commit.timestamp));
    assert_eq!(
        done_at(db.transact_with(policy, |tx| tx.put(&table, "k", "twice"))),
        outcome.commit.timestamp
    );
    assert_eq!(db.get(&table, "k").unwrap().unwrap(), b"at last");
}

#[test]
fn many_threads_with_the_same_tokens_do_each_thing_once() {
    let (db, table) = memory();
    let policy = |token: u32| RetryPolicy { transaction: with(&token.to_string()), ..RetryPolicy::default() };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for token in 0..100 {
                    let done = db.transact_with(policy(token), |tx| {
                        let count = tx.get(&table, "count")?.map_or(0, |bytes| u32::from(bytes[0]));
                        tx.put(&table, "count", [u8::try_from(count + 1).unwrap()])
                    });
                    assert!(matches!(done, Ok(_) | Err(Error::AlreadyCommitted { .. })), "{done:?}");
                }
            });
        }
    });
    assert_eq!(db.get(&table, "count").unwrap().unwrap(), [100]);
}

#[test]
fn after_a_power_cut_the_answer_is_what_the_rows_say() {
    for durability in [Durability::Sync, Durability::Deferred] {
        for seed in 0..40 {
            let machine = CrashFileSystem::new();
            let db = open(&machine);
            db.set_journal_mode(JournalMode::Mvcc).unwrap();
            let table = db.table("t").unwrap();
            let mut timestamps = Vec::new();
            for number in 0..20_u32 {
                let options =
                    TransactionOptions { durability: Some(durability), ..with(&format!("token {number}")) };
                let mut tx = db.begin_with(options).unwrap();
                tx.put(&table, number.to_be_bytes(), "done").unwrap();
                timestamps.push(tx.commit().unwrap().timestamp);
                if number == 7 {
                    db.checkpoint().unwrap();
                }
            }
            let killed = machine.crash(CrashChoice::Subset { seed, unit: 8 });
            let after = open(&killed);
            let table = after.table("t").unwrap();
            for (number, timestamp) in (0_u32..).zip(timestamps) {
                let is_there = after.get(&table, number.to_be_bytes()).unwrap().is_some();
                let answer = after.was_committed(format!("token {number}")).unwrap();
                assert_eq!(answer, is_there.then_some(timestamp), "{durability:?} {seed} {number}");
                assert!(is_there || durability == Durability::Deferred);
            }
        }
    }
}

#[test]
fn what_is_not_known_is_answered_after_the_next_open() {
    for reached in [CrashChoice::KeepNone, CrashChoice::KeepAll] {
        let machine = CrashFileSystem::new();
        let files = machine.under_faults();
        let faults = files.faults();
        let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
        let table = db.table("t").unwrap();
        machine.set_failed_sync(reached);
        let mut tx = db.begin_with(with("unknown")).unwrap();
        tx.put(&table, "k", "v").unwrap();
        faults.inject(Fault::on(Operation::SyncData).sticky());
        let Err(Error::CommitUnknown { commit_ts, .. }) = tx.commit() else { panic!("the sync failed") };
        assert!(matches!(db.was_committed("unknown"), Err(Error::Poisoned { .. })));
        drop((table, db));
        let after = open(&machine.crash(CrashChoice::KeepNone));
        let table = after.table("t").unwrap();
        let is_there = after.get(&table, "k").unwrap().is_some();
        assert_eq!(after.was_committed("unknown").unwrap(), is_there.then_some(commit_ts));
    }
}

#[test]
fn a_backup_and_a_reader_answer_too() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("db")).unwrap();
    let commit = db.begin_with(with("kept")).unwrap().commit().unwrap();
    let copy = directory.path().join("copy");
    assert_eq!(db.backup(&copy).unwrap().tables, 0);
    for reads_only in [true, false] {
        let db = if reads_only { Database::open_read_only(&copy) } else { Database::open(&copy) }.unwrap();
        assert_eq!(db.was_committed("kept").unwrap(), Some(commit.timestamp));
        assert!(db.check().unwrap().is_ok());
    }
    drop(db);
    let db = Database::open_read_only(directory.path().join("db")).unwrap();
    assert_eq!(db.was_committed("kept").unwrap(), Some(commit.timestamp));
}

#[test]
fn old_tokens_are_forgotten_and_young_ones_are_not() {
    let clock = Arc::new(VirtualClock::new(Duration::ZERO));
    let files = CrashFileSystem::new();
    let env = Env { clock: clock.clone(), ..Env::with_files(Arc::new(files)) };
    let db = Database::open_in(env, "/db", options()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let (mut next, mut remembered, mut most) = (0_u32, Vec::new(), 0);
    for _ in 0..2_000 {
        clock.advance(DAY / 50);
        db.begin_with(with(&next.to_string())).unwrap().commit().unwrap();
        remembered.push((next, clock.now()));
        next += 1;
        if next % 100 == 0 {
            remembered.retain(|(token, committed)| {
                let answer = db.was_committed(token.to_string()).unwrap();
                assert!(
                    answer.is_some() || *committed + DAY < clock.now(),
                    "{token} was forgotten too early"
                );
                answer.is_some()
            });
            most = most.max(remembered.len());
        }
    }
    assert!((50..200).contains(&most), "{most}");
}

/// What counts is when it was committed, however long it was open, and no part of a second is left out.
#[test]
fn a_token_is_remembered_from_its_commit_on() {
    let retention = Duration::from_secs(10);
    let clock = Arc::new(VirtualClock::new(Duration::from_millis(950)));
    let env = Env { clock: clock.clone(), ..Env::with_files(Arc::new(CrashFileSystem::new())) };
    let db = Database::open_in(env, "/db", Options { token_retention: retention, ..options() }).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let slow = db.begin_with(with("slow")).unwrap();
    clock.advance(Duration::from_secs(60));
    slow.commit().unwrap();
    let mut remembered = vec![("slow".to_owned(), clock.now())];
    for number in 0..400 {
        clock.advance(Duration::from_millis(100));
        let token = number.to_string();
        db.begin_with(with(&token)).unwrap().commit().unwrap();
        remembered.push((token, clock.now()));
        remembered.retain(|(_, committed)| *committed + retention >= clock.now());
        let (oldest, committed) = &remembered[0];
        let age = clock.now() - *committed;
        assert!(db.was_committed(oldest).unwrap().is_some(), "`{oldest}` is forgotten after {age:?}");
    }
}

/// One whose token was used and forgotten while it was open is told of the commit, not of who forgot the token.
#[test]
fn one_that_was_forgotten_meanwhile_is_answered_with_its_commit() {
    for checkpoints in [false, true] {
        let clock = Arc::new(VirtualClock::new(Duration::ZERO));
        let env = Env { clock: clock.clone(), ..Env::with_files(Arc::new(CrashFileSystem::new())) };
        let options = Options { token_retention: Duration::ZERO, ..options() };
        let db = Database::open_in(env, "/db", options).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut late = [with("T"), with("T")].map(|options| db.begin_with(options).unwrap());
        // One meets the other in the token alone, one in a row before it too.
        late[0].put(&table, "alone", "1").unwrap();
        late[1].put(&table, "k", "2").unwrap();
        let mut early = db.begin_with(with("T")).unwrap();
        early.put(&table, "k", "1").unwrap();
        let committed = early.commit().unwrap().timestamp;
        for turn in 0.. {
            assert!(turn < 20, "it is forgotten in time");
            if db.was_committed("T").unwrap().is_none() {
                break;
            }
            if checkpoints {
                db.checkpoint().unwrap();
            }
            clock.advance(Duration::from_secs(2));
            db.begin_with(with(&format!("another {turn}"))).unwrap().commit().unwrap();
        }
        for tx in late {
            assert_eq!(done_at(tx.commit()), committed, "checkpoints: {checkpoints}");
        }
    }
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    let (db, _) = memory();
    for (length, fits) in [(0, false), (1, true), (MAX_TOKEN_BYTES, true), (MAX_TOKEN_BYTES + 1, false)] {
        let token = vec![b'x'; length];
        let begun = db.begin_with(TransactionOptions::default().token(&*token)).map(drop);
        let asked = db.was_committed(&token).map(drop);
        for result in [begun, asked] {
            assert_eq!(result.is_ok(), fits, "{length}");
            assert!(fits || matches!(result, Err(Error::Limit { .. })));
        }
    }
}

/// A commit that is installed can still be lost with the power.
#[test]
fn a_token_is_not_answered_before_its_commit_stands() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", options()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let (begins, began) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = std::sync::Mutex::new(goes_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        begins.send(()).unwrap();
        goes_on.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
    }));
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            let mut tx = db.begin_with(with("slow")).unwrap();
            tx.put(&table, "k", "v").unwrap();
            tx.commit().unwrap().timestamp
        });
        began.recv_timeout(Duration::from_secs(20)).unwrap();
        let asked_early = db.was_committed("slow");
        go_on.send(()).unwrap();
        assert_eq!(asked_early.unwrap(), None);
        let committed = committing.join().unwrap();
        assert_eq!(db.was_committed("slow").unwrap(), Some(committed));
    });
}
