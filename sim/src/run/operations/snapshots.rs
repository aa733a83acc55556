//! Snapshots, looked at once or kept.

use super::Scope;
use crate::run::session::{Held, Session};

/// The most snapshots that a session keeps.
const HELD_MAX: usize = 4;

fn begin(session: &mut Session) -> Option<Held> {
    let named = session.rng.bool();
    let snapshot = if named { session.db.snapshot_named("held") } else { session.db.snapshot() };
    match snapshot {
        Ok(snapshot) => {
            session.say(format_args!("  at {}", snapshot.timestamp()));
            Some(Held { snapshot, acts: Vec::new() })
        }
        Err(error) => {
            session.met("snapshot", &error);
            None
        }
    }
}

fn read(session: &mut Session, held: &mut Held, count: u32) {
    if let Err(error) = Scope::reading(session, &held.snapshot, &mut held.acts).statements(count) {
        session.met("a read", &error);
    }
}

pub(super) fn look(session: &mut Session) {
    let Some(mut held) = begin(session) else { return };
    let count = session.rng.u32(1..8);
    read(session, &mut held, count);
    session.let_go(held);
}

pub(super) fn hold(session: &mut Session) {
    if session.held.len() < HELD_MAX
        && let Some(held) = begin(session)
    {
        session.held.push(held);
    }
}

pub(super) fn look_again(session: &mut Session) {
    let count = session.held.len();
    if count == 0 {
        return hold(session);
    }
    let mut held = session.held.swap_remove(session.rng.usize(0..count));
    session.say(format_args!("  at {}", held.snapshot.timestamp()));
    let count = session.rng.u32(1..8);
    read(session, &mut held, count);
    session.held.push(held);
}

pub(super) fn let_go(session: &mut Session) {
    let count = session.held.len();
    if count > 0 {
        let held = session.held.swap_remove(session.rng.usize(0..count));
        session.let_go(held);
    }
}
