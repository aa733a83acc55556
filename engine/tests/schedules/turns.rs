//! Threads and futures that are admitted exclusively, each in its turn: nobody is left asleep, and nobody is passed over.

use std::time::Duration;

use braid::Durability::Sync;
use braid::vfs::Env;
use braid::vfs::explore;
use braid::vfs::memory::MemoryFileSystem;
use braid::{
    ConflictKind, Database, Error, Outcome, Result, RetryPolicy, Table, Transaction, TransactionOptions,
};

use crate::exclusion::add_exclusively;
use crate::futures::{finish, poll};
use crate::kit::*;

/// How long others wait for a future whose turn it is.
const PATIENCE: Duration = Duration::from_millis(10);

/// Adds a row in its turn, and tells when that has come.
fn turn(
    db: &Database,
    table: &Table,
    key: u8,
    turns: &Notes<u8>,
    busy_timeout: Option<Duration>,
) -> impl Future<Output = Result<Outcome<()>>> + Unpin + Send + use<> {
    let stubborn = stubborn(Sync);
    let transaction = TransactionOptions { busy_timeout, ..stubborn.transaction };
    // One that has a time gives up when it is over.
    let max_attempts = if busy_timeout.is_some() { 1 } else { u32::MAX };
    let policy = RetryPolicy { exclusive_after: 0, max_attempts, transaction, ..stubborn };
    let (table, turns) = (table.clone(), turns.clone());
    db.transact_async_with(policy, move |tx: &mut Transaction| {
        assert!(tx.is_exclusive());
        turns.note(key);
        let rows = tx.get(&table, COUNTER)?.map_or(0, |count| count[0]);
        tx.put(&table, [key], [7; 300])?;
        tx.put(&table, COUNTER, [rows + 1])
    })
}

/// Futures among threads; one is dropped after any number of polls, perhaps just when its turn has come.
#[test]
fn threads_and_futures_take_turns_and_nobody_is_left_asleep() {
    explore!(|| {
        let (db, table) = database();
        let turns = Notes::new();
        let futures = [1, 2].map(|key| {
            let turns = turns.clone();
            spawn(&db, &table, move |db, table| {
                finish(turn(db, table, key, &turns, None)).unwrap();
            })
        });
        let dropper = {
            let turns = turns.clone();
            spawn(&db, &table, move |db, table| {
                let mut future = turn(db, table, 5, &turns, None);
                for _ in 0..pick(4) {
                    match poll(&mut future) {
                        Ok(done) => return assert!(done.is_ok()),
                        Err(alarm) if pick(2) == 0 => alarm.wait(),
                        Err(_) => {}
                    }
                }
            })
        };
        join([
            spawn(&db, &table, |db, table| add_exclusively(db, table, &[3])),
            spawn(&db, &table, |db, table| _ = add(db, table, &[4], Sync)),
            dropper,
        ]);
        join(futures);
        // A commit after all, so that whatever else stands is seen.
        add(&db, &table, &[6], Sync);
        let rows = look(&db, &table);
        assert_eq!(rows, if turns.all().contains(&5) { 6 } else { 5 });
    });
}

/// Whoever came first goes first; the one before all of them goes away, before its turn or in it.
#[test]
fn futures_are_admitted_in_the_order_they_came() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        let now = |env: &Env| env.clock.now();
        let holder = db.begin_immediate().unwrap();
        let turns = Notes::new();
        let mut queue = [0, 1, 2, 3].map(|key| turn(&db, &table, key, &turns, None));
        for future in &mut queue {
            assert!(poll(future).is_err(), "somebody holds the gate");
        }
        let [first, others @ ..] = queue;
        let since = now(&env);
        let mut threads = vec![braid::vfs::sync::thread::spawn(move || drop(holder))];
        threads.push(braid::vfs::sync::thread::spawn(move || drop(first)));
        threads.extend(others.map(|future| {
            braid::vfs::sync::thread::spawn(move || {
                finish(future).unwrap();
            })
        }));
        join(threads);
        let turns = turns.all();
        // A schedule may keep one of them from coming for as long as the others have patience.
        if now(&env).saturating_sub(since) < PATIENCE {
            assert_eq!(turns, [1, 2, 3]);
        }
        assert_eq!((turns.len(), look(&db, &table)), (3, 3));
    });
}

/// The time of one is over while it waits, or just when its turn has come; the one behind it is not forgotten.
#[test]
fn one_whose_time_is_over_leaves_its_place_to_the_next() {
    explore!(|| {
        let (db, table) = database();
        let turns = Notes::new();
        let holder = db.begin_immediate().unwrap();
        let short = Duration::from_micros(pick(200) as u64);
        let mut late = turn(&db, &table, 1, &turns, Some(short));
        let mut next = turn(&db, &table, 2, &turns, None);
        let early = poll(&mut late);
        assert!(poll(&mut next).is_err(), "somebody holds the gate");
        let waits = spawn(&db, &table, move |_, _| {
            let outcome = early.unwrap_or_else(|alarm| {
                alarm.wait();
                finish(late)
            });
            match outcome {
                Ok(_) => {}
                Err(Error::Busy(conflict)) => assert_eq!(conflict.kind, ConflictKind::Timeout),
                Err(error) => panic!("{error}"),
            }
        });
        let goes = spawn(&db, &table, move |_, _| {
            finish(next).unwrap();
        });
        linger(30);
        drop(holder);
        join([waits, goes]);
        let turns = turns.all();
        assert!(turns == [2] || turns == [1, 2] || turns == [2, 1], "{turns:?}");
        assert_eq!(usize::from(look(&db, &table)), turns.len());
    });
}
