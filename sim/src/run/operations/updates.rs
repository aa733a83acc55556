//! Updates: of rows that are mostly numbers or texts, and now and then of any.

use braid::{Error, Result, Table, Transaction};

use super::Scope;
use super::transactions::one_statement;
use crate::run::oracle::{Step, What};
use crate::run::rows::{Key, any_key, number_key, text_key};
use crate::run::session::Session;

pub(super) fn add(scope: &mut Scope<'_>) -> Result<()> {
    let number = operand(scope.session);
    update(scope, Step::Add(number))
}

pub(super) fn max(scope: &mut Scope<'_>) -> Result<()> {
    let number = operand(scope.session);
    update(scope, Step::Max(number))
}

pub(super) fn min(scope: &mut Scope<'_>) -> Result<()> {
    let number = operand(scope.session);
    update(scope, Step::Min(number))
}

pub(super) fn append(scope: &mut Scope<'_>) -> Result<()> {
    let step = appended(scope.session);
    update(scope, step)
}

fn update(scope: &mut Scope<'_>, step: Step) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = key_for(scope.session, &step);
    let done = apply(scope.transaction()?, &table, &key, &step);
    if let Err(Error::UpdateRefused { .. }) = done {
        scope.did(&table, What::NotUpdated { key, step });
    } else if scope.gone(&table, done)?.is_some() {
        scope.did(&table, What::Update { key, step });
    }
    Ok(())
}

fn apply(tx: &mut Transaction, table: &Table, key: &Key, step: &Step) -> Result<()> {
    match step {
        Step::Add(number) => tx.add(table, key, *number),
        Step::Max(number) => tx.max(table, key, *number),
        Step::Min(number) => tx.min(table, key, *number),
        Step::Append(bytes) => tx.append(table, key, bytes),
    }
}

/// One in a transaction of its own.
pub(super) fn one(session: &mut Session) {
    let Some(table) = session.some_table() else { return };
    let number = operand(session);
    let step = match session.rng.u8(0..6) {
        0 => Step::Max(number),
        1 => Step::Min(number),
        2 => appended(session),
        _ => Step::Add(number),
    };
    let key = key_for(session, &step);
    session.say(format_args!("  {}({}) {key:?} {step:?}", table.name(), table.id()));
    let db = &session.db;
    let committed = match &step {
        Step::Add(number) => db.add(&table, &key, *number),
        Step::Max(number) => db.max(&table, &key, *number),
        Step::Min(number) => db.min(&table, &key, *number),
        Step::Append(bytes) => db.append(&table, &key, bytes),
    };
    one_statement(session, table.id(), What::Update { key, step }, committed);
}

fn operand(session: &mut Session) -> i64 {
    let rng = &mut session.rng;
    match rng.u8(0..40) {
        0 => i64::MAX,
        1 => i64::MIN,
        _ => rng.i64(-100..100),
    }
}

fn appended(session: &mut Session) -> Step {
    let byte = session.rng.u8(..);
    Step::Append(vec![byte; session.rng.usize(0..24)])
}

fn key_for(session: &mut Session, step: &Step) -> Key {
    let keys = session.shared.plan.keys;
    let rng = &mut session.rng;
    match (rng.u8(0..10), step) {
        (0, _) => any_key(rng, keys),
        (_, Step::Append(_)) => text_key(rng),
        _ => number_key(rng),
    }
}
