//! What feeds have told, against the history.
//!
//! 1. Each transaction that a feed gives is one that committed there, with just the rows that it wrote.
//! 2. Between where a feed stood and where it came to, none is missing: of this life, nor of those before.
//! 3. A table is made where somebody made it, and one that was made for sure is told. Where the rows of the catalog are known,
//!    what is told of tables is just what they say.

use std::collections::BTreeMap;

use super::Verdict;
use super::history::{History, Outcome, Told, ToldChange};
use super::model::{Model, Written};
use crate::run::rows::Datum;

/// Every feed of a life, given what is known of the lives before.
///
/// # Errors
/// The first thing that is wrong.
pub fn feeds(settled: &BTreeMap<u64, Written>, model: &Model, history: &History, start: u64) -> Verdict {
    let now = model.written(start);
    let doubtful = |ts: u64| {
        history.transactions.iter().any(|one| matches!(one.outcome, Outcome::Unknown { ts: at } if at == ts))
    };
    for told in &history.told {
        let mut sets = told.sets.iter().peekable();
        let mut last = told.after;
        for (ts, changes) in &told.sets {
            if *ts <= last || *ts > told.through {
                return Err(format!("it gives {ts} after {last}: {told:?}"));
            }
            last = *ts;
            let rows = rows_of(changes);
            let expected = settled.get(ts).or_else(|| now.get(ts)).cloned().unwrap_or_default();
            if rows != expected {
                return Err(format!("a feed gives {rows:?} at {ts} instead of {expected:?}"));
            }
            tables(model, *ts, changes, start)?;
            if *ts > start {
                exact(model, *ts, changes)?;
            }
        }
        let range = told.after.saturating_add(1)..=told.through;
        if range.is_empty() {
            continue;
        }
        for (ts, written) in settled.range(range.clone()).chain(now.range(range)) {
            while sets.next_if(|(given, _)| given < ts).is_some() {}
            if sets.next_if(|(given, _)| given == ts).is_none() && !doubtful(*ts) {
                return Err(format!("a feed passes over {written:?} at {ts}: {told:?}"));
            }
        }
        made(model, told)?;
    }
    Ok(())
}

fn rows_of(changes: &[ToldChange]) -> Written {
    let row = |change: &ToldChange| match change {
        ToldChange::Row { table, key, value } => Some(((*table, key.clone()), *value)),
        _ => None,
    };
    changes.iter().filter_map(row).collect()
}

/// Rule 3, of what was told.
fn tables(model: &Model, ts: u64, changes: &[ToldChange], start: u64) -> Verdict {
    for change in changes {
        let right = match change {
            // What an earlier life did with its tables is not known any more.
            _ if ts <= start => true,
            // See `exact`.
            change if change.of_table().is_some_and(|table| model.exact.contains(&table)) => true,
            ToldChange::Renamed { .. } => false,
            ToldChange::Row { .. } => true,
            ToldChange::Made { table, name, loaded } => match model.tables.get(table) {
                Some(known) => {
                    known.name == *name
                        && known.loaded == *loaded
                        && known.created.is_some_and(|created| created.holds(ts))
                }
                None => model.perhaps.iter().any(|(perhaps, at)| perhaps == name && at.holds(ts)),
            },
            ToldChange::Dropped { table } => match model.tables.get(table) {
                Some(known) => known.dropped.is_some_and(|dropped| dropped.holds(ts)),
                None => true,
            },
        };
        if !right {
            return Err(format!("a feed gives {change:?} at {ts}, and nobody did that then"));
        }
    }
    Ok(())
}

/// Rule 3, of tables whose rows in the catalog are known.
fn exact(model: &Model, ts: u64, changes: &[ToldChange]) -> Verdict {
    let told = |id: u32| changes.iter().find(|change| change.of_table() == Some(id));
    let did = model.renamings_at(ts);
    for (id, before, after) in &did {
        let is = |name: &str, datum: &Datum| Datum::of(name.as_bytes()) == *datum;
        let right = match (before, after, told(*id)) {
            (None, None, None) | (Some(_), None, Some(ToldChange::Dropped { .. })) => true,
            (None, Some(new), Some(ToldChange::Made { name, loaded: false, .. })) => is(name, new),
            (Some(old), Some(new), None) => old == new,
            (Some(old), Some(new), Some(ToldChange::Renamed { name, .. })) => old != new && is(name, new),
            _ => false,
        };
        if !right {
            return Err(format!(
                "a feed gives {:?} of table {id} at {ts}: {before:?} to {after:?}",
                told(*id)
            ));
        }
    }
    for id in changes.iter().filter_map(ToldChange::of_table).filter(|id| model.exact.contains(id)) {
        if !did.iter().any(|(did, ..)| *did == id) {
            return Err(format!("a feed gives {:?} at {ts}, and nobody did that then", told(id)));
        }
    }
    Ok(())
}

/// Rule 3, of what must have been told.
fn made(model: &Model, told: &Told) -> Verdict {
    for (id, table) in &model.tables {
        let Some(created) = table.created else { continue };
        if created.after < told.after || created.until > told.through {
            continue;
        }
        let is_it = |change: &ToldChange| matches!(change, ToldChange::Made { table, .. } if table == id);
        if !told.sets.iter().any(|(_, changes)| changes.iter().any(is_it)) {
            return Err(format!("a feed passes over the making of table {id} at {created:?}: {told:?}"));
        }
    }
    Ok(())
}
