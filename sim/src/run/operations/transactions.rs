//! Transactions: how they are admitted, what they promise, how they end.

use std::collections::BTreeSet;
use std::time::Duration;

use braid::{Admission, Commit, Durability, Error, Isolation, Timestamp, TransactionOptions};

use super::Scope;
use crate::run::oracle::{self, Act, Glimpse, Outcome, Span, Transaction, What};
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
pub(super) fn options(session: &mut Session, admission: Admission) -> TransactionOptions {
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

pub(super) fn token(options: &TransactionOptions) -> Option<String> {
    options.token.as_deref().map(|token| String::from_utf8_lossy(token).into_owned())
}

pub(super) fn asked(session: &Session, options: &TransactionOptions) -> Durability {
    options.durability.unwrap_or(session.shared.plan.options.durability)
}

pub(super) fn some(session: &mut Session) -> u32 {
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
pub(super) fn commits(session: &mut Session, options: &TransactionOptions) {
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
        Err(Error::AlreadyCommitted { timestamp, .. }) if timestamp.get() == place && !forgotten => {}
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
    made_alone(session, table, what, committed);
}

/// Tells the history of a change that was a transaction of its own.
pub(super) fn made_alone(session: &mut Session, table: u32, what: What, committed: Result<Commit, Error>) {
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
