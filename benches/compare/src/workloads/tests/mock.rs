//! An engine in memory, honest or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{Engine, Facts, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::Rows;
use crate::tasks;

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    /// Acknowledges every tenth commit without doing it.
    LosesCommits,
    /// Leaves one row out of a load.
    LoadsLess,
    /// Once in a hundred times it shows another row's value.
    ReadsWrong,
    /// Every third row that a transaction reads and that was changed before is shown as it was before the last change.
    LosesUpdates,
}

pub(super) const HONEST: Kind = kind("honest", |_, _| open(Lie::None));
pub(super) const LOSES_COMMITS: Kind = kind("loses commits", |_, _| open(Lie::LosesCommits));
pub(super) const LOADS_LESS: Kind = kind("loads less", |_, _| open(Lie::LoadsLess));
pub(super) const READS_WRONG: Kind = kind("reads wrong", |_, _| open(Lie::ReadsWrong));
pub(super) const LOSES_UPDATES: Kind = kind("loses updates", |_, _| open(Lie::LosesUpdates));

const fn kind(name: &'static str, open: fn(&Path, Settings) -> Result<Box<dyn Engine>>) -> Kind {
    let facts = Facts {
        writers: "one",
        isolation: "serial",
        durable: Some("nothing is"),
        deferred: "nothing survives",
        deferred_survives_kill: true,
        notes: "",
    };
    Kind { name, version: "0", facts, log: &[], open }
}

fn open(lie: Lie) -> Result<Box<dyn Engine>> {
    Ok(Box::new(Memory { lie, rows: Mutex::default(), old: Mutex::default(), count: AtomicU64::new(0) }))
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

struct Memory {
    lie: Lie,
    rows: Mutex<Map>,
    /// What rows were before their last change; locked after `rows`.
    old: Mutex<Map>,
    /// Counts what a lie is told at some of.
    count: AtomicU64,
}

impl Memory {
    fn rows(&self) -> MutexGuard<'_, Map> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn old(&self) -> MutexGuard<'_, Map> {
        self.old.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time for this lie.
    fn lies(&self, lie: Lie, every: u64) -> bool {
        self.lie == lie && self.count.fetch_add(1, Ordering::Relaxed) % every == every - 1
    }
}

impl Engine for Memory {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle(self)))
    }

    /// In turns, on one thread.
    fn write_in_tasks(&self, mut writers: Vec<tasks::Writer>) -> Option<Result<Vec<tasks::Writer>>> {
        let mut round = || {
            let mut wrote = false;
            for writer in &mut writers {
                if let Some(row) = writer.next()? {
                    writer.attempt();
                    Handle(self).write(&mut |tx| tx.put(&row.key, &row.value))?;
                    wrote = true;
                }
            }
            Ok(wrote)
        };
        loop {
            match round() {
                Ok(true) => {}
                Ok(false) => return Some(Ok(writers)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        for number in u64::from(self.lie == Lie::LoadsLess)..rows.len() {
            rows.with(number, &mut |key, value| {
                self.rows().insert(key.to_vec(), value.to_vec());
                Ok(())
            })?;
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Handle<'a>(&'a Memory);

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        View { memory: self.0, rows: &self.0.rows() }.get(key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        body(&mut View { memory: self.0, rows: &self.0.rows() })
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let (memory, mut changes) = (self.0, BTreeMap::new());
        let (mut rows, mut old) = (memory.rows(), memory.old());
        body(&mut Transaction { memory, rows: &rows, old: &old, changes: &mut changes })?;
        if memory.lies(Lie::LosesCommits, 10) {
            return Ok(());
        }
        for (key, value) in changes {
            let before = match value {
                Some(value) => rows.insert(key.clone(), value),
                None => rows.remove(&key),
            };
            old.extend(before.map(|before| (key, before)));
        }
        Ok(())
    }
}

struct View<'a> {
    memory: &'a Memory,
    rows: &'a Map,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = if self.memory.lies(Lie::ReadsWrong, 100) {
            self.rows.range(..key.to_vec()).next_back().map(|(_, value)| value)
        } else {
            self.rows.get(key)
        };
        if let Some(value) = value {
            see(value);
        }
        Ok(value.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        let mut seen = 0;
        let mut before = None;
        for (key, value) in
            self.rows.range(from.to_vec()..).take(usize::try_from(limit).unwrap_or(usize::MAX))
        {
            let wrong = before.filter(|_| self.memory.lies(Lie::ReadsWrong, 100));
            see(key, wrong.unwrap_or(value));
            before = Some(value);
            seen += 1;
        }
        Ok(seen)
    }
}

struct Transaction<'a> {
    memory: &'a Memory,
    rows: &'a Map,
    old: &'a Map,
    changes: &'a mut BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Reader for Transaction<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.changes.get(key) {
            Some(value) => {
                if let Some(value) = value {
                    see(value);
                }
                Ok(value.is_some())
            }
            None if self.old.contains_key(key) && self.memory.lies(Lie::LosesUpdates, 3) => {
                View { memory: self.memory, rows: self.old }.get(key, see)
            }
            None => View { memory: self.memory, rows: self.rows }.get(key, see),
        }
    }

    fn scan(&mut self, _from: &[u8], _limit: u64, _see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        Err("this engine does not scan while it writes".into())
    }
}

impl Writer for Transaction<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.changes.insert(key.to_vec(), None);
        Ok(())
    }
}
