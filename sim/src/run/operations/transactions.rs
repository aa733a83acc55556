//! Transactions: how they are admitted, what they promise, how they end.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use braid::{
    Admission, Commit, Conflict, ConflictKind, Durability, Error, Isolation, RetryPolicy, Timestamp,
    TransactionOptions,
};

use super::Scope;
use super::futures::poll_so_often;
use crate::run::oracle::{self, Act, Between, Glimpse, Outcome, Span, Transaction, What};
use crate::run::panics::Planned;
use crate::run::rows::{Datum, Key, any_key};
use crate::run::session::Session;

pub(super) fn concurrent(session: &mut Session) {
    one(session, Admission::Concurrent);
}

pub(super) fn immediate(session: &mut Session) {
    one(session, Admission::Immediate);
}

pub(super) fn by_mode(session: &mut Session) {
    one(session, Admission::ByMode);
}

/// How old a snapshot may become, where it does not leave that to the database.
pub(super) fn own_max_age(rng: &mut fastrand::Rng) -> Option<Duration> {
    let ages = [0, 2, 50].map(Duration::from_millis);
    let at = rng.usize(0..12);
    ages.get(at).copied()
}

/// How a transaction is told to be.
fn options(session: &mut Session, admission: Admission) -> TransactionOptions {
    let features = &session.shared.plan.features;
    let (may_defer, may_serialize) = (features.has("deferred"), features.has("serializable"));
    let may_be_revoked = features.has("leases");
    let rng = &mut session.rng;
    let durability = match rng.u8(0..3) {
        0 => None,
        1 if may_defer => Some(Durability::Deferred),
        _ => Some(Durability::Sync),
    };
    let serializable = rng.bool() && may_serialize;
    let busy_timeout = (rng.u8(0..4) == 0).then(|| Duration::from_millis(rng.u64(0..50)));
    let tokens = features.has("tokens") && rng.u8(0..5) == 0;
    let max_age = own_max_age(rng).filter(|_| may_be_revoked);
    TransactionOptions {
        admission,
        isolation: if serializable { Isolation::Serializable } else { Isolation::Snapshot },
        durability,
        busy_timeout,
        name: session.name(),
        token: tokens.then(|| session.shared.token().into_bytes().into()),
        max_age,
    }
}

fn token(options: &TransactionOptions) -> Option<String> {
    options.token.as_deref().map(|token| String::from_utf8_lossy(token).into_owned())
}

fn asked(session: &Session, options: &TransactionOptions) -> Durability {
    options.durability.unwrap_or(session.shared.plan.options.durability)
}

fn some(session: &mut Session) -> u32 {
    [1, 2, 4, 12][session.rng.usize(0..4)]
}

/// A transaction whose statements are done, and which has not ended.
pub(super) struct Done {
    pub(super) tx: braid::Transaction,
    /// What came of the last statement.
    pub(super) answer: braid::Result<()>,
    pub(super) record: Record,
}

/// What is known of a transaction before its end.
pub(super) struct Record {
    options: TransactionOptions,
    begin: u64,
    pub(super) exclusive: bool,
    acts: Vec<Act>,
}

/// How many rows a transaction has written, at least.
pub(super) fn rows(acts: &[Act]) -> u64 {
    let writes = oracle::own::Kept::of(acts).writes.into_iter();
    let written = writes.filter_map(|act| match &act.what {
        What::Put { key, .. } | What::Delete { key } | What::Update { key, .. } => Some((act.table, key)),
        _ => None,
    });
    written.collect::<BTreeSet<_>>().len() as u64
}

/// Its commit is about to be asked for.
fn commits(session: &mut Session, options: &TransactionOptions) {
    if let Some(token) = token(options) {
        let now = session.shared.env.clock.now();
        session.history.token_times.insert(token, now);
    }
}

impl Record {
    pub(super) fn commits(&self, session: &mut Session) {
        commits(session, &self.options);
    }

    pub(super) fn with(self, session: &Session, outcome: Outcome) -> Transaction {
        Transaction {
            session: session.number,
            begin_ts: Some(self.begin),
            read_only: false,
            exclusive: self.exclusive,
            isolation: self.options.isolation,
            durability: asked(session, &self.options),
            stands: session.shared.has_power(),
            token: token(&self.options),
            acts: self.acts,
            outcome,
        }
    }
}

/// Begins a transaction and does something in it.
pub(super) fn statements(session: &mut Session, admission: Admission) -> Option<Done> {
    let options = options(session, admission);
    let count = some(session);
    let mut tx = match session.db.begin_with(options.clone()) {
        Ok(tx) => tx,
        Err(error) => {
            session.ended_alone(Some(&error), 0);
            session.met("begin", &error);
            return None;
        }
    };
    let (begin, exclusive) = (tx.timestamp().get(), tx.is_exclusive());
    session.say(format_args!("  begins at {begin}, exclusive {exclusive}, {:?}", options.isolation));
    let mut acts = Vec::new();
    let answer = Scope::writing(session, &mut tx, &mut acts).statements(count);
    Some(Done { tx, answer, record: Record { options, begin, exclusive, acts } })
}

fn one(session: &mut Session, admission: Admission) {
    let Some(Done { tx, answer, record }) = statements(session, admission) else { return };
    let outcome = match answer {
        Err(error) => {
            drop(tx);
            session.ended_alone(Some(&error), rows(&record.acts));
            session.met("a statement", &error);
            Outcome::Nothing
        }
        Ok(()) if session.rng.u8(0..10) == 0 => {
            session.say("  rolls back");
            tx.rollback();
            Outcome::Nothing
        }
        Ok(()) => {
            record.commits(session);
            let committed = tx.commit();
            session.ended_alone(committed.as_ref().err(), rows(&record.acts));
            outcome(session, committed)
        }
    };
    let transaction = record.with(session, outcome);
    session.history.transactions.push(transaction);
}

/// A token is answered as its transaction ended, and refused to another one.
pub(super) fn ask_token(session: &mut Session) {
    let known = session.history.transactions.iter().rev().filter_map(|one| {
        let place = match one.outcome {
            Outcome::Committed { ts, .. } => Some(ts),
            Outcome::Nothing | Outcome::Lost(_) | Outcome::Refused { .. } => None,
            Outcome::Unknown { .. } | Outcome::Unwatched { .. } => return None,
        };
        Some((one.token.clone()?, place))
    });
    let known: Vec<_> = known.take(5).collect();
    if known.is_empty() {
        return;
    }
    let (token, place) = known[session.rng.usize(0..known.len())].clone();
    let since = session.history.token_times.get(&token).copied().unwrap_or_default();
    let may_forget =
        |session: &Session| session.shared.plan.may_forget(since, session.shared.env.clock.now());
    let mut forgotten = false;
    match session.db.was_committed(&token) {
        Ok(found) if found.map(Timestamp::get) == place => {
            session.say(format_args!("  `{token}`: {found:?}"));
        }
        Ok(None) if may_forget(session) => {
            session.say(format_args!("  `{token}` is forgotten"));
            session.shared.count("token-forgotten");
            forgotten = true;
        }
        Ok(found) => session.shared.wrong(format_args!("`{token}` is {found:?} instead of {place:?}")),
        Err(error) => session.met("a question for a token", &error),
    }
    let Some(place) = place else { return };
    let begun = session.db.begin_with(TransactionOptions::default().token(token.as_bytes()));
    session.history.losses.alone(None, begun.as_ref().err(), 0);
    session.history.tokens_refused += u64::from(matches!(begun, Err(Error::AlreadyCommitted { .. })));
    match begun {
        Err(Error::AlreadyCommitted { timestamp }) if timestamp.get() == place && !forgotten => {}
        Err(error) => session.met("a token's second transaction", &error),
        Ok(_) if may_forget(session) => {}
        Ok(_) => session.shared.wrong(format_args!("`{token}` is committed at {place}, and is taken again")),
    }
}

/// What a commit's answer means.
pub(super) fn outcome(session: &mut Session, committed: Result<Commit, Error>) -> Outcome {
    match committed {
        Ok(commit) => {
            session.say(format_args!("  committed at {}", commit.timestamp));
            let acked = session.shared.moment();
            if session.shared.has_power() {
                session.history.alive = acked.time;
            }
            Outcome::Committed { ts: commit.timestamp.get(), acked }
        }
        Err(error) => {
            session.met("commit", &error);
            match error {
                Error::Busy(conflict) => Outcome::Lost(conflict),
                Error::UpdateRefused { key, .. } => Outcome::Refused { key: Key::from(key) },
                Error::CommitUnknown { commit_ts, .. } => Outcome::Unknown { ts: commit_ts.get() },
                _ => Outcome::Nothing,
            }
        }
    }
}

/// What threads beside it may take of the time that one has.
const LATE: Duration = Duration::from_millis(250);

/// An attempt of a transaction that is tried until it commits.
struct Attempt {
    begin: u64,
    exclusive: bool,
    acts: Vec<Act>,
    /// When the closure was called, and when it returned.
    called: Duration,
    returned: Duration,
    left: Left,
}

/// How an attempt came out of the closure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    ToCommit,
    Revoked,
    Failed,
}

/// A transaction that is tried until it commits.
struct Run {
    policy: RetryPolicy,
    count: u32,
    gives_up: bool,
    began: Duration,
    attempts: Vec<Attempt>,
}

impl Run {
    fn drawn(session: &mut Session) -> Self {
        let options = options(session, Admission::ByMode);
        let name = session.name().map(|name| format!("runs of {name}").into());
        let options = TransactionOptions { name, ..options };
        let usual = RetryPolicy::default();
        let features = session.shared.plan.features.clone();
        let rng = &mut session.rng;
        let deadlines =
            [None, Some(0), Some(1), Some(20), Some(1000)].map(|at| at.map(Duration::from_millis));
        let deadline = Some(deadlines[rng.usize(0..deadlines.len())]).filter(|_| features.has("deadlines"));
        let delay = |rng: &mut fastrand::Rng| Duration::from_micros([0, 1, 1000, 40_000][rng.usize(0..4)]);
        let delays = (delay(rng), delay(rng));
        let (base_delay, max_delay) =
            if features.has("delays") { delays } else { (usual.base_delay, usual.max_delay) };
        let policy = RetryPolicy {
            max_attempts: rng.u32(1..20),
            exclusive_after: rng.u32(0..5),
            transaction: options,
            deadline: deadline.unwrap_or(usual.deadline),
            base_delay,
            max_delay,
        };
        let count = some(session);
        let gives_up = session.rng.u8(0..12) == 0;
        Self::new(session, policy, count, gives_up)
    }

    fn new(session: &Session, policy: RetryPolicy, count: u32, gives_up: bool) -> Self {
        let began = session.shared.env.clock.now();
        Self { policy, count, gives_up, began, attempts: Vec::new() }
    }

    /// No more attempts than there may be, none later than it may be, and alone once it has lost often enough.
    fn judge(&self, session: &Session, attempt: &Attempt) {
        let number = self.attempts.len() + 1;
        let RetryPolicy { max_attempts, exclusive_after, deadline, .. } = self.policy;
        let elapsed = session.shared.env.clock.now().saturating_sub(self.began);
        let late = deadline.is_some_and(|deadline| elapsed > deadline.saturating_add(LATE));
        let must_be_alone = number > exclusive_after as usize;
        if number > max_attempts as usize || (late && number > 1) || (must_be_alone && !attempt.exclusive) {
            session.shared.wrong(format_args!(
                "attempt {number} begins after {elapsed:?}, exclusive {}, under {:?}",
                attempt.exclusive, self.policy
            ));
        }
    }

    fn attempt(&mut self, session: &mut Session, tx: &mut braid::Transaction) -> braid::Result<()> {
        let now = session.shared.env.clock.now();
        let mut attempt = Attempt {
            begin: tx.timestamp().get(),
            exclusive: tx.is_exclusive(),
            acts: Vec::new(),
            called: now,
            returned: now,
            // What it is until it has returned, if it does.
            left: Left::Failed,
        };
        session.say(format_args!("  begins at {}, exclusive {}", attempt.begin, attempt.exclusive));
        self.judge(session, &attempt);
        let mut done = Scope::writing(session, tx, &mut attempt.acts).statements(self.count);
        if done.is_ok() {
            commits(session, &self.policy.transaction);
            if self.gives_up {
                done = Err(Error::Aborted("enough".to_owned()));
            }
        }
        attempt.returned = session.shared.env.clock.now();
        attempt.left = match &done {
            Ok(()) => Left::ToCommit,
            Err(error) if error.is_retryable() => Left::Revoked,
            Err(_) => Left::Failed,
        };
        self.attempts.push(attempt);
        done
    }

    /// What is known of its losses. One of which nothing was told was dropped, or has panicked.
    fn losses(&self, done: Option<&braid::Result<braid::Outcome<()>>>) -> oracle::Run {
        let seen = self.attempts.len() as u64;
        let before_last = seen.saturating_sub(1);
        let last = self.attempts.last().map(|attempt| attempt.left);
        let told = matches!(done, Some(Err(error)) if error.is_retryable());
        // With a token it can be revoked while it looks for that, before the closure is called.
        let unseen = u64::from(self.policy.transaction.token.is_some()) * u64::from(self.policy.max_attempts);
        let (least, most) = match (done, last) {
            (Some(Ok(outcome)), _) => (u64::from(outcome.attempts) - 1, u64::from(outcome.attempts) - 1),
            (Some(Err(Error::Busy(conflict))), _) if conflict.kind != ConflictKind::Locked => (seen, seen),
            // Its turn did not come, for the commit perhaps.
            (Some(Err(Error::Busy(_))), Some(Left::ToCommit)) => (seen, seen + 1 + unseen),
            (Some(Err(Error::Busy(_))), _) => (seen + 1, seen + 1 + unseen),
            (Some(Err(Error::BusySnapshot { .. })), Some(_)) => (seen, seen + unseen),
            (Some(Err(Error::BusySnapshot { .. })), None) => (1, 1 + unseen),
            (_, Some(Left::Failed)) => (before_last, before_last + unseen),
            // The commit failed or was not awaited, or the attempt was lost and there was no other.
            (_, Some(Left::ToCommit)) => (before_last, seen + unseen),
            (_, Some(Left::Revoked) | None) => (seen, seen + unseen),
        };
        let losses = Between { least, most };
        let attempts = match done {
            Some(Ok(_)) => Between { least: least + 1, most: most + 1 },
            _ if told => losses,
            _ => Between { least: seen.max(least), most: most + 1 },
        };
        let revoked = self.attempts.iter().filter(|attempt| attempt.left == Left::Revoked).count() as u64;
        let ended_so = last == Some(Left::Revoked) && matches!(done, Some(Err(Error::BusySnapshot { .. })));
        let after = u64::from(self.policy.exclusive_after);
        oracle::Run {
            name: self.policy.transaction.name.as_deref().map(str::to_owned),
            attempts,
            losses,
            told,
            won: matches!(done, Some(Ok(_))),
            serializable: self.policy.transaction.isolation == Isolation::Serializable,
            revoked: revoked - u64::from(ended_so),
            escalated: Between {
                least: attempts.least.saturating_sub(after),
                most: attempts.most.saturating_sub(after),
            },
        }
    }

    /// The time that it was told to have lost is that of the clock.
    fn judge_times(&self, session: &Session, outcome: &braid::Outcome<()>) {
        let Some((last, lost)) = self.attempts.split_last() else { return };
        let braid::Outcome { waited, wasted, .. } = *outcome;
        let told = waited + wasted;
        let most = last.called.saturating_sub(self.began);
        // From the first call to the return of the last one that was lost there was nothing else.
        let least = match (lost.first(), lost.last()) {
            (Some(first), Some(last)) => last.returned.saturating_sub(first.called),
            _ => Duration::ZERO,
        };
        let in_closures: Duration = lost.iter().map(|one| one.returned.saturating_sub(one.called)).sum();
        // Before an attempt that is alone there is no wait but for its turn.
        let waits = outcome.attempts.min(self.policy.exclusive_after.max(1)) - 1;
        let limits = (0..waits).map(|wait| {
            self.policy
                .base_delay
                .saturating_mul(1 << wait.min(20))
                .min(self.policy.max_delay)
                .saturating_add(LATE)
        });
        let longest: Duration = if self.policy.base_delay.min(self.policy.max_delay).is_zero() {
            Duration::ZERO
        } else {
            limits.sum()
        };
        let right = told <= most && told >= least && wasted >= in_closures && waited <= longest;
        if !right || outcome.exclusive != last.exclusive {
            session.shared.wrong(format_args!(
                "{outcome:?}: it waited {longest:?} at most, lost {in_closures:?} at least in closures, and both took {least:?} to \
                 {most:?}; under {:?}",
                self.policy
            ));
        }
    }

    /// One that gave up did so in time: no later than it may begin an attempt, and that attempt is done.
    fn judge_end(&self, session: &Session) {
        let now = session.shared.env.clock.now();
        let Some(deadline) = self.policy.deadline else { return };
        let last = self.attempts.last().filter(|last| last.left == Left::ToCommit);
        let busy_timeout =
            self.policy.transaction.busy_timeout.unwrap_or(session.shared.plan.options.busy_timeout);
        // A commit may wait for its turn, too.
        let due = match last {
            Some(last) => last.returned.max(self.began + deadline).saturating_add(busy_timeout.min(deadline)),
            None => self.attempts.last().map_or(self.began, |last| last.returned).max(self.began + deadline),
        };
        if now > due.saturating_add(LATE) {
            session.shared.wrong(format_args!(
                "it gave up at {now:?} and not at {due:?}, having begun at {:?}, under {:?}",
                self.began, self.policy
            ));
        }
    }
}

pub(super) fn transact(session: &mut Session) {
    let mut run = Run::drawn(session);
    let (db, policy) = (session.db.clone(), run.policy.clone());
    let done = db.transact(policy, |tx| run.attempt(session, tx));
    end(session, run, done);
}

/// The same by a future, which may be dropped at any moment.
pub(super) fn transact_by_future(session: &mut Session) {
    let mut run = Run::drawn(session);
    let (db, policy) = (session.db.clone(), run.policy.clone());
    let polls = if session.rng.u8(0..4) == 0 { session.rng.u32(0..6) } else { u32::MAX };
    let mut future = db.transact_async(policy, |tx| run.attempt(session, tx));
    let done = poll_so_often(&mut future, polls);
    let installed = future.timestamp();
    drop(future);
    match done {
        Some(done) => end(session, run, done),
        None => {
            session.say(format_args!("  is dropped, installed at {installed:?}"));
            session.history.losses.ran(run.losses(None), None);
            let last = installed.map_or(Outcome::Nothing, |ts| Outcome::Unwatched { ts: ts.get() });
            write_down(session, run, &last);
        }
    }
}

fn end(session: &mut Session, run: Run, done: braid::Result<braid::Outcome<()>>) {
    session.history.losses.ran(run.losses(Some(&done)), done.as_ref().err());
    match &done {
        Ok(done) => {
            let (seen, told) = (run.attempts.len(), done.attempts as usize);
            let may_be = if run.policy.transaction.token.is_some() { seen <= told } else { seen == told };
            if !may_be {
                session.shared.wrong(format_args!("{seen} attempts, and {told} were told"));
            }
            run.judge_times(session, done);
        }
        Err(error) if error.is_retryable() => run.judge_end(session),
        Err(_) => {}
    }
    let last = match done {
        Err(Error::Aborted(_)) => Outcome::Nothing,
        done => outcome(session, done.map(|outcome| outcome.commit)),
    };
    write_down(session, run, &last);
}

/// Writes every attempt down, of which the last one may have committed.
fn write_down(session: &mut Session, run: Run, last: &Outcome) {
    let Run { policy: RetryPolicy { transaction: options, .. }, attempts, .. } = run;
    let (count, stands) = (attempts.len(), session.shared.has_power());
    for (at, attempt) in attempts.into_iter().enumerate() {
        let is_last = at + 1 == count;
        // The last error may be that no further attempt got its turn.
        let outcome = match last {
            Outcome::Lost(conflict) if is_last && !is_of(conflict, &attempt) => Outcome::Nothing,
            outcome if is_last => outcome.clone(),
            _ => Outcome::Nothing,
        };
        session.history.transactions.push(Transaction {
            session: session.number,
            begin_ts: Some(attempt.begin),
            read_only: false,
            exclusive: attempt.exclusive,
            isolation: options.isolation,
            durability: asked(session, &options),
            stands,
            token: if is_last { token(&options) } else { None },
            acts: attempt.acts,
            outcome,
        });
    }
}

fn is_of(conflict: &Conflict, attempt: &Attempt) -> bool {
    conflict.kind != ConflictKind::Locked && conflict.begin_ts.get() == attempt.begin
}

/// A closure that panics leaves nothing behind, and nothing locked.
pub(super) fn transact_panics(session: &mut Session) {
    let count = some(session);
    let db = session.db.clone();
    let transaction = TransactionOptions { name: None, ..options(session, Admission::ByMode) };
    let policy = RetryPolicy { transaction, ..RetryPolicy::default() };
    let mut run = Run::new(session, policy.clone(), count, false);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transact(policy, |tx| -> braid::Result<()> {
            run.attempt(session, tx)?;
            if let Some(attempt) = run.attempts.last_mut() {
                attempt.left = Left::Failed;
            }
            resume_unwind(Box::new(Planned))
        })
    }));
    match panicked {
        Ok(Ok(_)) => session.shared.wrong("a closure that panicked has committed"),
        Ok(Err(error)) => {
            session.met("a statement before a panic", &error);
            let losses = run.losses(Some(&Err(error.clone())));
            session.history.losses.ran(losses, Some(&error));
        }
        Err(panic) if panic.is::<Planned>() => {
            session.say("  panicked as planned");
            session.history.losses.ran(run.losses(None), None);
        }
        Err(panic) => resume_unwind(panic),
    }
    write_down(session, run, &Outcome::Nothing);
}

pub(super) fn put_one(session: &mut Session) {
    put_one_told(session);
}

/// The same; tells of the commit.
pub(super) fn put_one_told(session: &mut Session) -> Option<Commit> {
    let table = session.some_table()?;
    let key = any_key(&mut session.rng, session.shared.plan.keys);
    let length = session.value_length();
    let bytes = session.shared.value(length);
    let value = Datum::of(&bytes);
    session.say(format_args!("  {}({}) {key:?} {value:?}", table.name(), table.id()));
    let committed = session.db.put(&table, &key, &bytes);
    let told = committed.as_ref().ok().copied();
    one_statement(session, table.id(), What::Put { key, value }, committed);
    told
}

pub(super) fn delete_one(session: &mut Session) {
    let Some(table) = session.some_table() else { return };
    let key = any_key(&mut session.rng, session.shared.plan.keys);
    let committed = session.db.delete(&table, &key);
    one_statement(session, table.id(), What::Delete { key }, committed);
}

pub(super) fn one_statement(session: &mut Session, table: u32, what: What, committed: Result<Commit, Error>) {
    session.history.losses.hidden(committed.as_ref().err());
    if let Err(Error::NoSuchTable(_)) = committed {
        return;
    }
    let outcome = match outcome(session, committed) {
        // Which attempt it was that lost, and to whom, a call of one statement does not say.
        Outcome::Lost(_) => Outcome::Nothing,
        outcome => outcome,
    };
    session.history.transactions.push(Transaction {
        session: session.number,
        begin_ts: None,
        read_only: false,
        exclusive: false,
        isolation: Isolation::Snapshot,
        durability: session.shared.plan.options.durability,
        stands: session.shared.has_power(),
        token: None,
        acts: vec![Act { table, tracked: true, what }],
        outcome,
    });
}

pub(super) fn get_one(session: &mut Session) {
    let Some(table) = session.some_table() else { return };
    let key = any_key(&mut session.rng, session.shared.plan.keys);
    let Some(after) = session.stands() else { return };
    let found = match session.db.get(&table, &key) {
        Ok(found) => Some(found.map(|bytes| Datum::of(&bytes))),
        Err(Error::NoSuchTable(_)) => None,
        Err(error) => return session.met("get", &error),
    };
    let at = Span { after, until: session.span_since(after).until };
    session.say(format_args!("  {}({}) {key:?} is {found:?}", table.name(), table.id()));
    let number = session.number;
    session.history.glimpses.push(Glimpse { session: number, at, table: table.id(), key, found });
}
