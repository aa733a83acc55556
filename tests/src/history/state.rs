//! The versions of every row, and what one transaction sees of them.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Op, Row, Rows};

type Value = Vec<u8>;

/// What a transaction wrote; `None` is a delete.
pub(super) type Writes = BTreeMap<Row, Option<Value>>;

/// Every version of every row, oldest first; `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct Versions(BTreeMap<Row, Vec<(u64, Option<Value>)>>);

impl Versions {
    fn visible(&self, row: &Row, at: u64) -> Option<&Value> {
        let chain = self.of(row);
        let newer = chain.partition_point(|(ts, _)| *ts <= at);
        chain.get(newer.checked_sub(1)?)?.1.as_ref()
    }

    pub(super) fn of(&self, row: &Row) -> &[(u64, Option<Value>)] {
        self.0.get(row).map_or(&[], Vec::as_slice)
    }

    /// Adds a commit that is newer than all others.
    pub(super) fn install(&mut self, commit_ts: u64, writes: &Writes) {
        for (row, value) in writes {
            self.0.entry(row.clone()).or_default().push((commit_ts, value.clone()));
        }
    }

    /// Forgets everything that lies after `end`.
    pub(super) fn cut_after(&mut self, end: u64) {
        for chain in self.0.values_mut() {
            chain.truncate(chain.partition_point(|(ts, _)| *ts <= end));
        }
    }

    pub(super) fn rows_at(&self, at: u64) -> Rows {
        self.0.keys().filter_map(|row| Some((row.clone(), self.visible(row, at)?.clone()))).collect()
    }
}

/// The rows of a moment as one transaction sees them.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    versions: &'a Versions,
    at: u64,
    own: Writes,
}

impl<'a> Sight<'a> {
    pub(super) fn new(versions: &'a Versions, at: u64) -> Self {
        Self { versions, at, own: Writes::new() }
    }

    pub(super) fn into_writes(self) -> Writes {
        self.own
    }

    fn get(&self, row: &Row) -> Option<&Value> {
        match self.own.get(row) {
            Some(own) => own.as_ref(),
            None => self.versions.visible(row, self.at),
        }
    }

    /// The rows from the first up to but without the second.
    fn range(&self, from: Row, to: Row) -> Vec<(Row, Value)> {
        if from >= to {
            return Vec::new();
        }
        let within = from..to;
        let stored = self.versions.0.range(within.clone()).map(|(row, _)| row);
        let own = self.own.range(within).map(|(row, _)| row);
        let rows: BTreeSet<&Row> = stored.chain(own).collect();
        rows.into_iter().filter_map(|row| Some((row.clone(), self.get(row)?.clone()))).collect()
    }

    /// Asks everything again that the transaction asked, and does what it did.
    pub(super) fn replay(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            let agrees = match op {
                Op::Get { table, key, found } => self.get(&(*table, key.clone())) == found.as_ref(),
                Op::Range { table, from, to, backwards, limit, found } => {
                    let rows = self.range((*table, from.clone()), (*table, to.clone()));
                    let rows = rows.into_iter().map(|((_, key), value)| (key, value));
                    let rows: Vec<_> = if *backwards {
                        rows.rev().take(*limit).collect()
                    } else {
                        rows.take(*limit).collect()
                    };
                    rows == *found
                }
                Op::Count { table, found } => {
                    self.range((*table, Vec::new()), (*table + 1, Vec::new())).len() as u64 == *found
                }
                Op::Put { table, key, value } => {
                    self.own.insert((*table, key.clone()), Some(value.clone()));
                    true
                }
                Op::Delete { table, key } => {
                    self.own.insert((*table, key.clone()), None);
                    true
                }
                Op::DeleteRange { table, from, to, removed } => {
                    let rows = self.range((*table, from.clone()), (*table, to.clone()));
                    let count = rows.len() as u64;
                    self.own.extend(rows.into_iter().map(|(row, _)| (row, None)));
                    count == *removed
                }
            };
            if !agrees {
                return Err(format!("{op:?} has another answer in the state at {}", self.at));
            }
        }
        Ok(())
    }
}
