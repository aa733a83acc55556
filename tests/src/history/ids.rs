//! The ids of the one sequence that all sessions draw from, life after life, and that they drop now and then.
//!
//! A sequence of the name lives from its making to its drop, and whoever draws does so beside those who drop it. What
//! is told of it has an interval, of the question and the answer, and takes effect somewhere within. So two facts are
//! of two sequences if a drop *may* lie between them, and certainly are if one *must*: the rules accuse nobody who
//! could be right.
//!
//! What failed, and what a dead process says, may have taken effect until the end of its life.

use std::collections::BTreeMap;

use super::life::End;

/// What somebody was told of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// A handle is opened, and the sequence made if it was not there. A handle of another life is another handle.
    Opened {
        /// The handle.
        handle: u64,
        /// How many ids it reserves at once.
        block: u64,
    },
    /// An id is his, by a handle of this number.
    Given {
        /// The handle.
        handle: u64,
        /// The id.
        id: u64,
    },
    /// None below this is given out from now on.
    RaisedTo(u64),
    /// None from here on was given out; `None`: there is no such sequence.
    Unreserved(Option<u64>),
    /// It is dropped; false: there was none.
    Dropped(bool),
    /// The sequence of this handle is no more.
    Gone {
        /// The handle.
        handle: u64,
    },
}

/// An answer, and when it was asked for and given, in ticks that all sessions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldIds {
    /// Before it was asked for.
    pub invoked: u64,
    /// After the answer; `u64::MAX` where the call failed, and may have done what it was to do.
    pub ended: u64,
    /// The answer.
    pub ids: Ids,
}

/// The life, and the tick.
type Time = (usize, u64);

/// A fact through all lives.
#[derive(Clone, Copy, Debug)]
struct Fact {
    invoked: Time,
    ended: Time,
    /// There was an answer, and somebody heard it.
    heard: bool,
    ids: Ids,
}

impl Fact {
    /// It may have taken effect after the other one did.
    fn may_follow(&self, other: &Self) -> bool {
        self.ended > other.invoked
    }

    /// It was over before the other one began.
    fn precedes(&self, other: &Self) -> bool {
        self.ended < other.invoked
    }

    fn given(&self) -> Option<u64> {
        match self.ids {
            Ids::Given { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Whose block is drawn from.
    fn drawn_from(&self) -> Option<u64> {
        match self.ids {
            Ids::Given { handle, .. } | Ids::Gone { handle } => Some(handle),
            _ => None,
        }
    }

    /// The sequence was there.
    fn shows_presence(&self) -> bool {
        !matches!(self.ids, Ids::Unreserved(None) | Ids::Dropped(false) | Ids::Gone { .. })
    }
}

/// What was told in all lives so far.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    lives: usize,
    facts: Vec<Fact>,
    /// By life and number; whoever is not told of was opened before everything.
    opened: BTreeMap<(usize, u64), (Fact, u64)>,
}

impl SoFar {
    /// Adds a life: neither a kill nor a power cut takes anything back that was answered.
    pub(super) fn live(&mut self, told: &[ToldIds], end: End) -> Result<(), String> {
        let life = self.lives;
        self.lives += 1;
        let is_heard = |told: &ToldIds| match end {
            End::Killed(at) => told.ended < at,
            End::PowerCut => told.ended < u64::MAX,
        };
        let mut new: Vec<Fact> = Vec::with_capacity(told.len());
        for told in told {
            let heard = is_heard(told);
            let ended = (life, if heard { told.ended } else { u64::MAX });
            new.push(Fact { invoked: (life, told.invoked), ended, heard, ids: told.ids });
        }
        new.sort_by_key(|fact| fact.invoked);
        for fact in &new {
            if let Ids::Opened { handle, block } = fact.ids {
                self.opened.insert((life, handle), (*fact, block));
            }
        }
        let before = self.facts.len();
        self.facts.extend(&new);
        let mut newest_of: BTreeMap<u64, Fact> = BTreeMap::new();
        for (at, fact) in (before..).zip(&new).filter(|(_, fact)| fact.heard) {
            if let Ids::Given { handle, id } = fact.ids {
                let before = newest_of.insert(handle, *fact);
                if before.and_then(|before| before.given()).is_some_and(|before| before >= id) {
                    return Err(format!("{before:?} came before, of the same handle: {fact:?}"));
                }
            }
            self.judge(at, fact).map_err(|why| format!("{why}: {fact:?}"))?;
        }
        Ok(())
    }

    /// Of a fact that is heard, and its place.
    fn judge(&self, at: usize, fact: &Fact) -> Result<(), String> {
        match fact.ids {
            Ids::Given { handle, id } => {
                self.is_alive(fact, handle)?;
                self.is_given_once(at, fact, id)?;
                self.is_above_floor(fact, id)?;
                self.is_reserved(fact, id)
            }
            Ids::Unreserved(Some(next)) => {
                self.was_made(fact)?;
                self.is_above_floor(fact, next)?;
                self.is_beyond_given(fact, next)?;
                // Nothing from here on was reserved, so what is before was, or left out.
                self.is_reserved(fact, next.saturating_sub(1))
            }
            Ids::Dropped(true) => self.was_made(fact),
            Ids::Unreserved(None) | Ids::Dropped(false) => self.was_missing(fact),
            Ids::Gone { handle } => self.was_dropped(fact, handle),
            Ids::Opened { .. } | Ids::RaisedTo(_) => Ok(()),
        }
    }

    fn heard(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(|fact| fact.heard)
    }

    /// Drops that were done, and such as may have been.
    fn drops(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(|fact| fact.ids == Ids::Dropped(true))
    }

    /// Questions whose answer says that what was there before is gone.
    fn ends(&self) -> impl Iterator<Item = &Fact> {
        self.heard().filter(|fact| matches!(fact.ids, Ids::Dropped(_) | Ids::Unreserved(None)))
    }

    /// What shows that the sequence of a fact was there, as early as is known: of a handle that it was opened.
    fn begin_of(&self, fact: &Fact) -> Fact {
        let Some(handle) = fact.drawn_from() else { return *fact };
        self.opened.get(&(fact.invoked.0, handle)).map_or(*fact, |(opened, _)| *opened)
    }

    /// Whether the sequence of one may have been dropped before that of the other began.
    fn may_be_apart(&self, one: &Fact, other: &Fact) -> bool {
        let begin = self.begin_of(other);
        self.drops().any(|drop| drop.may_follow(one) && begin.may_follow(drop))
    }

    /// Whether it must.
    fn are_apart(&self, one: &Fact, other: &Fact) -> bool {
        let begin = self.begin_of(other);
        self.ends().any(|end| one.precedes(end) && end.precedes(&begin))
    }

    /// What was dropped gives out nothing.
    fn is_alive(&self, given: &Fact, handle: u64) -> Result<(), String> {
        let Some((opened, _)) = self.opened.get(&(given.invoked.0, handle)) else { return Ok(()) };
        match self.ends().find(|end| opened.precedes(end) && end.precedes(given)) {
            Some(end) => Err(format!("its sequence was gone before, by {end:?}")),
            None => Ok(()),
        }
    }

    fn is_given_once(&self, at: usize, given: &Fact, id: u64) -> Result<(), String> {
        let same = |fact: &&Fact| fact.heard && fact.given() == Some(id);
        // Each pair is looked at once, from the later one.
        for before in self.facts.iter().take(at).filter(same) {
            if !self.may_be_apart(before, given) && !self.may_be_apart(given, before) {
                return Err(format!("the id {id} is given twice, first to {before:?}"));
            }
        }
        Ok(())
    }

    fn is_above_floor(&self, fact: &Fact, id: u64) -> Result<(), String> {
        for before in self.heard().filter(|before| before.precedes(fact)) {
            let Ids::RaisedTo(first) = before.ids else { continue };
            if id < first && !self.may_be_apart(before, fact) {
                return Err(format!("raised to {first} before this"));
            }
        }
        Ok(())
    }

    fn is_beyond_given(&self, fact: &Fact, next: u64) -> Result<(), String> {
        for before in self.heard().filter(|before| before.precedes(fact)) {
            let Some(id) = before.given() else { continue };
            if id >= next && !self.may_be_apart(before, fact) {
                return Err(format!("{id} was given before this"));
            }
        }
        Ok(())
    }

    /// A sequence begins at one, and goes no further than all blocks and raises that may be its own can bring it. Who
    /// is overtaken by a raise may need another block.
    fn is_reserved(&self, fact: &Fact, id: u64) -> Result<(), String> {
        let its_own = || self.facts.iter().filter(|of| fact.may_follow(of) && !self.are_apart(of, fact));
        let raises = its_own().filter_map(|of| match of.ids {
            Ids::RaisedTo(first) => Some(first),
            _ => None,
        });
        let (most, count) = raises.fold((1, 0_u64), |(most, count), first| (first.max(most), count + 1));
        let mut blocks = 0_u64;
        for of in its_own() {
            let Some(handle) = of.drawn_from() else { continue };
            let Some((_, block)) = self.opened.get(&(of.invoked.0, handle)) else { return Ok(()) };
            blocks = blocks.saturating_add(block.saturating_mul(1 + count));
        }
        if id >= most.saturating_add(blocks) {
            return Err(format!("nobody reserved {id}: {blocks} ids after {most} at most"));
        }
        Ok(())
    }

    /// It is there, so somebody made it, who was not before its last drop.
    fn was_made(&self, fact: &Fact) -> Result<(), String> {
        let mut opened = self.facts.iter().filter(|of| matches!(of.ids, Ids::Opened { .. }));
        if opened.any(|of| fact.may_follow(of) && !self.are_apart(of, fact)) {
            return Ok(());
        }
        Err("nobody had made it".to_owned())
    }

    /// It is not there, so nobody has made it since it was dropped, or somebody may have dropped it.
    fn was_missing(&self, fact: &Fact) -> Result<(), String> {
        let stood = |before: &&Fact| before.precedes(fact) && before.ids != Ids::Dropped(true);
        for before in self.heard().filter(stood).filter(|before| before.shows_presence()) {
            let dropped = |drop: &Fact| drop.may_follow(before) && fact.may_follow(drop);
            if !self.drops().any(dropped) {
                return Err(format!("it was there, and nobody dropped it since {before:?}"));
            }
        }
        Ok(())
    }

    fn was_dropped(&self, fact: &Fact, handle: u64) -> Result<(), String> {
        let Some((opened, _)) = self.opened.get(&(fact.invoked.0, handle)) else { return Ok(()) };
        let dropped = |drop: &Fact| drop.may_follow(opened) && fact.may_follow(drop);
        if self.drops().any(dropped) { Ok(()) } else { Err("nobody dropped it".to_owned()) }
    }
}
