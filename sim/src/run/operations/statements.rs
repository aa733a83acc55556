//! Statements that write.

use std::ops::Bound;

use braid::{Error, Result};

use super::Scope;
use crate::run::oracle::What;
use crate::run::rows::Datum;

pub(super) fn put(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let length = if key.is_of_number() { size_of::<i64>() } else { scope.session.value_length() };
    let bytes = scope.session.shared.value(length);
    let done = scope.transaction()?.put(&table, &key, &bytes);
    if scope.gone(&table, done)?.is_some() {
        scope.did(&table, What::Put { key, value: Datum::of(&bytes) });
    }
    Ok(())
}

pub(super) fn insert(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let length = scope.session.value_length();
    let bytes = scope.session.shared.value(length);
    match scope.transaction()?.insert(&table, &key, &bytes) {
        Err(Error::KeyExists { .. }) => scope.did(&table, What::Contains { key, found: true }),
        done => {
            if scope.gone(&table, done)?.is_some() {
                scope.did(&table, What::Contains { key: key.clone(), found: false });
                scope.did(&table, What::Put { key, value: Datum::of(&bytes) });
            }
        }
    }
    Ok(())
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let done = scope.transaction()?.delete(&table, &key);
    if scope.gone(&table, done)?.is_some() {
        scope.did(&table, What::Delete { key });
    }
    Ok(())
}

pub(super) fn delete_range(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let (from, to) = scope.bounds();
    let removed = scope.transaction()?.delete_range(&table, (from.clone(), to.clone()));
    if let Some(removed) = scope.gone(&table, removed)? {
        scope.did(&table, What::DeleteRange { from, to, removed });
    }
    Ok(())
}

/// A whole table.
pub(super) fn clear(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let removed = scope.transaction()?.clear(&table);
    if let Some(removed) = scope.gone(&table, removed)? {
        scope.did(&table, What::DeleteRange { from: Bound::Unbounded, to: Bound::Unbounded, removed });
    }
    Ok(())
}
