//! Threads that repeat a transaction for a time, and what came of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use braid::{Database, Durability, Error, JournalMode, Options, Snapshot, Table};
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
    options: Options,
    folder: TempDir,
}

impl Scratch {
    pub(super) fn create(options: Options) -> Result<Self> {
        let folder = scratch_folder()?;
        let db = Self::open(&folder, &options)?;
        db.set_journal_mode(JournalMode::Mvcc)?;
        Ok(Self { db, options, folder })
    }

    /// Closes the database and opens it again: what is in it then is what the files have of it. Durable commits are to be
    /// read from the log, others may rely on a clean close.
    pub(super) fn reopened(self) -> Result<Self> {
        let Self { db, options, folder } = self;
        if options.durability == Durability::Sync {
            drop(db);
        } else {
            db.close()?;
        }
        Ok(Self { db: Self::open(&folder, &options)?, options, folder })
    }

    /// What to say where a table has other rows after closing and reopening the file.
    pub(super) fn changed_by_reopening(self, table: &str) -> Result<Option<String>> {
        let read = |scratch: &Self| {
            let rows = scratch.db.existing_table(table)?;
            rows.map(|rows| digest(&scratch.db.snapshot()?, &rows)).transpose()
        };
        let (before, after) = (read(&self)?, read(&self.reopened()?)?);
        Ok((before != after).then(|| format!("`{table}` had {before:?} before reopening, {after:?} after")))
    }

    fn open(folder: &TempDir, options: &Options) -> Result<Database, Error> {
        Database::open_with(folder.path().join("bench.braid"), options.clone())
    }
}

/// A folder that is removed with this, whichever way the command ends.
pub(super) fn scratch_folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("braid-bench-").tempdir().map_err(|error| {
        let hint = "set TMPDIR to a folder that can be written to, on a disk with room";
        Failure::file(&std::env::temp_dir(), &error).advise(hint)
    })
}

/// How many rows a table has, and a hash of them all.
pub(super) fn digest(snapshot: &Snapshot, rows: &Table) -> Result<(u64, u64)> {
    let (mut seen, mut digest) = (0, DefaultHasher::new());
    for row in snapshot.scan(rows)? {
        row?.hash(&mut digest);
        seen += 1;
    }
    Ok((seen, digest.finish()))
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
    /// The user has ended it early.
    pub(super) interrupted: bool,
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
    let mut looked = Ok(false);
    let joined = together(
        &counts.stop,
        0..writers,
        |writer| work(&counts, &step, writer),
        || {
            looked = supervise(&counts, began, time, interrupt, &mut look);
        },
    );
    let elapsed = began.elapsed();
    joined?;
    let interrupted = looked?;
    if let Some(error) = counts.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let (commits, attempts) = (counts.commits.into_inner(), counts.attempts.into_inner());
    Ok(Done { elapsed, commits, attempts, interrupted })
}

/// Runs `work` for each writer on a thread of its own, `meanwhile` on this one, and then has them stop. What each came
/// to, in order.
pub(super) fn together<W: Send, T: Send>(
    stop: &AtomicBool,
    writers: impl Iterator<Item = W>,
    work: impl Fn(W) -> T + Sync,
    meanwhile: impl FnOnce(),
) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let mut spawned = Ok(());
        let mut workers = Vec::new();
        for writer in writers {
            let work = &work;
            match thread::Builder::new().spawn_scoped(scope, move || work(writer)) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    let message = format!("cannot start thread {}: {error}", workers.len() + 1);
                    spawned = Err(Failure::new(Code::Other, message, "give fewer --writers"));
                    break;
                }
            }
        }
        if spawned.is_ok() {
            meanwhile();
        }
        stop.store(true, Ordering::Relaxed);
        // All of them are waited for, whatever became of one.
        let joined: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        spawned?;
        let died = |_| Failure::new(Code::Other, "a writer died of a panic", "see above, and report it");
        joined.into_iter().map(|one| one.map_err(died)).collect()
    })
}

/// One writer.
fn work(counts: &Counts, step: &impl Fn(u64, u64) -> Result<u32, Error>, writer: u64) {
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
}

/// Waits until the time is over or something ends it early; whether that was the user.
fn supervise(
    counts: &Counts,
    began: Instant,
    time: Duration,
    interrupt: &Interrupt,
    look: &mut impl FnMut(&Counts, Duration) -> Result<String>,
) -> Result<bool> {
    let ticker = Ticker::new();
    let (mut told, mut last) = (began, 0);
    let mut interrupted = interrupt.requested();
    while began.elapsed() < time && !interrupted && !counts.stop.load(Ordering::Relaxed) {
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
        interrupted = interrupt.requested();
    }
    ticker.finish();
    Ok(interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reopened_comes_from_the_files() {
        for durability in [Durability::Sync, Durability::Deferred] {
            let scratch = Scratch::create(Options { durability, ..Options::default() }).unwrap();
            let table = scratch.db.table("t").unwrap();
            scratch.db.put(&table, "key", "value").unwrap();
            assert!(scratch.db.stats().commits > 0);
            let scratch = scratch.reopened().unwrap();
            assert_eq!(scratch.db.stats().commits, 0, "it is another session");
            let table = scratch.db.existing_table("t").unwrap().unwrap();
            assert_eq!(scratch.db.get(&table, "key").unwrap().unwrap(), b"value");
            assert!(scratch.changed_by_reopening("t").unwrap().is_none());
        }
    }

    #[test]
    fn a_writer_that_panics_is_told_once_all_have_stopped() {
        let (stop, ended) = (AtomicBool::new(false), AtomicU64::new(0));
        let work = |writer| {
            assert_ne!(writer, 1, "as it should");
            while !stop.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            ended.fetch_add(1, Ordering::Relaxed);
        };
        assert!(together(&stop, 0..3, work, || ()).is_err());
        assert_eq!(ended.into_inner(), 2);
    }
}
