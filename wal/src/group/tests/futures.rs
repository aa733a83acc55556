//! Futures beside threads, and the server.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use braid_vfs::sync::{Event, thread};

use super::*;

pub(super) type Shared = Arc<(Numbers, GroupCommit)>;

pub(super) fn shared(fails_at: Option<u64>) -> Shared {
    Arc::new((Numbers { fails_at, ..Numbers::default() }, GroupCommit::new(Lsn::ZERO)))
}

/// A queue in which so many futures are awaited; the server, when it keeps the sync, looks after so long.
pub(super) fn awaiting_futures(futures: usize, step: Duration) -> Shared {
    let shared = shared(None);
    shared.1.queue.lock().served.gathering.await_for(futures, step);
    shared
}

/// Is woken once.
#[derive(Default)]
struct Alarm(Event);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}

/// Appends, and waits as a future that commits does, on a thread that has nothing better to do.
pub(super) fn commit_by_future(shared: &Shared) -> Result<(), SyncError> {
    wait_by_future(shared, Who::Committer)
}

fn wait_by_future(shared: &Shared, who: Who) -> Result<(), SyncError> {
    let (numbers, group) = &**shared;
    let (lsn, mut place) = (numbers.append(), None);
    loop {
        let alarm = Arc::new(Alarm::default());
        match group.poll_through(numbers, who, lsn, &mut place, &Waker::from(Arc::clone(&alarm))) {
            Poll::Ready(outcome) => {
                if outcome.is_ok() {
                    assert!(numbers.synced() >= lsn.get(), "told too early");
                    assert!(group.durable() >= lsn);
                } else {
                    assert!(group.is_poisoned());
                }
                return outcome;
            }
            Poll::Pending => _ = alarm.0.wait(),
        }
    }
}

/// Appends, is polled, and is dropped.
pub(super) fn commit_and_forget(shared: &Shared) {
    let (numbers, group) = &**shared;
    let (lsn, mut place) = (numbers.append(), None);
    let polled = group.poll_through(numbers, Who::Committer, lsn, &mut place, Waker::noop());
    if let (Poll::Pending, Some(place)) = (polled, place) {
        group.leave(place);
    }
}

/// The server of a group, until it is told to stop.
pub(super) struct Server(Shared, thread::JoinHandle<()>);

pub(super) fn spawn_future(shared: &Shared) -> thread::JoinHandle<Result<(), SyncError>> {
    let shared = Arc::clone(shared);
    thread::spawn(move || commit_by_future(&shared))
}

pub(super) fn serve(shared: &Shared) -> Server {
    let served = Arc::clone(shared);
    let server = thread::spawn(move || served.1.serve(&served.0));
    Server(Arc::clone(shared), server)
}

impl Server {
    pub(super) fn stop(self) {
        self.0.1.stop_serving();
        self.1.join().unwrap();
    }
}

#[cfg(not(loom))]
fn crowd_of_both(fails_at: Option<u64>, rounds: usize) -> (Shared, usize) {
    let shared = shared(fails_at);
    let server = serve(&shared);
    let workers: Vec<_> = (0..5)
        .map(|worker| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut succeeded = 0;
                for _ in 0..rounds {
                    succeeded += match worker {
                        0 | 1 => {
                            let lsn = shared.0.append();
                            let outcome = shared.1.commit_through(&shared.0, lsn);
                            assert!(outcome.is_err() || shared.0.synced() >= lsn.get(), "told too early");
                            usize::from(outcome.is_ok())
                        }
                        2 | 3 => usize::from(commit_by_future(&shared).is_ok()),
                        _ => {
                            commit_and_forget(&shared);
                            0
                        }
                    };
                }
                succeeded
            })
        })
        .collect();
    let succeeded = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    server.stop();
    assert!(shared.0.synced() >= shared.1.durable().get(), "claims more than was synced");
    (shared, succeeded)
}

#[cfg(not(any(shuttle, loom)))]
mod native {
    use super::*;

    #[test]
    fn threads_and_futures_are_all_covered() {
        let (_, succeeded) = crowd_of_both(None, 500);
        assert_eq!(succeeded, 4 * 500);
    }

    #[test]
    fn a_failure_reaches_threads_and_futures() {
        let (shared, succeeded) = crowd_of_both(Some(20), 200);
        assert!(succeeded < 4 * 200);
        assert_eq!(shared.1.durable().get(), shared.0.synced());
    }

    #[test]
    fn a_future_that_is_polled_often_has_one_place() {
        let shared = shared(None);
        let (lsn, mut place) = (shared.0.append(), None);
        for _ in 0..100 {
            let alarm = Waker::from(Arc::new(Alarm::default()));
            assert!(shared.1.poll_through(&shared.0, Who::Committer, lsn, &mut place, &alarm).is_pending());
        }
        let wakers = shared.1.queue.lock().waiting.present.futures.take();
        assert_eq!(wakers.len(), 1);
        shared.1.wake_soon(wakers);
        let server = serve(&shared);
        commit_by_future(&shared).unwrap();
        server.stop();
    }

    #[test]
    fn a_sync_is_put_off_for_all_futures_that_are_awaited() {
        let shared = awaiting_futures(5, Duration::from_secs(60));
        let server = serve(&shared);
        for future in [(); 5].map(|()| spawn_future(&shared)) {
            future.join().unwrap().unwrap();
        }
        server.stop();
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1);
        assert_eq!(shared.1.durable().get(), 40);
    }

    #[test]
    fn the_server_leads_when_the_time_of_those_who_do_not_come_is_up() {
        let shared = awaiting_futures(5, Duration::from_millis(1));
        let server = serve(&shared);
        let (tell, told) = std::sync::mpsc::channel();
        for future in [spawn_future(&shared), spawn_future(&shared)] {
            let tell = tell.clone();
            thread::spawn(move || tell.send(future.join().unwrap()));
        }
        for _ in 0..2 {
            told.recv_timeout(Duration::from_secs(20)).expect("nobody leads").unwrap();
        }
        server.stop();
        assert_eq!(shared.1.durable().get(), 16);
    }

    /// Has another future come where it is called, and tells who leads for that.
    struct Comes(Shared, std::sync::mpsc::Sender<Lead>);

    impl Wake for Comes {
        fn wake(self: Arc<Self>) {
            let (numbers, group) = &*self.0;
            let polled =
                group.poll_through(numbers, Who::Committer, numbers.append(), &mut None, Waker::noop());
            assert!(polled.is_pending());
            self.1.send(group.queue.lock().lead).unwrap();
        }
    }

    #[test]
    fn futures_that_commit_are_awaited_and_those_that_do_not_are_not() {
        for (who, lead) in [(Who::Committer, Lead::Kept), (Who::Visitor, Lead::Called)] {
            let shared = shared(None);
            let (numbers, group) = &*shared;
            group.queue.lock().served.gathering.await_for(1, Duration::from_secs(60));
            let (tell, told) = std::sync::mpsc::channel();
            let next = Waker::from(Arc::new(Comes(Arc::clone(&shared), tell)));
            for waker in [Waker::noop(), &next] {
                assert!(group.poll_through(numbers, who, numbers.append(), &mut None, waker).is_pending());
            }
            let server = serve(&shared);
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(lead), "{who:?}");
            server.stop();
        }
    }

    #[test]
    fn a_future_that_does_not_commit_waits_for_nobody() {
        let shared = awaiting_futures(3, Duration::from_secs(60));
        let server = serve(&shared);
        let kept = spawn_future(&shared);
        while shared.1.queue.lock().lead != Lead::Kept {
            thread::yield_now();
        }
        let polled =
            shared.1.poll_through(&shared.0, Who::Visitor, shared.0.append(), &mut None, Waker::noop());
        assert!(polled.is_pending());
        kept.join().unwrap().unwrap();
        server.stop();
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1);
    }

    /// Nobody serves here: a thread that waited for the server would do so for ever.
    #[test]
    fn a_thread_does_not_wait_for_the_futures_that_are_awaited() {
        let shared = awaiting_futures(3, Duration::from_secs(60));
        let (numbers, group) = &*shared;
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(Arc::clone(&alarm));
        assert!(
            group.poll_through(numbers, Who::Committer, numbers.append(), &mut None, &waker).is_pending()
        );
        assert_eq!(group.queue.lock().lead, Lead::Kept);
        group.commit_through(numbers, numbers.append()).unwrap();
        assert_eq!(group.durable().get(), 16, "it covers the future");
        let server = serve(&shared);
        alarm.0.wait();
        server.stop();
        assert_eq!(numbers.syncs.load(Ordering::Acquire), 1);
    }

    /// Commits where it is called, on the server.
    struct Commits(Shared);

    impl Wake for Commits {
        fn wake(self: Arc<Self>) {
            let (numbers, group) = &*self.0;
            group.commit_through(numbers, numbers.append()).unwrap();
        }
    }

    #[test]
    fn a_waker_may_commit_while_futures_are_awaited() {
        let shared = awaiting_futures(3, Duration::from_secs(60));
        let kept = spawn_future(&shared);
        while shared.1.queue.lock().lead != Lead::Kept {
            thread::yield_now();
        }
        shared.1.wake_soon(vec![Waker::from(Arc::new(Commits(Arc::clone(&shared))))]);
        let server = serve(&shared);
        kept.join().unwrap().unwrap();
        server.stop();
    }

    /// Its waker is the future's own code's to drop, and not the log's to keep.
    #[test]
    fn a_future_that_leaves_is_forgotten() {
        let shared = shared(None);
        let (lsn, mut place) = (shared.0.append(), None);
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(Arc::clone(&alarm));
        assert!(shared.1.poll_through(&shared.0, Who::Committer, lsn, &mut place, &waker).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&alarm), 2);
        shared.1.leave(place.unwrap());
        assert_eq!(Arc::strong_count(&alarm), 1, "its waker is kept");
        let server = serve(&shared);
        commit_by_future(&shared).unwrap();
        server.stop();
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1, "nobody was left to sync for");
    }

    #[test]
    fn a_future_cannot_wait_for_what_was_not_appended() {
        let shared = shared(None);
        let lsn = shared.0.append();
        let poll = |lsn| shared.1.poll_through(&shared.0, Who::Committer, lsn, &mut None, Waker::noop());
        assert!(matches!(poll(Lsn::new(lsn.get() + 8)), Poll::Ready(Err(SyncError::BeyondEnd { .. }))));
        assert!(poll(lsn).is_pending());
    }

    #[test]
    fn wakers_of_others_are_called_by_a_server_that_has_nothing_else_to_do() {
        let shared = shared(None);
        let server = serve(&shared);
        for _ in 0..20 {
            let alarm = Arc::new(Alarm::default());
            shared.1.wake_soon(vec![Waker::from(Arc::clone(&alarm))]);
            alarm.0.wait();
        }
        server.stop();
    }

    /// Else a future that gives its place up would leave that of another one.
    #[test]
    fn a_place_with_those_who_are_next_is_none_with_those_who_are_covered() {
        let mut waiting = waiting::Waiting::of_turn(0);
        for _ in 0..3 {
            let covered = waiting.present.futures.join(Waker::noop().clone());
            let next = waiting.next.futures.join(Waker::noop().clone());
            assert!(waiting.present.futures.has(covered) && !waiting.present.futures.has(next));
            assert!(waiting.next.futures.has(next) && !waiting.next.futures.has(covered));
            waiting.advance();
            assert!(waiting.present.futures.has(next), "who was next keeps the place");
        }
    }

    #[test]
    fn watchers_are_woken_though_nothing_was_synced() {
        let shared = shared(None);
        let server = serve(&shared);
        let alarm = Arc::new(Alarm::default());
        assert!(shared.1.watch(1, Lsn::ZERO, &Waker::from(Arc::clone(&alarm))));
        shared.1.wake_watchers();
        alarm.0.wait();
        server.stop();
        assert!(shared.1.queue.lock().watchers.is_empty());
    }

    /// Its first sync waits until somebody waits for the next.
    struct Waits(Numbers, Arc<GroupCommit>);

    impl SyncTarget for Waits {
        fn appended(&self) -> Lsn {
            self.0.appended()
        }
        fn now(&self) -> Duration {
            self.0.now()
        }
        fn sync(&self, through: Lsn) -> io::Result<()> {
            while self.0.synced() == 0 && self.1.queue.lock().waiting.next.futures.is_empty() {
                thread::yield_now();
            }
            self.0.sync(through)
        }
    }

    struct Tells(std::sync::mpsc::Sender<()>);

    impl Wake for Tells {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    /// A future that comes during a sync, and after which nobody comes. Who is first is a future, or a thread.
    #[test]
    fn the_last_one_is_not_forgotten() {
        for first_is_thread in [false, true] {
            let group = Arc::new(GroupCommit::new(Lsn::ZERO));
            let target = Arc::new(Waits(Numbers::default(), Arc::clone(&group)));
            let server = {
                let (group, target) = (Arc::clone(&group), Arc::clone(&target));
                thread::spawn(move || group.serve(&*target))
            };
            let (tell, told) = std::sync::mpsc::channel();
            let waker = Waker::from(Arc::new(Tells(tell.clone())));
            let first = target.0.append();
            let leader = if first_is_thread {
                let (group, target) = (Arc::clone(&group), Arc::clone(&target));
                Some(thread::spawn(move || {
                    group.commit_through(&*target, first).unwrap();
                    tell.send(()).unwrap();
                }))
            } else {
                assert!(group.poll_through(&*target, Who::Committer, first, &mut None, &waker).is_pending());
                None
            };
            while group.queue.lock().through.is_none() {
                thread::yield_now();
            }
            let last = target.0.append();
            assert!(group.poll_through(&*target, Who::Committer, last, &mut None, &waker).is_pending());
            for _ in 0..2 {
                told.recv_timeout(Duration::from_secs(20)).expect("a future is forgotten");
            }
            assert!(group.durable() >= last);
            group.stop_serving();
            server.join().unwrap();
            if let Some(leader) = leader {
                leader.join().unwrap();
            }
        }
    }

    /// The one that was covered may be awaited though it was dropped, and there is no waker to call then.
    #[test]
    fn the_server_is_told_to_keep_a_sync_after_one_that_covers_nobody_but_who_left() {
        let group = Arc::new(GroupCommit::new(Lsn::ZERO));
        group.queue.lock().served.gathering.await_for(1, Duration::from_millis(1));
        let target = Arc::new(Waits(Numbers::default(), Arc::clone(&group)));
        let (first, mut place) = (target.0.append(), None);
        assert!(group.poll_through(&*target, Who::Committer, first, &mut place, Waker::noop()).is_pending());
        group.leave(place.unwrap());
        let spawn = |work: fn(&GroupCommit, &Waits)| {
            let (group, target) = (Arc::clone(&group), Arc::clone(&target));
            thread::spawn(move || work(&group, &target))
        };
        let visitor = spawn(|group, target| group.sync_through(target, Lsn::new(8)).unwrap());
        while group.queue.lock().through.is_none() {
            thread::yield_now();
        }
        let server = spawn(GroupCommit::serve);
        falls_asleep(&group);
        let (tell, told) = std::sync::mpsc::channel();
        let waker = Waker::from(Arc::new(Tells(tell)));
        let last = target.0.append();
        assert!(group.poll_through(&*target, Who::Committer, last, &mut None, &waker).is_pending());
        told.recv_timeout(Duration::from_secs(20)).expect("the server sleeps on");
        group.stop_serving();
        server.join().unwrap();
        visitor.join().unwrap();
    }

    /// Who leads once a future waits for the sync after one that covered two that commit: one that came during that sync, or
    /// after it.
    fn lead_after(leader: Who, during: Option<Who>) -> Lead {
        let shared = shared(None);
        let (numbers, group) = &*shared;
        group.queue.lock().served.gathering.await_for(1, Duration::from_millis(1));
        let poll = |who| {
            let lsn = numbers.append();
            assert!(group.poll_through(numbers, who, lsn, &mut None, Waker::noop()).is_pending());
            lsn
        };
        poll(Who::Committer);
        let through = poll(Who::Committer);
        {
            let mut queue = group.queue.lock();
            assert!(matches!(queue.come(leader, through, numbers), Place::Leads));
            queue.through = Some(through);
        }
        during.map(poll);
        numbers.sync(through).unwrap();
        group.succeed(numbers, through, leader, Duration::ZERO).unwrap();
        if during.is_none() {
            poll(Who::Committer);
        }
        group.queue.lock().lead
    }

    #[test]
    fn futures_are_awaited_by_futures_that_commit_where_no_thread_committed() {
        for (leader, during, lead) in [
            (Who::Visitor, None, Lead::Kept),
            (Who::Visitor, Some(Who::Committer), Lead::Kept),
            (Who::Visitor, Some(Who::Visitor), Lead::Called),
            (Who::Committer, None, Lead::Called),
            (Who::Committer, Some(Who::Committer), Lead::Called),
        ] {
            assert_eq!(lead_after(leader, during), lead, "{leader:?} and {during:?}");
        }
    }

    /// The server sleeps already when futures begin to be awaited: there was no waker to call.
    #[test]
    fn the_first_one_that_is_awaited_wakes_a_server_that_is_not_about_to_look() {
        let shared = shared(None);
        let (numbers, group) = &*shared;
        group.queue.lock().served.gathering.await_for(1, Duration::from_millis(1));
        for _ in 0..2 {
            commit_and_forget(&shared);
        }
        let through = numbers.appended();
        assert!(matches!(group.queue.lock().come(Who::Visitor, through, numbers), Place::Leads));
        let server = serve(&shared);
        falls_asleep(group);
        numbers.sync(through).unwrap();
        group.succeed(numbers, through, Who::Visitor, Duration::ZERO).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let waker = Waker::from(Arc::new(Tells(tell)));
        let last = numbers.append();
        assert!(group.poll_through(numbers, Who::Committer, last, &mut None, &waker).is_pending());
        told.recv_timeout(Duration::from_secs(20)).expect("the server sleeps on");
        server.stop();
    }

    /// The server has nothing to do for long enough to go to sleep: it is not told when it has.
    fn falls_asleep(group: &GroupCommit) {
        let alarm = Arc::new(Alarm::default());
        group.wake_soon(vec![Waker::from(Arc::clone(&alarm))]);
        alarm.0.wait();
        thread::sleep(Duration::from_millis(20));
    }

    #[test]
    fn a_sync_is_kept_for_nobody_who_has_left() {
        let shared = awaiting_futures(3, Duration::from_millis(1));
        commit_and_forget(&shared);
        assert_eq!(shared.1.queue.lock().lead, Lead::Kept);
        let server = serve(&shared);
        let is_let_go = (0..20_000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            shared.1.queue.lock().lead == Lead::Free
        });
        assert!(is_let_go, "it is kept");
        commit_by_future(&shared).unwrap();
        server.stop();
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1);
    }

    /// Its clock shows what the test says.
    #[derive(Default)]
    struct Clocked(Numbers, AtomicU64);

    impl SyncTarget for Clocked {
        fn appended(&self) -> Lsn {
            self.0.appended()
        }
        fn now(&self) -> Duration {
            Duration::from_millis(self.1.load(Ordering::Acquire))
        }
        fn sync(&self, through: Lsn) -> io::Result<()> {
            self.0.sync(through)
        }
    }

    #[test]
    fn a_clock_that_goes_back_leaves_no_future_waiting() {
        const HOUR: u64 = 3_600_000;
        let group = Arc::new(GroupCommit::new(Lsn::ZERO));
        let target = Arc::new(Clocked::default());
        group.queue.lock().served.gathering.await_for(1, Duration::from_millis(1));
        target.1.store(HOUR, Ordering::Release);
        let poll = |waker: &Waker| {
            let lsn = target.0.append();
            assert!(group.poll_through(&*target, Who::Committer, lsn, &mut None, waker).is_pending());
            lsn
        };
        poll(Waker::noop());
        let through = poll(Waker::noop());
        assert!(matches!(group.queue.lock().come(Who::Visitor, through, &*target), Place::Leads));
        group.succeed(&*target, through, Who::Visitor, Duration::from_millis(HOUR - 1)).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        poll(&Waker::from(Arc::new(Tells(tell))));
        assert_eq!(group.queue.lock().lead, Lead::Kept);
        target.1.store(0, Ordering::Release);
        let server = {
            let (group, target) = (Arc::clone(&group), Arc::clone(&target));
            thread::spawn(move || group.serve(&*target))
        };
        told.recv_timeout(Duration::from_secs(20)).expect("the server sleeps for an hour");
        group.stop_serving();
        server.join().unwrap();
    }

    #[test]
    fn a_server_whose_sync_panics_stays_to_tell() {
        struct Panics(Numbers);
        impl SyncTarget for Panics {
            fn now(&self) -> Duration {
                Duration::ZERO
            }

            fn appended(&self) -> Lsn {
                self.0.appended()
            }
            fn sync(&self, _: Lsn) -> io::Result<()> {
                panic!("the sync itself, on purpose")
            }
        }
        let group = Arc::new(GroupCommit::new(Lsn::ZERO));
        let target = Arc::new(Panics(Numbers::default()));
        let lsn = target.0.append();
        let server = {
            let (group, target) = (Arc::clone(&group), Arc::clone(&target));
            thread::spawn(move || group.serve(&*target))
        };
        for _ in 0..2 {
            let mut place = None;
            let outcome = loop {
                let alarm = Arc::new(Alarm::default());
                match group.poll_through(
                    &*target,
                    Who::Committer,
                    lsn,
                    &mut place,
                    &Waker::from(Arc::clone(&alarm)),
                ) {
                    Poll::Ready(outcome) => break outcome,
                    Poll::Pending => _ = alarm.0.wait(),
                }
            };
            assert!(matches!(outcome, Err(SyncError::Poisoned(_))));
        }
        group.stop_serving();
        server.join().unwrap();
    }
}

#[cfg(shuttle)]
mod shuttle_schedules;
