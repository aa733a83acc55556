//! Snapshots, looked at once or kept.

use braid::{Error, SnapshotOptions};

use super::Scope;
use super::transactions::own_max_age;
use crate::run::oracle::What;
use crate::run::session::{Held, Session};

/// The most snapshots that a session keeps.
const HELD_MAX: usize = 4;

fn begin(session: &mut Session) -> Option<Held> {
    let leases = session.shared.plan.features.has("leases");
    let max_age = own_max_age(&mut session.rng).filter(|_| leases);
    let snapshot = match session.rng.u8(0..4) {
        0 | 1 if max_age.is_none() => session.db.snapshot(),
        2 if max_age.is_none() => session.db.snapshot_with(SnapshotOptions::default().name("held")),
        _ => session.db.snapshot_with(SnapshotOptions { name: None, max_age }),
    };
    match snapshot {
        Ok(snapshot) => {
            session.say(format_args!("  at {}", snapshot.timestamp()));
            let stands = session.shared.has_power();
            Some(Held { snapshot, acts: Vec::new(), stands, revoked: false })
        }
        Err(error) => {
            session.met("snapshot", &error);
            None
        }
    }
}

fn read(session: &mut Session, held: &mut Held, count: u32) {
    let before = held.acts.len();
    let read = Scope::reading(session, &held.snapshot, &mut held.acts).statements(count);
    let answered = held.acts.iter().skip(before).any(|act| act.what != What::Gone);
    if held.revoked && answered {
        session.shared.wrong("a snapshot that was revoked reads again");
    }
    if let Err(error) = read {
        held.revoked |= matches!(error, Error::BusySnapshot { .. });
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
