//! Every schedule of a few threads, and every order in which memory lets them see each other. A lost wake-up is a
//! deadlock, which the checker reports.

use std::task::Waker;

use super::futures::{
    Shared, awaiting_futures, commit_and_forget, commit_by_future, serve, shared, spawn_future,
};
use super::*;

/// Appends and waits; says whether that was made durable.
fn commit(shared: &Shared) -> Result<(), SyncError> {
    let (numbers, group) = &**shared;
    let lsn = numbers.append();
    let outcome = group.commit_through(numbers, lsn);
    if outcome.is_ok() {
        assert!(numbers.synced() >= lsn.get(), "told too early");
        assert!(group.durable() >= lsn);
    }
    outcome
}

fn spawn_commit(shared: &Shared) -> thread::JoinHandle<Result<(), SyncError>> {
    let shared = Arc::clone(shared);
    thread::spawn(move || commit(&shared))
}

/// What is said to be durable has been synced.
fn assert_honest(shared: &Shared) -> Lsn {
    let durable = shared.1.durable();
    assert!(shared.0.synced() >= durable.get(), "claims more than was synced");
    durable
}

/// Every schedule of a scenario; says how many there were.
fn check_all(scenario: impl Fn() + Sync + Send + 'static) {
    check_bounded(None, scenario);
}

/// Three threads have too many schedules for all of them: those with up to three switches that no thread asked for,
/// or as many as `LOOM_MAX_PREEMPTIONS` says.
fn check_three(scenario: impl Fn() + Sync + Send + 'static) {
    check_bounded(Some(3), scenario);
}

fn check_bounded(preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    let executions = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("executions={}", executions.load(Ordering::Relaxed));
}

#[test]
fn loom_two_threads_are_both_covered() {
    check_all(|| {
        let shared = shared(None);
        let other = spawn_commit(&shared);
        commit(&shared).unwrap();
        other.join().unwrap().unwrap();
        assert_eq!(assert_honest(&shared).get(), 16);
    });
}

#[test]
fn loom_three_threads_are_all_covered() {
    check_three(|| {
        let shared = shared(None);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        commit(&shared).unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(assert_honest(&shared).get(), 24);
    });
}

/// Whoever leads, and whatever of the others it covers.
#[test]
fn loom_a_visitor_and_who_holds_a_sync_are_both_covered() {
    check_three(|| {
        let shared = awaiting(3, Duration::ZERO);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        let lsn = shared.0.append();
        shared.1.sync_through(&shared.0, lsn).unwrap();
        assert!(assert_honest(&shared) >= lsn);
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(assert_honest(&shared).get(), 24);
    });
}

#[test]
fn loom_one_thread_waits_again_while_another_waits() {
    check_three(|| {
        let shared = shared(None);
        let other = spawn_commit(&shared);
        commit(&shared).unwrap();
        commit(&shared).unwrap();
        other.join().unwrap().unwrap();
        assert_eq!(assert_honest(&shared).get(), 24);
    });
}

/// With time that is always up: who holds the sync looks at once, and again as long as others come.
#[test]
fn loom_who_is_awaited_or_not_all_are_covered() {
    for awaited in [2, 3, 4] {
        check_three(move || {
            let shared = awaiting(awaited, Duration::ZERO);
            let others = [spawn_commit(&shared), spawn_commit(&shared)];
            commit(&shared).unwrap();
            for other in others {
                other.join().unwrap().unwrap();
            }
            assert_eq!(assert_honest(&shared).get(), 24);
        });
    }
}

/// Who waits behind the first sync holds the second: another comes, or its time is up.
#[test]
fn loom_who_holds_a_sync_behind_another_is_covered() {
    check_three(|| {
        let shared = awaiting(1, Duration::ZERO);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        commit(&shared).unwrap();
        commit(&shared).unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(assert_honest(&shared).get(), 32);
    });
}

#[test]
fn loom_a_failure_reaches_who_is_to_hold_a_sync() {
    check_three(|| {
        let shared = awaiting(1, Duration::ZERO);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        let _ = commit(&shared);
        shared.1.poison(cause());
        for other in others {
            let _ = other.join().unwrap();
        }
        assert!(shared.1.is_poisoned());
    });
}

#[test]
fn loom_a_future_comes_while_a_thread_holds_the_sync() {
    check_three(|| {
        let shared = awaiting(2, Duration::ZERO);
        let server = serve(&shared);
        let other = spawn_commit(&shared);
        commit_by_future(&shared).unwrap();
        other.join().unwrap().unwrap();
        server.stop();
        assert_eq!(assert_honest(&shared).get(), 16);
    });
}

/// As above: the server that keeps the sync looks at once.
#[test]
fn loom_futures_that_are_awaited_or_not_are_all_covered() {
    for awaited in [2, 3] {
        check_three(move || {
            let shared = awaiting_futures(awaited, Duration::ZERO);
            let server = serve(&shared);
            let other = spawn_future(&shared);
            commit_by_future(&shared).unwrap();
            other.join().unwrap().unwrap();
            server.stop();
            assert_eq!(assert_honest(&shared).get(), 16);
        });
    }
}

#[test]
fn loom_a_thread_comes_while_the_server_keeps_the_sync() {
    check_three(|| {
        let shared = awaiting_futures(2, Duration::ZERO);
        let server = serve(&shared);
        let other = spawn_commit(&shared);
        commit_by_future(&shared).unwrap();
        other.join().unwrap().unwrap();
        server.stop();
        assert_eq!(assert_honest(&shared).get(), 16);
    });
}

#[test]
fn loom_a_failure_reaches_who_holds_a_sync() {
    check_three(|| {
        let shared = awaiting(3, Duration::ZERO);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        shared.1.poison(cause());
        for other in others {
            let _ = other.join().unwrap();
        }
        assert!(shared.1.is_poisoned());
    });
}

#[test]
fn loom_whoever_looks_on_sees_no_more_than_was_synced() {
    check_all(|| {
        let shared = shared(None);
        let looked_at = Arc::clone(&shared);
        let looker = thread::spawn(move || {
            let before = assert_honest(&looked_at);
            assert!(assert_honest(&looked_at) >= before, "durable never goes back");
        });
        commit(&shared).unwrap();
        looker.join().unwrap();
        assert_eq!(assert_honest(&shared).get(), 8);
    });
}

#[test]
fn loom_a_failure_reaches_everybody() {
    check_three(|| {
        let shared = shared(Some(0));
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        commit(&shared).unwrap_err();
        for other in others {
            other.join().unwrap().unwrap_err();
        }
        assert!(shared.1.is_poisoned());
        assert_eq!(shared.1.durable(), Lsn::ZERO);
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1, "a failed sync is never tried again");
    });
}

#[test]
fn loom_a_failure_after_a_success_takes_nothing_back() {
    check_three(|| {
        let shared = shared(Some(1));
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        let mut covered = u64::from(commit(&shared).is_ok());
        for other in others {
            covered += u64::from(other.join().unwrap().is_ok());
        }
        assert!(covered >= 1, "whoever led first was covered");
        assert_eq!(assert_honest(&shared).get(), shared.0.synced());
        assert_eq!(shared.1.is_poisoned(), covered < 3);
    });
}

#[test]
fn loom_poisoning_wakes_everybody_and_stops_durable() {
    check_three(|| {
        let shared = shared(None);
        let others = [spawn_commit(&shared), spawn_commit(&shared)];
        assert!(shared.1.poison(cause()));
        let durable = assert_honest(&shared);
        for other in others {
            let _ = other.join().unwrap();
        }
        assert_eq!(shared.1.durable(), durable, "durable does not move once poisoned");
        commit(&shared).unwrap_err();
    });
}

#[test]
fn loom_a_future_is_woken_by_the_server() {
    check_all(|| {
        let shared = shared(None);
        let server = serve(&shared);
        commit_by_future(&shared).unwrap();
        server.stop();
        assert_eq!(assert_honest(&shared).get(), 8);
    });
}

#[test]
fn loom_a_future_and_a_thread_are_both_covered() {
    check_three(|| {
        let shared = shared(None);
        let server = serve(&shared);
        let other = spawn_commit(&shared);
        commit_by_future(&shared).unwrap();
        other.join().unwrap().unwrap();
        server.stop();
        assert_eq!(assert_honest(&shared).get(), 16);
    });
}

#[test]
fn loom_two_futures_are_both_covered() {
    check_three(|| {
        let shared = shared(None);
        let server = serve(&shared);
        let shared_too = Arc::clone(&shared);
        let other = thread::spawn(move || commit_by_future(&shared_too));
        commit_by_future(&shared).unwrap();
        other.join().unwrap().unwrap();
        server.stop();
        assert_eq!(assert_honest(&shared).get(), 16);
    });
}

#[test]
fn loom_a_future_that_is_dropped_is_in_nobodys_way() {
    check_three(|| {
        let shared = shared(None);
        let server = serve(&shared);
        let shared_too = Arc::clone(&shared);
        let other = thread::spawn(move || commit_and_forget(&shared_too));
        commit_by_future(&shared).unwrap();
        other.join().unwrap();
        server.stop();
        assert_honest(&shared);
    });
}

#[test]
fn loom_a_failure_reaches_futures() {
    check_three(|| {
        let shared = shared(Some(0));
        let server = serve(&shared);
        let other = spawn_commit(&shared);
        commit_by_future(&shared).unwrap_err();
        other.join().unwrap().unwrap_err();
        server.stop();
        assert_eq!(shared.1.durable(), Lsn::ZERO);
    });
}

#[test]
fn loom_poisoning_wakes_futures() {
    check_three(|| {
        let shared = shared(None);
        let server = serve(&shared);
        let shared_too = Arc::clone(&shared);
        let other = thread::spawn(move || commit_by_future(&shared_too));
        shared.1.poison(cause());
        let durable = assert_honest(&shared);
        let _ = other.join().unwrap();
        assert_eq!(shared.1.durable(), durable, "durable does not move once poisoned");
        server.stop();
    });
}

/// A reader of the log leaves a waker when it has read all: it never sleeps over a sync, nor over the end.
#[test]
fn loom_a_watcher_is_woken_by_what_it_has_not_seen() {
    for fails_at in [None, Some(1)] {
        check_three(move || {
            let shared = shared(fails_at);
            let server = serve(&shared);
            let committer = spawn_commit(&shared);
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let known = assert_honest(&shared);
            // There is one commit: after it nothing more comes.
            if known == Lsn::ZERO && shared.1.watch(1, known, &waker) {
                woken.wait();
            }
            assert!(shared.1.durable() > Lsn::ZERO || shared.1.is_poisoned());
            let _committed = committer.join().unwrap();
            server.stop();
        });
    }
}

/// A thread that waits for its waker.
#[derive(Default)]
struct Woken(Event);

impl Woken {
    fn wait(&self) {
        self.0.wait();
    }
}

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}
