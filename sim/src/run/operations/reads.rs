//! Statements that read.

use std::ops::Bound;

use braid::{Cursor, Range, Result, Table};

use super::Scope;
use crate::run::oracle::What;
use crate::run::rows::{Datum, Key};

pub(super) fn get(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let found = if scope.session.rng.bool() {
        scope.snapshot().get(&table, &key).map(|value| value.map(|bytes| Datum::of(&bytes)))
    } else {
        scope.snapshot().get_with(&table, &key, Datum::of)
    };
    if let Some(found) = scope.gone(&table, found)? {
        scope.did(&table, What::Get { key, found });
    }
    Ok(())
}

pub(super) fn contains(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let found = scope.snapshot().contains(&table, &key);
    if let Some(found) = scope.gone(&table, found)? {
        scope.did(&table, What::Contains { key, found });
    }
    Ok(())
}

pub(super) fn count(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let (from, to) = scope.bounds();
    let found = match (&from, &to) {
        (Bound::Unbounded, Bound::Unbounded) => scope.snapshot().count(&table),
        _ => scope.snapshot().count_range(&table, (from.clone(), to.clone())),
    };
    if let Some(found) = scope.gone(&table, found)? {
        scope.did(&table, What::Count { from, to, found });
    }
    Ok(())
}

/// One of the others, for which a `Serializable` commit does not answer.
pub(super) fn untracked(scope: &mut Scope<'_>) -> Result<()> {
    let untracked = scope.transaction()?.untracked();
    scope.untracked = Some(untracked);
    let reads = [get, contains, range, range_prefix, range_after, count, cursor, get_untracked];
    let read = reads[scope.session.rng.usize(0..reads.len())](scope);
    scope.untracked = None;
    read
}

fn get_untracked(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let found = scope.transaction()?.get_untracked(&table, &key).map(|value| value.as_deref().map(Datum::of));
    if let Some(found) = scope.gone(&table, found)? {
        scope.did(&table, What::Get { key, found });
    }
    Ok(())
}

/// A range from both ends, to its end or not.
pub(super) fn range(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let bounds = scope.bounds();
    let whole = matches!(&bounds, (Bound::Unbounded, Bound::Unbounded)) && scope.session.rng.bool();
    let rows =
        if whole { scope.snapshot().scan(&table) } else { scope.snapshot().range(&table, bounds.clone()) };
    let tracked = scope.untracked.is_none();
    consume(scope, &table, bounds, rows, tracked)
}

/// A range for which a `Serializable` commit does not answer.
pub(super) fn range_untracked(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let bounds = scope.bounds();
    let rows = scope.transaction()?.range_untracked(&table, bounds.clone());
    consume(scope, &table, bounds, rows, false)
}

/// The rows whose keys begin as some key does.
pub(super) fn range_prefix(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let mut prefix = scope.key().as_ref().to_vec();
    let kept = scope.session.rng.usize(0..=prefix.len());
    prefix.truncate(kept);
    let rows = scope.snapshot().range_prefix(&table, &prefix);
    // No key holds a byte as great as this one.
    let beyond = [&prefix[..], &[u8::MAX]].concat();
    let bounds = (Bound::Included(Key::from(prefix)), Bound::Excluded(Key::from(beyond)));
    let tracked = scope.untracked.is_none();
    consume(scope, &table, bounds, rows, tracked)
}

/// The rows after some key.
pub(super) fn range_after(scope: &mut Scope<'_>) -> Result<()> {
    let Some(table) = scope.session.some_table() else { return Ok(()) };
    let key = scope.key();
    let rows = scope.snapshot().range_after(&table, &key);
    let tracked = scope.untracked.is_none();
    consume(scope, &table, (Bound::Excluded(key), Bound::Unbounded), rows, tracked)
}

/// Takes some rows of a range, or all of them, and writes them down.
fn consume(
    scope: &mut Scope<'_>,
    table: &Table,
    (from, to): (Bound<Key>, Bound<Key>),
    rows: Result<Range>,
    tracked: bool,
) -> Result<()> {
    let Some(mut rows) = scope.gone(table, rows)? else { return Ok(()) };
    let most = if scope.session.rng.bool() { usize::MAX } else { scope.session.rng.usize(1..12) };
    let from_back = scope.session.rng.u8(0..=4);
    let (mut front, mut back, mut ended) = (Vec::new(), Vec::new(), false);
    while front.len() + back.len() < most {
        let backwards = scope.session.rng.u8(0..4) < from_back;
        let row = if backwards { rows.next_back() } else { rows.next() };
        let Some((key, value)) = row.transpose()? else {
            ended = true;
            break;
        };
        let row = (Key::from(key), Datum::of(&value));
        if backwards { back.push(row) } else { front.push(row) }
    }
    scope.did_so(table, What::Range { from, to, front, back, ended }, tracked);
    Ok(())
}

/// A cursor, and where it stands.
#[derive(Debug)]
pub(super) struct Walk {
    cursor: Cursor,
    table: Table,
    place: Place,
    tracked: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Nowhere,
    On(Key),
    /// Beyond the last row that way.
    Beyond {
        backwards: bool,
    },
}

/// Some moves of a cursor that was open already, or of a new one. Each is a range with at most one row.
pub(super) fn cursor(scope: &mut Scope<'_>) -> Result<()> {
    let kept = (!scope.walks.is_empty() && scope.session.rng.bool()).then(|| scope.walks.pop()).flatten();
    let mut walk = match kept {
        Some(walk) => walk,
        None => {
            let Some(table) = scope.session.some_table() else { return Ok(()) };
            let cursor = scope.snapshot().cursor(&table);
            let Some(cursor) = scope.gone(&table, cursor)? else { return Ok(()) };
            Walk { cursor, table, place: Place::Nowhere, tracked: scope.untracked.is_none() }
        }
    };
    for _ in 0..scope.session.rng.u32(1..8) {
        step(scope, &mut walk)?;
    }
    if scope.walks.len() < 3 {
        scope.walks.push(walk);
    }
    Ok(())
}

fn step(scope: &mut Scope<'_>, walk: &mut Walk) -> Result<()> {
    let backwards = scope.session.rng.u8(0..5) < 2;
    let (moved, start) = match scope.session.rng.u8(0..8) {
        0 => {
            let moved = if backwards { walk.cursor.last() } else { walk.cursor.first() };
            (moved, Bound::Unbounded)
        }
        1 | 2 => {
            let key = scope.key();
            let moved = if backwards { walk.cursor.seek_le(&key) } else { walk.cursor.seek_ge(&key) };
            (moved, Bound::Included(key))
        }
        _ => {
            let start = match &walk.place {
                Place::On(key) => Bound::Excluded(key.clone()),
                // Beyond an end it stays; the other way leads to the last row before it.
                Place::Beyond { backwards: end } if *end == backwards => return Ok(()),
                Place::Nowhere | Place::Beyond { .. } => Bound::Unbounded,
            };
            (if backwards { walk.cursor.prev() } else { walk.cursor.next() }, start)
        }
    };
    let Some(found) = scope.gone(&walk.table, moved)? else { return Ok(()) };
    let row = if found { walk.cursor.row()? } else { None };
    let row: Vec<_> = row.map(|(key, value)| (Key::from(key), Datum::of(value))).into_iter().collect();
    walk.place = match row.first() {
        Some((key, _)) => Place::On(key.clone()),
        None => Place::Beyond { backwards },
    };
    let ended = row.is_empty();
    let what = if backwards {
        What::Range { from: Bound::Unbounded, to: start, front: Vec::new(), back: row, ended }
    } else {
        What::Range { from: start, to: Bound::Unbounded, front: row, back: Vec::new(), ended }
    };
    scope.did_so(&walk.table, what, walk.tracked);
    Ok(())
}
