//! What a transaction has written so far, and what it had at each of its savepoints.

use std::collections::BTreeMap;

use super::history::{Act, What};
use crate::run::rows::{Datum, Key};

/// Rows by table and key; `None` is a delete.
pub type OwnRows = BTreeMap<u32, BTreeMap<Key, Option<Datum>>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Its rows.
    pub rows: OwnRows,
    /// Savepoints that are open, by their numbers, with the rows there.
    saved: Vec<(u32, OwnRows)>,
}

impl Own {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A row was written.
    pub fn write(&mut self, table: u32, key: &Key, value: Option<Datum>) {
        self.rows.entry(table).or_default().insert(key.clone(), value);
    }

    /// What was written to a row, if anything was.
    #[must_use]
    pub fn get(&self, table: u32, key: &Key) -> Option<Option<Datum>> {
        self.rows.get(&table)?.get(key).copied()
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
                What::Put { .. } | What::Delete { .. } => kept.writes.push(act),
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
