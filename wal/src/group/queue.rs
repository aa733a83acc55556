//! Who leads, who waits and who is awaited: what the mutex of a group commit keeps. See [`group`](super).

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::Event;

use super::SyncTarget;
use super::futures::Served;
use super::gathering::Gathering;
use super::waiting::{Crowd, HOLD, LEAD, Successor, Waiting, Who};
use super::watchers::Watchers;
use crate::{Lsn, SyncError};

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lead {
    /// Nobody, and nobody waits.
    #[default]
    Free,
    /// Nobody yet: the last one that is awaited, or at a certain time the thread that holds the sync.
    Held,
    /// Nobody yet: the server, once the futures have come that are awaited, or at a certain time, unless a thread comes
    /// first.
    Kept,
    /// Nobody yet: the server, unless a thread comes first.
    Called,
    /// A thread, or one has been told to.
    Taken,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) lead: Lead,
    /// What the present sync covers; `None` before its leader has taken the log's end.
    pub(super) through: Option<Lsn>,
    pub(super) waiting: Waiting,
    pub(super) gathering: Gathering,
    /// What those are told who waited when the log was poisoned; there from then on.
    pub(super) failure: Option<SyncError>,
    pub(super) served: Served,
    /// Who wants to know when more is durable, or nothing more will be. Empty unless somebody reads the live log.
    pub(super) watchers: Watchers,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            lead: Lead::Free,
            through: None,
            waiting: Waiting::of_turn(0),
            gathering: Gathering::default(),
            failure: None,
            served: Served::default(),
            watchers: Watchers::default(),
        }
    }
}

/// What one who waits does first.
pub(super) enum Place {
    Leads,
    Sleeps(Arc<Event>),
    /// Sleeps for so long; then it leads, unless somebody does.
    Holds(Arc<Event>, Duration),
}

impl Queue {
    /// A place for one who waits for `lsn`.
    pub(super) fn come(&mut self, who: Who, lsn: Lsn, target: &impl SyncTarget) -> Place {
        if self.lead == Lead::Taken {
            return Place::Sleeps(self.join(who, lsn));
        }
        let leads = matches!(self.lead, Lead::Called | Lead::Kept) || who == Who::Visitor;
        if leads || self.gathering.come() {
            self.take_lead();
            return Place::Leads;
        }
        if self.lead == Lead::Held {
            return Place::Sleeps(self.join(who, lsn));
        }
        match self.gathering.hold(target.now()) {
            Some(time) => {
                self.lead = Lead::Held;
                Place::Holds(self.join(who, lsn), time)
            }
            None => {
                self.take_lead();
                Place::Leads
            }
        }
    }

    /// What one is told who waited when the log was poisoned.
    pub(super) fn failed(&self) -> SyncError {
        let untold = || SyncError::Poisoned(Arc::new(io::Error::other("nobody knows why")));
        self.failure.clone().unwrap_or_else(untold)
    }

    /// What one is told who comes later.
    pub(super) fn poisoned(&self) -> SyncError {
        SyncError::Poisoned(self.failed().into_cause())
    }

    pub(super) fn take_lead(&mut self) {
        self.lead = Lead::Taken;
        self.through = None;
        self.await_nobody();
    }

    /// Sees to it that somebody leads after a sync, if anybody waits; what the successor is told.
    pub(super) fn hand_on(
        &mut self,
        successor: Option<&Successor>,
        covered: &Crowd,
        leader: Who,
        sync: impl Fn() -> Range<Duration>,
    ) -> u32 {
        let unseen = usize::from(planted!(OneTooManyAwaited));
        let committers = covered.committers + leader.awaited() + unseen;
        let (lead, verdict) = match successor {
            Some(_) if planted!(FollowerWokenEarly) => (Lead::Free, LEAD),
            Some(first) if self.holds_for(first, committers, &sync) => (Lead::Held, HOLD),
            Some(_) => (Lead::Taken, LEAD),
            None => {
                let futures = if committers == 0 { covered.committing_futures } else { 0 };
                (self.next_without_successor(committers, futures, &sync), LEAD)
            }
        };
        self.lead = lead;
        verdict
    }

    /// Whether the successor holds the next sync for those whom the last one covered, and is one of those who wait then.
    fn holds_for(
        &mut self,
        successor: &Successor,
        covered: usize,
        sync: impl FnOnce() -> Range<Duration>,
    ) -> bool {
        let present = &mut self.waiting.present;
        if successor.who == Who::Visitor || !present.only_commits() {
            return false;
        }
        let behind = present.committers + successor.who.awaited();
        let holds = self.gathering.expect(covered, behind, sync);
        if holds {
            present.committers = behind;
        }
        holds
    }

    /// Who leads after a sync behind which no thread waits.
    fn next_without_successor(
        &mut self,
        committers: usize,
        futures: usize,
        sync: impl Fn() -> Range<Duration>,
    ) -> Lead {
        let present = &self.waiting.present;
        if present.futures.is_empty() {
            self.gathering.expect(committers, 0, &sync);
            self.served.gathering.expect(futures, 0, &sync);
            return Lead::Free;
        }
        let only_commits = !present.has_visitor;
        if only_commits && self.served.gathering.expect(futures, present.committing_futures, &sync) {
            self.served.look_at = self.served.gathering.look_at();
            return Lead::Kept;
        }
        if planted!(ServerNotCalled) { Lead::Free } else { Lead::Called }
    }

    /// The one that held the sync leads: it is none of those who wait any more.
    pub(super) fn lead_for_all(&mut self) {
        self.take_lead();
        self.waiting.present.committers -= Who::Committer.awaited();
    }

    pub(super) const fn await_nobody(&mut self) {
        self.gathering.cancel();
        self.served.gathering.cancel();
    }

    /// A place to sleep for one who waits for `lsn` while somebody leads, or will.
    fn join(&mut self, who: Who, lsn: Lsn) -> Arc<Event> {
        if self.through.is_none_or(|through| lsn <= through) {
            self.waiting.present.join(who)
        } else if self.waiting.successor.is_some() {
            self.waiting.next.join(who)
        } else {
            let event = Arc::default();
            Arc::clone(&self.waiting.successor.insert(Successor { who, event }).event)
        }
    }
}
