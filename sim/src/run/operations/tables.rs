//! Making, finding and dropping tables.

use std::collections::BTreeMap;

use braid::{Durability, Error, Isolation, Loader};

use super::transactions::outcome;
use crate::run::oracle::{Act, Outcome, Schema, SchemaChange, Span, Transaction, What};
use crate::run::rows::{Datum, any_key};
use crate::run::session::Session;

fn some_name(session: &mut Session) -> String {
    format!("t{}", session.rng.u32(0..session.shared.plan.tables))
}

/// Has a session know a table, of whatever name.
pub fn find_or_make_table(session: &mut Session) {
    open(session);
}

pub(super) fn open(session: &mut Session) {
    let name = some_name(session);
    let Some(after) = session.stands() else { return };
    match session.db.existing_table(&name) {
        Ok(Some(table)) => return session.knows(table),
        Ok(None) => {}
        Err(error) => return session.met("looking for a table", &error),
    }
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_create(&name) {
        return;
    }
    let made = session.db.table(&name);
    session.history.losses.hidden(made.as_ref().err());
    match made {
        Ok(table) => {
            session.say(format_args!("  made `{name}` as {}", table.id()));
            write_down(session, &name, SchemaChange::Create(Some(table.id())), after);
            session.knows(table);
        }
        Err(error) => failed(session, &name, SchemaChange::Create(None), &error),
    }
    shared.end_create(&name);
}

/// A table with rows of its own from the start.
pub(super) fn load(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_create(&name) {
        return;
    }
    match begin_load(session, &name) {
        Ok(Some((load, acts))) => finish_load(session, &name, load, acts),
        Ok(None) => session.say(format_args!("  gave up loading `{name}`")),
        // The name is taken: by whom, the history tells.
        Err(Error::TableExists(_)) => session.say(format_args!("  there is a `{name}`")),
        Err(error) => session.met("a load", &error),
    }
    shared.end_create(&name);
}

/// Gives a load its rows; `None` where it is to be given up.
fn begin_load(session: &mut Session, name: &str) -> braid::Result<Option<(Loader, Vec<Act>)>> {
    let mut load = session.db.load_table(name)?;
    let mut rows = BTreeMap::new();
    for _ in 0..[0, 3, 30, 200][session.rng.usize(0..4)] {
        let key = any_key(&mut session.rng, session.shared.plan.keys);
        let length = session.value_length();
        let bytes = session.shared.value(length);
        load.put(&key, &bytes)?;
        rows.insert(key, Datum::of(&bytes));
    }
    let table = load.id();
    let acts =
        rows.into_iter().map(|(key, value)| Act { table, tracked: true, what: What::Put { key, value } });
    Ok((session.rng.u8(0..4) > 0).then(|| (load, acts.collect())))
}

fn finish_load(session: &mut Session, name: &str, mut load: Loader, acts: Vec<Act>) {
    let id = load.id();
    let mut finished = load.finish();
    session.history.losses.hidden(finished.as_ref().err());
    if matches!(finished, Err(Error::NoSpace(_) | Error::Io { .. })) {
        session.say(format_args!("  finishing `{name}` failed, and is tried again"));
        finished = load.finish();
        session.history.losses.hidden(finished.as_ref().err());
    }
    let (table, committed) = match finished {
        Ok((table, report)) => (Some(table), Ok(report.commit)),
        Err(Error::TableExists(_)) => return session.say(format_args!("  there is a `{name}`")),
        Err(error) => (None, Err(error)),
    };
    let outcome = outcome(session, committed);
    let (ts, acked) = match outcome {
        Outcome::Committed { ts, acked } => (ts, session.shared.has_power().then_some(acked)),
        Outcome::Unknown { ts } => (ts, None),
        _ => return,
    };
    session.say(format_args!("  loaded `{name}` as {id} with {} rows", acts.len()));
    session.history.schema.push(Schema {
        session: session.number,
        name: name.to_owned(),
        change: SchemaChange::Load(id),
        at: Span { after: ts.saturating_sub(1), until: if acked.is_some() { ts } else { u64::MAX } },
        order: session.shared.moment().number,
        durability: Durability::Sync,
        acked,
    });
    session.history.transactions.push(Transaction {
        session: session.number,
        begin_ts: None,
        read_only: false,
        exclusive: false,
        isolation: Isolation::Snapshot,
        durability: Durability::Sync,
        stands: session.shared.has_power(),
        token: None,
        acts,
        outcome,
    });
    if let Some(table) = table {
        session.knows(table);
    }
}

fn write_down(session: &mut Session, name: &str, change: SchemaChange, after: u64) {
    let now = session.shared.moment();
    let acked = session.shared.has_power().then_some(now);
    let at = session.span_since(after);
    session.history.schema.push(Schema {
        session: session.number,
        name: name.to_owned(),
        change,
        at,
        order: now.number,
        durability: session.shared.plan.options.durability,
        acked,
    });
}

fn failed(session: &mut Session, name: &str, change: SchemaChange, error: &Error) {
    session.met("a change of the catalog", error);
    if let Error::CommitUnknown { commit_ts, .. } = error {
        session.history.schema.push(Schema {
            session: session.number,
            name: name.to_owned(),
            change,
            at: Span { after: commit_ts.get().saturating_sub(1), until: u64::MAX },
            order: session.shared.moment().number,
            durability: session.shared.plan.options.durability,
            acked: None,
        });
    }
}

pub(super) fn find(session: &mut Session) {
    let name = some_name(session);
    match session.db.existing_table(&name) {
        Ok(Some(table)) => session.knows(table),
        Ok(None) => session.say(format_args!("  there is no `{name}`")),
        Err(error) => session.met("looking for a table", &error),
    }
}

pub(super) fn list(session: &mut Session) {
    match session.db.tables() {
        Ok(names) => {
            session.say(format_args!("  {names:?}"));
            if !names.is_sorted() {
                session.shared.wrong(format_args!("the names of tables are out of order: {names:?}"));
            }
        }
        Err(error) => session.met("listing tables", &error),
    }
}

pub(super) fn drop(session: &mut Session) {
    let name = some_name(session);
    let shared = std::sync::Arc::clone(&session.shared);
    if !shared.begin_drop(&name) {
        return;
    }
    if let Some(after) = session.stands() {
        let dropped = session.db.drop_table(&name);
        session.history.losses.hidden(dropped.as_ref().err());
        match dropped {
            Ok(true) => {
                session.say(format_args!("  dropped `{name}`"));
                write_down(session, &name, SchemaChange::Drop, after);
            }
            Ok(false) => session.say(format_args!("  there is no `{name}`")),
            Err(error) => failed(session, &name, SchemaChange::Drop, &error),
        }
    }
    shared.end_drop(&name);
}
