//! Futures that wait together for something, and are woken together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// The wakers of futures that wait for the same thing: plain data, kept under its owner's lock.
///
/// A future has one place, however often it is polled, and it leaves that place when it is dropped. Wakers are taken out
/// all at once; a place among those that were taken out is known to be an old one by its turn, so nobody ever leaves
/// the place of somebody else.
///
/// A waker is a user's code, to call, to clone and to drop: all of that is done without the lock. So the methods
/// take a waker that was cloned before, and hand out those that are to be dropped or called.
#[derive(Debug)]
pub struct Wakers {
    turn: u64,
    wakers: Vec<Option<Waker>>,
}

/// The place of one future among [`Wakers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakerPlace {
    turn: u64,
    index: usize,
}

impl WakerPlace {
    /// The turn of the wakers that it is among.
    #[must_use]
    pub const fn turn(self) -> u64 {
        self.turn
    }
}

impl Default for Wakers {
    fn default() -> Self {
        Self::of_turn(0)
    }
}

impl Wakers {
    /// None yet, whose places are told from others by `turn`.
    #[must_use]
    pub const fn of_turn(turn: u64) -> Self {
        Self { turn, wakers: Vec::new() }
    }

    /// The turn that tells its places from others.
    #[must_use]
    pub const fn turn(&self) -> u64 {
        self.turn
    }

    /// Whether the place is one of those here.
    #[must_use]
    pub const fn has(&self, place: WakerPlace) -> bool {
        self.turn == place.turn
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wakers.iter().all(Option::is_none)
    }

    /// A place for a future that has none here.
    pub fn join(&mut self, waker: Waker) -> WakerPlace {
        self.wakers.push(Some(waker));
        WakerPlace { turn: self.turn, index: self.wakers.len() - 1 }
    }

    /// Another waker for a place that is [here](Self::has). The old one is for the caller to drop, without the lock.
    pub fn replace(&mut self, place: WakerPlace, waker: Waker) -> Option<Waker> {
        self.wakers.get_mut(place.index).and_then(|kept| kept.replace(waker))
    }

    /// Gives a place up, if it is one of those here. The waker is for the caller to drop, without the lock.
    pub fn leave(&mut self, place: WakerPlace) -> Option<Waker> {
        if !self.has(place) {
            return None;
        }
        self.wakers.get_mut(place.index).and_then(Option::take)
    }

    /// Keeps a place, or finds one: what a future does at every poll.
    pub fn wait(&mut self, place: &mut Option<WakerPlace>, waker: Waker) -> Option<Waker> {
        match *place {
            Some(kept) if self.has(kept) => self.replace(kept, waker),
            _ => {
                *place = Some(self.join(waker));
                None
            }
        }
    }

    /// Takes everybody out, to be woken without the lock.
    #[must_use]
    pub fn take(&mut self) -> Vec<Waker> {
        self.turn += 1;
        std::mem::take(&mut self.wakers).into_iter().flatten().collect()
    }
}

/// Wakes them; one whose waker panics keeps none of the others asleep.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        // The panic hook has said what there is to say.
        let _panicked = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}
