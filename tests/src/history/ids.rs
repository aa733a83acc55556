//! The ids of the one sequence that all sessions draw from, life after life.

use std::collections::{BTreeMap, BTreeSet};

use super::life::End;

/// What somebody was told of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// An id is his, by a handle of this number. That of another life is another handle.
    Given {
        /// The handle.
        handle: u64,
        /// The id.
        id: u64,
    },
    /// None below this is given out from now on.
    RaisedTo(u64),
    /// None from here on was given out.
    Unreserved(u64),
}

/// An answer, and when it was asked for and given, in ticks that all sessions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldIds {
    /// Before it was asked for.
    pub invoked: u64,
    /// After the answer.
    pub ended: u64,
    /// The answer.
    pub ids: Ids,
}

/// What was told in all lives so far.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    given: BTreeSet<u64>,
    raised_to: u64,
}

impl SoFar {
    /// Adds a life. No id comes twice, none below what the sequence was raised to before it was asked for, and those of a
    /// handle only grow: neither a kill nor a power cut takes anything of that back. What a dead process says nobody hears.
    pub(super) fn live(&mut self, told: &[ToldIds], end: End) -> Result<(), String> {
        let is_heard = |told: &&ToldIds| match end {
            End::Killed(at) => told.ended < at,
            End::PowerCut => true,
        };
        let mut asked: Vec<_> = told.iter().filter(is_heard).collect();
        let mut answered = asked.clone();
        asked.sort_by_key(|told| told.invoked);
        answered.sort_by_key(|told| told.ended);
        let mut answered = answered.into_iter().peekable();
        let mut newest_of = BTreeMap::new();
        for told in asked {
            while let Some(before) = answered.next_if(|before| before.ended < told.invoked) {
                self.add(before.ids)?;
            }
            let raised_to = self.raised_to;
            match told.ids {
                Ids::Given { id, .. } | Ids::Unreserved(id) if id < raised_to => {
                    return Err(format!("raised to {raised_to} before this: {told:?}"));
                }
                Ids::Given { handle, id } => {
                    let before = newest_of.insert(handle, id);
                    if before.is_some_and(|before| before >= id) {
                        return Err(format!("{before:?} came before, of the same handle: {told:?}"));
                    }
                }
                Ids::Unreserved(next) if self.given.last().is_some_and(|last| *last >= next) => {
                    return Err(format!("{:?} was given before this: {told:?}", self.given.last()));
                }
                Ids::Unreserved(_) | Ids::RaisedTo(_) => {}
            }
        }
        answered.try_for_each(|told| self.add(told.ids))
    }

    fn add(&mut self, ids: Ids) -> Result<(), String> {
        match ids {
            Ids::Given { id, .. } if !self.given.insert(id) => Err(format!("the id {id} is given twice")),
            Ids::RaisedTo(first) => {
                self.raised_to = self.raised_to.max(first);
                Ok(())
            }
            Ids::Given { .. } | Ids::Unreserved(_) => Ok(()),
        }
    }
}
