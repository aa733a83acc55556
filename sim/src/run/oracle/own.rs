//! What a transaction has written so far, and what it had at each of its savepoints.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use super::history::{Act, What};
use super::model::Model;
use super::step::{Step, made};
use crate::run::rows::{Datum, Key};

/// What was done to a row.
#[derive(Clone, Debug)]
pub enum OwnRow {
    /// It was written; `None` is a delete.
    Is(Option<Datum>),
    /// It was updated, and not looked at.
    Updated(Vec<Step>),
}

impl OwnRow {
    /// The row, made of what was there before; `None` within is a delete, without: the update is refused.
    #[must_use]
    pub fn value(&self, before: Option<Datum>) -> Option<Option<Datum>> {
        match self {
            Self::Is(value) => Some(*value),
            Self::Updated(steps) => made(before, steps).map(Some),
        }
    }
}

/// Rows by table and key.
pub type OwnRows = BTreeMap<u32, BTreeMap<Key, OwnRow>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Its rows.
    pub rows: OwnRows,
    /// Savepoints that are open, by their numbers, with the rows there.
    saved: Vec<(u32, OwnRows)>,
    /// What it has looked at for certain: the program saw it, whatever is taken back.
    looks: Vec<(u32, Bound<Key>, Bound<Key>)>,
}

impl Own {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A row was written.
    pub fn write(&mut self, table: u32, key: &Key, value: Option<Datum>) {
        self.rows.entry(table).or_default().insert(key.clone(), OwnRow::Is(value));
    }

    /// What was done to a row, if anything was.
    #[must_use]
    pub fn get(&self, table: u32, key: &Key) -> Option<&OwnRow> {
        self.rows.get(&table)?.get(key)
    }

    /// A row was updated; whether that should have been refused.
    #[must_use]
    pub fn update(&mut self, model: &Model, ts: u64, table: u32, key: &Key, step: &Step) -> bool {
        let row = self.rows.entry(table).or_default().entry(key.clone());
        let row = row.or_insert_with(|| OwnRow::Updated(Vec::new()));
        if let OwnRow::Updated(steps) = row
            && steps.last().is_none_or(|last| last.joins(step))
        {
            steps.push(step.clone());
            return false;
        }
        let Some(before) = row.value(model.get(table, key, ts)) else { return true };
        let Some(value) = made(before, std::slice::from_ref(step)) else {
            // It was looked at for this.
            *row = OwnRow::Is(before);
            return true;
        };
        *row = OwnRow::Is(Some(value));
        false
    }

    /// Keys were looked at by a read that is tracked.
    pub fn saw(&mut self, table: u32, from: Bound<Key>, to: Bound<Key>) {
        self.looks.push((table, from, to));
    }

    /// Whether a row was looked at, before it was updated or after.
    #[must_use]
    pub fn has_seen(&self, table: u32, key: &Key) -> bool {
        self.looks.iter().any(|(of, from, to)| *of == table && (from.as_ref(), to.as_ref()).contains(key))
    }

    /// A row was looked at: an update of it is from now on a write.
    pub fn look(&mut self, model: &Model, ts: u64, table: u32, key: &Key) {
        if let Some(row) = self.rows.get_mut(&table).and_then(|rows| rows.get_mut(key))
            && let Some(value) = row.value(model.get(table, key, ts))
        {
            *row = OwnRow::Is(value);
        }
    }

    /// All rows of a range were looked at.
    pub fn look_at_all(&mut self, model: &Model, ts: u64, table: u32, bounds: (&Bound<Key>, &Bound<Key>)) {
        let rows = self.rows.get(&table).into_iter().flatten().map(|(key, _)| key);
        let bounds = (bounds.0.as_ref(), bounds.1.as_ref());
        let looked_at: Vec<Key> = rows.filter(|key| bounds.contains(*key)).cloned().collect();
        looked_at.iter().for_each(|key| self.look(model, ts, table, key));
    }

    /// Does what an act on a savepoint did; what it should have answered where it did not. Other acts are none of this.
    pub fn savepoint(&mut self, what: &What) -> Option<String> {
        let place = |number: u32| self.saved.iter().position(|(open, _)| *open == number);
        match *what {
            What::Savepoint { number } => self.saved.push((number, self.rows.clone())),
            What::TakenBack { to } => {
                let Some(place) = place(to) else { return Some("refused".to_owned()) };
                self.saved.truncate(place + 1);
                self.rows.clone_from(&self.saved[place].1);
            }
            What::Released { number } => {
                let Some(place) = place(number) else { return Some("refused".to_owned()) };
                self.saved.truncate(place);
            }
            What::NoSavepoint { number } => return place(number).map(|_| "open".to_owned()),
            _ => {}
        }
        None
    }
}

/// The acts of a transaction, told apart.
#[derive(Debug, Default)]
pub struct Kept<'a> {
    /// Those that read; a range that was deleted was read too.
    pub reads: Vec<&'a Act>,
    /// Those that wrote, without what was taken back.
    pub writes: Vec<&'a Act>,
}

impl<'a> Kept<'a> {
    /// Goes through the acts.
    #[must_use]
    pub fn of(acts: &'a [Act]) -> Self {
        let (mut kept, mut saved) = (Self::default(), Vec::new());
        for act in acts {
            match act.what {
                What::Put { .. }
                | What::Delete { .. }
                | What::Update { .. }
                | What::Make { .. }
                | What::Unmake { .. }
                | What::Rename { .. }
                | What::RenameAlone { .. } => kept.writes.push(act),
                What::DeleteRange { removed, .. } => {
                    kept.reads.push(act);
                    if removed > 0 {
                        kept.writes.push(act);
                    }
                }
                What::Savepoint { number } => saved.push((number, kept.writes.len())),
                What::TakenBack { to } => {
                    if let Some((_, length)) = saved.iter().find(|(number, _)| *number == to) {
                        kept.writes.truncate(*length);
                    }
                    saved.retain(|(number, _)| *number <= to);
                }
                What::Released { number } => saved.retain(|(open, _)| *open < number),
                _ => kept.reads.push(act),
            }
        }
        kept
    }
}
