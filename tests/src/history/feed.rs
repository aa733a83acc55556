//! What a change feed tells, against the commits.
//!
//! Between where a feed stood and where it came to it gives each commit that wrote something, in order, with just what
//! that left of each row and table; and nothing else.

use std::collections::BTreeMap;

use super::life::Life;
use super::record::{NAMES, Record, Row, TOKENS, made_id};
use super::state::{Writes, renamed};

/// One transaction as a feed gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Rows with what the transaction left of them; `None` is a delete.
    pub rows: BTreeMap<Row, Option<Vec<u8>>>,
    /// Tables that come and go, by id, with their new name; `None`: dropped.
    pub names: BTreeMap<u32, Option<Vec<u8>>>,
}

impl Set {
    /// Whether it has nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.names.is_empty()
    }
}

/// What one feed told, from one place to another.
#[derive(Clone, Debug)]
pub struct Told {
    /// It began after this commit.
    pub after: u64,
    /// It has passed everything up to here.
    pub through: u64,
    /// What it gave, by the place in the history, as it came.
    pub sets: Vec<(u64, Set)>,
    /// When it was read to its end, in ticks.
    pub when: u64,
}

/// A commit as a feed is to give it.
#[derive(Debug)]
pub(super) struct Expected {
    set: Set,
    /// Nobody was told that it is there.
    doubtful: bool,
}

impl Expected {
    /// Of a commit that wrote this, where the tables had these names before.
    pub(super) fn of(record: &Record, writes: &Writes, names: &BTreeMap<u32, Vec<u8>>) -> Self {
        let new_names = renamed(names, writes);
        let is_there = |id: u32| match new_names.get(&id) {
            Some(name) => name.is_some(),
            None => names.contains_key(&id),
        };
        let is_told = |(table, _): &Row| match *table {
            NAMES | TOKENS => false,
            table => made_id(table).is_none_or(is_there),
        };
        let rows = writes.iter().filter(|(row, _)| is_told(row));
        let rows = rows.map(|(row, value)| (row.clone(), value.clone())).collect();
        let doubtful = matches!(record.outcome, super::Outcome::Unknown(_));
        Self { set: Set { rows, names: new_names }, doubtful }
    }

    /// It may have gone in a crash, and nothing that is there says whether it did.
    pub(super) fn doubt(&mut self) {
        self.doubtful = true;
    }
}

/// Compares everything that the feeds of a life told with all commits, those of this life included.
pub(super) fn check(life: &Life, commits: &BTreeMap<u64, Expected>) -> Result<(), String> {
    for told in &life.told {
        let (after, through) = (told.after, told.through);
        let mut last = after;
        for (ts, set) in &told.sets {
            if *ts <= last || *ts > through {
                return Err(format!("a feed from {after} through {through} gives {ts} after {last}"));
            }
            let missing = commits.range(last + 1..*ts).find(|(_, one)| one.is_missed());
            if let Some((missing, _)) = missing {
                return Err(format!("a feed passes over {missing} between {last} and {ts}"));
            }
            match commits.get(ts) {
                Some(expected) if expected.set == *set => {}
                Some(expected) => {
                    return Err(format!("a feed gives {set:?} at {ts} instead of {:?}", expected.set));
                }
                None => return Err(format!("a feed gives {set:?} at {ts}, where nobody committed")),
            }
            last = *ts;
        }
        if last < through
            && let Some((missing, _)) = commits.range(last + 1..=through).find(|(_, one)| one.is_missed())
        {
            return Err(format!("a feed passes over {missing} between {last} and {through}"));
        }
    }
    Ok(())
}

impl Expected {
    /// Whether it is wrong not to give it.
    fn is_missed(&self) -> bool {
        !self.doubtful && !self.set.is_empty()
    }
}
