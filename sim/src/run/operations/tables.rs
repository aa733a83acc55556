//! Making, finding and dropping tables.

use braid::Error;

use crate::run::oracle::{Schema, SchemaChange, Span};
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
    match session.db.table(&name) {
        Ok(table) => {
            session.say(format_args!("  made `{name}` as {}", table.id()));
            write_down(session, &name, SchemaChange::Create(Some(table.id())), after);
            session.knows(table);
        }
        Err(error) => failed(session, &name, SchemaChange::Create(None), &error),
    }
    shared.end_create(&name);
}

fn write_down(session: &mut Session, name: &str, change: SchemaChange, after: u64) {
    let acked = Some(session.shared.moment());
    let at = session.span_since(after);
    session.history.schema.push(Schema {
        session: session.number,
        name: name.to_owned(),
        change,
        at,
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
            at: Span::exactly(commit_ts.get()),
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
        match session.db.drop_table(&name) {
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
