//! Threads that repeat a transaction for a time, and what came of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use braid::{Database, Error, JournalMode, Options};
use tempfile::TempDir;

use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{count, rate, ratio};
use crate::progress::Ticker;

/// How often the run looks whether it is over.
const POLL: Duration = Duration::from_millis(20);
/// How often the progress line is told.
const TICK: Duration = Duration::from_millis(500);

/// A database of a benchmark's own, in `Mvcc` mode, gone with it.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) db: Database,
    _folder: TempDir,
}

impl Scratch {
    pub(super) fn create(options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("braid-bench-").tempdir();
        let folder = folder.map_err(|error| Failure::file(&std::env::temp_dir(), &error))?;
        let db = Database::open_with(folder.path().join("bench.braid"), options)?;
        db.set_journal_mode(JournalMode::Mvcc)?;
        Ok(Self { db, _folder: folder })
    }
}

/// What a crew has done so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    stop: AtomicBool,
    commits: AtomicU64,
    attempts: AtomicU64,
    error: Mutex<Option<Error>>,
}

/// What a crew did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) elapsed: Duration,
    pub(super) commits: u64,
    pub(super) attempts: u64,
}

impl Done {
    pub(super) fn per_second(&self) -> u64 {
        rate(self.commits, self.elapsed)
    }

    pub(super) fn attempts_per_commit(&self) -> String {
        ratio(self.attempts, self.commits)
    }
}

impl Counts {
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn fail(&self, error: Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Has so many writers repeat `step(writer, repetition)`, which says how many attempts it took, for a time or until the
/// user has had enough. `look` is called now and then; what it adds is shown below the progress line, on a terminal.
pub(super) fn run(
    writers: u64,
    time: Duration,
    interrupt: &Interrupt,
    mut look: impl FnMut(&Counts, Duration) -> Result<String>,
    step: impl Fn(u64, u64) -> Result<u32, Error> + Sync,
) -> Result<Done> {
    let counts = Counts::default();
    let began = Instant::now();
    let mut looked = Ok(());
    let joined = thread::scope(|scope| {
        let workers: Vec<_> = (0..writers)
            .map(|writer| {
                let (counts, step) = (&counts, &step);
                scope.spawn(move || {
                    for repetition in 0.. {
                        if counts.stop.load(Ordering::Relaxed) {
                            return;
                        }
                        match step(writer, repetition) {
                            Ok(attempts) => {
                                counts.commits.fetch_add(1, Ordering::Relaxed);
                                counts.attempts.fetch_add(attempts.into(), Ordering::Relaxed);
                            }
                            Err(error) => return counts.fail(error),
                        }
                    }
                })
            })
            .collect();
        looked = supervise(&counts, began, time, interrupt, &mut look);
        counts.stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(thread::ScopedJoinHandle::join).fold(Ok(()), std::result::Result::and)
    });
    let elapsed = began.elapsed();
    if joined.is_err() {
        return Err(Failure::new(Code::Other, "a writer died of a panic", "see above, and report it"));
    }
    looked?;
    if let Some(error) = counts.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    Ok(Done { elapsed, commits: counts.commits.into_inner(), attempts: counts.attempts.into_inner() })
}

fn supervise(
    counts: &Counts,
    began: Instant,
    time: Duration,
    interrupt: &Interrupt,
    look: &mut impl FnMut(&Counts, Duration) -> Result<String>,
) -> Result<()> {
    let ticker = Ticker::new();
    let (mut told, mut last) = (began, 0);
    while began.elapsed() < time && !interrupt.requested() && !counts.stop.load(Ordering::Relaxed) {
        thread::sleep(POLL.min(time.saturating_sub(began.elapsed())));
        let below = look(counts, began.elapsed())?;
        if told.elapsed() >= TICK {
            let commits = counts.commits();
            let line = format!(
                "{:.1} s of {:.1}: {} commits/s, {} attempts per commit",
                began.elapsed().as_secs_f64(),
                time.as_secs_f64(),
                count(rate(commits - last, told.elapsed())),
                ratio(counts.attempts.load(Ordering::Relaxed), commits),
            );
            ticker.tell_with(line, &below);
            (told, last) = (Instant::now(), commits);
        }
    }
    ticker.finish();
    Ok(())
}
