//! Transactions that are tried until they commit: how often, when, alone or not, and what of that is told.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use braid::{Admission, Conflict, ConflictKind, Error, Isolation, RetryPolicy, TransactionOptions};

use super::Scope;
use super::futures::poll_so_often;
use super::transactions::{asked, commits, options, outcome, some, token};
use crate::run::oracle::{self, Act, Between, Outcome, Transaction};
use crate::run::panics::Planned;
use crate::run::session::Session;

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
                done = Err(Error::other("enough"));
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
            (Some(Err(Error::Busy(conflict))), _) if conflict.kind != ConflictKind::Timeout => (seen, seen),
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
    let done = db.transact_with(policy, |tx| run.attempt(session, tx));
    end(session, run, done);
}

/// The same by a future, which may be dropped at any moment.
pub(super) fn transact_by_future(session: &mut Session) {
    let mut run = Run::drawn(session);
    let (db, policy) = (session.db.clone(), run.policy.clone());
    let polls = if session.rng.u8(0..4) == 0 { session.rng.u32(0..6) } else { u32::MAX };
    let mut future = db.transact_async_with(policy, |tx| run.attempt(session, tx));
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
        Err(Error::Other(_)) => Outcome::Nothing,
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
    conflict.kind != ConflictKind::Timeout && conflict.begin_ts.get() == attempt.begin
}

/// A closure that panics leaves nothing behind, and nothing locked.
pub(super) fn transact_panics(session: &mut Session) {
    let count = some(session);
    let db = session.db.clone();
    let transaction = TransactionOptions { name: None, ..options(session, Admission::ByMode) };
    let policy = RetryPolicy { transaction, ..RetryPolicy::default() };
    let mut run = Run::new(session, policy.clone(), count, false);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transact_with(policy, |tx| -> braid::Result<()> {
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
