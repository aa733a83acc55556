//! The versions of every row, and what one transaction sees of them.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{NAMES, Number, Op, Row, Rows, made_table};

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

    /// The names of the tables that come and go, as they are at a moment, by id.
    pub(super) fn names_at(&self, at: u64) -> BTreeMap<u32, Value> {
        let rows = self.0.range((NAMES, Vec::new())..(NAMES + 1, Vec::new())).map(|(row, _)| row);
        rows.filter_map(|row| Some((id_of(self.visible(row, at)?)?, row.1.clone()))).collect()
    }

    /// The rows that a table has at a moment.
    pub(super) fn rows_of(&self, id: u32, at: u64) -> Vec<Row> {
        let table = made_table(id);
        let rows = self.0.range((table, Vec::new())..(table + 1, Vec::new())).map(|(row, _)| row);
        rows.filter(|row| self.visible(row, at).is_some()).cloned().collect()
    }

    pub(super) fn rows_at(&self, at: u64) -> Rows {
        self.0.keys().filter_map(|row| Some((row.clone(), self.visible(row, at)?.clone()))).collect()
    }
}

/// The id in a row of the names.
fn id_of(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Whether a table that comes and goes has another name after these writes, or none: its id, and the name.
pub(super) fn renamed(before: &BTreeMap<u32, Value>, writes: &Writes) -> BTreeMap<u32, Option<Value>> {
    let mut after = before.clone();
    let names = writes.range((NAMES, Vec::new())..(NAMES + 1, Vec::new()));
    for ((_, name), _) in names.clone() {
        after.retain(|_, known| known != name);
    }
    for ((_, name), id) in names {
        if let Some(id) = id.as_deref().and_then(id_of) {
            after.insert(id, name.clone());
        }
    }
    let ids = before.keys().chain(after.keys());
    ids.filter(|id| before.get(id) != after.get(id)).map(|id| (*id, after.get(id).cloned())).collect()
}

/// What becomes of a row that nobody looks at meanwhile.
#[derive(Clone, Debug)]
enum Blind {
    Bytes(Value),
    Numbers(Vec<Number>),
}

impl Blind {
    fn of(&self, before: Option<&Value>) -> Value {
        match self {
            Self::Bytes(bytes) => [before.map_or(&[][..], Vec::as_slice), bytes].concat(),
            Self::Numbers(changes) => {
                let mut value = before.cloned();
                for change in changes {
                    value = Some(change.of(value.as_ref()));
                }
                value.unwrap_or_default()
            }
        }
    }
}

/// What a transaction has written so far.
#[derive(Clone, Debug, Default)]
struct Own {
    written: Writes,
    /// Rows that it changed and did not look at.
    blind: BTreeMap<Row, Blind>,
}

/// The rows of a moment as one transaction sees them.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    versions: &'a Versions,
    at: u64,
    own: Own,
    /// As it was at each savepoint that is open.
    saved: Vec<Own>,
    /// Only what the commit answers for is to be as it was.
    tracked_only: bool,
}

impl<'a> Sight<'a> {
    pub(super) fn new(versions: &'a Versions, at: u64) -> Self {
        Self { versions, at, own: Own::default(), saved: Vec::new(), tracked_only: false }
    }

    /// Untracked reads may have another answer there than they had.
    pub(super) fn of_tracked(self) -> Self {
        Self { tracked_only: true, ..self }
    }

    /// What it wrote, and what its updates make of their rows at `at`.
    pub(super) fn into_writes(self, at: u64) -> (Writes, Writes) {
        let made = |(row, blind): (Row, Blind)| {
            let value = blind.of(self.versions.visible(&row, at));
            (row, Some(value))
        };
        (self.own.written, self.own.blind.into_iter().map(made).collect())
    }

    fn get(&self, row: &Row) -> Option<Value> {
        let before = self.versions.visible(row, self.at);
        match (self.own.written.get(row), self.own.blind.get(row)) {
            (Some(own), _) => own.clone(),
            (None, Some(blind)) => Some(blind.of(before)),
            (None, None) => before.cloned(),
        }
    }

    /// A row that was looked at is from now on written like any other.
    fn look(&mut self, row: &Row) {
        if let Some(blind) = self.own.blind.remove(row) {
            let value = blind.of(self.versions.visible(row, self.at));
            self.own.written.insert(row.clone(), Some(value));
        }
    }

    fn write(&mut self, row: Row, value: Option<Value>) {
        self.own.blind.remove(&row);
        self.own.written.insert(row, value);
    }

    fn append(&mut self, row: Row, bytes: &[u8]) {
        if let Some(own) = self.own.written.get_mut(&row) {
            return own.get_or_insert_default().extend(bytes);
        }
        match self.own.blind.entry(row).or_insert_with(|| Blind::Bytes(Vec::new())) {
            Blind::Bytes(all) => all.extend(bytes),
            Blind::Numbers(_) => {}
        }
    }

    fn change(&mut self, row: Row, change: Number) {
        if let Some(own) = self.own.written.get_mut(&row) {
            *own = Some(change.of(own.as_ref()));
            return;
        }
        match self.own.blind.entry(row).or_insert_with(|| Blind::Numbers(Vec::new())) {
            Blind::Numbers(all) => all.push(change),
            Blind::Bytes(_) => {}
        }
    }

    /// The rows from the first up to but without the second.
    fn range(&self, from: Row, to: Row) -> Vec<(Row, Value)> {
        if from >= to {
            return Vec::new();
        }
        let within = from..to;
        let stored = self.versions.0.range(within.clone()).map(|(row, _)| row);
        let own = self.own.written.range(within.clone()).map(|(row, _)| row);
        let blind = self.own.blind.range(within).map(|(row, _)| row);
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
                // It is a look like any other, for updates.
                Op::Untracked(read) => {
                    let answered = self.replay(std::slice::from_ref(read));
                    self.tracked_only || answered.is_ok()
                }
                Op::Put { table, key, value } => {
                    self.write((*table, key.clone()), Some(value.clone()));
                    true
                }
                Op::Append { table, key, bytes } => {
                    self.append((*table, key.clone()), bytes);
                    true
                }
                Op::Number { table, key, change } => {
                    self.change((*table, key.clone()), *change);
                    true
                }
                Op::Savepoint => {
                    self.saved.push(self.own.clone());
                    true
                }
                Op::TakenBack => match self.saved.last() {
                    Some(saved) => {
                        self.own.clone_from(saved);
                        true
                    }
                    None => false,
                },
                Op::Released => self.saved.pop().is_some(),
                // It is written when the commit has its place.
                Op::Token { .. } => true,
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
