//! The queue without files: a log that is a number, and a sync that may fail.

use braid_vfs::sync::thread;

use super::*;

/// Positions of what was appended, and of what a sync has covered.
#[derive(Debug, Default)]
struct Numbers {
    appended: AtomicU64,
    synced: AtomicU64,
    syncs: AtomicU64,
    /// The sync of this number fails, and so would every later one.
    fails_at: Option<u64>,
    syncing: AtomicBool,
}

impl Numbers {
    fn append(&self) -> Lsn {
        Lsn::new(self.appended.fetch_add(8, Ordering::AcqRel) + 8)
    }
}

impl SyncTarget for Numbers {
    fn appended(&self) -> Lsn {
        Lsn::new(self.appended.load(Ordering::Acquire))
    }

    fn sync(&self, through: Lsn) -> io::Result<()> {
        assert!(!self.syncing.swap(true, Ordering::AcqRel), "one sync at a time");
        thread::yield_now();
        let number = self.syncs.fetch_add(1, Ordering::AcqRel);
        let outcome = if self.fails_at.is_some_and(|at| number >= at) {
            assert_eq!(Some(number), self.fails_at, "a failed sync is never tried again");
            Err(io::Error::other("sync failed"))
        } else {
            self.synced.fetch_max(through.get(), Ordering::AcqRel);
            Ok(())
        };
        self.syncing.store(false, Ordering::Release);
        outcome
    }
}

/// Threads that append and wait; returns how many waits succeeded.
fn crowd(threads: usize, rounds: usize, fails_at: Option<u64>) -> (Arc<(Numbers, GroupCommit)>, usize) {
    let numbers = Numbers { fails_at, ..Numbers::default() };
    let shared = Arc::new((numbers, GroupCommit::new(Lsn::ZERO)));
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (numbers, group) = &*shared;
                let mut succeeded = 0;
                for _ in 0..rounds {
                    let lsn = numbers.append();
                    let before = group.durable();
                    match group.sync_through(numbers, lsn) {
                        Ok(()) => {
                            assert!(numbers.synced.load(Ordering::Acquire) >= lsn.get(), "told too early");
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
    fn everybody_is_covered_and_syncs_are_shared() {
        let (shared, succeeded) = crowd(16, 500, None);
        assert_eq!(succeeded, 8000);
        assert!(shared.0.syncs.load(Ordering::Acquire) <= 8000);
        assert_eq!(shared.1.durable().get(), 8 * 8000);
    }

    #[test]
    fn a_failure_reaches_everybody_and_stops_durable() {
        let (shared, succeeded) = crowd(16, 100, Some(20));
        assert!(succeeded < 1600);
        assert!(shared.1.is_poisoned());
        assert_eq!(shared.1.durable().get(), shared.0.synced.load(Ordering::Acquire));
        assert_eq!(shared.0.syncs.load(Ordering::Acquire), 21);
    }

    #[test]
    fn nobody_sleeps_on_after_a_leader_panics() {
        #[derive(Debug)]
        struct Panics;
        impl SyncTarget for Panics {
            fn appended(&self) -> Lsn {
                Lsn::new(8)
            }
            fn sync(&self, _: Lsn) -> io::Result<()> {
                panic!("the sync itself")
            }
        }
        let group = Arc::new(GroupCommit::new(Lsn::ZERO));
        let inner = Arc::clone(&group);
        let leader = thread::spawn(move || inner.sync_through(&Panics, Lsn::new(8)));
        assert!(leader.join().is_err());
        assert!(group.is_poisoned());
        assert!(matches!(group.sync_through(&Panics, Lsn::new(8)), Err(SyncError::Poisoned)));
    }
}

#[cfg(shuttle)]
mod shuttle_schedules {
    use super::*;

    #[test]
    fn no_schedule_loses_a_wake_up() {
        shuttle::check_random(
            || {
                let (shared, succeeded) = crowd(4, 2, None);
                assert_eq!(succeeded, 8);
                assert_eq!(shared.1.durable().get(), 64);
            },
            5000,
        );
    }

    #[test]
    fn no_schedule_leaves_a_waiter_asleep_after_a_failure() {
        shuttle::check_random(
            || {
                let (shared, _) = crowd(4, 2, Some(1));
                assert_eq!(shared.1.durable().get(), shared.0.synced.load(Ordering::Acquire));
            },
            5000,
        );
    }

    #[test]
    fn poisoning_wakes_everybody() {
        shuttle::check_random(
            || {
                let shared = Arc::new((Numbers::default(), GroupCommit::new(Lsn::ZERO)));
                let waiters: Vec<_> = (0..3)
                    .map(|_| {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || {
                            let lsn = shared.0.append();
                            if shared.1.sync_through(&shared.0, lsn).is_ok() {
                                assert!(shared.1.durable() >= lsn);
                            }
                        })
                    })
                    .collect();
                shared.1.poison();
                let durable = shared.1.durable();
                for waiter in waiters {
                    waiter.join().unwrap();
                }
                assert_eq!(shared.1.durable(), durable, "durable does not move once poisoned");
            },
            5000,
        );
    }
}
