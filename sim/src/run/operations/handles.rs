//! Handles of one database, and its mode.

use braid::{Database, Error, JournalMode, Options};

use super::Scope;
use crate::run::oracle::{ModeChange, Promise};
use crate::run::session::{Held, PATH, Session};

/// The most handles that a session keeps beside its own.
const SPARE_MAX: usize = 4;

pub(super) fn switch_mode(session: &mut Session) {
    let mode = if session.rng.u8(0..3) == 0 { JournalMode::Wal } else { JournalMode::Mvcc };
    let before = session.db.journal_mode();
    let began = session.shared.moment();
    let set = session.db.set_journal_mode(mode);
    let (ended, stands) = (session.shared.moment(), set.is_ok() && session.shared.has_power());
    match set {
        Ok(()) => {
            session.say(format_args!("  {mode:?}"));
            if before != mode && stands {
                session.history.promises.push(Promise { began });
            }
        }
        Err(error) => {
            session.met("switching the mode", &error);
            if matches!(error, Error::Busy(_) | Error::WriteTransactionsOpen { .. } | Error::NoSpace(_)) {
                return;
            }
        }
    }
    session.history.modes.push(ModeChange { mode, began, ended, stands });
}

fn keep(session: &mut Session, db: Database) {
    session.spare.push(std::mem::replace(&mut session.db, db));
    if session.spare.len() > SPARE_MAX {
        session.spare.remove(0);
    }
}

pub(super) fn clone(session: &mut Session) {
    let db = session.db.clone();
    keep(session, db);
}

pub(super) fn open_sibling(session: &mut Session) {
    let options = session.shared.plan.options.clone();
    match Database::open_in(session.shared.env.clone(), PATH, options) {
        Ok(db) => keep(session, db),
        Err(error) => session.met("opening a sibling", &error),
    }
}

/// Other options than those of the core are refused.
pub(super) fn open_otherwise(session: &mut Session) {
    let usual = &session.shared.plan.options;
    let options = Options { cache_bytes: usual.cache_bytes + 1, ..usual.clone() };
    match Database::open_in(session.shared.env.clone(), PATH, options) {
        Err(Error::OptionsConflict { option: "cache_bytes", .. }) => {}
        Err(error) => session.met("opening with other options", &error),
        Ok(_) => session.shared.wrong("an open with other options was let in"),
    }
}

/// A handle that only reads: its reads are right, its writes refused.
pub(super) fn open_read_only(session: &mut Session) {
    let options = session.shared.plan.options.clone();
    let db = match Database::open_read_only_in(session.shared.env.clone(), PATH, options) {
        Ok(db) => db,
        Err(error) => return session.met("opening read-only", &error),
    };
    if !db.is_read_only() || !matches!(db.begin_immediate(), Err(Error::ReadOnly)) {
        session.shared.wrong("a read-only handle can be written through");
    }
    match db.snapshot() {
        Ok(snapshot) => {
            let mut held =
                Held { snapshot, acts: Vec::new(), stands: session.shared.has_power(), revoked: false };
            let read = Scope::reading(session, &held.snapshot, &mut held.acts).statements(4);
            if let Err(error) = read {
                session.met("a read", &error);
            }
            session.let_go(held);
        }
        Err(error) => session.met("snapshot", &error),
    }
}

/// Gives a handle up; others are open.
pub(super) fn close(session: &mut Session) {
    if let Some(db) = session.spare.pop()
        && let Err(error) = db.close()
    {
        session.met("closing a handle", &error);
    }
}
