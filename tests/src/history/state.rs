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

    /// What an append makes of a row that nobody looks at meanwhile.
    fn appended(&self, row: &Row, at: u64, bytes: &[u8]) -> Value {
        [self.visible(row, at).map_or(&[][..], Vec::as_slice), bytes].concat()
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
    /// Rows that it appended to and did not look at, with what it appended.
    blind: BTreeMap<Row, Value>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(versions: &'a Versions, at: u64) -> Self {
        Self { versions, at, own: Writes::new(), blind: BTreeMap::new() }
    }

    /// What it wrote, and what its appends make of their rows at `at`.
    pub(super) fn into_writes(self, at: u64) -> (Writes, Writes) {
        let made = |(row, bytes): (Row, Value)| {
            let value = self.versions.appended(&row, at, &bytes);
            (row, Some(value))
        };
        (self.own, self.blind.into_iter().map(made).collect())
    }

    fn get(&self, row: &Row) -> Option<Value> {
        match (self.own.get(row), self.blind.get(row)) {
            (Some(own), _) => own.clone(),
            (None, Some(bytes)) => Some(self.versions.appended(row, self.at, bytes)),
            (None, None) => self.versions.visible(row, self.at).cloned(),
        }
    }

    /// A row that was looked at is from now on written like any other.
    fn look(&mut self, row: &Row) {
        if let Some(bytes) = self.blind.remove(row) {
            self.own.insert(row.clone(), Some(self.versions.appended(row, self.at, &bytes)));
        }
    }

    fn write(&mut self, row: Row, value: Option<Value>) {
        self.blind.remove(&row);
        self.own.insert(row, value);
    }

    /// The rows from the first up to but without the second.
    fn range(&self, from: Row, to: Row) -> Vec<(Row, Value)> {
        if from >= to {
            return Vec::new();
        }
        let within = from..to;
        let stored = self.versions.0.range(within.clone()).map(|(row, _)| row);
        let own = self.own.range(within.clone()).map(|(row, _)| row);
        let blind = self.blind.range(within).map(|(row, _)| row);
        let rows: BTreeSet<&Row> = stored.chain(own).chain(blind).collect();
        rows.into_iter().filter_map(|row| Some((row.clone(), self.get(row)?))).collect()
    }

    /// Asks everything again that the transaction asked, and does what it did.
    pub(super) fn replay(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            let agrees = match op {
                Op::Get { table, key, found } => {
                    let row = (*table, key.clone());
                    self.look(&row);
                    self.get(&row) == *found
                }
                Op::Range { table, from, to, backwards, limit, found } => {
                    let rows = self.range((*table, from.clone()), (*table, to.clone()));
                    let rows = rows.into_iter().map(|((_, key), value)| (key, value));
                    let rows: Vec<_> = if *backwards {
                        rows.rev().take(*limit).collect()
                    } else {
                        rows.take(*limit).collect()
                    };
                    // It may have come to one row more, which the engine then takes for looked at.
                    for (key, _) in found {
                        self.look(&(*table, key.clone()));
                    }
                    rows == *found
                }
                Op::Count { table, found } => {
                    let rows = self.range((*table, Vec::new()), (*table + 1, Vec::new()));
                    rows.iter().for_each(|(row, _)| self.look(row));
                    rows.len() as u64 == *found
                }
                Op::Put { table, key, value } => {
                    self.write((*table, key.clone()), Some(value.clone()));
                    true
                }
                Op::Append { table, key, bytes } => {
                    let row = (*table, key.clone());
                    match self.own.get_mut(&row) {
                        Some(own) => own.get_or_insert_default().extend(bytes),
                        None => self.blind.entry(row).or_default().extend(bytes),
                    }
                    true
                }
                Op::Delete { table, key } => {
                    self.write((*table, key.clone()), None);
                    true
                }
                Op::DeleteRange { table, from, to, removed } => {
                    let rows = self.range((*table, from.clone()), (*table, to.clone()));
                    let count = rows.len() as u64;
                    rows.into_iter().for_each(|(row, _)| self.write(row, None));
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
