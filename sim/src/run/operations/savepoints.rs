//! Savepoints of a transaction: made, gone back to and released, the ones that are closed already too.

use braid::{Error, Result, Savepoint};

use super::Scope;
use crate::run::oracle::What;

pub(super) fn make(scope: &mut Scope<'_>) -> Result<()> {
    let made = scope.transaction()?.savepoint()?;
    scope.savepoints.push(made);
    let number = scope.savepoints.len() - 1;
    scope.did_to_savepoint(What::Savepoint { number: of(number) });
    Ok(())
}

pub(super) fn take_back(scope: &mut Scope<'_>) -> Result<()> {
    let Some((number, savepoint)) = some(scope) else { return Ok(()) };
    let done = scope.transaction()?.rollback_to(&savepoint);
    ended(scope, done, number, What::TakenBack { to: number })
}

pub(super) fn release(scope: &mut Scope<'_>) -> Result<()> {
    let Some((number, savepoint)) = some(scope) else { return Ok(()) };
    let done = scope.transaction()?.release(savepoint);
    ended(scope, done, number, What::Released { number })
}

fn ended(scope: &mut Scope<'_>, done: Result<()>, number: u32, what: What) -> Result<()> {
    match done {
        Ok(()) => scope.did_to_savepoint(what),
        Err(Error::NoSuchSavepoint) => scope.did_to_savepoint(What::NoSavepoint { number }),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// One of them; mostly a late one, which is likely to be open.
fn some(scope: &mut Scope<'_>) -> Option<(u32, Savepoint)> {
    let count = scope.savepoints.len();
    let back = scope.session.rng.usize(0..count.max(1)) / if scope.session.rng.bool() { 1 } else { 4 };
    let number = count.checked_sub(1 + back)?;
    Some((of(number), *scope.savepoints.get(number)?))
}

fn of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
