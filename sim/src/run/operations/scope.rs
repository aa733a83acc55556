//! A snapshot or transaction that statements work in, and what they write down there.

use std::ops::Bound;

use braid::{Error, Result, Savepoint, Snapshot, Table, Transaction};

use super::reads::Walk;
use super::{ALL, Act};
use crate::run::oracle::{self, What};
use crate::run::rows::{Key, any_key, number_key, text_key};
use crate::run::session::Session;

/// What is open.
#[derive(Debug)]
pub(super) enum Open<'a> {
    /// A snapshot.
    Snapshot(&'a Snapshot),
    /// A write transaction.
    Transaction(&'a mut Transaction),
}

/// See the module.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Whose it is.
    pub session: &'a mut Session,
    open: Open<'a>,
    acts: &'a mut Vec<oracle::Act>,
    /// What the statement reads through, if the commit is not to answer for it.
    pub(super) untracked: Option<Snapshot>,
    /// Cursors that are open in it.
    pub(super) walks: Vec<Walk>,
    /// Savepoints that were made in it, the closed ones too.
    pub(super) savepoints: Vec<Savepoint>,
}

impl<'a> Scope<'a> {
    /// Statements in a snapshot.
    pub(super) fn reading(
        session: &'a mut Session,
        snapshot: &'a Snapshot,
        acts: &'a mut Vec<oracle::Act>,
    ) -> Self {
        Self {
            session,
            open: Open::Snapshot(snapshot),
            acts,
            untracked: None,
            walks: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    /// Statements in a transaction.
    pub(super) fn writing(
        session: &'a mut Session,
        tx: &'a mut Transaction,
        acts: &'a mut Vec<oracle::Act>,
    ) -> Self {
        Self {
            session,
            open: Open::Transaction(tx),
            acts,
            untracked: None,
            walks: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    /// What can be read.
    pub(super) fn snapshot(&self) -> &Snapshot {
        match (&self.untracked, &self.open) {
            (Some(untracked), _) => untracked,
            (None, Open::Snapshot(snapshot)) => snapshot,
            (None, Open::Transaction(tx)) => tx,
        }
    }

    /// What can be written; statements that write are drawn only where there is such.
    pub(super) fn transaction(&mut self) -> Result<&mut Transaction> {
        match &mut self.open {
            Open::Snapshot(_) => Err(Error::ReadOnly),
            Open::Transaction(tx) => Ok(tx),
        }
    }

    /// Writes down what was done.
    pub(super) fn did(&mut self, table: &Table, what: What) {
        self.did_so(table, what, self.untracked.is_none());
    }

    /// The same of a cursor, which was opened to be tracked or not.
    pub(super) fn did_so(&mut self, table: &Table, what: What, tracked: bool) {
        let how = if tracked { "" } else { " untracked" };
        self.session.say(format_args!("  {}({}){how} {what:?}", table.name(), table.id()));
        self.acts.push(oracle::Act { table: table.id(), tracked, what });
    }

    /// Writes down what has nothing to do with one table.
    pub(super) fn note(&mut self, act: oracle::Act) {
        self.acts.push(act);
    }

    /// Writes down what was done to a savepoint.
    pub(super) fn did_to_savepoint(&mut self, what: What) {
        self.session.say(format_args!("  {what:?}"));
        self.acts.push(oracle::Act { table: 0, tracked: true, what });
    }

    /// Writes down that a table is gone, if that is what the error says.
    pub(super) fn gone<T>(&mut self, table: &Table, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::NoSuchTable(_)) => {
                self.did(table, What::Gone);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Some key.
    pub(super) fn key(&mut self) -> Key {
        let keys = self.session.shared.plan.keys;
        let rng = &mut self.session.rng;
        match rng.u8(0..12) {
            0 => number_key(rng),
            1 => text_key(rng),
            _ => any_key(rng, keys),
        }
    }

    /// Some range, which may be empty or the wrong way round.
    pub(super) fn bounds(&mut self) -> (Bound<Key>, Bound<Key>) {
        (self.bound(), self.bound())
    }

    fn bound(&mut self) -> Bound<Key> {
        match self.session.rng.u8(0..4) {
            0 | 1 => Bound::Unbounded,
            2 => Bound::Included(self.key()),
            _ => Bound::Excluded(self.key()),
        }
    }

    /// Does so many statements, or fails.
    pub(super) fn statements(&mut self, count: u32) -> Result<()> {
        let may_write = matches!(self.open, Open::Transaction(_));
        let features = self.session.shared.plan.features.clone();
        let statements: Vec<_> = ALL
            .iter()
            .filter(|statement| features.has(statement.name))
            .filter_map(|statement| match statement.act {
                Act::Read(run) => Some((statement.weight, run)),
                Act::Write(run) if may_write => Some((statement.weight, run)),
                _ => None,
            })
            .collect();
        let total: u32 = statements.iter().map(|(weight, _)| weight).sum();
        if total == 0 {
            return Ok(());
        }
        for _ in 0..count {
            let mut drawn = self.session.rng.u32(0..total);
            for (weight, run) in &statements {
                if drawn < *weight {
                    run(self)?;
                    break;
                }
                drawn -= weight;
            }
        }
        Ok(())
    }
}
