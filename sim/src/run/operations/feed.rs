//! Following what others commit.

use std::time::Duration;

use braid::{Change, ChangeSet, Changes, Error, Timestamp};

use crate::run::oracle::{Span, Told, ToldChange};
use crate::run::rows::{Datum, Key};
use crate::run::session::Session;

/// The most feeds that a session keeps.
const FEEDS_MAX: usize = 2;

/// Goes on with a feed, or begins one.
pub(super) fn follow(session: &mut Session) {
    let begin = session.feeds.len() < FEEDS_MAX && session.rng.bool();
    if begin || session.feeds.is_empty() {
        let Some(now) = session.stands() else { return };
        let after = match session.rng.u8(0..4) {
            0 => now,
            1 => 0,
            _ => session.rng.u64(0..=now),
        };
        match session.db.changes(timestamp(after)) {
            Ok(feed) => session.feeds.push(feed),
            Err(Error::HistoryGone { wanted, oldest }) if wanted.get() == after && oldest > wanted => {
                return session.say(format_args!("  the log reaches back to {oldest} and not to {after}"));
            }
            Err(error) => return session.met("a change feed", &error),
        }
    }
    let at = session.rng.usize(0..session.feeds.len());
    let mut feed = session.feeds.swap_remove(at);
    if read(session, &mut feed).is_some() && session.rng.u8(0..4) > 0 {
        session.feeds.push(feed);
    }
}

/// Reads on under the session's own name, and says sometimes how far it has come.
pub(super) fn consume(session: &mut Session) {
    let name = format!("session {}", session.number);
    let Some(now) = session.stands() else { return };
    session.shared.may_stand(&name, now);
    let consumer = match session.db.consumer(&name, timestamp(now)) {
        Ok(consumer) => consumer,
        Err(error) => {
            quietly_committed(session, now);
            return session.met("a consumer", &error);
        }
    };
    quietly_committed(session, now);
    let position = match consumer.position() {
        Ok(position) => position.get(),
        Err(error) => return session.met("a consumer's position", &error),
    };
    let stood = session.consumed.is_none_or(|consumed| consumed <= position);
    let stands = stood && session.shared.stood(&name, position);
    if !stands && !session.shared.is_damaged() {
        let last = session.consumed;
        session.shared.wrong(format_args!("{name} stands at {position}, and last at {last:?}"));
    }
    let mut feed = match consumer.changes() {
        Ok(feed) => feed,
        Err(Error::HistoryGone { .. }) if session.shared.is_damaged() => return,
        Err(error) => return session.met("a consumer's feed", &error),
    };
    let Some(given) = read(session, &mut feed) else { return };
    let to = match session.rng.u8(0..5) {
        0 => return,
        1 if !given.is_empty() => given[session.rng.usize(0..given.len())],
        _ => feed.passed().get(),
    };
    session.shared.may_stand(&name, to);
    let Some(before) = session.stands() else { return };
    let acknowledged = consumer.acknowledge(timestamp(to));
    quietly_committed(session, before);
    match acknowledged {
        Ok(()) => {
            session.say(format_args!("  {name} has come to {to}"));
            session.consumed = session.consumed.max(Some(to));
        }
        Err(error) => session.met("an acknowledgement", &error),
    }
}

/// Ends its own consumer.
pub(super) fn remove_consumer(session: &mut Session) {
    let Some(before) = session.stands() else { return };
    session.consumed = None;
    let removed = session.db.remove_consumer(&format!("session {}", session.number));
    quietly_committed(session, before);
    if let Err(error) = removed {
        session.met("the end of a consumer", &error);
    }
}

/// A commit came after `before` that changed nothing of a user's, or none.
fn quietly_committed(session: &mut Session, before: u64) {
    let until = session.stands().unwrap_or(u64::MAX);
    // After a failed sync it is unknown where it lies.
    let until = if session.shared.may_fail() { u64::MAX } else { until };
    session.history.own_commits.push(Span { after: before, until });
}

/// Reads some transactions, and writes down what they were; `None` after an error.
fn read(session: &mut Session, feed: &mut Changes) -> Option<Vec<u64>> {
    let after = feed.passed().get();
    let mut sets = Vec::new();
    let mut outcome = Ok(());
    for _ in 0..session.rng.usize(1..12) {
        let next = match session.rng.u8(0..6) {
            0 => feed.next_timeout(Duration::from_millis(2)),
            _ => feed.try_next(),
        };
        match next.and_then(|set| set.map(written).transpose()) {
            Ok(Some(set)) => sets.push(set),
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    // One that could not be read to its end was not told.
    let through =
        if outcome.is_ok() { feed.passed().get() } else { sets.last().map_or(after, |(ts, _)| *ts) };
    session.say(format_args!("  {} transactions from {after} through {through}", sets.len()));
    let given = sets.iter().map(|(ts, _)| *ts).collect();
    let stands = session.shared.has_power();
    session.history.told.push(Told { session: session.number, after, through, sets, stands });
    match outcome {
        Ok(()) => Some(given),
        Err(error) => {
            session.met("reading a feed", &error);
            None
        }
    }
}

fn written(set: ChangeSet) -> braid::Result<(u64, Vec<ToldChange>)> {
    let ts = set.timestamp().get();
    let changes = set.map(|change| {
        Ok(match change? {
            Change::Put { table, key, value } => {
                ToldChange::Row { table: table.id, key: Key::from(key), value: Some(Datum::of(&value)) }
            }
            Change::Delete { table, key } => {
                ToldChange::Row { table: table.id, key: Key::from(key), value: None }
            }
            Change::Create(table) => ToldChange::Made { table: table.id, name: name(&table), loaded: false },
            Change::Load(table) => ToldChange::Made { table: table.id, name: name(&table), loaded: true },
            Change::Drop(table) => ToldChange::Dropped { table: table.id },
            Change::Rename { table, .. } => ToldChange::Renamed { table: table.id, name: name(&table) },
            other => return Err(Error::Aborted(format!("nobody did {other:?}"))),
        })
    });
    Ok((ts, changes.collect::<braid::Result<_>>()?))
}

fn name(table: &braid::ChangedTable) -> String {
    table.name.as_deref().unwrap_or_default().to_owned()
}

fn timestamp(ts: u64) -> Timestamp {
    Timestamp::new(ts).unwrap_or(Timestamp::MAX)
}
