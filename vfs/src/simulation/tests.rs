//! The scheduler itself: what it promises, and that it finds what it is there to find.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Settings, SimulatedClock, run, steps};
use crate::sync::{Condvar, Mutex, OnceLock, RwLock, schedule_point, thread};
use crate::{Clock, Spawn, ThreadSpawn};

fn seeded(seed: u64) -> Settings {
    Settings { seed, points_max: 100_000, ..Settings::default() }
}

/// Three threads that write down who came when.
fn order(seed: u64) -> (Vec<u64>, u64, Duration) {
    run(seeded(seed), || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..3_u64)
            .map(|me| {
                let order = Arc::clone(&order);
                thread::spawn(move || {
                    for _ in 0..5 {
                        order.lock().push(me);
                        schedule_point();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let order = order.lock().clone();
        (order, steps(), SimulatedClock.now())
    })
    .unwrap()
}

#[test]
fn one_seed_is_one_run_and_other_seeds_are_others() {
    let runs: BTreeSet<_> = (0..50).map(order).collect();
    assert!(runs.len() > 25, "{} different runs", runs.len());
    for seed in 0..50 {
        assert_eq!(order(seed), order(seed));
    }
}

#[test]
fn a_race_between_two_locked_steps_is_found() {
    let lost = |seed| {
        run(seeded(seed), || {
            let count = Arc::new(Mutex::new(0));
            let threads = [(); 2].map(|()| {
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    let seen = *count.lock();
                    *count.lock() = seen + 1;
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            *count.lock() < 2
        })
        .unwrap()
    };
    let found = (0..100).filter(|&seed| lost(seed)).count();
    assert!((5..95).contains(&found), "{found} of 100");
}

#[test]
fn a_lock_has_one_holder_or_many_readers() {
    for seed in 0..50 {
        run(seeded(seed), || {
            let (lock, value) = (Arc::new(Mutex::new(())), Arc::new(RwLock::new((0, 0))));
            let threads = [(); 3].map(|()| {
                let (lock, value) = (Arc::clone(&lock), Arc::clone(&value));
                thread::spawn(move || {
                    let held = lock.lock();
                    value.write().0 += 1;
                    schedule_point();
                    let seen = *value.read();
                    value.write().1 = seen.1 + 1;
                    assert_eq!(*value.read(), (seen.0, seen.0));
                    drop(held);
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(*value.read(), (3, 3));
        })
        .unwrap();
    }
}

#[test]
fn a_notification_wakes_and_is_not_kept() {
    for seed in 0..50 {
        run(seeded(seed), || {
            let pair = Arc::new((Mutex::new(0), Condvar::new()));
            let waiters = [(); 3].map(|()| {
                let pair = Arc::clone(&pair);
                thread::spawn(move || {
                    let mut tokens = pair.0.lock();
                    while *tokens == 0 {
                        pair.1.wait(&mut tokens);
                    }
                    *tokens -= 1;
                })
            });
            for _ in 0..3 {
                *pair.0.lock() += 1;
                pair.1.notify_one();
            }
            for waiter in waiters {
                waiter.join().unwrap();
            }
        })
        .unwrap();
    }
}

#[test]
fn time_leaps_when_all_wait_and_timeouts_come_in_order() {
    let ended = run(seeded(1), || {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let threads = [30, 10, 20].map(|seconds| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                let (lock, nobody) = (Mutex::new(()), Condvar::new());
                assert!(nobody.wait_for(&mut lock.lock(), Duration::from_secs(seconds)));
                ended.lock().push((seconds, SimulatedClock.now().as_secs()));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        ended.lock().clone()
    });
    assert_eq!(ended, Ok(vec![(10, 10), (20, 20), (30, 30)]));
}

#[test]
fn an_unpark_is_kept_for_the_next_park() {
    for seed in 0..50 {
        run(seeded(seed), || {
            let me = thread::current();
            let other = thread::spawn(move || {
                me.unpark();
                thread::park_timeout(Duration::from_secs(1));
            });
            thread::park();
            other.thread().unpark();
            other.join().unwrap();
            assert!(SimulatedClock.now() < Duration::from_secs(1));
        })
        .unwrap();
    }
}

#[test]
fn a_cell_is_set_once() {
    for seed in 0..50 {
        run(seeded(seed), || {
            let (cell, computed) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(0)));
            let threads = [(); 3].map(|()| {
                let (cell, computed) = (Arc::clone(&cell), Arc::clone(&computed));
                thread::spawn(move || {
                    *cell.get_or_init(|| {
                        *computed.lock() += 1;
                        schedule_point();
                        7
                    })
                })
            });
            for thread in threads {
                assert_eq!(thread.join().unwrap(), 7);
            }
            assert_eq!(*computed.lock(), 1);
        })
        .unwrap();
    }
}

#[test]
fn tasks_that_nobody_joins_run_to_their_end() {
    let done = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&done);
    run(seeded(3), move || {
        for _ in 0..3 {
            let done = Arc::clone(&counts);
            drop(ThreadSpawn.spawn("one", Box::new(move || *done.lock() += 1)).unwrap());
        }
    })
    .unwrap();
    assert_eq!(*done.lock(), 3);
}

#[test]
fn a_deadlock_is_found_and_named() {
    let deadlocked = |seed| {
        run(seeded(seed), || {
            let locks = Arc::new((Mutex::new(()), Mutex::new(())));
            let theirs = Arc::clone(&locks);
            let other = thread::Builder::new().name("other".to_owned()).spawn(move || {
                let _one = theirs.1.lock();
                let _two = theirs.0.lock();
            });
            let one = locks.0.lock();
            let two = locks.1.lock();
            drop((one, two));
            other.unwrap().join().unwrap();
        })
    };
    let found: Vec<_> = (0..100).filter_map(|seed| deadlocked(seed).err()).collect();
    assert!(!found.is_empty());
    for failure in found {
        let Failure::Deadlock { threads } = failure else { panic!("{failure}") };
        assert!(threads.len() == 2 && threads.iter().any(|thread| thread.contains("other")), "{threads:?}");
    }
}

#[test]
fn a_run_without_end_is_given_up() {
    let endless = run(seeded(0), || {
        loop {
            thread::yield_now();
        }
    });
    assert!(matches!(endless, Err::<(), _>(Failure::TooLong { points: 100_000, .. })), "{endless:?}");
}

#[test]
fn a_panic_of_any_task_fails_the_run() {
    let panicked = run(seeded(0), || {
        let other = thread::Builder::new().name("other".to_owned()).spawn(|| panic!("on purpose"));
        let _panicked = other.unwrap().join();
    });
    let expected = Failure::Panicked { thread: "other".to_owned(), message: "on purpose".to_owned() };
    assert_eq!(panicked, Err(expected));
}
