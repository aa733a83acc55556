//! Following what others commit: by looking, by waiting with and without a thread, and under a name.

use std::task::Poll;
use std::time::Duration;

use braid::vfs::sync::thread;
use braid::{Change, ChangeSet, Changes, Commit, Consumer, ConsumerInfo, Error, Timestamp};

use super::futures::{poll, poll_so_often};
use super::transactions;
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
            Err(Error::HistoryGone { wanted, oldest, .. }) if wanted.get() == after && oldest > wanted => {
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
    let consumer = session.db.consumer(&name, timestamp(now));
    session.history.losses.hidden(consumer.as_ref().err());
    let consumer = match consumer {
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
        Err(Error::HistoryGone { wanted, oldest, .. }) => {
            return is_lost(session, &consumer, position, (wanted.get(), oldest.get()));
        }
        Err(error) => return session.met("a consumer's feed", &error),
    };
    let Some(given) = read(session, &mut feed) else { return };
    let to = match session.rng.u8(0..5) {
        0 => return,
        1 if !given.is_empty() => given[session.rng.usize(0..given.len())],
        _ => feed.passed().get(),
    };
    acknowledge(session, &consumer, to);
}

/// Says that everything up to `to` is done with; by a future now and then, which may be dropped.
fn acknowledge(session: &mut Session, consumer: &Consumer, to: u64) {
    session.shared.may_stand(consumer.name(), to);
    let Some(before) = session.stands() else { return };
    let acknowledged = if session.rng.bool() {
        consumer.acknowledge(timestamp(to))
    } else {
        let polls = if session.rng.u8(0..4) == 0 { session.rng.u32(0..4) } else { u32::MAX };
        let mut future = Box::pin(consumer.acknowledge_async(timestamp(to)));
        let Some(acknowledged) = poll_so_often(&mut future, polls) else {
            session.say(format_args!("  {} drops its acknowledgement of {to}", consumer.name()));
            session.history.losses.hidden_and_dropped();
            // What it has installed may stand at any later time.
            return session.history.own_commits.push(Span { after: before, until: u64::MAX });
        };
        acknowledged
    };
    session.history.losses.hidden(acknowledged.as_ref().err());
    quietly_committed(session, before);
    match acknowledged {
        Ok(()) => {
            session.say(format_args!("  {} has come to {to}", consumer.name()));
            session.consumed = session.consumed.max(Some(to));
            match consumer.position() {
                Ok(position) if position.get() >= to => {}
                Ok(position) => session.shared.wrong(format_args!(
                    "{} has acknowledged {to} and stands at {position}",
                    consumer.name()
                )),
                Err(error) => session.met("a consumer's position", &error),
            }
        }
        Err(error) => session.met("an acknowledgement", &error),
    }
}

/// A consumer was told that its history is gone: that must be so, and everybody must be told so. It goes on from the present.
fn is_lost(session: &mut Session, consumer: &Consumer, position: u64, (wanted, oldest): (u64, u64)) {
    session.say(format_args!("  the log reaches back to {oldest} and not to {wanted}: it is lost"));
    session.shared.count("consumer-lost");
    let may_be = session.shared.plan.history_is_scarce() && wanted == position && oldest > wanted;
    if !may_be {
        session.shared.wrong(format_args!(
            "{} stands at {position} and is told that the log reaches back to {oldest} and not to {wanted}",
            consumer.name()
        ));
    }
    match session.db.consumers() {
        Ok(all) if all.iter().any(|one| one.name == consumer.name() && one.lost && one.held_bytes == 0) => {}
        Ok(all) => session.shared.wrong(format_args!("{} is lost, and listed in {all:?}", consumer.name())),
        Err(error) => session.met("listing consumers", &error),
    }
    if session.rng.u8(0..4) > 0
        && let Some(now) = session.stands()
    {
        acknowledge(session, consumer, now);
    }
}

/// Lists the consumers: each stands where its session may have had it stand.
pub(super) fn list_consumers(session: &mut Session) {
    let (own, consumed) = (format!("session {}", session.number), session.consumed);
    let listed = match session.db.consumers() {
        Ok(listed) => listed,
        Err(error) => return session.met("listing consumers", &error),
    };
    let Some(newest) = session.stands() else { return };
    session.say(format_args!("  {listed:?}"));
    if session.shared.is_damaged() {
        return;
    }
    let right = |one: &ConsumerInfo| {
        let position = one.position.get();
        session.shared.stood(&one.name, position)
            && (one.name != own || consumed.is_none_or(|consumed| consumed <= position))
            && position.saturating_add(one.lag_timestamps) <= newest
            && (!one.lost || (session.shared.plan.history_is_scarce() && one.held_bytes == 0))
    };
    let is_there = listed.iter().any(|one| one.name == own) || consumed.is_none();
    if !listed.is_sorted_by_key(|one| &one.name) || !is_there || !listed.iter().all(right) {
        session.shared.wrong(format_args!("{own}, at {consumed:?} of {newest}, lists {listed:?}"));
    }
}

/// Commits something, and waits for as long as it takes until a feed has told of it.
pub(super) fn wait_for_changes(session: &mut Session) {
    let Some(after) = session.stands() else { return };
    let kept = session.feeds.pop().filter(|_| session.rng.bool());
    let mut feed = match kept.map_or_else(|| session.db.changes(timestamp(after)), Ok) {
        Ok(feed) => feed,
        Err(error) => return session.met("a change feed", &error),
    };
    let Some(Commit { timestamp: own, .. }) = transactions::put_one_told(session) else { return };
    let (own, by_future) = (own.get(), session.rng.bool());
    let mut reading = Reading::of(&feed);
    while feed.passed().get() < own && reading.outcome.is_ok() {
        let next =
            if by_future { poll_so_often(&mut feed.next_async(), u32::MAX).flatten() } else { feed.next() };
        let Some(set) = next else {
            session.shared.wrong(format_args!("a feed ended at {} before {own}", feed.passed()));
            break;
        };
        reading.take(set);
    }
    if reading.end(session, &feed).is_some() {
        session.feeds.push(feed);
    }
}

/// Ends its own consumer.
pub(super) fn remove_consumer(session: &mut Session) {
    let Some(before) = session.stands() else { return };
    session.consumed = None;
    let removed = session.db.remove_consumer(&format!("session {}", session.number));
    session.history.losses.hidden(removed.as_ref().err());
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
    let mut reading = Reading::of(feed);
    for _ in 0..session.rng.usize(1..12) {
        let next = match session.rng.u8(0..6) {
            0 => feed.next_timeout(Duration::from_millis(2)),
            1 => look(session, feed),
            _ => feed.try_next(),
        };
        match next.transpose() {
            Some(set) => reading.take(set),
            None => break,
        }
        if reading.outcome.is_err() {
            break;
        }
    }
    reading.end(session, feed)
}

/// Polls for what comes next a few times, and gives it up.
fn look(session: &mut Session, feed: &mut Changes) -> braid::Result<Option<ChangeSet>> {
    for _ in 0..session.rng.u8(1..4) {
        match poll(&mut feed.next_async()).0 {
            Poll::Ready(Some(next)) => return next.map(Some),
            Poll::Ready(None) => {
                session.shared.wrong("a feed ended while its database is open");
                return Ok(None);
            }
            Poll::Pending => thread::yield_now(),
        }
    }
    Ok(None)
}

/// What a feed has given.
struct Reading {
    after: u64,
    sets: Vec<(u64, Vec<ToldChange>)>,
    outcome: braid::Result<()>,
}

impl Reading {
    fn of(feed: &Changes) -> Self {
        Self { after: feed.passed().get(), sets: Vec::new(), outcome: Ok(()) }
    }

    fn take(&mut self, set: braid::Result<ChangeSet>) {
        match set.and_then(written) {
            Ok(set) => self.sets.push(set),
            Err(error) => self.outcome = Err(error),
        }
    }

    /// Writes it down; the timestamps that were given, unless there was an error.
    fn end(self, session: &mut Session, feed: &Changes) -> Option<Vec<u64>> {
        let Self { after, sets, outcome } = self;
        if feed.is_ended() && outcome.is_ok() {
            session.shared.wrong("a feed ended while its database is open");
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
}

fn written(set: ChangeSet) -> braid::Result<(u64, Vec<ToldChange>)> {
    let ts = set.timestamp().get();
    let changes = set.map(|change| {
        Ok(match change? {
            Change::Put { table, key, value, .. } => {
                ToldChange::Row { table: table.id, key: Key::from(key), value: Some(Datum::of(&value)) }
            }
            Change::Delete { table, key, .. } => {
                ToldChange::Row { table: table.id, key: Key::from(key), value: None }
            }
            Change::Create(table) => ToldChange::Made { table: table.id, name: name(&table), loaded: false },
            Change::Load(table) => ToldChange::Made { table: table.id, name: name(&table), loaded: true },
            Change::Drop(table) => ToldChange::Dropped { table: table.id },
            Change::Rename { table, .. } => ToldChange::Renamed { table: table.id, name: name(&table) },
            other => return Err(Error::other(format!("nobody did {other:?}"))),
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
