//! Sequences: ids that are drawn with and without a transaction open, never twice, and never below what was raised.

use braid::{Error, SequenceOptions};

use super::Scope;
use crate::run::oracle::Span;
use crate::run::session::{Known, Session};

fn some_name(session: &mut Session) -> String {
    format!("s{}", session.rng.u8(0..2))
}

pub(super) fn draw(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    // While somebody drops it, an id may come again.
    if !shared.begin_create(&name) {
        return;
    }
    draw_from(session, &name);
    shared.end_create(&name);
}

/// The same with a snapshot or a transaction open, an exclusive one perhaps.
pub(super) fn draw_inside(scope: &mut Scope<'_>) -> braid::Result<()> {
    draw(scope.session);
    Ok(())
}

fn draw_from(session: &mut Session, name: &str) {
    let Some(after) = session.stands() else { return };
    let known = session.sequences.iter().position(|known| known.sequence.name() == name);
    // Now and then a handle of its own.
    let known = known.filter(|_| session.rng.u8(0..4) > 0);
    let mut known = match known {
        Some(at) => session.sequences.swap_remove(at),
        None => {
            let options = SequenceOptions {
                block: [1, 2, 5, 1000][session.rng.usize(0..4)],
                ..SequenceOptions::default()
            };
            match session.db.sequence_with(name, options) {
                Ok(sequence) => Known { sequence, newest: 0 },
                Err(error) => return failed(session, after, &error),
            }
        }
    };
    for _ in 0..session.rng.u8(1..6) {
        let (floor, _) = session.shared.floor_and_newest(name);
        match known.sequence.next() {
            Ok(id) => {
                session.say(format_args!("  `{name}` gives {id}"));
                if id <= known.newest {
                    session.shared.wrong(format_args!("`{name}` gives {id} after {}", known.newest));
                }
                known.newest = id;
                session.shared.given(name, floor, id);
            }
            // A handle from before a drop.
            Err(Error::NoSuchSequence(_)) => return session.say(format_args!("  that `{name}` is gone")),
            Err(error) => {
                failed(session, after, &error);
                break;
            }
        }
    }
    session.sequences.push(known);
    if session.sequences.len() > 4 {
        session.sequences.remove(0);
    }
    let at = session.span_since(after);
    session.history.own_commits.push(at);
}

/// Raises it: beyond all that was given out mostly, and now and then to where it is already.
pub(super) fn raise(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_create(&name) {
        return;
    }
    if let Some(after) = session.stands() {
        let (_, newest) = shared.floor_and_newest(&name);
        let most = if session.rng.bool() { 10 } else { 2000 };
        let first = newest.saturating_sub(5) + session.rng.u64(0..most);
        match session.db.sequence(&name).and_then(|sequence| sequence.raise_to(first)) {
            Ok(()) => {
                session.say(format_args!("  `{name}` is raised to {first}"));
                shared.raised(&name, first);
                let at = session.span_since(after);
                session.history.own_commits.push(at);
            }
            Err(error) => failed(session, after, &error),
        }
    }
    shared.end_create(&name);
}

fn failed(session: &mut Session, after: u64, error: &Error) {
    session.history.own_commits.push(Span { after, until: u64::MAX });
    session.met("a sequence", error);
}

pub(super) fn drop(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_drop(&name) {
        return;
    }
    if let Some(after) = session.stands() {
        match session.db.drop_sequence(&name) {
            Ok(_) => {
                session.say(format_args!("  `{name}` is dropped"));
                shared.forget(&name);
            }
            Err(error) => {
                // It may be gone.
                shared.forget(&name);
                failed(session, after, &error);
            }
        }
        let at = session.span_since(after);
        session.history.own_commits.push(at);
    }
    shared.end_drop(&name);
}

/// Asks for the first id that nobody has reserved: it is beyond all that were given out, and not below what it was raised to.
pub(super) fn unreserved(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_create(&name) {
        return;
    }
    let (floor, newest) = shared.floor_and_newest(&name);
    match session.db.unreserved_id(&name) {
        Ok(first) => {
            session.say(format_args!("  nobody has reserved {first:?} of `{name}`"));
            let is_right = first.map_or(newest == 0 && floor == 0, |first| first > newest && first >= floor);
            if !is_right && !shared.is_damaged() {
                shared.wrong(format_args!(
                    "nobody has reserved {first:?} of `{name}`, which gave out {newest} and was raised to {floor}"
                ));
            }
        }
        Err(error) => session.met("a question for an id", &error),
    }
    shared.end_create(&name);
}

pub(super) fn list(session: &mut Session) {
    match session.db.sequences() {
        Ok(names) if names.is_sorted() => session.say(format_args!("  {names:?}")),
        Ok(names) => session.shared.wrong(format_args!("the names of sequences are out of order: {names:?}")),
        Err(error) => session.met("listing sequences", &error),
    }
}
