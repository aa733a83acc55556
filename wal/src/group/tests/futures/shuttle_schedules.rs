//! Many schedules of futures beside threads, of those who leave, and of the end.

use braid_vfs::explore;

use super::*;

#[test]
fn no_schedule_loses_a_waker() {
    explore!(|| {
        let (_, succeeded) = crowd_of_both(None, 2);
        assert_eq!(succeeded, 8);
    });
}

#[test]
fn no_schedule_leaves_a_future_waiting_for_others() {
    explore!(|| {
        // Three come, so that the last one calls the server in some, and in some its time is up.
        for awaited in [2, 4] {
            let shared = awaiting_futures(awaited, Duration::from_millis(1));
            let server = serve(&shared);
            for future in [(); 3].map(|()| spawn_future(&shared)) {
                future.join().unwrap().unwrap();
            }
            server.stop();
            assert_eq!(shared.1.durable().get(), 24);
        }
    });
}

/// Those who commit, those who do not, and those who are dropped, threads and futures, while either are awaited.
fn all_kinds(kinds: &[Kind], threads: usize, futures: usize, fails_at: Option<u64>) {
    for each_look in [0, 700] {
        all_kinds_by_clock(kinds, threads, futures, fails_at, each_look);
    }
}

fn all_kinds_by_clock(kinds: &[Kind], threads: usize, futures: usize, fails_at: Option<u64>, each_look: u64) {
    let numbers = Numbers { fails_at, each_look, ..Numbers::default() };
    let shared = Arc::new((numbers, GroupCommit::new(Lsn::ZERO)));
    {
        let mut queue = shared.1.queue.lock();
        queue.gathering.await_for(threads, Duration::from_millis(1));
        queue.served.gathering.await_for(futures, Duration::from_millis(1));
    }
    let server = serve(&shared);
    let workers: Vec<_> = kinds
        .iter()
        .map(|&kind| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..2 {
                    kind.comes(&shared);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    server.stop();
    let fails = fails_at.is_some_and(|at| shared.0.syncs.load(Ordering::Acquire) > at);
    let ends = kinds.iter().any(|kind| matches!(kind, Poison));
    assert_eq!(shared.1.is_poisoned(), fails || ends);
    let (durable, synced) = (shared.1.durable().get(), shared.0.synced());
    assert!(durable == synced || (ends && durable < synced), "{durable} of {synced}");
}

#[derive(Clone, Copy)]
enum Kind {
    Thread,
    VisitingThread,
    Future,
    VisitingFuture,
    ForgottenFuture,
    /// Its waker, on the server, waits for a commit.
    CommittingWaker,
    /// The end of the log.
    Poison,
}

/// Commits where it is called, and then wakes.
struct CommitsFirst(Shared, Event);

impl Wake for CommitsFirst {
    fn wake(self: Arc<Self>) {
        let (numbers, group) = &*self.0;
        let outcome = group.commit_through(numbers, numbers.append());
        assert!(outcome.is_ok() || group.is_poisoned());
        self.1.set(1);
    }
}

impl Kind {
    fn comes(self, shared: &Shared) {
        let (numbers, group) = &**shared;
        let outcome = match self {
            Self::Thread => group.commit_through(numbers, numbers.append()),
            Self::VisitingThread => group.sync_through(numbers, numbers.append()),
            Self::Future => commit_by_future(shared),
            Self::VisitingFuture => wait_by_future(shared, Who::Visitor),
            Self::ForgottenFuture => {
                commit_and_forget(shared);
                Ok(())
            }
            Self::CommittingWaker => {
                let alarm = Arc::new(CommitsFirst(Arc::clone(shared), Event::new()));
                let waker = Waker::from(Arc::clone(&alarm));
                let polled = group.poll_through(numbers, Who::Committer, numbers.append(), &mut None, &waker);
                if polled.is_pending() {
                    alarm.1.wait();
                }
                Ok(())
            }
            Self::Poison => {
                group.poison(cause());
                Ok(())
            }
        };
        assert!(outcome.is_ok() || group.is_poisoned());
    }
}

use Kind::{CommittingWaker, ForgottenFuture, Future, Poison, Thread, VisitingFuture, VisitingThread};

#[test]
fn no_schedule_leaves_one_of_all_kinds_waiting() {
    explore!(|| all_kinds(
        &[Thread, Thread, VisitingThread, Future, Future, VisitingFuture, ForgottenFuture],
        1,
        1,
        None
    ));
}

#[test]
fn no_schedule_leaves_futures_waiting_beside_threads_that_visit() {
    explore!(|| {
        for futures in [1, 2, 3] {
            all_kinds(&[VisitingThread, Future, Future, ForgottenFuture], 1, futures, None);
            all_kinds(&[VisitingThread, Future, ForgottenFuture, ForgottenFuture], 1, futures, None);
        }
    });
}

#[test]
fn no_schedule_leaves_threads_waiting_beside_all_that_visit() {
    explore!(|| {
        for threads in [1, 2, 3] {
            all_kinds(&[Thread, Thread, Thread, VisitingThread, VisitingFuture], threads, 1, None);
        }
    });
}

#[test]
fn no_schedule_leaves_a_waker_waiting_that_commits() {
    explore!(|| {
        for awaited in [1, 2, 3] {
            let kinds = [CommittingWaker, CommittingWaker, Thread, Future];
            all_kinds(&kinds, awaited, awaited, None);
        }
    });
}

#[test]
fn no_schedule_leaves_one_waiting_at_the_end_of_the_log() {
    explore!(|| {
        for awaited in [1, 3] {
            let kinds = [Thread, Thread, Future, Future, CommittingWaker, Poison];
            all_kinds(&kinds, awaited, awaited, None);
        }
    });
}

#[test]
fn no_schedule_leaves_one_of_all_kinds_waiting_after_a_failure() {
    explore!(|| {
        for fails_at in [1, 3] {
            all_kinds(
                &[Thread, Thread, VisitingThread, Future, Future, ForgottenFuture],
                2,
                2,
                Some(fails_at),
            );
        }
    });
}

#[test]
fn no_schedule_leaves_a_future_waiting_after_a_failure() {
    explore!(|| {
        let (shared, _) = crowd_of_both(Some(1), 2);
        assert_eq!(shared.1.durable().get(), shared.0.synced());
    });
}
