//! What users of the shim rely on.

use std::time::Duration;

use super::{Arc, Condvar, Mutex, OnceLock, RwLock, thread};

#[test]
fn a_wait_that_nobody_ends_says_that_it_timed_out() {
    let lock = Mutex::new(0);
    let condvar = Condvar::new();
    let mut guard = lock.lock();
    assert!(condvar.wait_for(&mut guard, Duration::from_millis(5)));
    *guard += 1;
    assert_eq!(*guard, 1, "the lock is held again after the wait");
}

#[test]
fn a_notified_wait_says_that_it_did_not_time_out() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let notifier = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            *shared.0.lock() = true;
            shared.1.notify_one();
        })
    };
    let mut done = shared.0.lock();
    while !*done {
        assert!(!shared.1.wait_for(&mut done, Duration::from_secs(30)), "the notification was lost");
    }
    drop(done);
    notifier.join().unwrap();
}

#[test]
fn a_panic_poisons_no_lock() {
    let lock = Arc::new((Mutex::new(1), RwLock::new(2)));
    let dies = Arc::clone(&lock);
    let died = thread::spawn(move || {
        let _guards = (dies.0.lock(), dies.1.write());
        panic!("a planned one");
    })
    .join();
    assert!(died.is_err());
    assert_eq!((*lock.0.lock(), *lock.1.read()), (1, 2));
    assert!(lock.0.try_lock().is_some());
}

#[test]
fn a_cell_is_computed_once() {
    let cell = Arc::new(OnceLock::new());
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || *cell.get_or_init(|| number))
        })
        .collect();
    let answers: Vec<i32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| Some(answer) == cell.get()), "{answers:?}");
}
