//! A checker of histories by replay in commit order.
//!
//! A workload records, for each transaction, its snapshot, its commit timestamp, everything that it read with the
//! answer that it got, and everything that it wrote. The checker rebuilds the versions of every row from the writes
//! alone and asks each read again:
//!
//! 1. No two commits have one timestamp, and each lies after its snapshot.
//! 2. Under Snapshot, every read (of losers too) is answered from the state at its snapshot plus its own writes.
//! 3. Under Serializable, the reads of every transaction that wrote and committed are answered the same at its place
//!    in the commit order; the others as under 2.
//! 4. Of two transactions that committed a write to one row the later began after the earlier committed.
//! 5. A loser lost to a commit that is there, wrote the row it is blamed for, and lies after the loser's snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use braid::Isolation;

type Key = Vec<u8>;
type Value = Vec<u8>;
type Rows = BTreeMap<Key, Value>;

/// One operation of a transaction, with its answer.
#[derive(Clone, Debug)]
pub enum Op {
    /// A read of one key.
    Get {
        /// The key.
        key: Key,
        /// What was found.
        found: Option<Value>,
    },
    /// A read of the keys from `from` up to but without `to`.
    Range {
        /// The first key that belongs to it.
        from: Key,
        /// The first key that no longer does.
        to: Key,
        /// Whether it was read from its end.
        backwards: bool,
        /// How many rows were asked for at most.
        limit: usize,
        /// What was found, in the order in which it was found.
        found: Vec<(Key, Value)>,
    },
    /// A count of all rows.
    Count {
        /// What it came to.
        found: u64,
    },
    /// A write of one row.
    Put {
        /// The key.
        key: Key,
        /// The value.
        value: Value,
    },
    /// A delete of one row.
    Delete {
        /// The key.
        key: Key,
    },
    /// A delete of the rows from `from` up to but without `to`.
    DeleteRange {
        /// The first key that belongs to it.
        from: Key,
        /// The first key that no longer does.
        to: Key,
        /// How many rows it removed.
        removed: u64,
    },
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Record {
    /// The snapshot that it read at; `None` for a one-statement write.
    pub begin_ts: Option<u64>,
    /// Its place in the history; `None` when it wrote nothing or did not commit.
    pub commit_ts: Option<u64>,
    /// The level that it asked for.
    pub isolation: Isolation,
    /// The row it is said to have lost on, and the commit it is said to have lost to.
    pub lost: Option<(Key, u64)>,
    /// What it did, in order.
    pub ops: Vec<Op>,
}

/// What a history shows that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// The transactions of one workload, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The transactions.
    pub records: Vec<Record>,
}

/// Every version of every row, oldest first; `None` is a delete.
type Versions = BTreeMap<Key, Vec<(u64, Option<Value>)>>;

fn visible(versions: &[(u64, Option<Value>)], at: u64) -> Option<&Value> {
    let newer = versions.partition_point(|(ts, _)| *ts <= at);
    versions.get(newer.checked_sub(1)?)?.1.as_ref()
}

/// The rows of a moment as one transaction sees them.
struct Sight<'a> {
    versions: &'a Versions,
    at: u64,
    own: BTreeMap<Key, Option<Value>>,
}

impl Sight<'_> {
    fn get(&self, key: &[u8]) -> Option<&Value> {
        match self.own.get(key) {
            Some(own) => own.as_ref(),
            None => visible(self.versions.get(key)?, self.at),
        }
    }

    fn range(&self, from: Bound<&Key>, to: Bound<&Key>) -> Rows {
        let stored = self.versions.range::<Key, _>((from, to)).map(|(key, _)| key);
        let own = self.own.range::<Key, _>((from, to)).map(|(key, _)| key);
        let keys: BTreeSet<&Key> = stored.chain(own).collect();
        keys.into_iter().filter_map(|key| Some((key.clone(), self.get(key)?.clone()))).collect()
    }

    /// Asks everything again that the transaction asked, and does what it did.
    fn replay(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            let agrees = match op {
                Op::Get { key, found } => self.get(key) == found.as_ref(),
                Op::Range { from, to, backwards, limit, found } => {
                    let rows = self.range(Bound::Included(from), Bound::Excluded(to));
                    let rows: Vec<_> = if *backwards {
                        rows.into_iter().rev().take(*limit).collect()
                    } else {
                        rows.into_iter().take(*limit).collect()
                    };
                    rows == *found
                }
                Op::Count { found } => self.range(Bound::Unbounded, Bound::Unbounded).len() as u64 == *found,
                Op::Put { key, value } => {
                    self.own.insert(key.clone(), Some(value.clone()));
                    true
                }
                Op::Delete { key } => {
                    self.own.insert(key.clone(), None);
                    true
                }
                Op::DeleteRange { from, to, removed } => {
                    let rows = self.range(Bound::Included(from), Bound::Excluded(to));
                    let count = rows.len() as u64;
                    self.own.extend(rows.into_keys().map(|key| (key, None)));
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

impl History {
    /// Checks all rules, and returns the rows that the history ends with.
    ///
    /// # Errors
    /// The first violation that is found.
    pub fn check(&self) -> Result<Rows, Violation> {
        let mut committed: BTreeMap<u64, &Record> = BTreeMap::new();
        for record in &self.records {
            let Some(commit_ts) = record.commit_ts else { continue };
            if record.begin_ts.is_some_and(|begin_ts| commit_ts <= begin_ts) {
                return Err(Violation(format!(
                    "a commit at {commit_ts} lies before its snapshot: {record:?}"
                )));
            }
            if let Some(other) = committed.insert(commit_ts, record) {
                return Err(Violation(format!("two commits at {commit_ts}: {record:?} and {other:?}")));
            }
        }

        let mut versions = Versions::new();
        for (&commit_ts, record) in &committed {
            // What a delete of a range removes depends on what it saw, which is checked for itself below.
            let at = record.begin_ts.unwrap_or(commit_ts - 1);
            let mut sight = Sight { versions: &versions, at, own: BTreeMap::new() };
            sight.replay(&record.ops).map_err(|why| Violation(format!("{why}, in {record:?}")))?;
            for (key, value) in sight.own {
                let chain = versions.entry(key.clone()).or_default();
                if let (Some(begin_ts), Some((newest, _))) = (record.begin_ts, chain.last())
                    && *newest > begin_ts
                {
                    return Err(Violation(format!(
                        "lost update of {key:?}, {newest} is overwritten by {record:?}"
                    )));
                }
                chain.push((commit_ts, value));
            }
        }

        for record in &self.records {
            let in_order = record.isolation == Isolation::Serializable;
            let at = match (record.begin_ts, record.commit_ts) {
                (_, Some(commit_ts)) if in_order => commit_ts - 1,
                (Some(begin_ts), None) => begin_ts,
                _ => continue,
            };
            let mut sight = Sight { versions: &versions, at, own: BTreeMap::new() };
            sight.replay(&record.ops).map_err(|why| Violation(format!("{why}, in {record:?}")))?;
            if let (Some((key, winner)), Some(begin_ts)) = (&record.lost, record.begin_ts) {
                let chain = versions.get(key).map_or(&[][..], Vec::as_slice);
                if *winner <= begin_ts || !chain.iter().any(|(ts, _)| ts == winner) {
                    return Err(Violation(format!("nobody wrote {key:?} at {winner}: {record:?}")));
                }
            }
        }

        let end = Sight { versions: &versions, at: u64::MAX, own: BTreeMap::new() };
        Ok(end.range(Bound::Unbounded, Bound::Unbounded))
    }
}

#[cfg(test)]
mod tests {
    //! A checker that finds nothing proves nothing: each rule is shown a history that breaks it.

    use super::*;

    fn put(key: &str, value: &str) -> Op {
        Op::Put { key: key.into(), value: value.into() }
    }

    fn get(key: &str, found: Option<&str>) -> Op {
        Op::Get { key: key.into(), found: found.map(Into::into) }
    }

    fn record(begin_ts: u64, commit_ts: Option<u64>, ops: Vec<Op>) -> Record {
        Record { begin_ts: Some(begin_ts), commit_ts, isolation: Isolation::Snapshot, lost: None, ops }
    }

    fn check(records: Vec<Record>) -> Result<Rows, Violation> {
        History { records }.check()
    }

    #[test]
    fn a_serial_history_passes() {
        let rows = check(vec![
            record(0, Some(1), vec![get("a", None), put("a", "1"), get("a", Some("1"))]),
            record(1, Some(2), vec![get("a", Some("1")), put("a", "2"), Op::Count { found: 1 }]),
            record(1, None, vec![get("a", Some("1"))]),
        ]);
        assert_eq!(rows, Ok(Rows::from([(b"a".to_vec(), b"2".to_vec())])));
    }

    #[test]
    fn a_lost_update_is_found() {
        let first = record(0, Some(1), vec![put("a", "1")]);
        assert!(check(vec![first.clone(), record(0, Some(2), vec![put("a", "2")])]).is_err());
        assert!(check(vec![first, record(1, Some(2), vec![put("a", "2")])]).is_ok());
    }

    #[test]
    fn a_stale_read_is_found() {
        let first = record(0, Some(1), vec![put("a", "1")]);
        assert!(check(vec![first.clone(), record(1, None, vec![get("a", None)])]).is_err());
        assert!(check(vec![first, record(0, None, vec![get("a", None)])]).is_ok());
    }

    #[test]
    fn a_dirty_read_is_found() {
        let aborted = record(0, None, vec![put("a", "1")]);
        assert!(check(vec![aborted, record(0, Some(1), vec![get("a", Some("1")), put("b", "1")])]).is_err());
    }

    #[test]
    fn a_phantom_is_found() {
        let first = record(0, Some(1), vec![put("b", "1")]);
        let range = |found: Vec<(Key, Value)>| Op::Range {
            from: b"a".to_vec(),
            to: b"z".to_vec(),
            backwards: false,
            limit: 9,
            found,
        };
        let row = (b"b".to_vec(), b"1".to_vec());
        assert!(check(vec![first.clone(), record(0, None, vec![range(vec![row.clone()])])]).is_err());
        assert!(check(vec![first, record(1, None, vec![range(vec![row])])]).is_ok());
    }

    #[test]
    fn write_skew_is_found_among_serializable_transactions_only() {
        let skew = |isolation| {
            let one = record(0, Some(1), vec![get("b", None), put("a", "1")]);
            let two = record(0, Some(2), vec![get("a", None), put("b", "1")]);
            check(vec![Record { isolation, ..one }, Record { isolation, ..two }])
        };
        assert!(skew(Isolation::Snapshot).is_ok());
        assert!(skew(Isolation::Serializable).is_err());
    }

    #[test]
    fn a_reused_timestamp_is_found() {
        let one = record(0, Some(1), vec![put("a", "1")]);
        assert!(check(vec![one, record(0, Some(1), vec![put("b", "1")])]).is_err());
    }

    #[test]
    fn a_wrong_winner_is_found() {
        let winner = record(0, Some(1), vec![put("a", "1")]);
        let loser = |lost| Record { lost: Some(lost), ..record(0, None, vec![put("a", "2")]) };
        assert!(check(vec![winner.clone(), loser((b"a".to_vec(), 1))]).is_ok());
        assert!(check(vec![winner.clone(), loser((b"a".to_vec(), 2))]).is_err());
        assert!(check(vec![winner, loser((b"b".to_vec(), 1))]).is_err());
    }
}
