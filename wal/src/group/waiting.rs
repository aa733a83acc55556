//! Those who sleep until a sync has covered them, and what they are told. See [`group`](super).

use std::sync::Arc;

use braid_vfs::sync::{Event, Wakers};

// What threads are told.
pub(super) const COVERED: u32 = 1;
pub(super) const LEAD: u32 = 2;
pub(super) const FAILED: u32 = 3;
/// Sleep on, and lead unless somebody else does.
pub(super) const HOLD: u32 = 4;

/// Who waits, or leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A thread or a future that commits, and is likely to be back with the next commit.
    Committer,
    /// One that comes now and then: the log's keeper, a checkpoint, a reader; and the server.
    Visitor,
}

impl Who {
    /// How many are awaited for it, once a sync has covered it.
    pub(super) const fn awaited(self) -> usize {
        match self {
            Self::Committer => 1,
            Self::Visitor => 0,
        }
    }
}

/// Those who sleep.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whom the present sync covers.
    pub(super) present: Crowd,
    /// Who comes after it: the successor, and the others.
    pub(super) successor: Option<Successor>,
    pub(super) next: Crowd,
}

/// The first one that waits for the next sync.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) who: Who,
    pub(super) event: Arc<Event>,
}

/// Threads and futures that are woken together.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) event: Option<Arc<Event>>,
    pub(super) committers: usize,
    /// A thread or a future that does not commit.
    pub(super) has_visitor: bool,
    /// All that came, among them those that left.
    pub(super) committing_futures: usize,
    pub(super) futures: Wakers,
}

impl Crowd {
    pub(super) const fn of_turn(turn: u64) -> Self {
        Self {
            event: None,
            committers: 0,
            has_visitor: false,
            committing_futures: 0,
            futures: Wakers::of_turn(turn),
        }
    }

    pub(super) fn join(&mut self, who: Who) -> Arc<Event> {
        self.committers += who.awaited();
        self.has_visitor |= who == Who::Visitor;
        self.event()
    }

    /// What those who sleep here wait for.
    pub(super) fn event(&mut self) -> Arc<Event> {
        Arc::clone(self.event.get_or_insert_default())
    }

    /// Whether all that wait are threads that commit.
    pub(super) fn only_commits(&self) -> bool {
        !self.has_visitor && self.futures.is_empty()
    }

    /// Wakes the threads.
    pub(super) fn wake(&self, verdict: u32) {
        if let Some(event) = &self.event {
            event.set(verdict);
        }
    }
}

impl Waiting {
    /// Nobody; the present sync is the one of that number.
    pub(super) const fn of_turn(turn: u64) -> Self {
        Self { present: Crowd::of_turn(turn), successor: None, next: Crowd::of_turn(turn + 1) }
    }

    /// Takes those out whom a sync covered, with the successor: what was next is present now.
    pub(super) fn advance(&mut self) -> (Crowd, Option<Successor>) {
        let later = Crowd::of_turn(self.next.futures.turn() + 1);
        let next = std::mem::replace(&mut self.next, later);
        (std::mem::replace(&mut self.present, next), self.successor.take())
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.present.committers + self.next.committers + usize::from(self.successor.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
