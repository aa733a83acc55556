//! A panic in a file, a page cache or a subscriber of traces: in a background thread, which goes on, in a close and in
//! a change of the journal mode. Whoever waits for what it was about is told, and nobody waits for ever.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, Fault, Faults, Operation};
use braid::vfs::sync::thread;
use braid::vfs::{Clock, RealClock};
use braid::{
    CachedPage, ClockCache, Database, Durability, Error, JournalMode, Options, Page, PageCache,
    PageGeneration, PageId,
};

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_secs(30);

fn is_on(name: &str) -> bool {
    std::thread::current().name() == Some(name)
}

fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("a bug of the host's"))
}

/// Does something that may never end, and says how it did.
fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (said, hear) = channel();
    let worker = thread::spawn(move || {
        let _ = said.send(work());
    });
    let done = hear.recv_timeout(FOR_EVER).expect("it waits for ever");
    worker.join().unwrap();
    done
}

fn options() -> Options {
    Options { durability: Durability::Deferred, row_store_bytes: 256 << 10, ..Options::default() }
}

fn faulty() -> (CrashFileSystem, Env, Faults) {
    let disk = CrashFileSystem::new();
    let files = disk.under_faults();
    let faults = files.faults();
    (disk, Env::with_files(Arc::new(files)), faults)
}

fn in_log(path: &Path) -> bool {
    path.starts_with("/db-wal")
}

/// Panics once in the checkpointer's thread.
#[derive(Debug)]
struct Panics(ClockCache, AtomicBool);

impl PageCache for Panics {
    fn get(&self, page: PageId, generation: PageGeneration) -> Option<CachedPage> {
        self.0.get(page, generation)
    }

    fn insert(&self, page: Page) {
        if is_on("braid-checkpoint") && self.1.swap(false, Ordering::SeqCst) {
            panic_quietly();
        }
        self.0.insert(page);
    }

    fn capacity_bytes(&self) -> usize {
        self.0.capacity_bytes()
    }

    fn resident_bytes(&self) -> usize {
        self.0.resident_bytes()
    }

    fn evictions(&self) -> u64 {
        self.0.evictions()
    }
}

#[test]
fn writers_go_on_after_a_fold_that_panics() {
    let cache = Arc::new(Panics(ClockCache::new(1 << 20), AtomicBool::new(true)));
    let options = Options { page_cache: Some(cache), ..options() };
    let db = Database::in_memory_with(options).unwrap();
    let table = db.table("t").unwrap();
    in_time(move || {
        let mut refused = 0;
        for row in 0..2_000_u32 {
            match db.put(&table, row.to_be_bytes(), [1; 500]) {
                Ok(_) => {}
                // Who waits for the checkpoint that panics is told, and may try again.
                Err(Error::Io { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused <= 1, "{refused} of one writer");
        db.checkpoint().unwrap();
        assert_eq!(db.stats().background_panics, 1);
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 2_000 - refused);
        assert!(db.check().unwrap().is_ok());
    });
}

#[test]
fn a_sync_of_the_file_that_panics_poisons() {
    for nth in 1..=2 {
        let (disk, env, faults) = faulty();
        let db = Database::open_in(env, "/db", options()).unwrap();
        let table = db.table("t").unwrap();
        let panics = Fault::on(Operation::SyncData).on_paths_ending("/db").nth(nth);
        faults.inject(panics.call(|| panic_quietly()));
        let written = in_time(move || {
            for row in 0..20_000_u32 {
                match db.put(&table, row.to_be_bytes(), [1; 500]) {
                    Ok(_) | Err(Error::Io { .. }) => {}
                    Err(Error::Poisoned { .. } | Error::CommitUnknown { .. }) => return row,
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("what a sync that panicked has left was written on");
        });
        assert!(written > 0);
        let db = Database::open_in(Env::with_files(Arc::new(disk.kill())), "/db", options()).unwrap();
        assert!(db.check().unwrap().is_ok());
    }
}

/// Is told when the log keeper syncs the log.
fn syncs_of_the_keeper(faults: &Faults) -> Receiver<()> {
    let (said, hear) = channel();
    faults.inject(Fault::on(Operation::SyncData).on_paths(in_log).every(1).call(move || {
        if is_on("braid-log") {
            let _ = said.send(());
        }
    }));
    hear
}

#[test]
fn the_log_is_looked_after_after_a_panic() {
    let (_, env, faults) = faulty();
    let interval = Duration::from_millis(1);
    let options = Options { deferred_sync_interval: interval, log_segment_bytes: 64 << 10, ..options() };
    let db = Database::open_in(env, "/db", options).unwrap();
    let table = db.table("t").unwrap();
    let (said, panicked) = channel();
    faults.inject(Fault::on(Operation::Create).on_paths(in_log).every(1).call(move || {
        if is_on("braid-log") && said.send(()).is_ok() {
            panic_quietly();
        }
    }));
    while panicked.try_recv().is_err() {
        db.put(&table, "key", [1; 500]).unwrap();
    }
    // It panics no more.
    drop(panicked);
    let synced = syncs_of_the_keeper(&faults);
    db.put(&table, "key", "value").unwrap();
    synced.recv_timeout(FOR_EVER).expect("deferred commits are not synced any more");
    assert!(db.stats().background_panics > 0);
}

#[test]
fn a_file_can_be_opened_again_after_a_close_that_panics() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env.clone(), "/db", options()).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    db.sync().unwrap();
    db.put(&table, "key", "lost, as it is not synced").unwrap();
    faults.inject(Fault::on(Operation::SyncData).on_paths(in_log).every(1).call(|| panic_quietly()));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(db))).is_err());
    faults.clear();
    let db = in_time(move || Database::open_in(env, "/db", options())).unwrap();
    assert!(db.get(&db.table("t").unwrap(), "key").unwrap().is_some());
}

#[test]
fn a_close_that_panics_while_its_owner_does_ends_nothing_else() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env.clone(), "/db", options()).unwrap();
    db.table("t").unwrap();
    faults.inject(Fault::on(Operation::SyncData).on_paths(in_log).every(1).call(|| panic_quietly()));
    let owner = AssertUnwindSafe(|| {
        let _db = db;
        std::panic::resume_unwind(Box::new("the owner"));
    });
    assert_eq!(catch_unwind(owner).unwrap_err().downcast_ref(), Some(&"the owner"));
    faults.clear();
    in_time(move || Database::open_in(env, "/db", options())).unwrap();
}

#[test]
fn a_change_of_the_mode_that_panics_is_none() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env, "/db", Options { map_log: false, ..options() }).unwrap();
    let table = db.table("t").unwrap();
    faults.inject(Fault::on(Operation::Write).on_paths(in_log).call(|| panic_quietly()));
    let change = AssertUnwindSafe(|| db.set_journal_mode(JournalMode::Mvcc));
    assert!(catch_unwind(change).is_err());
    in_time(move || {
        assert_eq!(db.journal_mode(), JournalMode::Wal);
        db.put(&table, "key", "value").unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        db.begin_concurrent().unwrap().commit().unwrap();
    });
}

/// Nor do they spin: whoever asks meanwhile goes on at once, in the new mode.
#[test]
fn nobody_waits_for_the_sync_of_a_change_of_the_mode() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env, "/db", Options { deferred_sync_interval: Duration::MAX, ..options() })
        .unwrap();
    let table = db.table("t").unwrap();
    let (said, hear) = channel();
    let other = db.clone();
    faults.inject(Fault::on(Operation::SyncData).on_paths(in_log).call(move || {
        // In the middle of the change's own sync.
        let mode = other.journal_mode();
        let mut tx = other.begin_concurrent().unwrap();
        tx.put(&table, "key", "value").unwrap();
        said.send((mode, tx.commit())).unwrap();
    }));
    in_time(move || db.set_journal_mode(JournalMode::Mvcc)).unwrap();
    let (mode, committed) = hear.try_recv().unwrap();
    assert_eq!(mode, JournalMode::Mvcc);
    committed.unwrap();
}

/// Panics once in the checkpointer's thread, where it looks at snapshots that may be too old.
#[derive(Debug)]
struct PanickingClock(RealClock, AtomicBool);

impl Clock for PanickingClock {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn now_coarse(&self) -> Duration {
        if is_on("braid-checkpoint") && self.1.swap(false, Ordering::SeqCst) {
            panic_quietly();
        }
        self.0.now_coarse()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

#[test]
fn a_snapshot_is_revoked_after_a_look_that_panics() {
    let clock = Arc::new(PanickingClock(RealClock::new(), AtomicBool::new(true)));
    let env = Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Env::in_memory() };
    let limited = Options { snapshot_max_age: Some(Duration::from_millis(1)), ..options() };
    let db = Database::open_in(env, "/db", limited).unwrap();
    let snapshot = db.snapshot().unwrap();
    in_time(move || {
        while db.stats().revoked_snapshots == 0 {
            thread::yield_now();
        }
        assert_eq!(db.stats().background_panics, 1);
    });
    drop(snapshot);
}

/// As a file with a lock of its own does once that is poisoned.
fn panics_from_now_on(operations: &[Operation], nth: u64) -> Fault {
    Fault::on_any(operations).on_paths_ending("/db").nth(nth).sticky().call(|| panic_quietly())
}

#[test]
fn a_checkpoint_whose_file_panics_again_ends_nothing_else() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env, "/db", options()).unwrap();
    let table = db.table("t").unwrap();
    db.put(&table, "key", "value").unwrap();
    // The file is made longer before the first write.
    faults.inject(panics_from_now_on(&[Operation::SetLen, Operation::Write], 2));
    assert!(catch_unwind(|| db.checkpoint()).is_err());
    faults.clear();
    db.checkpoint().unwrap();
    assert_eq!(db.get(&table, "key").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn a_load_whose_file_panics_again_ends_nothing_else() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env, "/db", options()).unwrap();
    let load = |rows: std::ops::Range<u32>| {
        let mut loader = db.load_table("t").unwrap();
        for row in rows {
            if row == 20_000 {
                faults.inject(panics_from_now_on(&[Operation::Write], 1));
            }
            loader.put(row.to_be_bytes(), [1; 500]).unwrap();
        }
        loader.finish().unwrap()
    };
    assert!(catch_unwind(AssertUnwindSafe(|| load(0..40_000))).is_err());
    faults.clear();
    assert!(db.existing_table("t").unwrap().is_none());
    let (table, report) = load(0..10_000);
    assert_eq!((report.rows, db.snapshot().unwrap().count(&table).unwrap()), (10_000, 10_000));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn an_open_whose_file_panics_again_ends_nothing_else() {
    let (_, env, faults) = faulty();
    drop(Database::open_in(env.clone(), "/db", options()).unwrap());
    faults.inject(panics_from_now_on(&[Operation::Read, Operation::Unlock], 1));
    let open = AssertUnwindSafe(|| Database::open_in(env.clone(), "/db", options()));
    assert!(catch_unwind(open).is_err());
    faults.clear();
    in_time(move || Database::open_in(env, "/db", options())).unwrap();
}

/// The locks are given up by a call: closing the file may come too late, as a fork has it too.
#[test]
fn an_open_whose_fold_panics_gives_up_its_locks() {
    let mut machine = CrashFileSystem::new();
    for life in 0..9_u32 {
        let db = Database::open_in(Env::with_files(Arc::new(machine.clone())), "/db", options()).unwrap();
        db.put(&db.table("t").unwrap(), life.to_be_bytes(), "value").unwrap();
        machine = machine.kill();
    }
    let files = machine.under_faults();
    let faults = files.faults();
    let env = Env::with_files(Arc::new(files));
    // The open has synced the file once before.
    faults.inject(Fault::on(Operation::SyncData).on_paths_ending("/db").nth(2).call(|| panic_quietly()));
    let open = AssertUnwindSafe(|| Database::open_in(env.clone(), "/db", options()));
    assert!(catch_unwind(open).is_err());
    assert_eq!(faults.counters().calls_on(Operation::Unlock, "/db"), 1);
    let db = in_time(move || Database::open_in(env, "/db", options())).unwrap();
    assert_eq!(db.snapshot().unwrap().count(&db.table("t").unwrap()).unwrap(), 9);
}

/// Nor does it matter who of those whose change was lost hears of it last.
#[test]
fn a_sync_that_panics_leaves_the_mode_that_stood() {
    let (_, env, faults) = faulty();
    let db = Database::open_in(env, "/db", Options { deferred_sync_interval: Duration::MAX, ..options() })
        .unwrap();
    let (said, hear) = channel();
    let other = db.clone();
    faults.inject(Fault::on(Operation::SyncData).on_paths(in_log).call(move || {
        // In the middle of the sync of one change there is another.
        let changes = other.clone();
        said.send(thread::spawn(move || changes.set_journal_mode(JournalMode::Wal))).unwrap();
        while other.journal_mode() == JournalMode::Mvcc {
            thread::yield_now();
        }
        panic_quietly();
    }));
    let changed = catch_unwind(AssertUnwindSafe(|| db.set_journal_mode(JournalMode::Mvcc)));
    assert!(!matches!(changed, Ok(Ok(()))));
    assert!(matches!(hear.recv().unwrap().join().unwrap(), Err(Error::Poisoned { .. })));
    assert_eq!(db.journal_mode(), JournalMode::Wal);
}
