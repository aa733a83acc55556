//! One thread of the workload: what it holds, what it writes down, and which errors it takes for right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use braid::vfs::faulty::{CrashFileSystem, Faults};
use braid::vfs::sync::thread;
use braid::vfs::{Env, FileSystem as _};
use braid::{Changes, CommitFuture, Database, Error, Sequence, Snapshot, SnapshotLoss, Table};
use fastrand::Rng;

use super::disk::Mischief;
use super::operations::{self, Act};
use super::oracle::{self, History, Moment, Outcome, Span, Stood, Transaction};
use super::rows::Datum;
use super::swarm::Plan;
use super::trace::Trace;

/// Where the database is.
pub const PATH: &str = "/data.braid";

/// Where each consumer of the change feed may stand, over all lives.
pub type Consumers = Arc<Mutex<BTreeMap<String, BTreeSet<u64>>>>;

/// What all sessions of one life share.
#[derive(Debug)]
pub struct Shared {
    /// The outside.
    pub env: Env,
    /// The machine.
    pub machine: CrashFileSystem,
    /// Its faults.
    pub faults: Faults,
    /// The tricks of its disk.
    pub mischief: Mischief,
    /// What the seed is made of.
    pub plan: Plan,
    /// Where everything is told.
    pub trace: Trace,
    /// The files were damaged before this life.
    pub was_damaged: bool,
    /// How often each operation ran.
    pub ran: Mutex<BTreeMap<&'static str, u64>>,
    names: Mutex<BTreeMap<String, NameUse>>,
    moments: AtomicU64,
    values: Arc<AtomicU64>,
    consumers: Consumers,
    ids: Arc<Ids>,
    no_space: AtomicBool,
    fired_before: u64,
    wrong: Mutex<Option<String>>,
}

/// What each sequence has given out, in all lives.
pub type Ids = Mutex<BTreeMap<String, Issued>>;

/// What a sequence has given out.
#[derive(Debug, Default)]
pub struct Issued {
    ids: BTreeSet<u64>,
    /// What it was raised to.
    floor: u64,
}

/// A handle of a sequence.
#[derive(Debug)]
pub struct Known {
    /// It.
    pub sequence: Sequence,
    /// What it gave out last.
    pub newest: u64,
}

/// Who works on the name of a table, or of a sequence.
#[derive(Debug, Default)]
struct NameUse {
    creating: u32,
    dropping: bool,
}

impl Shared {
    /// At the beginning of a life.
    #[expect(clippy::too_many_arguments, reason = "the parts of a life, put together once")]
    #[must_use]
    pub fn new(
        env: Env,
        machine: CrashFileSystem,
        faults: Faults,
        mischief: Mischief,
        plan: Plan,
        trace: Trace,
        was_damaged: bool,
        values: Arc<AtomicU64>,
        consumers: Consumers,
        ids: Arc<Ids>,
    ) -> Self {
        Self {
            env,
            machine,
            fired_before: faults.fired(),
            faults,
            mischief,
            plan,
            trace,
            was_damaged,
            ran: Mutex::default(),
            names: Mutex::default(),
            moments: AtomicU64::new(1),
            values,
            consumers,
            ids,
            no_space: AtomicBool::new(false),
            wrong: Mutex::default(),
        }
    }

    /// Now.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { number: self.moments.fetch_add(1, Ordering::SeqCst), time: self.env.clock.now() }
    }

    /// A value that nobody wrote before.
    #[must_use]
    pub fn value(&self, length: usize) -> Vec<u8> {
        Datum::bytes(self.values.fetch_add(1, Ordering::SeqCst), length)
    }

    /// A token that nobody used before.
    #[must_use]
    pub fn token(&self) -> String {
        format!("token {}", self.values.fetch_add(1, Ordering::SeqCst))
    }

    /// A path for a backup, where none was before.
    #[must_use]
    pub fn backup_path(&self) -> PathBuf {
        PathBuf::from(format!("/backup-{}.braid", self.values.fetch_add(1, Ordering::SeqCst)))
    }

    /// Whether the machine still runs.
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.machine.identity(Path::new("/")).is_ok()
    }

    /// Whether the files may be damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.was_damaged || self.mischief.played() > 0
    }

    /// The disk is full, or was.
    pub fn set_no_space(&self) {
        self.no_space.store(true, Ordering::SeqCst);
    }

    /// Whether a call of the engine may have failed for a reason of the system's.
    #[must_use]
    pub fn may_fail(&self) -> bool {
        self.faults.fired() > self.fired_before || self.no_space.load(Ordering::SeqCst) || !self.has_power()
    }

    /// Tells of something that must not be. The first one counts.
    pub fn wrong(&self, what: impl fmt::Display) {
        let what = what.to_string();
        self.trace.say(format_args!("WRONG: {what}"));
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// What was wrong, if anything.
    #[must_use]
    pub fn first_wrong(&self) -> Option<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A sequence was asked for an id when it stood at `floor`, and has given it out: it must be new and not below, unless
    /// damage took away what was reserved.
    pub fn given(&self, name: &str, floor: u64, id: u64) {
        let is_new = self.issued(name, |issued| issued.ids.insert(id));
        if !is_new && !self.is_damaged() {
            self.wrong(format_args!("the sequence `{name}` has given out {id} twice"));
        }
        if id < floor && !self.is_damaged() {
            self.wrong(format_args!("the sequence `{name}` was raised to {floor} and has given out {id}"));
        }
    }

    /// A sequence was raised.
    pub fn raised(&self, name: &str, first: u64) {
        self.issued(name, |issued| issued.floor = issued.floor.max(first));
    }

    /// What a sequence was raised to, and the greatest id that it has given out.
    #[must_use]
    pub fn floor_and_newest(&self, name: &str) -> (u64, u64) {
        self.issued(name, |issued| (issued.floor, issued.ids.last().copied().unwrap_or(0)))
    }

    fn issued<T>(&self, name: &str, work: impl FnOnce(&mut Issued) -> T) -> T {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        work(ids.entry(name.to_owned()).or_default())
    }

    /// A sequence is no more, and one of its name begins anew.
    pub fn forget(&self, name: &str) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn names<T>(&self, work: impl FnOnce(&mut BTreeMap<String, NameUse>) -> T) -> T {
        work(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to make a table, unless somebody drops one of that name.
    #[must_use]
    pub fn begin_create(&self, name: &str) -> bool {
        self.names(|names| {
            let used = names.entry(name.to_owned()).or_default();
            used.creating += u32::from(!used.dropping);
            !used.dropping
        })
    }

    /// Has made it, or not.
    pub fn end_create(&self, name: &str) {
        self.names(|names| names.entry(name.to_owned()).or_default().creating -= 1);
    }

    /// Begins to drop a table, unless somebody else makes or drops one of that name: then it could not be told which
    /// came first.
    #[must_use]
    pub fn begin_drop(&self, name: &str) -> bool {
        self.names(|names| {
            let used = names.entry(name.to_owned()).or_default();
            let free = used.creating == 0 && !used.dropping;
            used.dropping |= free;
            free
        })
    }

    /// Has dropped it, or not.
    pub fn end_drop(&self, name: &str) {
        self.names(|names| names.entry(name.to_owned()).or_default().dropping = false);
    }

    /// A consumer may stand at `position` from now on.
    pub fn may_stand(&self, consumer: &str, position: u64) {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.entry(consumer.to_owned()).or_default().insert(position);
    }

    /// Whether a consumer may stand at `position`.
    #[must_use]
    pub fn stood(&self, consumer: &str, position: u64) -> bool {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.get(consumer).is_some_and(|known| known.contains(&position))
    }

    /// Counts an operation, or something that it met.
    pub fn count(&self, name: &'static str) {
        *self.ran.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }
}

/// A snapshot that is kept, with what was read in it.
#[derive(Debug)]
pub struct Held {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What was read.
    pub acts: Vec<oracle::Act>,
    /// The machine ran when it began.
    pub stands: bool,
    /// It has said that it is no longer held.
    pub revoked: bool,
}

/// A commit on its way.
#[derive(Debug)]
pub struct Pending {
    /// The commit.
    pub future: CommitFuture,
    /// What it commits.
    pub transaction: Transaction,
}

/// One thread of the workload.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub number: u32,
    /// Its dice.
    pub rng: Rng,
    /// What all share.
    pub shared: Arc<Shared>,
    /// Its handle.
    pub db: Database,
    /// Further handles, which keep the database open.
    pub spare: Vec<Database>,
    /// Tables that it knows, some of them dropped since.
    pub tables: Vec<Table>,
    /// Sequences that it knows.
    pub sequences: Vec<Known>,
    /// Snapshots that it keeps.
    pub held: Vec<Held>,
    /// Commits that it has not awaited yet.
    pub pending: Vec<Pending>,
    /// Change feeds that it keeps.
    pub feeds: Vec<Changes>,
    /// Where its consumer stands at least, if it has said so in this life.
    pub consumed: Option<u64>,
    /// What it has written down.
    pub history: History,
    over: bool,
}

impl Session {
    /// A session that has done nothing yet.
    #[must_use]
    pub fn new(number: u32, rng: Rng, shared: Arc<Shared>, db: Database) -> Self {
        Self {
            number,
            rng,
            shared,
            db,
            spare: Vec::new(),
            tables: Vec::new(),
            sequences: Vec::new(),
            held: Vec::new(),
            pending: Vec::new(),
            feeds: Vec::new(),
            consumed: None,
            history: History::default(),
            over: false,
        }
    }

    /// Does what the dice say, and returns what it has written down.
    #[must_use]
    pub fn run(mut self) -> History {
        let operations: Vec<_> = operations::ALL
            .iter()
            .filter_map(|operation| match operation.act {
                Act::Alone(run) if self.shared.plan.features.has(operation.name) => Some((operation, run)),
                _ => None,
            })
            .collect();
        let total: u32 = operations.iter().map(|(operation, _)| operation.weight).sum();
        for _ in 0..self.shared.plan.operations {
            if self.over || total == 0 || self.shared.first_wrong().is_some() {
                break;
            }
            if self.tables.is_empty() {
                operations::find_or_make_table(&mut self);
            }
            // Each operation has dice of its own, so that one that draws more or less moves none of the others.
            let mut drawn = self.rng.u32(0..total);
            let next = self.rng.fork();
            for (operation, run) in &operations {
                if drawn < operation.weight {
                    self.say(operation.name);
                    self.shared.count(operation.name);
                    run(&mut self);
                    break;
                }
                drawn -= operation.weight;
            }
            self.rng = next;
            thread::yield_now();
        }
        self.pending
            .drain(..)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|one| operations::abandon(&mut self, one));
        self.held.drain(..).collect::<Vec<_>>().into_iter().for_each(|held| self.let_go(held));
        self.history
    }

    /// A line of the trace.
    pub fn say(&self, what: impl fmt::Display) {
        self.shared.trace.say(format_args!("s{} {what}", self.number));
    }

    /// The name of its transactions that are tried once, if they have one.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        let has_one = self.number.is_multiple_of(2) && self.shared.plan.features.has("named-transactions");
        has_one.then(|| format!("session {}", self.number).into())
    }

    /// One of these is over, with an error perhaps. It had written so many rows, or more.
    pub fn ended_alone(&mut self, error: Option<&Error>, rows: u64) {
        let name = self.name();
        self.history.losses.alone(name.as_deref(), error, rows);
    }

    /// Takes note of an error: one that is right goes into the trace, any other is the end of the run.
    pub fn met(&mut self, doing: &str, error: &Error) {
        self.say(format_args!("{doing}: {error}"));
        if !self.shared.has_power() {
            self.over = true;
        }
        if !self.is_right(error) {
            self.shared.wrong(format_args!("session {}: {doing}: {error} ({error:?})", self.number));
        }
    }

    fn is_right(&self, error: &Error) -> bool {
        match error {
            Error::BusySnapshot { why, .. } => self.is_due(*why),
            Error::Busy(_)
            | Error::WriteTransactionsOpen { .. }
            | Error::JournalMode
            // The oracle looks into it.
            | Error::UpdateRefused { .. }
            | Error::TransactionTooLarge { .. } => true,
            Error::TooManySnapshots { limit, .. } => *limit == self.shared.plan.options.max_snapshots,
            Error::Io { .. } | Error::NoSpace(_) | Error::Poisoned { .. } | Error::CommitUnknown { .. } => {
                self.shared.may_fail() || self.shared.is_damaged()
            }
            Error::Corrupt(_) | Error::Mismatch(_) => self.shared.is_damaged(),
            Error::HistoryGone { .. } => self.shared.plan.history_is_scarce(),
            // Made by a transaction whose commit was not awaited.
            Error::UncommittedTable(_) => !self.pending.is_empty(),
            _ => false,
        }
    }

    /// Whether a snapshot may be lost for this reason: there is such a limit, and it was exceeded.
    fn is_due(&self, why: SnapshotLoss) -> bool {
        let plan = &self.shared.plan;
        match why {
            SnapshotLoss::HistoryGivenUp { .. } => true,
            SnapshotLoss::TooOld { age, limit, .. } => {
                let has_own = plan.features.has("leases");
                age >= limit && (plan.options.snapshot_max_age == Some(limit) || has_own)
            }
            SnapshotLoss::PinsTooMuch { pinned_bytes, limit, .. } => {
                pinned_bytes > limit && plan.options.snapshot_max_pinned_bytes == Some(limit)
            }
            _ => false,
        }
    }

    /// The timestamp up to which everything stands now.
    pub fn stands(&mut self) -> Option<u64> {
        match self.db.snapshot() {
            Ok(snapshot) => {
                let ts = snapshot.timestamp().get();
                if self.shared.has_power() {
                    self.history.stood.push(Stood { ts });
                }
                Some(ts)
            }
            Err(error) => {
                self.met("a look at the time", &error);
                None
            }
        }
    }

    /// When something happened that began after `after`.
    pub fn span_since(&mut self, after: u64) -> Span {
        Span { after, until: self.stands().unwrap_or(u64::MAX) }
    }

    /// Some table that the session knows, if it knows any.
    pub fn some_table(&mut self) -> Option<Table> {
        let count = self.tables.len();
        if count == 0 {
            return None;
        }
        // The newest half of the time: older ones may be gone.
        let at = if self.rng.bool() { count - 1 } else { self.rng.usize(0..count) };
        self.tables.get(at).cloned()
    }

    /// Remembers a table.
    pub fn knows(&mut self, table: Table) {
        self.tables.retain(|known| known.id() != table.id());
        self.tables.push(table);
        if self.tables.len() > 8 {
            self.tables.remove(0);
        }
    }

    /// Ends a snapshot, and writes down what was read in it.
    pub fn let_go(&mut self, held: Held) {
        self.history.transactions.push(Transaction {
            session: self.number,
            begin_ts: Some(held.snapshot.timestamp().get()),
            read_only: true,
            exclusive: false,
            isolation: braid::Isolation::Snapshot,
            durability: braid::Durability::Sync,
            stands: held.stands,
            token: None,
            acts: held.acts,
            outcome: Outcome::Nothing,
        });
    }

    /// A length for a value: mostly short, now and then as long as the plan has them.
    pub fn value_length(&mut self) -> usize {
        let longest = self.shared.plan.value_bytes;
        match self.rng.u8(0..12) {
            0 => 0,
            1 | 2 => self.rng.usize(0..=longest),
            _ => self.rng.usize(0..=longest.min(60)),
        }
    }
}
