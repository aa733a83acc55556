//! One who reads the change feed beside the sessions, and goes on in the next life where it stood in this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use braid::vfs::sync::thread;
use braid::{Change, ChangeSet, ChangedTable, Changes, Consumer, Database, Error, Result, Timestamp};
use braid_tests::{Set, Told, made_table};
use fastrand::Rng;

use super::elements::TABLES;
use super::life::Stage;

const NAME: &str = "follower";

pub(super) struct Follower<'a> {
    stage: &'a Stage,
    db: Database,
    /// The tables that stay, by id.
    tables: BTreeMap<u32, usize>,
    rng: Rng,
    told: Vec<Told>,
}

impl<'a> Follower<'a> {
    /// Follows until all sessions have ended, and then to the end.
    pub(super) fn run(stage: &'a Arc<Stage>) -> Vec<Told> {
        let opened = stage.open().and_then(|db| {
            let tables = stage.tables(&db)?;
            let tables = (0..).zip(&tables).map(|(number, table)| (table.id(), number)).collect();
            Ok((db, tables))
        });
        let (db, tables) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                met(stage, "open", &error);
                return Vec::new();
            }
        };
        let seed = stage.plan.seed.wrapping_mul(7).wrapping_add(stage.life);
        let mut follower = Self { stage, db, tables, rng: Rng::with_seed(seed), told: Vec::new() };
        if let Err(error) = follower.follow() {
            met(stage, "go on", &error);
        }
        follower.told
    }

    fn follow(&mut self) -> Result<()> {
        let consumer = self.register()?;
        let mut feed = consumer.changes()?;
        while self.stage.working.load(Ordering::SeqCst) > 0 {
            let wait = Duration::from_millis(self.rng.u64(0..3));
            self.read(&mut feed, wait)?;
            match self.rng.u8(0..12) {
                0..2 => self.acknowledge(&consumer, &feed)?,
                // Begins anew: what was not acknowledged comes again.
                2 => feed = consumer.changes()?,
                3 => self.read_from_anywhere(feed.passed())?,
                _ => thread::yield_now(),
            }
        }
        let answered = self.stage.answered.load(Ordering::SeqCst);
        self.db.sync()?;
        while self.read(&mut feed, Duration::ZERO)? {}
        if feed.passed().get() < answered {
            self.stage.trouble(format!("the feed ends at {}, and not at {answered}", feed.passed()));
        }
        self.acknowledge(&consumer, &feed)
    }

    /// The consumer, where it stood; a new one stands at the beginning of what there is.
    fn register(&self) -> Result<Consumer> {
        loop {
            match self.db.consumer(NAME, Timestamp::ZERO) {
                Err(Error::HistoryGone { oldest, .. }) => match self.db.consumer(NAME, oldest) {
                    Err(Error::HistoryGone { .. }) => {}
                    registered => return registered,
                },
                Err(error) if error.is_retryable() => {}
                registered => return registered,
            }
            thread::yield_now();
        }
    }

    fn acknowledge(&self, consumer: &Consumer, feed: &Changes) -> Result<()> {
        match consumer.acknowledge(feed.passed()) {
            Err(error) if error.is_retryable() => Ok(()),
            acknowledged => acknowledged,
        }
    }

    /// Another feed, from somewhere before.
    fn read_from_anywhere(&mut self, until: Timestamp) -> Result<()> {
        let after = Timestamp::new(self.rng.u64(0..=until.get())).unwrap_or(until);
        match self.db.changes(after) {
            Ok(mut feed) => self.read(&mut feed, Duration::ZERO).map(drop),
            Err(Error::HistoryGone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads what there is, some of it at least, and writes it down; whether there was something.
    fn read(&mut self, feed: &mut Changes, wait: Duration) -> Result<bool> {
        let after = feed.passed().get();
        let mut sets = Vec::new();
        let mut end = Ok(());
        for _ in 0..self.rng.usize(1..30) {
            match feed.next_timeout(wait).and_then(|set| set.map(|set| self.written(set)).transpose()) {
                Ok(Some(set)) => sets.push(set),
                Ok(None) => break,
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        // One that could not be read to its end was not told.
        let last = sets.last().map_or(after, |(ts, _)| *ts);
        let through = if end.is_ok() { feed.passed().get() } else { last };
        let any = !sets.is_empty();
        sets.retain(|(_, set)| !set.is_empty());
        if any || through > after {
            self.told.push(Told { after, through, sets, when: self.stage.tick() });
        }
        end.map(|()| any)
    }

    /// What a transaction did to the tables that the history knows.
    fn written(&self, set: ChangeSet) -> Result<(u64, Set)> {
        let ts = set.timestamp().get();
        let mut written = Set::default();
        let number = |table: &ChangedTable| {
            self.tables.get(&table.id).copied().unwrap_or_else(|| made_table(table.id))
        };
        for change in set {
            match change? {
                Change::Put { table, key, value, .. } => {
                    written.rows.insert((number(&table), key), Some(value));
                }
                Change::Delete { table, key, .. } => {
                    written.rows.insert((number(&table), key), None);
                }
                Change::Create(table) | Change::Rename { table, .. } => {
                    if !TABLES.iter().any(|name| table.name.as_deref() == Some(name)) {
                        let name = table.name.as_deref().map(|name| name.as_bytes().to_vec());
                        written.names.insert(table.id, Some(name.unwrap_or_default()));
                    }
                }
                Change::Drop(table) => {
                    written.names.insert(table.id, None);
                }
                other => return Err(Error::other(format!("nobody did {other:?}"))),
            }
        }
        Ok((ts, written))
    }
}

fn met(stage: &Stage, what: &str, error: &Error) {
    let failed = matches!(
        error,
        Error::Io { .. } | Error::Poisoned { .. } | Error::CommitUnknown { .. } | Error::NoSpace(_)
    );
    if !stage.may_fail() || !failed {
        stage.trouble(format!("the follower could not {what}: {error}"));
    }
}
