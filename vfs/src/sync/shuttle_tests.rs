//! The shim under `shuttle`: what a scenario relies on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use super::atomic::{AtomicU64, Ordering};
use super::{Arc, Condvar, Mutex, OnceLock, RwLock, lazy_static, thread};
use crate::{Env, OpenMode, OpenOptions, explore};

const RUNS: usize = 200;

#[test]
fn a_timed_wait_times_out_in_some_schedules_and_hears_in_others() {
    let seen = Arc::new(StdMutex::new(BTreeSet::new()));
    let outcomes = Arc::clone(&seen);
    shuttle::check_random(
        move || {
            let shared = Arc::new((Mutex::new(false), Condvar::new()));
            let other = Arc::clone(&shared);
            let notifier = thread::spawn(move || {
                *other.0.lock() = true;
                other.1.notify_all();
            });
            let mut done = shared.0.lock();
            let mut timed_out = false;
            while !*done && !timed_out {
                timed_out = shared.1.wait_for(&mut done, Duration::from_millis(1));
            }
            outcomes.lock().unwrap().insert(*done);
            drop(done);
            notifier.join().unwrap();
        },
        RUNS,
    );
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([false, true]));
}

#[test]
fn a_wait_hears_its_notification() {
    explore!(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new(), RwLock::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    *shared.2.write() += 1;
                    *shared.0.lock() += 1;
                    shared.1.notify_one();
                })
            })
            .collect();
        let mut count = shared.0.lock();
        while *count < 2 {
            shared.1.wait(&mut count);
        }
        drop(count);
        assert_eq!(*shared.2.read(), 2);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_cell_is_computed_once_even_when_the_computation_is_interrupted() {
    explore!(|| {
        let cell = Arc::new((OnceLock::new(), AtomicU64::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    *cell.0.get_or_init(|| {
                        thread::yield_now();
                        cell.1.fetch_add(1, Ordering::Relaxed)
                    })
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 0);
        }
        assert_eq!(cell.1.load(Ordering::Relaxed), 1);
    });
}

/// Each run of the checker has its own.
#[test]
fn a_static_is_made_once_in_each_run() {
    lazy_static! {
        static ref COUNT: Mutex<u64> = Mutex::new(0);
    }
    explore!(|| {
        let threads: Vec<_> = (0..2).map(|_| thread::spawn(|| *COUNT.lock() += 1)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*COUNT.lock(), 2);
    });
}

#[test]
fn a_call_to_a_file_is_a_step_of_the_schedule() {
    let seen = Arc::new(StdMutex::new(BTreeSet::new()));
    let outcomes = Arc::clone(&seen);
    shuttle::check_random(
        move || {
            let env = Env::in_memory();
            let path = Path::new("/f");
            let file = env.files.open(path, OpenOptions::new(OpenMode::CreateNew)).unwrap();
            let writer = Arc::clone(&file);
            let work = move || {
                writer.write_all_at(b"a", 0).unwrap();
                writer.write_all_at(b"b", 0).unwrap();
            };
            let task = env.spawn.spawn("writer", Box::new(work)).unwrap();
            let mut byte = [0];
            let read = file.read_at(&mut byte, 0).unwrap();
            outcomes.lock().unwrap().insert((read, byte[0]));
            task.join();
        },
        RUNS,
    );
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([(0, 0), (1, b'a'), (1, b'b')]));
}
