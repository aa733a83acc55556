//! The queue without files: a log that is a number, and a sync that may fail.

use braid_vfs::sync::thread;

use super::*;

/// Why the owner of a log may poison it.
fn cause() -> Arc<io::Error> {
    Arc::new(io::Error::other("by the test"))
}

/// Positions of what was appended, and of what a sync has covered. The latter is read and written without any order
/// of its own: whoever is told of a sync sees what it did by the queue's doing alone.
#[derive(Debug, Default)]
struct Numbers {
    appended: AtomicU64,
    synced: AtomicU64,
    syncs: AtomicU64,
    /// The sync of this number fails, and so would every later one.
    fails_at: Option<u64>,
    syncing: AtomicBool,
    /// Microseconds that pass with each look at the clock.
    each_look: u64,
    looks: AtomicU64,
}

impl Numbers {
    fn append(&self) -> Lsn {
        Lsn::new(self.appended.fetch_add(8, Ordering::AcqRel) + 8)
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }
}

impl SyncTarget for Numbers {
    /// Syncs take time, so that they are worth to be shared, and looks at the clock may.
    fn now(&self) -> Duration {
        let looks = if self.each_look == 0 { 0 } else { self.looks.fetch_add(1, Ordering::AcqRel) };
        Duration::from_millis(self.syncs.load(Ordering::Acquire))
            + Duration::from_micros(looks * self.each_look)
    }

    fn appended(&self) -> Lsn {
        Lsn::new(self.appended.load(Ordering::Acquire))
    }

    fn sync(&self, through: Lsn) -> io::Result<()> {
        assert!(!self.syncing.swap(true, Ordering::AcqRel), "one sync at a time");
        // Under loom the atomics are enough to switch at, and a yield would hide schedules.
        #[cfg(not(loom))]
        thread::yield_now();
        let number = self.syncs.fetch_add(1, Ordering::AcqRel);
        let outcome = if self.fails_at.is_some_and(|at| number >= at) {
            assert_eq!(Some(number), self.fails_at, "a failed sync is never tried again");
            Err(io::Error::other("sync failed"))
        } else {
            let before = self.synced.fetch_max(through.get(), Ordering::Relaxed);
            assert!(before < through.get(), "a sync that covers nobody");
            Ok(())
        };
        self.syncing.store(false, Ordering::Release);
        outcome
    }
}

/// A queue in which so many are awaited; who holds the sync looks after so long.
fn awaiting(committers: usize, step: Duration) -> Arc<(Numbers, GroupCommit)> {
    let group = GroupCommit::new(Lsn::ZERO);
    group.queue.lock().gathering.await_for(committers, step);
    Arc::new((Numbers::default(), group))
}

mod futures;
#[cfg(loom)]
mod loom_schedules;

/// Threads that append and wait; returns how many waits succeeded.
#[cfg(not(loom))]
fn crowd(threads: usize, rounds: usize, fails_at: Option<u64>) -> (Arc<(Numbers, GroupCommit)>, usize) {
    let numbers = Numbers { fails_at, ..Numbers::default() };
    let shared = Arc::new((numbers, GroupCommit::new(Lsn::ZERO)));
    shared.1.queue.lock().gathering.await_for(1, Duration::from_millis(1));
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (numbers, group) = &*shared;
                let mut succeeded = 0;
                for _ in 0..rounds {
                    let lsn = numbers.append();
                    let before = group.durable();
                    match group.commit_through(numbers, lsn) {
                        Ok(()) => {
                            assert!(numbers.synced() >= lsn.get(), "told too early");
                            assert!(group.durable() >= lsn);
                            succeeded += 1;
                        }
                        Err(_) => assert!(group.is_poisoned()),
                    }
                    assert!(group.durable() >= before, "durable never goes back");
                }
                succeeded
            })
        })
        .collect();
    let succeeded = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
    (shared, succeeded)
}

#[cfg(not(any(shuttle, loom)))]
mod native {
    use super::*;

    #[test]
    fn everybody_is_covered() {
        let (shared, succeeded) = crowd(16, 500, None);
        assert_eq!(succeeded, 8000);
        assert_eq!(shared.1.durable().get(), 8 * 8000);
    }

    #[test]
    fn a_failure_reaches_everybody_and_stops_durable() {
        let (shared, succeeded) = crowd(16, 100, Some(20));
        assert!(succeeded < 1600);
        assert!(shared.1.is_poisoned());
        assert_eq!(shared.1.durable().get(), shared.0.synced());
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 21);
    }

    #[test]
    fn one_sync_covers_all_that_were_appended_before_it() {
        /// Syncs once all but the leader wait.
        #[derive(Debug)]
        struct Slow(Arc<GroupCommit>, Arc<AtomicU64>);
        impl SyncTarget for Slow {
            fn now(&self) -> Duration {
                Duration::ZERO
            }

            fn appended(&self) -> Lsn {
                Lsn::new(32)
            }
            fn sync(&self, _: Lsn) -> io::Result<()> {
                let is_first = self.1.fetch_add(1, Ordering::AcqRel) == 0;
                while is_first && self.0.queue.lock().waiting.len() < 3 {
                    thread::yield_now();
                }
                Ok(())
            }
        }
        let (group, syncs) = (Arc::new(GroupCommit::new(Lsn::ZERO)), Arc::new(AtomicU64::new(0)));
        let handles = [8, 16, 24, 32].map(|lsn| {
            let (group, syncs) = (Arc::clone(&group), Arc::clone(&syncs));
            let target = Slow(Arc::clone(&group), syncs);
            thread::spawn(move || group.commit_through(&target, Lsn::new(lsn)))
        });
        for handle in handles {
            handle.join().unwrap().unwrap();
        }
        assert_eq!(syncs.load(Ordering::Acquire), 1, "three followers, one sync");
        assert_eq!(group.durable(), Lsn::new(32));
    }

    fn commit(shared: &Arc<(Numbers, GroupCommit)>) -> thread::JoinHandle<Result<(), SyncError>> {
        let shared = Arc::clone(shared);
        thread::spawn(move || shared.1.commit_through(&shared.0, shared.0.append()))
    }

    #[test]
    fn a_sync_is_put_off_for_all_that_are_awaited() {
        let shared = awaiting(5, Duration::from_secs(60));
        let handles: Vec<_> = (0..5).map(|_| commit(&shared)).collect();
        for handle in handles {
            handle.join().unwrap().unwrap();
        }
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1);
        assert_eq!(shared.1.durable().get(), 40);
    }

    #[test]
    fn who_holds_a_sync_leads_when_the_time_is_up() {
        let shared = awaiting(5, Duration::from_millis(1));
        let (tell, told) = std::sync::mpsc::channel();
        for handle in [commit(&shared), commit(&shared)] {
            let tell = tell.clone();
            thread::spawn(move || tell.send(handle.join().unwrap()));
        }
        for _ in 0..2 {
            told.recv_timeout(Duration::from_secs(20)).expect("nobody leads").unwrap();
        }
        assert_eq!(shared.1.durable().get(), 16);
        assert!(shared.1.queue.lock().waiting.is_empty());
    }

    #[test]
    fn who_holds_a_sync_hears_of_the_end_of_the_log() {
        let shared = awaiting(2, Duration::from_secs(60));
        let handle = commit(&shared);
        while shared.1.queue.lock().lead != Lead::Held {
            thread::yield_now();
        }
        shared.1.poison(cause());
        assert!(matches!(handle.join().unwrap(), Err(SyncError::Poisoned(_))));
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 0);
    }

    /// Its syncs take a second of its clock, and go on until they are let.
    #[derive(Debug, Default)]
    struct Gated {
        numbers: Numbers,
        /// How many syncs may end.
        let_go: AtomicU64,
        seconds: AtomicU64,
    }

    impl SyncTarget for Gated {
        fn now(&self) -> Duration {
            Duration::from_secs(self.seconds.load(Ordering::Acquire))
        }

        fn appended(&self) -> Lsn {
            self.numbers.appended()
        }

        fn sync(&self, through: Lsn) -> io::Result<()> {
            let number = self.numbers.syncs.load(Ordering::Acquire);
            while self.let_go.load(Ordering::Acquire) <= number {
                thread::yield_now();
            }
            self.seconds.fetch_add(1, Ordering::AcqRel);
            self.numbers.sync(through)
        }
    }

    /// What one who comes next does, after a sync that covered a committer that led, and one more that waited.
    fn comes_after(waits: fn(&GroupCommit, &Gated, Lsn) -> Result<(), SyncError>) -> Place {
        let shared = Arc::new((Gated::default(), GroupCommit::new(Lsn::ZERO)));
        let (target, group) = (&shared.0, &shared.1);
        group.queue.lock().gathering.await_for(1, Duration::from_secs(1));
        let lsn = target.numbers.append();
        let spawn = |waits: fn(&GroupCommit, &Gated, Lsn) -> Result<(), SyncError>| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || waits(&shared.1, &shared.0, lsn))
        };
        let leader = spawn(GroupCommit::commit_through);
        while group.queue.lock().through.is_none() {
            thread::yield_now();
        }
        let follower = spawn(waits);
        while group.queue.lock().waiting.present.event.is_none() {
            thread::yield_now();
        }
        target.let_go.store(1, Ordering::Release);
        for thread in [leader, follower] {
            thread.join().unwrap().unwrap();
        }
        group.queue.lock().come(Who::Committer, target.numbers.append(), target)
    }

    #[test]
    fn who_commits_is_awaited_and_who_does_not_is_not() {
        assert!(matches!(comes_after(GroupCommit::commit_through), Place::Holds(..)));
        assert!(matches!(comes_after(GroupCommit::sync_through), Place::Leads));
    }

    type Behind = (Arc<(Gated, GroupCommit)>, thread::JoinHandle<Result<(), SyncError>>);

    /// After the sync of a commit, and another one that waited behind it.
    fn one_behind() -> Behind {
        let shared = Arc::new((Gated::default(), GroupCommit::new(Lsn::ZERO)));
        shared.1.queue.lock().gathering.await_for(1, Duration::from_secs(1));
        let spawn = || {
            let shared = Arc::clone(&shared);
            let lsn = shared.0.numbers.append();
            thread::spawn(move || shared.1.commit_through(&shared.0, lsn))
        };
        let leader = spawn();
        while shared.1.queue.lock().through.is_none() {
            thread::yield_now();
        }
        let successor = spawn();
        while shared.1.queue.lock().waiting.successor.is_none() {
            thread::yield_now();
        }
        shared.0.let_go.store(1, Ordering::Release);
        leader.join().unwrap().unwrap();
        (shared, successor)
    }

    /// What the first one that waits behind a commit's sync is told after it, and what one does who comes then; `beside` has
    /// others wait with it.
    fn told_behind(who: Who, beside: fn(&GroupCommit, &Gated)) -> (u32, Place) {
        let (target, group) = (Gated::default(), GroupCommit::new(Lsn::ZERO));
        let first = target.numbers.append();
        let successor = {
            let mut queue = group.queue.lock();
            queue.gathering.await_for(1, Duration::from_secs(1));
            assert!(matches!(queue.come(Who::Committer, first, &target), Place::Leads));
            queue.through = Some(first);
            match queue.come(who, target.numbers.append(), &target) {
                Place::Sleeps(event) => event,
                _ => panic!("there is a leader"),
            }
        };
        beside(&group, &target);
        target.seconds.store(1, Ordering::Release);
        group.succeed(&target, first, Who::Committer, Duration::ZERO).unwrap();
        let place = group.queue.lock().come(Who::Committer, target.numbers.append(), &target);
        (successor.wait(), place)
    }

    #[test]
    fn who_commits_behind_a_sync_holds_the_next_for_those_whom_it_covered() {
        assert!(
            matches!(told_behind(Who::Committer, |_, _| {}), (HOLD, Place::Leads)),
            "the one that was awaited leads"
        );
    }

    #[test]
    fn who_does_not_commit_leads_behind_a_sync() {
        for beside in [|_: &_, _: &_| {}, |group: &_, target: &_| comes_beside(group, target, Who::Committer)]
        {
            assert!(matches!(told_behind(Who::Visitor, beside), (LEAD, Place::Sleeps(_))));
        }
    }

    fn comes_beside(group: &GroupCommit, target: &Gated, who: Who) {
        let place = group.queue.lock().come(who, target.numbers.append(), target);
        assert!(matches!(place, Place::Sleeps(_)));
    }

    #[test]
    fn who_commits_behind_a_sync_leads_where_others_wait_that_wait_for_nobody() {
        let visitor = |group: &_, target: &_| comes_beside(group, target, Who::Visitor);
        let future = |group: &GroupCommit, target: &Gated| {
            let lsn = target.numbers.append();
            let waker = std::task::Waker::noop();
            assert!(group.poll_through(target, Who::Committer, lsn, &mut None, waker).is_pending());
        };
        for beside in [visitor, future] {
            assert!(matches!(told_behind(Who::Committer, beside), (LEAD, Place::Sleeps(_))));
        }
    }

    #[test]
    fn who_holds_a_sync_behind_another_leads_when_the_time_is_up() {
        let (shared, successor) = one_behind();
        shared.0.let_go.store(2, Ordering::Release);
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || tell.send(successor.join().unwrap()));
        told.recv_timeout(Duration::from_secs(20)).expect("nobody leads").unwrap();
        let queue = shared.1.queue.lock();
        assert!(queue.waiting.is_empty() && queue.lead == Lead::Free);
    }

    #[test]
    fn who_is_to_hold_a_sync_hears_of_the_end_of_the_log() {
        let (shared, successor) = one_behind();
        shared.1.poison(cause());
        // Its time may have been up before.
        shared.0.let_go.store(2, Ordering::Release);
        assert!(matches!(successor.join().unwrap(), Err(SyncError::Poisoned(_))));
    }

    #[test]
    fn who_does_not_commit_waits_for_nobody() {
        let shared = awaiting(3, Duration::from_secs(60));
        let holder = commit(&shared);
        while shared.1.queue.lock().lead != Lead::Held {
            thread::yield_now();
        }
        shared.1.sync_through(&shared.0, shared.0.appended()).unwrap();
        holder.join().unwrap().unwrap();
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 1, "who holds the sync is covered by it");
    }

    #[test]
    fn the_first_to_poison_is_told_so() {
        let group = GroupCommit::new(Lsn::ZERO);
        assert!(group.poison(cause()));
        assert!(!group.poison(cause()));
    }

    #[test]
    fn nobody_sleeps_on_after_a_leader_panics() {
        /// Panics once somebody waits for it.
        #[derive(Debug)]
        struct Panics(Arc<GroupCommit>);
        impl SyncTarget for Panics {
            fn now(&self) -> Duration {
                Duration::ZERO
            }

            fn appended(&self) -> Lsn {
                Lsn::new(8)
            }
            fn sync(&self, _: Lsn) -> io::Result<()> {
                while self.0.queue.lock().waiting.is_empty() {
                    thread::yield_now();
                }
                panic!("the sync itself")
            }
        }
        let group = Arc::new(GroupCommit::new(Lsn::ZERO));
        let wait = || {
            let group = Arc::clone(&group);
            thread::spawn(move || group.commit_through(&Panics(Arc::clone(&group)), Lsn::new(8)))
        };
        let outcomes = [wait(), wait()].map(thread::JoinHandle::join);
        let failed = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Err(SyncError::Poisoned(_)))));
        assert_eq!(failed.count(), 1, "one waited");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "one led");
        assert!(group.is_poisoned());
        assert_eq!(group.durable(), Lsn::ZERO);
        assert!(matches!(wait().join(), Ok(Err(SyncError::Poisoned(_)))));
    }
}

#[cfg(shuttle)]
mod shuttle_schedules {
    use braid_vfs::explore;

    use super::*;

    #[test]
    fn no_schedule_loses_a_wake_up() {
        explore!(|| {
            let (shared, succeeded) = crowd(4, 2, None);
            assert_eq!(succeeded, 8);
            assert_eq!(shared.1.durable().get(), 64);
        });
    }

    #[test]
    fn no_schedule_leaves_one_asleep_who_waits_for_others() {
        explore!(|| {
            // Four come, so that the last one leads in some, and in some the one that holds the sync.
            for awaited in [3, 5] {
                let shared = awaiting(awaited, Duration::from_millis(1));
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || shared.1.commit_through(&shared.0, shared.0.append()).unwrap())
                    })
                    .collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!(shared.1.durable().get(), 32);
            }
        });
    }

    #[test]
    fn no_schedule_leaves_a_waiter_asleep_after_a_failure() {
        explore!(|| {
            let (shared, _) = crowd(4, 2, Some(1));
            assert_eq!(shared.1.durable().get(), shared.0.synced());
        });
    }

    #[test]
    fn poisoning_wakes_everybody() {
        explore!(|| {
            let shared = Arc::new((Numbers::default(), GroupCommit::new(Lsn::ZERO)));
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let lsn = shared.0.append();
                        if shared.1.commit_through(&shared.0, lsn).is_ok() {
                            assert!(shared.1.durable() >= lsn);
                        }
                    })
                })
                .collect();
            shared.1.poison(cause());
            let durable = shared.1.durable();
            for waiter in waiters {
                waiter.join().unwrap();
            }
            assert_eq!(shared.1.durable(), durable, "durable does not move once poisoned");
        });
    }
}
