//! Commits by future: polled now, later, often or never, and dropped at any moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use braid::vfs::sync::{Event, thread};
use braid::{Admission, Commit, Result};

use super::transactions::{Done, outcome, rows, statements};
use crate::run::oracle::{Outcome, Transaction};
use crate::run::session::{Pending, Session};

/// The most futures that a session keeps.
const KEPT: usize = 3;

#[derive(Default)]
pub(super) struct Alarm(Event);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}

pub(super) fn poll<F: Future + Unpin>(future: &mut F) -> (Poll<F::Output>, Arc<Alarm>) {
    let alarm = Arc::new(Alarm::default());
    let polled = Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&alarm))));
    (polled, alarm)
}

/// Polls a future whenever it asks for it, and so often at most; sometimes also when it does not ask.
pub(super) fn poll_so_often<F: Future + Unpin>(future: &mut F, polls: u32) -> Option<F::Output> {
    for poll_number in 0..polls {
        match poll(future) {
            (Poll::Ready(output), _) => return Some(output),
            (Poll::Pending, _) if poll_number % 4 == 0 => thread::yield_now(),
            (Poll::Pending, alarm) => _ = alarm.0.wait(),
        }
    }
    None
}

/// A transaction that commits by a future, which is awaited, kept or dropped.
pub(super) fn begin(session: &mut Session) {
    let admission = if session.rng.u8(0..4) == 0 { Admission::ByMode } else { Admission::Concurrent };
    let Some(Done { tx, answer, record }) = statements(session, admission) else { return };
    let exclusive = record.exclusive;
    record.commits(session);
    let transaction = record.with(session, Outcome::Nothing);
    if let Err(error) = answer {
        drop(tx);
        session.ended_alone(Some(&error), rows(&transaction.acts));
        session.met("a statement", &error);
        session.history.transactions.push(transaction);
        return;
    }
    let mut pending = Pending { future: tx.commit_async(), transaction };
    for _ in 0..session.rng.u8(0..4) {
        if let Poll::Ready(committed) = poll(&mut pending.future).0 {
            return end(session, pending.transaction, committed);
        }
        session.say(format_args!("  waits, installed at {:?}", pending.future.timestamp()));
        thread::yield_now();
    }
    match session.rng.u8(0..8) {
        0 => abandon(session, pending),
        // An exclusive transaction that is kept would hold everybody back.
        1..=3 if session.pending.len() < KEPT && !exclusive => session.pending.push(pending),
        _ => finish(session, pending),
    }
}

/// Awaits a future that was kept, or drops it.
pub(super) fn await_one(session: &mut Session) {
    let count = session.pending.len();
    if count == 0 {
        return;
    }
    let at = session.rng.usize(0..count);
    let pending = session.pending.remove(at);
    if session.rng.u8(0..4) == 0 { abandon(session, pending) } else { finish(session, pending) }
}

fn finish(session: &mut Session, mut pending: Pending) {
    let committed = loop {
        match poll(&mut pending.future) {
            (Poll::Ready(committed), _) => break committed,
            (Poll::Pending, alarm) => _ = alarm.0.wait(),
        }
    };
    end(session, pending.transaction, committed);
}

fn end(session: &mut Session, mut transaction: Transaction, committed: Result<Commit>) {
    session.ended_alone(committed.as_ref().err(), rows(&transaction.acts));
    transaction.outcome = outcome(session, committed);
    transaction.stands = session.shared.has_power();
    session.history.transactions.push(transaction);
}

/// Drops a future, and writes down what may have become of its transaction.
pub(in crate::run) fn abandon(session: &mut Session, pending: Pending) {
    let Pending { future, mut transaction } = pending;
    if let Some(ts) = future.timestamp() {
        transaction.outcome = Outcome::Unwatched { ts: ts.get() };
    }
    session.say(format_args!("  is dropped, {:?}", transaction.outcome));
    drop(future);
    session.history.transactions.push(transaction);
}
