//! The retry runner as a future: the same promises as on a thread, whatever becomes of the future.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

#[path = "common/executor.rs"]
mod executor;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::vfs::memory::VirtualClock;
use braid::vfs::{Clock, Env};
use braid::{
    Admission, ConflictKind, Database, Durability, Error, JournalMode, Options, RetryPolicy, Table,
    TransactFuture, Transaction, TransactionOptions,
};

use executor::{Alarm, block_on, run_all};

const LONG: Duration = Duration::from_secs(20);

fn database() -> (Database, Table) {
    let db = Database::in_memory().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

/// Waits until something is so.
fn until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LONG, "waited for too long");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A closure that loses so many times, and then writes.
fn loser(
    db: &Database,
    table: &Table,
    losses: u32,
) -> impl FnMut(&mut Transaction) -> braid::Result<u32> + use<> {
    let (db, table, mut attempts) = (db.clone(), table.clone(), 0);
    move |tx| {
        attempts += 1;
        tx.put(&table, "row", format!("attempt {attempts}"))?;
        if attempts <= losses {
            db.put(&table, "row", "rival")?;
        }
        Ok(attempts)
    }
}

fn immediate() -> RetryPolicy {
    RetryPolicy::default().exclusive_after(0)
}

/// What the row says, `None` where it is not there.
fn row(db: &Database, table: &Table) -> Option<String> {
    db.get(table, "row").unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Nobody holds the gate or waits for it.
fn nobody_has_the_gate(db: &Database) -> Transaction {
    let now = TransactionOptions {
        admission: Admission::Immediate,
        busy_timeout: Some(Duration::ZERO),
        ..TransactionOptions::default()
    };
    db.begin_with(now).unwrap()
}

/// The same; and what was committed stands, or will without us.
fn nothing_is_locked(db: &Database) {
    nobody_has_the_gate(db).commit().unwrap();
}

#[test]
fn it_commits_and_tells_attempts_and_time_lost() {
    let (db, table) = database();
    let policy = RetryPolicy::backoff(Duration::from_millis(4), Duration::from_millis(4)).name("loser");
    let outcome = block_on(db.transact_async_with(policy, loser(&db, &table, 3))).unwrap();
    assert_eq!((outcome.value, outcome.attempts, outcome.exclusive), (4, 4, false));
    assert_eq!(row(&db, &table).as_deref(), Some("attempt 4"));
    assert!(outcome.waited > Duration::ZERO);
    assert_eq!(db.snapshot().unwrap().timestamp(), outcome.commit.timestamp);
    let stats = db.stats();
    let report = &stats.conflicts;
    assert_eq!((stats.retries, stats.max_attempts, report.kinds.write_write), (3, 4, 3));
    assert_eq!((report.absorbed, report.escaped), (3, 0));
    assert_eq!(report.names[0].name.as_deref(), Some("loser"));
}

#[test]
fn it_does_nothing_before_it_is_polled_and_is_over_when_it_is_ready() {
    let (db, table) = database();
    drop(db.transact_async(loser(&db, &table, 0)));
    assert_eq!(row(&db, &table), None);
    let mut future = db.transact_async(loser(&db, &table, 0));
    let alarm = Arc::new(Alarm::default());
    until(|| alarm.poll(&mut future).is_ready());
    assert_eq!(row(&db, &table).as_deref(), Some("attempt 1"));
    assert!(matches!(alarm.poll(&mut future), Poll::Ready(Err(Error::TransactionClosed))));
    assert_eq!(db.stats().rollbacks, 0);
}

#[test]
fn it_gives_up_as_the_policy_says() {
    let (db, table) = database();
    let few = RetryPolicy::without_backoff().max_attempts(3).never_exclusive();
    let error = block_on(db.transact_async_with(few, loser(&db, &table, 100))).unwrap_err();
    assert_eq!(error.conflict().unwrap().kind, ConflictKind::WriteWrite);
    assert_eq!(db.stats().conflicts.escaped, 3);
    let short =
        RetryPolicy::backoff(Duration::from_secs(60), Duration::from_secs(60)).deadline(Duration::ZERO);
    assert!(block_on(db.transact_async_with(short, loser(&db, &table, 1))).unwrap_err().is_retryable());
    let aborted = db.transact_async(|tx| {
        tx.put(&table, "row", "aborted")?;
        Err::<(), _>(Error::other("enough"))
    });
    assert!(matches!(block_on(aborted), Err(Error::Other(_))));
    assert_eq!(row(&db, &table).as_deref(), Some("rival"));
}

#[test]
fn it_is_admitted_exclusively_after_its_losses() {
    let (db, table) = database();
    let mut attempts = 0;
    let outcome = block_on(db.transact_async_with(RetryPolicy::without_backoff().exclusive_after(2), |tx| {
        attempts += 1;
        tx.put(&table, "row", "own")?;
        if !tx.is_exclusive() {
            db.put(&table, "row", "rival")?;
        }
        Ok(())
    }))
    .unwrap();
    assert!(outcome.exclusive);
    assert_eq!((attempts, outcome.attempts, db.stats().escalations), (3, 3, 1));
    nothing_is_locked(&db);
}

/// The wait between attempts ends by itself, and on no thread of ours.
#[test]
fn it_is_woken_when_its_time_has_come() {
    let (db, table) = database();
    let policy = RetryPolicy::backoff(Duration::from_millis(40), Duration::from_millis(40));
    let alarm = Arc::new(Alarm::default());
    let mut future = db.transact_async_with(policy.never_exclusive(), loser(&db, &table, 20));
    let mut woken = 0;
    while alarm.poll(&mut future).is_pending() {
        until(|| alarm.times() > woken);
        woken = alarm.times();
    }
    assert_eq!(row(&db, &table).as_deref(), Some("attempt 21"));
    drop(future);
    until(|| Arc::strong_count(&alarm) == 1);
}

#[test]
fn dropped_between_attempts_it_leaves_no_timer_and_no_transaction() {
    let (db, table) = database();
    // As good as for ever, whatever is drawn.
    let policy = RetryPolicy::backoff(Duration::from_secs(1 << 40), Duration::from_secs(1 << 40));
    let alarm = Arc::new(Alarm::default());
    let mut future = db.transact_async_with(policy.without_deadline(), loser(&db, &table, 1));
    assert!(alarm.poll(&mut future).is_pending());
    assert!(alarm.poll(&mut future).is_pending(), "polled for no reason");
    assert_eq!(Arc::strong_count(&alarm), 2, "one timer");
    assert_eq!(db.stats().open_snapshots, 0, "it holds no snapshot while it rests");
    assert_eq!(db.stats().conflicts.escaped, 0, "it is still at it");
    drop(future);
    assert_eq!(Arc::strong_count(&alarm), 1, "its timer is gone");
    assert_eq!(db.stats().conflicts.escaped, 1);
    assert_eq!(row(&db, &table).as_deref(), Some("rival"));
    nothing_is_locked(&db);
    db.set_journal_mode(JournalMode::Wal).unwrap();
}

#[test]
fn it_waits_for_its_turn_and_is_woken_when_it_has_come() {
    let (db, table) = database();
    for by in [immediate(), RetryPolicy::default()] {
        // In the mode with one writer everybody takes turns.
        let mode = if by.exclusive_after == 0 { JournalMode::Mvcc } else { JournalMode::Wal };
        db.set_journal_mode(mode).unwrap();
        let holder = db.begin_immediate().unwrap();
        let alarm = Arc::new(Alarm::default());
        let mut future = db.transact_async_with(by.clone(), loser(&db, &table, 0));
        assert!(alarm.poll(&mut future).is_pending());
        assert!(alarm.poll(&mut future).is_pending(), "polled for no reason");
        holder.commit().unwrap();
        until(|| alarm.times() > 0);
        let mut done = None;
        until(|| match alarm.poll(&mut future) {
            Poll::Ready(outcome) => {
                done = Some(outcome.unwrap());
                true
            }
            Poll::Pending => false,
        });
        assert!(done.unwrap().exclusive);
        nothing_is_locked(&db);
    }
}

#[test]
fn dropped_while_it_waits_for_its_turn_it_is_in_nobodys_way() {
    let (db, table) = database();
    let holder = db.begin_immediate().unwrap();
    let alarm = Arc::new(Alarm::default());
    let mut future = db.transact_async_with(immediate(), loser(&db, &table, 0));
    assert!(alarm.poll(&mut future).is_pending());
    drop(future);
    until(|| Arc::strong_count(&alarm) == 1);
    holder.commit().unwrap();
    nothing_is_locked(&db);
    assert_eq!(row(&db, &table), None);
}

#[test]
fn one_whose_turn_has_come_and_that_nobody_polls_holds_nobody_up() {
    let (db, table) = database();
    let holder = db.begin_immediate().unwrap();
    let alarm = Arc::new(Alarm::default());
    let mut unpolled = db.transact_async_with(immediate(), loser(&db, &table, 0));
    assert!(alarm.poll(&mut unpolled).is_pending());
    holder.commit().unwrap();
    until(|| alarm.times() > 0);
    db.put(&table, "row", "concurrent").unwrap();
    let options = TransactionOptions {
        admission: Admission::Immediate,
        busy_timeout: Some(LONG),
        ..TransactionOptions::default()
    };
    db.begin_with(options).unwrap().commit().unwrap();
    block_on(db.transact_async_with(immediate().deadline(LONG), |tx| tx.put(&table, "row", "future")))
        .unwrap();
    assert_eq!(row(&db, &table).as_deref(), Some("future"));
    assert!(block_on(unpolled).unwrap().exclusive, "it has kept its place");
    assert_eq!(row(&db, &table).as_deref(), Some("attempt 1"));
}

/// Those who wait are woken when something is for them: their turn, or the end of the time that they have.
#[test]
fn nobody_is_woken_for_nothing() {
    let (db, table) = database();
    let holder = db.begin_immediate().unwrap();
    let alarms = [(); 6].map(|()| Arc::new(Alarm::default()));
    let times = || alarms.each_ref().map(|alarm| alarm.times());
    let wait = |timeout| TransactionOptions { busy_timeout: Some(timeout), ..TransactionOptions::default() };
    let policy = |timeout| RetryPolicy { transaction: wait(timeout), ..immediate().max_attempts(1) };
    let short = Duration::from_millis(250);
    let mut turns = [10 * LONG, short, 10 * LONG, 10 * LONG].map(|timeout| {
        db.transact_async_with(policy(timeout), |tx: &mut Transaction| tx.put(&table, "row", "turn"))
    });
    // Held back, not exclusive.
    let mut commits = [("a", LONG), ("b", short)].map(|(row, timeout)| {
        let mut tx = db.begin_with(wait(timeout)).unwrap();
        tx.put(&table, row, "commit").unwrap();
        tx.commit_async()
    });
    for (future, alarm) in turns.iter_mut().zip(&alarms) {
        assert!(alarm.poll(future).is_pending());
    }
    for (future, alarm) in commits.iter_mut().zip(&alarms[4..]) {
        assert!(alarm.poll(future).is_pending());
    }
    until(|| alarms[1].times() + alarms[5].times() == 2);
    // As long again, in which nobody looks.
    thread::sleep(short);
    assert_eq!(times(), [0, 1, 0, 0, 0, 1]);
    let [mut never, mut late, mut next, mut last] = turns;
    assert!(matches!(alarms[1].poll(&mut late), Poll::Ready(Err(Error::Busy(_)))));
    let [mut held_back, mut too_long] = commits;
    assert!(matches!(alarms[5].poll(&mut too_long), Poll::Ready(Err(Error::Busy(_)))));
    holder.commit().unwrap();
    until(|| alarms[4].times() == 1);
    while alarms[4].poll(&mut held_back).is_pending() {
        thread::yield_now();
    }
    // The first one is not polled: those behind it are told.
    until(|| alarms[2].times() > 0 && alarms[3].times() > 0);
    for (alarm, future) in [(&alarms[2], &mut next), (&alarms[3], &mut last)] {
        let mut outcome = None;
        until(|| match alarm.poll(future) {
            Poll::Ready(done) => {
                outcome = Some(done);
                true
            }
            Poll::Pending => false,
        });
        assert!(outcome.unwrap().is_ok(), "its time is over, and its turn had not come");
    }
    assert!(block_on(&mut never).is_ok());
    nothing_is_locked(&db);
}

#[test]
fn it_is_told_when_its_turn_does_not_come() {
    let (db, table) = database();
    let mut loser_tx = db.begin_concurrent().unwrap();
    loser_tx.put(&table, "row", "late").unwrap();
    db.put(&table, "row", "first").unwrap();
    let mut lost = Some(loser_tx.commit().unwrap_err());
    let holder = db.begin_immediate().unwrap();
    let mut policy = immediate().max_attempts(1);
    policy.transaction.busy_timeout = Some(Duration::from_millis(20));
    let error = block_on(db.transact_async_with(policy, loser(&db, &table, 0))).unwrap_err();
    assert_eq!(error.conflict().unwrap().kind, ConflictKind::Timeout);
    assert_eq!(db.stats().conflicts.kinds.timeout, 1);
    // The policy's deadline ends that wait too.
    let policy = RetryPolicy::without_backoff().exclusive_after(1).deadline(Duration::from_millis(50));
    let error = block_on(db.transact_async_with(policy, |tx| {
        assert!(!tx.is_exclusive());
        Err::<(), _>(lost.take().unwrap())
    }));
    assert_eq!(error.unwrap_err().conflict().unwrap().kind, ConflictKind::Timeout);
    holder.commit().unwrap();
    nothing_is_locked(&db);
}

/// A database with a table, whose next sync lasts until it is told to go on.
fn with_a_long_sync() -> (Database, Table, Sender<()>) {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        let _ = goes_on.lock().unwrap().recv_timeout(LONG);
    }));
    (db, table, go_on)
}

#[test]
fn dropped_once_it_is_installed_it_has_committed() {
    let (db, table, go_on) = with_a_long_sync();
    let alarm = Arc::new(Alarm::default());
    let mut future = db.transact_async(loser(&db, &table, 0));
    assert_eq!(future.timestamp(), None);
    assert!(alarm.poll(&mut future).is_pending());
    let timestamp = future.timestamp().unwrap();
    drop(future);
    go_on.send(()).unwrap();
    until(|| row(&db, &table).is_some());
    assert_eq!(db.snapshot().unwrap().timestamp(), timestamp);
    nothing_is_locked(&db);
}

/// What it was to do was done by another, and may be lost with the power yet.
#[test]
fn it_waits_for_the_other_one_with_its_token_and_holds_nothing() {
    let token = TransactionOptions::default().token("once");
    for losses in [0, u32::MAX] {
        let (db, table, go_on) = with_a_long_sync();
        let alarm = Arc::new(Alarm::default());
        let mut tx = db.begin_with(token.clone()).unwrap();
        tx.put(&table, "row", "first").unwrap();
        let mut first = tx.commit_async();
        assert!(alarm.poll(&mut first).is_pending());
        let timestamp = first.timestamp().unwrap();

        let policy = RetryPolicy::default().exclusive_after(losses).transaction(token.clone());
        let mut second = db.transact_async_with(policy, loser(&db, &table, 0));
        assert!(alarm.poll(&mut second).is_pending());
        assert!(alarm.poll(&mut second).is_pending(), "polled for no reason");
        nobody_has_the_gate(&db).rollback();
        go_on.send(()).unwrap();
        until(|| alarm.times() >= 2);
        assert!(alarm.poll(&mut first).is_ready());
        let Poll::Ready(Err(Error::AlreadyCommitted { timestamp: told, .. })) = alarm.poll(&mut second)
        else {
            panic!("it was woken too early")
        };
        assert_eq!(told, timestamp);
        assert_eq!(row(&db, &table).as_deref(), Some("first"));
        nothing_is_locked(&db);
    }
}

#[test]
fn a_panic_rolls_back_and_ends_it() {
    let (db, table) = database();
    for policy in [RetryPolicy::default(), immediate()] {
        let alarm = Arc::new(Alarm::default());
        let mut future = db.transact_async_with(policy, |tx| -> braid::Result<()> {
            tx.put(&table, "row", "value")?;
            panic!("on purpose")
        });
        assert!(catch_unwind(AssertUnwindSafe(|| alarm.poll(&mut future))).is_err());
        assert!(matches!(alarm.poll(&mut future), Poll::Ready(Err(Error::TransactionClosed))));
        nothing_is_locked(&db);
        assert_eq!((row(&db, &table), db.stats().open_snapshots), (None, 0));
    }
}

/// A waker that nobody has any more panics while the transaction is admitted.
#[test]
fn a_waker_that_panics_when_it_is_dropped_locks_nothing() {
    struct Panics(Arc<AtomicUsize>);

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose");
        }
    }

    let clock = Arc::new(VirtualClock::new(Duration::ZERO));
    let env = Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Env::in_memory() };
    let db = Database::open_in(env, "/db", Options::default()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let alarm = Arc::new(Alarm::default());
    let mut held_back = db.begin_concurrent().unwrap();
    held_back.put(&table, "other", "value").unwrap();
    let mut held_back = held_back.commit_async();
    let holder = db.begin_immediate().unwrap();
    assert!(alarm.poll(&mut held_back).is_pending());
    holder.rollback();
    // What was held back goes first; the future takes its turn with a waker that it does not need, once it was late.
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut future = db.transact_async_with(immediate(), loser(&db, &table, 0));
    let waker = Waker::from(Arc::new(Panics(Arc::clone(&dropped))));
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    clock.advance(LONG / 100);
    // It panics here, or on the thread that wakes futures and sees the time first.
    let polled = catch_unwind(AssertUnwindSafe(|| alarm.poll(&mut future)));
    until(|| dropped.load(Ordering::SeqCst) == 1);
    if polled.is_err() {
        nothing_is_locked(&db);
        assert_eq!(row(&db, &table), None);
    }
}

#[test]
fn a_poisoned_log_ends_its_wait() {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = Database::open_in(Env::with_files(Arc::new(files)), "/db", Options::default()).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let policy = RetryPolicy::backoff(Duration::from_secs(1 << 40), Duration::from_secs(1 << 40));
    let alarm = Arc::new(Alarm::default());
    let mut future = db.transact_async_with(policy.without_deadline(), loser(&db, &table, 1));
    assert!(alarm.poll(&mut future).is_pending());
    faults.inject(Fault::on(Operation::SyncData).kind(std::io::ErrorKind::Other));
    assert!(matches!(db.put(&table, "other", "value"), Err(Error::CommitUnknown { .. })));
    until(|| alarm.times() > 0);
    assert!(matches!(alarm.poll(&mut future), Poll::Ready(Err(Error::Poisoned { .. }))));
}

/// Read, add one, write: by futures on two threads, and by threads that block, under policies that escalate soon.
#[test]
fn a_storm_of_futures_and_threads_loses_no_count() {
    let options = Options { durability: Durability::Deferred, ..Options::default() };
    let db = Database::in_memory_with(options).unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let table = db.table("t").unwrap();
    let policy = RetryPolicy::backoff(Duration::from_micros(200), Duration::from_millis(1))
        .exclusive_after(2)
        .deadline(Duration::from_secs(300));
    let count = |table: &Table| {
        let table = table.clone();
        move |tx: &mut Transaction| {
            let number =
                tx.get(&table, "n")?.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
            tx.put(&table, "n", (number + 1).to_le_bytes())
        }
    };
    let work = (0..32).map(|_| {
        let (db, table, policy) = (db.clone(), table.clone(), policy.clone());
        async move {
            for _ in 0..20 {
                db.transact_async_with(policy.clone(), count(&table)).await.unwrap();
            }
        }
    });
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    db.transact_with(policy.clone(), count(&table)).unwrap();
                }
            });
        }
        run_all(2, work);
    });
    let number = db.get(&table, "n").unwrap().unwrap();
    assert_eq!(u64::from_le_bytes(number.try_into().unwrap()), 32 * 20 + 2 * 50);
    assert_eq!(db.stats().conflicts.escaped, 0);
    nothing_is_locked(&db);
}

#[test]
fn it_keeps_the_database_open_and_a_reader_refuses_it() {
    let (db, table) = database();
    let policy = RetryPolicy::backoff(Duration::from_millis(1), Duration::from_millis(1));
    let mut late = db.begin_concurrent().unwrap();
    late.put(&table, "row", "late").unwrap();
    db.put(&table, "row", "first").unwrap();
    let mut lost = Some(late.commit().unwrap_err());
    let future = db.transact_async_with(policy, {
        let table = table.clone();
        move |tx: &mut Transaction| {
            tx.put(&table, "row", "value")?;
            // As if it had lost.
            lost.take().map_or(Ok(()), Err)
        }
    });
    drop((db, table));
    assert_eq!(block_on(future).unwrap().attempts, 2);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    Database::open(&path).unwrap().close().unwrap();
    let reader = Database::open_read_only(&path).unwrap();
    let refused = block_on(reader.transact_async(|_| Ok(())));
    assert!(matches!(refused, Err(Error::ReadOnly)));
}

#[test]
fn it_can_be_sent_where_its_closure_can() {
    fn is_sent<T: Send + Unpin>(_: &T) {}
    let (db, table) = database();
    let future: TransactFuture<(), _> = db.transact_async({
        let table = table.clone();
        move |tx| tx.put(&table, "row", "value")
    });
    is_sent(&future);
    thread::scope(|scope| scope.spawn(|| block_on(future).unwrap()).join().unwrap());
    assert!(row(&db, &table).is_some());
}
