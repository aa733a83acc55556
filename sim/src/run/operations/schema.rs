//! Statements that make, drop, rename and find tables, in snapshots and transactions. Their tables have names of their own,
//! and the oracle knows of every commit that changed one.

use braid::{Error, Result};

use super::Scope;
use super::transactions::made_alone;
use crate::run::oracle::model::{NAMES as NAMES_TABLE, is_exact};
use crate::run::oracle::{Act, Glimpse, Span, What};
use crate::run::rows::Key;
use crate::run::session::Session;

/// Names that transactions give and take.
const NAMES: u32 = 4;

fn some_name(scope: &mut Scope<'_>) -> String {
    name_for(scope.session)
}

fn name_for(session: &mut Session) -> String {
    format!("x{}", session.rng.u32(0..NAMES))
}

fn key(name: &str) -> Key {
    Key::from(name.as_bytes())
}

impl Scope<'_> {
    fn did_to_names(&mut self, what: What) {
        self.session.say(format_args!("  {what:?}"));
        self.note(Act { table: 0, tracked: true, what });
    }

    /// Looks for a table, and writes the answer down.
    fn id_of(&mut self, name: &str) -> Result<Option<u32>> {
        let found = self.snapshot().existing_table(name)?;
        let id = found.as_ref().map(braid::Table::id);
        self.did_to_names(What::Named { name: key(name), found: id });
        if let Some(table) = found {
            self.session.knows(table);
        }
        Ok(id)
    }
}

pub(super) fn find(scope: &mut Scope<'_>) -> Result<()> {
    let name = some_name(scope);
    scope.id_of(&name).map(drop)
}

pub(super) fn list(scope: &mut Scope<'_>) -> Result<()> {
    let names = scope.snapshot().tables()?;
    let found = names.iter().filter(|name| is_exact(name.as_bytes())).map(|name| key(name)).collect();
    scope.did_to_names(What::Names { found });
    Ok(())
}

pub(super) fn make(scope: &mut Scope<'_>) -> Result<()> {
    let name = some_name(scope);
    match scope.transaction()?.create_table(&name) {
        Ok(table) => {
            scope.did_to_names(What::Make { name: key(&name), id: table.id() });
            scope.session.knows(table);
        }
        // Which one it is it does not say.
        Err(Error::TableExists(_)) => drop(scope.id_of(&name)?),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Finds a table, or makes it.
pub(super) fn find_or_make(scope: &mut Scope<'_>) -> Result<()> {
    let name = some_name(scope);
    let found = scope.id_of(&name)?;
    let table = scope.transaction()?.table(&name)?;
    match found {
        Some(id) if table.id() == id => {}
        Some(id) => scope.session.shared.wrong(format_args!("`{name}` is {id} and opened as {}", table.id())),
        None => scope.did_to_names(What::Make { name: key(&name), id: table.id() }),
    }
    scope.session.knows(table);
    Ok(())
}

pub(super) fn unmake(scope: &mut Scope<'_>) -> Result<()> {
    let name = some_name(scope);
    let found = scope.id_of(&name)?;
    let dropped = scope.transaction()?.drop_table(&name)?;
    if dropped != found.is_some() {
        scope.session.shared.wrong(format_args!("`{name}` is {found:?}, and dropping it says {dropped}"));
    }
    if let Some(id) = found {
        scope.did_to_names(What::Unmake { name: key(&name), id });
    }
    Ok(())
}

pub(super) fn rename(scope: &mut Scope<'_>) -> Result<()> {
    let (from, to) = (some_name(scope), some_name(scope));
    let Some(id) = scope.id_of(&from)? else {
        let renamed = scope.transaction()?.rename_table(&from, &to);
        match renamed {
            Err(Error::NoSuchTable(_)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(()) => scope.session.shared.wrong(format_args!("`{from}`, which is not there, was renamed")),
        }
        return Ok(());
    };
    match scope.transaction()?.rename_table(&from, &to) {
        Ok(()) if from == to => {}
        Ok(()) => scope.did_to_names(What::Rename { from: key(&from), to: key(&to), id }),
        Err(Error::TableExists(_)) => drop(scope.id_of(&to)?),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Outside of a transaction.
pub(super) fn rename_alone(session: &mut Session) {
    let (from, to) = (name_for(session), name_for(session));
    let Some(after) = session.stands() else { return };
    let renamed = session.db.rename_table(&from, &to);
    session.history.losses.hidden(renamed.as_ref().err());
    match &renamed {
        Ok(commit) if from == to => {
            if commit.timestamp.get() < after {
                session.shared.wrong(format_args!("nothing was renamed at {commit:?}, before {after}"));
            }
            return;
        }
        Ok(_) => session.say(format_args!("  renamed `{from}` to `{to}`")),
        Err(Error::NoSuchTable(_)) => {
            // It read what was committed, be it durable or not, as a transaction does that begins now.
            let until = session.db.begin_concurrent().map_or(u64::MAX, |tx| tx.timestamp().get());
            let (session_number, at) = (session.number, Span { after, until });
            let (table, key) = (NAMES_TABLE, key(&from));
            session.history.glimpses.push(Glimpse {
                session: session_number,
                at,
                table,
                key,
                found: Some(None),
            });
            return;
        }
        // Whose it is it does not say.
        Err(Error::TableExists(_)) => return session.say(format_args!("  there is a `{to}`")),
        Err(_) => {}
    }
    made_alone(session, 0, What::RenameAlone { from: key(&from), to: key(&to) }, renamed);
}
