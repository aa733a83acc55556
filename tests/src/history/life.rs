//! A life of a database: from one open to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use braid::Durability;

use super::feed::Told;
use super::ids::ToldIds;
use super::record::{Record, Row, Rows};
use super::state::{Versions, Writes};

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process let go of the database, or died at this tick: what it says later, nobody hears.
    Killed(u64),
    /// The machine lost its power, or a sync failed.
    PowerCut,
}

/// What happened between an open and the next.
#[derive(Clone, Debug)]
pub struct Life {
    /// The transactions, in any order.
    pub records: Vec<Record>,
    /// The newest timestamp that an explicit sync or a checkpoint made durable.
    pub synced: u64,
    /// How it ended.
    pub end: End,
    /// The rows that the next open found; `None` where nobody looked.
    pub found: Option<Rows>,
    /// What change feeds told: no crash takes that back.
    pub told: Vec<Told>,
    /// Tokens that were answered with a place in the history, and when.
    pub answers: Vec<(Vec<u8>, u64, u64)>,
    /// What was told of the sequence, a handle's ids in their order.
    pub ids: Vec<ToldIds>,
}

impl Life {
    /// One that goes on.
    #[must_use]
    pub fn of(records: Vec<Record>) -> Self {
        let (told, answers, ids) = (Vec::new(), Vec::new(), Vec::new());
        Self { records, synced: 0, end: End::Killed(u64::MAX), found: None, told, answers, ids }
    }

    /// Everything that may stand, in order.
    pub(super) fn commits(&self) -> Result<BTreeMap<u64, &Record>, String> {
        let mut commits = BTreeMap::new();
        for record in &self.records {
            let Some(commit_ts) = record.commit_ts() else { continue };
            if record.begin_ts.is_some_and(|begin_ts| commit_ts <= begin_ts) {
                return Err(format!("a commit at {commit_ts} lies before its snapshot: {record:?}"));
            }
            if let Some(other) = commits.insert(commit_ts, record) {
                return Err(format!("two commits at {commit_ts}: {record:?} and {other:?}"));
            }
        }
        Ok(commits)
    }

    /// The commit that must be there at the next open, with everything before it.
    fn promised(&self) -> u64 {
        let answered = self.answers.iter().map(|(_, ts, when)| (*ts, Some(*when)));
        let observed = self.records.iter().filter_map(Record::observed).chain(answered);
        let told = self.told.iter().filter_map(|told| Some((told.sets.last()?.0, told.when)));
        let told = match self.end {
            End::Killed(at) => told.filter(|(_, when)| *when < at).map(|(ts, _)| ts).max(),
            End::PowerCut => told.map(|(ts, _)| ts).max(),
        };
        match self.end {
            End::Killed(at) => {
                observed.filter(|(_, when)| when.is_none_or(|when| when < at)).map(|(ts, _)| ts).max()
            }
            End::PowerCut => {
                let observed = observed.map(|(ts, _)| ts).max().unwrap_or(0);
                let durable = self.records.iter().filter(|record| record.durability == Durability::Sync);
                durable.filter_map(Record::commit_ts).filter(|ts| *ts <= observed).max()
            }
        }
        .max(told)
        .unwrap_or(0)
        .max(self.synced)
    }

    /// The commit after which the next open found the database, given the state before this life and what each of its
    /// commits wrote. Of several with one state it is the first or the last, or between them: the delete of a row that is
    /// not there leaves no other trace than in the log.
    pub(super) fn stands(
        &self,
        before: u64,
        versions: &Versions,
        commits: &[(u64, Writes)],
    ) -> Result<RangeInclusive<u64>, String> {
        let Some(found) = &self.found else {
            let last = commits.last().map_or(before, |(ts, _)| *ts);
            return Ok(last..=last);
        };
        let promised = self.promised();
        // Only commits have a state of their own: a promise in between is one of the last before it.
        let promised = commits.iter().map(|(ts, _)| *ts).filter(|ts| *ts <= promised).max().unwrap_or(before);
        let mut rows = versions.rows_at(before);
        let mut wrong = rows.iter().filter(|(row, value)| found.get(*row) != Some(*value)).count()
            + found.keys().filter(|row| !rows.contains_key(*row)).count();
        let (mut too_early, mut ends) = (None, None);
        // The state that comes nearest, and how it differs.
        let mut nearest = (usize::MAX, before, Vec::new());
        let states =
            std::iter::once((before, None)).chain(commits.iter().map(|(ts, writes)| (*ts, Some(writes))));
        for (ts, writes) in states {
            for (row, value) in writes.into_iter().flatten() {
                let wanted = found.get(row);
                wrong -= usize::from(rows.get(row) != wanted);
                wrong += usize::from(value.as_ref() != wanted);
                match value {
                    Some(value) => rows.insert(row.clone(), value.clone()),
                    None => rows.remove(row),
                };
            }
            if wrong < nearest.0 {
                nearest = (wrong, ts, differences(&rows, found));
            }
            if wrong == 0 && ts >= promised {
                let first = ends.map_or(ts, |ends: RangeInclusive<u64>| *ends.start());
                ends = Some(first..=ts);
            } else if wrong == 0 {
                too_early = Some(ts);
            }
        }
        ends.ok_or_else(|| match too_early {
            Some(ts) => {
                format!("the next open found the state after {ts}, and {promised} was promised to stand")
            }
            None => {
                let (_, ts, differences) = nearest;
                let of = format!("of {promised} promised, that after {ts} comes nearest");
                format!(
                    "the next open found a state that is not the one after any commit; {of}: {differences:?}"
                )
            }
        })
    }
}

/// A row, how it is, and how it was found.
type Difference = (Row, Option<Vec<u8>>, Option<Vec<u8>>);

/// Some rows that differ.
fn differences(rows: &Rows, found: &Rows) -> Vec<Difference> {
    let all: BTreeSet<&Row> = rows.keys().chain(found.keys()).collect();
    let differ = all.into_iter().filter(|row| rows.get(*row) != found.get(*row)).take(4);
    differ.map(|row| (row.clone(), rows.get(row).cloned(), found.get(row).cloned())).collect()
}
