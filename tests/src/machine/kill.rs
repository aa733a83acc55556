//! `kill -9`, again and again, on a child that commits from many threads; always the same database goes on.
//!
//! The oracle: every commit that the child acknowledged is there, with either durability, since only the process died. A
//! thread that was told of commit `n` is found at `n` or `n + 1`; of a commit that is found every row is, and of one that
//! is not, none. So the rows are those of a prefix of each thread, the row that they all share counts each commit once, and
//! nothing else is there. The integrity check finds nothing.
//!
//! A consumer of the changes is told of the same commits: of each thread one after the other, none missing. It is killed
//! with the rest, and what comes after its place when the database is open again joins what it was told before: each commit
//! that is there comes at least once.

use std::path::PathBuf;
use std::time::Duration;

use braid::{Database, Error, Timestamp};
use fastrand::Rng;

use crate::child::work::{self, FOLLOWER, SHARED_EVERY, WINDOW, last, options, row};
use crate::{Actor, Program, number};

/// What the cycles met.
#[derive(Clone, Copy, Debug, Default)]
pub struct KillFigures {
    /// Children started and reopened after.
    pub cycles: u64,
    /// Commits found in the end.
    pub commits: u64,
    /// Commits found that nobody had been told of: the kill came between the commit and the telling.
    pub unknown: u64,
    /// Commits that the consumer was told of, those that came again included.
    pub told: u64,
    /// Kills before the child had the database open.
    pub in_open: u64,
    /// Kills while a checkpoint was asked for and not done.
    pub in_checkpoint: u64,
    /// Kills during a compaction.
    pub in_compaction: u64,
    /// Kills between the end of the work and the end of the close.
    pub in_close: u64,
}

/// A database under a child that is killed again and again.
#[derive(Debug)]
pub struct KillLoop {
    program: Program,
    path: PathBuf,
    rng: Rng,
    /// How far each thread was found to be.
    found: Vec<i64>,
    /// The newest commit of each thread that the consumer was told of, by any child, once there is a consumer.
    told: Option<Vec<i64>>,
    figures: KillFigures,
}

/// When a child is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start, wherever it is then.
    AfterStart(Duration),
    /// So long after it has the database open.
    AtWork(Duration),
    /// So long after it was told to come to an end, which was so long after its start of work.
    Closing(Duration, Duration),
    /// Never: it ends by itself.
    Never(Duration),
}

impl KillLoop {
    /// On a database that is not there yet, with so many threads.
    #[must_use]
    pub fn new(program: Program, path: PathBuf, threads: usize, seed: u64) -> Self {
        let figures = KillFigures::default();
        Self { program, path, rng: Rng::with_seed(seed), found: vec![0; threads], told: None, figures }
    }

    /// What the cycles met so far.
    #[must_use]
    pub fn figures(&self) -> KillFigures {
        self.figures
    }

    /// How far each thread is.
    #[must_use]
    pub fn found(&self) -> &[i64] {
        &self.found
    }

    /// One child, one kill, one judgement.
    ///
    /// # Errors
    /// A sentence about what did not hold.
    pub fn cycle(&mut self) -> Result<(), String> {
        let moment = self.moment();
        self.one_child(moment)
            .map_err(|what| format!("cycle {}, killed {moment:?}: {what}", self.figures.cycles))
    }

    fn one_child(&mut self, moment: Moment) -> Result<(), String> {
        let threads = self.found.len().to_string();
        let seed = self.rng.u64(..).to_string();
        let mut child = Actor::start_as(&self.program, "work", &self.path, &[&threads, &seed]);
        let mut lines = Vec::new();
        if let Moment::AfterStart(wait) = moment {
            std::thread::park_timeout(wait);
        } else {
            let first = child.line().ok_or("the child ended before it had the database open")?;
            lines.push(first);
        }
        match moment {
            Moment::AtWork(wait) => std::thread::park_timeout(wait),
            Moment::Closing(work, wait) => {
                std::thread::park_timeout(work);
                child.end_input();
                // From the moment when it says so: how long it takes to come there is the machine's affair.
                while let Some(line) = child.line() {
                    let closing = line == "closing";
                    lines.push(line);
                    if closing {
                        break;
                    }
                }
                std::thread::park_timeout(wait);
            }
            Moment::Never(work) => std::thread::park_timeout(work),
            Moment::AfterStart(_) => {}
        }
        if let Moment::Never(_) = moment {
            let (rest, well) = child.finish_lines();
            lines.extend(rest);
            if !well {
                return Err(format!("the child failed: {:?}", lines.last()));
            }
        } else {
            lines.extend(child.kill());
        }
        let told = self.read(&lines)?;
        // Now and then the next child finds what this one left, and its recovery may be killed too.
        if self.rng.u8(..8) > 0 {
            self.judge(&told)?;
        } else {
            drop(self.program_that_is_killed_at_once());
            self.judge(&told)?;
        }
        self.figures.cycles += 1;
        Ok(())
    }

    fn moment(&mut self) -> Moment {
        let rng = &mut self.rng;
        let mut micros = |most: u64| Duration::from_micros(rng.u64(0..most));
        let (short, long) = (micros(15_000), micros(60_000));
        match rng.u8(..16) {
            0..5 => Moment::AfterStart(short),
            5..11 => Moment::AtWork(long),
            // At once half of the time: a close may be quick.
            11..13 => Moment::Closing(long, Duration::ZERO),
            13..15 => Moment::Closing(long, short),
            _ => Moment::Never(long),
        }
    }

    /// A child that has hardly begun to recover what the last one left.
    fn program_that_is_killed_at_once(&mut self) -> Vec<String> {
        let child = Actor::start_as(&self.program, "hold", &self.path, &[]);
        std::thread::park_timeout(Duration::from_micros(self.rng.u64(0..8_000)));
        child.kill()
    }

    /// What each thread was told; counts where the kill fell.
    fn read(&mut self, lines: &[String]) -> Result<Vec<i64>, String> {
        let mut told = self.found.clone();
        let mut trail = Trail::of(self.told.as_ref());
        let (mut ready, mut checkpoint, mut compaction, mut closing) = (false, false, false, false);
        for line in lines {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["ack", thread, at] => {
                    let parsed = thread.parse::<usize>().ok().zip(at.parse::<i64>().ok());
                    let (place, at) = parsed
                        .and_then(|(thread, at)| told.get_mut(thread).zip(Some(at)))
                        .ok_or_else(|| format!("the child says `{line}`"))?;
                    if at != *place + 1 {
                        return Err(format!("`{line}` follows commit {place} of that thread"));
                    }
                    *place = at;
                }
                ["told", thread, at] => {
                    let parsed = thread.parse::<usize>().ok().zip(at.parse::<i64>().ok());
                    let (thread, at) = parsed.ok_or_else(|| format!("the child says `{line}`"))?;
                    trail.step(thread, at)?;
                    self.figures.told += 1;
                }
                ["ready"] => ready = true,
                ["checkpoint", what] => checkpoint = *what == "begins",
                ["compact", what] => compaction = *what == "begins",
                ["closing"] => closing = true,
                ["closed"] => closing = false,
                _ => return Err(format!("the child says `{line}`")),
            }
        }
        self.told = trail.told.or_else(|| self.told.take());
        self.figures.in_open += u64::from(!ready);
        self.figures.in_checkpoint += u64::from(checkpoint);
        self.figures.in_compaction += u64::from(compaction);
        self.figures.in_close += u64::from(closing);
        Ok(told)
    }

    fn judge(&mut self, told: &[i64]) -> Result<(), String> {
        let failed = |error: Error| format!("the reopened database says: {error}");
        let db = Database::open_with(&self.path, options(true)).map_err(failed)?;
        let Some(table) = db.existing_table("rows").map_err(failed)? else {
            return if told.iter().all(|at| *at == 0) { Ok(()) } else { Err("the table is gone".to_owned()) };
        };
        let snapshot = db.snapshot().map_err(failed)?;
        let (mut rows, mut shared, mut commits) = (0, 0, 0);
        for (thread, told) in told.iter().enumerate() {
            let at = snapshot.get_with(&table, last(thread), number).map_err(failed)?.unwrap_or(0);
            if at < *told || at > told + 1 {
                return Err(format!("thread {thread} was told of commit {told}, and {at} is the last there"));
            }
            self.figures.unknown += u64::from(at > *told);
            for at in (at - WINDOW).max(0) + 1..=at {
                let (key, bytes) = row(thread, at);
                if snapshot.get(&table, &key).map_err(failed)?.as_deref() != Some(bytes.as_slice()) {
                    return Err(format!("row {at} of thread {thread} is not what was committed"));
                }
            }
            rows += at.min(WINDOW) + i64::from(at > 0);
            shared += at / SHARED_EVERY;
            commits += at;
            if let Some(found) = self.found.get_mut(thread) {
                *found = at;
            }
        }
        let sum = snapshot.get_with(&table, "shared", number).map_err(failed)?.unwrap_or(0);
        if sum != shared {
            return Err(format!("the shared row counts {sum}, and the threads made {shared}"));
        }
        let count = snapshot.count(&table).map_err(failed)?;
        if count != u64::try_from(rows + i64::from(shared > 0)).unwrap_or(0) {
            return Err(format!("there are {count} rows, and the commits left {rows} and the shared one"));
        }
        let now = snapshot.timestamp();
        drop(snapshot);
        self.follow(&db, now).map_err(failed)??;
        let report = db.check().map_err(failed)?;
        if !report.is_ok() {
            return Err(format!("the integrity check finds {:?}", report.findings));
        }
        self.figures.commits = u64::try_from(commits).unwrap_or(0);
        drop(table);
        if self.rng.bool() { db.close().map(drop).map_err(failed) } else { Ok(()) }
    }

    /// Goes on from the consumer's place to the end; a new consumer stands at `now`.
    fn follow(&mut self, db: &Database, now: Timestamp) -> braid::Result<Result<(), String>> {
        let consumer = db.consumer(FOLLOWER, now)?;
        let Some(told) = &self.told else {
            self.told = Some(self.found.clone());
            return Ok(Ok(()));
        };
        let mut trail = Trail::of(Some(told));
        db.sync()?;
        let mut changes = consumer.changes()?;
        while let Some(set) = changes.try_next()? {
            if let Some((thread, at)) = work::told(set)?
                && let Err(what) = trail.step(thread, at)
            {
                return Ok(Err(what));
            }
        }
        let told = trail.told.unwrap_or_default();
        if told != self.found {
            return Ok(Err(format!("the consumer comes to {told:?}, and {:?} is there", self.found)));
        }
        self.told = Some(told);
        Ok(Ok(()))
    }
}

/// What a consumer is told of, from its place on.
#[derive(Debug)]
struct Trail {
    told: Option<Vec<i64>>,
    /// The last of each thread since then.
    last: Vec<Option<i64>>,
}

impl Trail {
    fn of(told: Option<&Vec<i64>>) -> Self {
        Self { told: told.cloned(), last: vec![None; told.map_or(0, Vec::len)] }
    }

    /// The next commit: it follows the one before, and the first joins what was told before.
    fn step(&mut self, thread: usize, at: i64) -> Result<(), String> {
        let known = self.told.as_mut().and_then(|told| told.get_mut(thread)).zip(self.last.get_mut(thread));
        let Some((told, last)) = known else {
            return Err(format!("a consumer that nobody has is told of commit {at} of thread {thread}"));
        };
        let joins = last.map_or(at <= *told + 1, |last| at == last + 1);
        if !joins {
            return Err(format!(
                "the consumer is told of commit {at} of thread {thread} after {last:?}, and of {told} before"
            ));
        }
        *last = Some(at);
        *told = at.max(*told);
        Ok(())
    }
}
