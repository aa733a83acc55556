//! The replay.

use std::collections::BTreeMap;

use braid::Isolation;

use super::feed::{self, Expected};
use super::looks::Looks;
use super::record::{Kind, Op, Record, Rows, TOKENS, made_id};
use super::state::{Sight, Versions, Writes, renamed};
use super::{ids, life::Life, lost, real_time};

/// What a history shows that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// What a history comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rows that it ends with.
    pub rows: Rows,
    /// For each life, the newest commit that stands after it.
    pub ends: Vec<u64>,
}

/// The lives of one database, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The lives.
    pub lives: Vec<Life>,
}

impl History {
    /// One life that goes on.
    #[must_use]
    pub fn of(records: Vec<Record>) -> Self {
        Self { lives: vec![Life::of(records)] }
    }

    /// Checks all rules.
    ///
    /// # Errors
    /// The first violation that is found.
    pub fn check(&self) -> Result<Verdict, Violation> {
        let mut replay = Replay::default();
        let mut ends = Vec::with_capacity(self.lives.len());
        for (number, life) in self.lives.iter().enumerate() {
            replay.life(life).map_err(|why| Violation(format!("life {number}: {why}")))?;
            ends.push(replay.stands);
        }
        Ok(Verdict { rows: replay.versions.rows_at(u64::MAX), ends })
    }
}

/// The history so far.
#[derive(Debug, Default)]
struct Replay {
    versions: Versions,
    /// The newest timestamp that any life issued.
    issued: u64,
    /// The newest commit that stands.
    stands: u64,
    /// What feeds are to give.
    told: BTreeMap<u64, Expected>,
    ids: ids::SoFar,
}

impl Replay {
    fn life(&mut self, life: &Life) -> Result<(), String> {
        let commits = life.commits()?;
        if let Some((first, record)) = commits.first_key_value()
            && *first <= self.issued
        {
            return Err(format!(
                "{first} was issued again, an earlier life went to {}: {record:?}",
                self.issued
            ));
        }
        let mut written = Vec::with_capacity(commits.len());
        for (&commit_ts, record) in &commits {
            written.push((commit_ts, self.commit(commit_ts, record)?));
        }
        for record in &life.records {
            if record.begin_ts.is_some_and(|begin_ts| begin_ts < self.stands) {
                return Err(format!("it misses {}, which this life began with: {record:?}", self.stands));
            }
            self.answers(record).map_err(|why| format!("{why}, in {record:?}"))?;
        }
        real_time::check(&life.records)?;
        feed::check(life, &self.told)?;
        self.ids.live(&life.ids, life.end)?;
        for (token, ts, _) in &life.answers {
            if !self.versions.of(&(TOKENS, token.clone())).iter().any(|(at, _)| at == ts) {
                return Err(format!("{:?} is answered {ts}, where it is not", token.escape_ascii()));
            }
        }

        let stamps = life.records.iter().flat_map(|record| [record.begin_ts, record.commit_ts()]);
        self.issued = stamps.flatten().chain([self.issued]).max().unwrap_or(0);
        let ends = life.stands(self.stands, &self.versions, &written)?;
        self.stands = *ends.start();
        self.versions.cut_after(self.stands);
        drop(self.told.split_off(&(ends.end() + 1)));
        self.told.range_mut(self.stands + 1..).for_each(|(_, expected)| expected.doubt());
        Ok(())
    }

    /// Adds one commit, the newest so far.
    fn commit(&mut self, commit_ts: u64, record: &Record) -> Result<Writes, String> {
        // What a delete of a range removes depends on what it saw.
        let mut sight = Sight::new(&self.versions, record.begin_ts.unwrap_or(commit_ts - 1));
        sight.replay(&record.ops).map_err(|why| format!("{why}, in {record:?}"))?;
        let (mut writes, appended) = sight.into_writes(commit_ts - 1);
        for row in writes.keys() {
            if let (Some(begin_ts), Some((newest, _))) = (record.begin_ts, self.versions.of(row).last())
                && *newest > begin_ts
            {
                return Err(format!("lost update of {row:?}, {newest} is overwritten by {record:?}"));
            }
        }
        let looks = Looks::of(&record.ops);
        for row in appended.keys().filter(|row| looks.has(row)) {
            if let (Some(begin_ts), Some((newest, _))) = (record.begin_ts, self.versions.of(row).last())
                && *newest > begin_ts
            {
                return Err(format!("lost update of {row:?}, which it had looked at, by {record:?}"));
            }
        }
        writes.extend(appended);
        for op in &record.ops {
            let Op::Token { token } = op else { continue };
            let row = (TOKENS, token.clone());
            if !self.versions.of(&row).is_empty() {
                return Err(format!("its token was committed before: {record:?}"));
            }
            writes.insert(row, Some(commit_ts.to_be_bytes().to_vec()));
        }
        self.tables(commit_ts, record, &looks, &mut writes)?;
        self.versions.install(commit_ts, &writes);
        Ok(writes)
    }

    /// Looks that no table which the commit used was changed since it began. Tables that it drops take their rows
    /// along, and those it says nothing of to the feeds.
    fn tables(
        &mut self,
        commit_ts: u64,
        record: &Record,
        looks: &Looks,
        writes: &mut Writes,
    ) -> Result<(), String> {
        let names = self.versions.names_at(commit_ts - 1);
        if let Some(begin_ts) = record.begin_ts {
            let began = self.versions.names_at(begin_ts);
            let written = writes.keys().map(|(table, _)| *table);
            let looked_at = looks.tables().filter(|_| !writes.is_empty());
            for id in written.chain(looked_at).filter_map(made_id) {
                if began.contains_key(&id) && began.get(&id) != names.get(&id) {
                    return Err(format!("it used table {id}, which was changed: {record:?}"));
                }
            }
        }
        self.told.insert(commit_ts, Expected::of(record, writes, &names));
        let renamed = renamed(&names, writes);
        let is_there = |id: u32| renamed.get(&id).map_or(names.contains_key(&id), Option::is_some);
        writes.retain(|(table, _), _| made_id(*table).is_none_or(is_there));
        for (id, _) in renamed.iter().filter(|(_, name)| name.is_none()) {
            let rows = self.versions.rows_of(*id, commit_ts - 1);
            writes.extend(rows.into_iter().map(|row| (row, None)));
        }
        Ok(())
    }

    /// Asks again what was asked by one who did not commit, or who would get the same answers at its place in the
    /// commit order.
    fn answers(&self, record: &Record) -> Result<(), String> {
        let in_order = record.isolation == Isolation::Serializable || record.kind == Kind::Exclusive;
        let at = match (record.begin_ts, record.commit_ts()) {
            (_, Some(commit_ts)) if in_order => commit_ts - 1,
            (Some(begin_ts), None) => begin_ts,
            _ => return Ok(()),
        };
        let mut sight = Sight::new(&self.versions, at);
        if record.commit_ts().is_some() && record.kind == Kind::Concurrent {
            sight = sight.of_tracked();
        }
        sight.replay(&record.ops)?;
        let (mut writes, appended) = sight.into_writes(at);
        writes.extend(appended);
        lost::check(record, &writes, &self.versions)
    }
}
