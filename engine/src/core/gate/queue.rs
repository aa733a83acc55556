//! Who waits to be admitted exclusively, first come first served.

use std::collections::VecDeque;
use std::task::Waker;

use braid_vfs::sync::{Arc, Condvar};

/// A thread that waits.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) come: Condvar,
}

/// The place of a future in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(u64);

#[derive(Debug)]
enum Waiting {
    Thread(Arc<Turn>),
    /// The waker is `None` between its call and the next poll.
    Future(Seat, Option<Waker>),
}

impl Waiting {
    fn is_thread(&self, turn: &Arc<Turn>) -> bool {
        matches!(self, Self::Thread(other) if Arc::ptr_eq(other, turn))
    }

    fn is_future(&self, seat: Seat) -> bool {
        matches!(self, Self::Future(other, _) if *other == seat)
    }
}

/// See the module. A waker is a user's code, to clone and to drop: all of that is done outside, without the lock.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    seats: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn begins_with_future(&self) -> bool {
        matches!(self.waiting.front(), Some(Waiting::Future(..)))
    }

    pub(super) fn push_thread(&mut self, turn: Arc<Turn>) {
        self.waiting.push_back(Waiting::Thread(turn));
    }

    pub(super) fn has_thread(&self, turn: &Arc<Turn>) -> bool {
        self.waiting.iter().any(|one| one.is_thread(turn))
    }

    pub(super) fn remove_thread(&mut self, turn: &Arc<Turn>) {
        self.waiting.retain(|one| !one.is_thread(turn));
    }

    pub(super) fn first_thread(&self) -> Option<&Turn> {
        self.waiting.iter().find_map(|one| match one {
            Waiting::Thread(turn) => Some(&**turn),
            Waiting::Future(..) => None,
        })
    }

    /// Removes the first thread, past futures that are before it.
    pub(super) fn take_first_thread(&mut self) -> Option<Arc<Turn>> {
        let at = self.waiting.iter().position(|one| matches!(one, Waiting::Thread(_)))?;
        match self.waiting.remove(at) {
            Some(Waiting::Thread(turn)) => Some(turn),
            Some(Waiting::Future(..)) | None => None,
        }
    }

    /// Keeps the place of a future, or gives it the last one; returns a waker to drop.
    pub(super) fn sit(&mut self, seat: &mut Option<Seat>, waker: Waker) -> Option<Waker> {
        if let Some(kept) = *seat
            && let Some(Waiting::Future(_, slot)) = self.waiting.iter_mut().find(|one| one.is_future(kept))
        {
            return slot.replace(waker);
        }
        self.seats += 1;
        let new = Seat(self.seats);
        *seat = Some(new);
        self.waiting.push_back(Waiting::Future(new, Some(waker)));
        None
    }

    /// Removes a future; returns its waker, to drop.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<Waker> {
        let at = self.waiting.iter().position(|one| one.is_future(seat))?;
        match self.waiting.remove(at) {
            Some(Waiting::Future(_, waker)) => waker,
            Some(Waiting::Thread(_)) | None => None,
        }
    }

    pub(super) fn is_first(&self, seat: Seat) -> bool {
        self.waiting.front().is_some_and(|one| one.is_future(seat))
    }

    /// Whether nobody but futures is before it.
    pub(super) fn is_behind_futures(&self, seat: Seat) -> bool {
        self.waiting
            .iter()
            .take_while(|one| !one.is_future(seat))
            .all(|one| matches!(one, Waiting::Future(..)))
    }

    /// The waker of the future that is first, to call it.
    pub(super) fn first_waker(&mut self) -> Option<Waker> {
        match self.waiting.front_mut() {
            Some(Waiting::Future(_, waker)) => waker.take(),
            Some(Waiting::Thread(_)) | None => None,
        }
    }

    /// The wakers of all futures, to call them.
    pub(super) fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.waiting.iter_mut().filter_map(|one| match one {
            Waiting::Future(_, waker) => waker.take(),
            Waiting::Thread(_) => None,
        })
    }
}
