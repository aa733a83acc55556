//! One life: all sessions from an open to the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use braid::vfs::Env;
use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::sync::thread;
use braid::{Database, Durability, Error, Isolation, JournalMode, Result, Table, Timestamp};
use braid_tests::{Ids, Kind, NAMES, Op, Outcome, Record, Rows, TOKENS, Times, Told, ToldIds};

use super::elements::{END, MADE, TABLES};
use super::follower::Follower;
use super::session::Session;
use super::tables::{find, read_all};
use super::{Modes, Plan};

/// A process that will die.
#[derive(Debug)]
pub(super) struct Killing {
    pub(super) step: u64,
    pub(super) machine: CrashFileSystem,
    /// When it died, and the machine that runs on.
    pub(super) died: Mutex<Option<(u64, CrashFileSystem)>>,
}

/// What all sessions of one life share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) life: u64,
    pub(super) env: Env,
    pub(super) path: PathBuf,
    /// Counts through all lives.
    pub(super) ticks: Arc<AtomicU64>,
    /// How many elements were written, through all lives.
    pub(super) elements: Arc<AtomicU64>,
    /// How many numbers were drawn, through all lives.
    pub(super) numbers: Arc<AtomicU64>,
    /// Every token that was used, through all lives, with its place as far as that was told.
    pub(super) tokens: Arc<Mutex<BTreeMap<Vec<u8>, Option<u64>>>>,
    /// The highest id that was drawn, through all lives.
    pub(super) newest_id: Arc<AtomicU64>,
    /// How many handles of the sequence there were.
    pub(super) handles: AtomicU64,
    /// What was told of the sequence.
    pub(super) ids: Mutex<Vec<ToldIds>>,
    /// Sessions that are at work.
    pub(super) working: AtomicUsize,
    /// Tokens that were asked for: the answer, and when it came.
    pub(super) answers: Mutex<Vec<(Vec<u8>, u64, u64)>>,
    /// The newest commit that a session was told of.
    pub(super) answered: AtomicU64,
    /// The newest commit that an explicit sync made durable.
    pub(super) synced: AtomicU64,
    pub(super) killing: Option<Killing>,
    /// Files fail in this life, whether or not somebody is killed.
    pub(super) files_fail: bool,
    /// What should not have happened.
    pub(super) troubles: Mutex<Vec<String>>,
}

impl Stage {
    pub(super) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn trouble(&self, what: String) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Whether an error of the files is nothing to wonder about.
    pub(super) fn may_fail(&self) -> bool {
        let is_dead =
            |killing: &Killing| killing.died.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.files_fail || self.killing.as_ref().is_some_and(is_dead)
    }

    /// Kills the process, if it is not dead yet.
    pub(super) fn kill(&self) {
        if let Some(killing) = &self.killing {
            let mut died = killing.died.lock().unwrap_or_else(PoisonError::into_inner);
            died.get_or_insert_with(|| (self.tick(), killing.machine.kill()));
        }
    }

    pub(super) fn open(&self) -> Result<Database> {
        Database::open_in(self.env.clone(), &self.path, self.plan.options.clone())
    }

    pub(super) fn tables(&self, db: &Database) -> Result<Vec<Table>> {
        TABLES.iter().map(|name| db.table(name)).collect()
    }

    /// Reads all rows of all tables, as a transaction like any other.
    pub(super) fn read_everything(&self, db: &Database, tables: &[Table]) -> Result<(Rows, Record)> {
        loop {
            match self.try_to_read_everything(db, tables) {
                // A checkpoint ran beside it; each time it has less to do.
                Err(Error::BusySnapshot { .. }) => {}
                read => return read,
            }
        }
    }

    fn try_to_read_everything(&self, db: &Database, tables: &[Table]) -> Result<(Rows, Record)> {
        let invoked = self.tick();
        let snapshot = db.snapshot()?;
        let begun = self.tick();
        let mut rows = Rows::new();
        let mut ops = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let found = snapshot.scan(table)?.collect::<Result<Vec<_>>>()?;
            rows.extend(found.iter().cloned().map(|(key, value)| ((number, key), value)));
            let (from, to) = (Vec::new(), END.to_vec());
            ops.push(Op::Range { table: number, from, to, backwards: false, limit: usize::MAX, found });
        }
        for name in MADE {
            let Some(table) = find(&snapshot, name, &mut ops)? else { continue };
            rows.insert((NAMES, name.into()), table.id().to_be_bytes().to_vec());
            let read = read_all(&snapshot, &table)?;
            if let Op::Range { table, found, .. } = &read {
                rows.extend(found.iter().cloned().map(|(key, value)| ((*table, key), value)));
            }
            ops.push(read);
        }
        for (token, place) in lock(&self.tokens).iter_mut() {
            *place = db.was_committed(token)?.map(Timestamp::get);
            let found = place.map(|place| place.to_be_bytes().to_vec());
            rows.extend(found.clone().map(|found| ((TOKENS, token.clone()), found)));
            ops.push(Op::Get { table: TOKENS, key: token.clone(), found });
        }
        let record = Record {
            session: self.plan.sessions,
            kind: Kind::Snapshot,
            isolation: Isolation::Snapshot,
            durability: Durability::Sync,
            begin_ts: Some(snapshot.timestamp().get()),
            outcome: Outcome::Committed(None),
            ops,
            times: Some(Times { invoked, begun, committing: begun, ended: self.tick() }),
        };
        Ok((rows, record))
    }

    /// Writes down what is told of the sequence, and when; of a call that fails, what it may have done all the same.
    pub(super) fn tell_ids<T>(
        &self,
        doubtful: Option<Ids>,
        ask: impl FnOnce() -> Result<T>,
        says: impl FnOnce(&T) -> Ids,
    ) -> Result<T> {
        let invoked = self.tick();
        let answer = ask();
        let (told, ended) = match &answer {
            Ok(answer) => (Some(says(answer)), self.tick()),
            Err(_) => (doubtful, u64::MAX),
        };
        lock(&self.ids).extend(told.map(|ids| ToldIds { invoked, ended, ids }));
        answer
    }

    /// Puts the database into the mode that the plan asks for.
    pub(super) fn set_mode(&self, db: &Database) -> Result<()> {
        match self.plan.modes {
            Modes::Wal => db.set_journal_mode(JournalMode::Wal),
            Modes::Mvcc => db.set_journal_mode(JournalMode::Mvcc),
            Modes::Switching => Ok(()),
        }
    }

    /// Runs all sessions, each on a thread of its own, to their end, and one who follows them.
    pub(super) fn run(self: &Arc<Self>) -> (Vec<Record>, Vec<Told>) {
        self.working.store(self.plan.sessions, Ordering::SeqCst);
        let threads: Vec<_> = (0..self.plan.sessions)
            .map(|number| {
                let stage = Arc::clone(self);
                thread::spawn(move || {
                    let _working = Working(&stage.working);
                    Session::run(&stage, number)
                })
            })
            .collect();
        let follower = (self.plan.sessions > 0).then(|| {
            let stage = Arc::clone(self);
            thread::spawn(move || Follower::run(&stage))
        });
        let mut records = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(of_one) => records.extend(of_one),
                Err(_) => self.trouble("a session panicked".to_owned()),
            }
        }
        let told = follower.map(|thread| thread.join().map_err(|_| "the follower panicked".to_owned()));
        match told.transpose() {
            Ok(told) => (records, told.unwrap_or_default()),
            Err(panicked) => {
                self.trouble(panicked);
                (records, Vec::new())
            }
        }
    }
}

/// One who works, to his end or a panic.
struct Working<'a>(&'a AtomicUsize);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
