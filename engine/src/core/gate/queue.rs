//! Who waits to be admitted exclusively, first come first served.

use std::collections::VecDeque;
use std::task::Waker;

use braid_vfs::sync::{Arc, Condvar};

/// A thread that waits.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) come: Condvar,
}

/// A place in the queue: whoever came later has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat(u64);

/// A future that waits.
#[derive(Debug)]
struct Sitting {
    seat: Seat,
    /// `None` between its call and the next poll.
    waker: Option<Waker>,
    /// It was not polled while it had its turn, nor since.
    is_asleep: bool,
}

#[derive(Debug)]
enum Waiting {
    Thread(Seat, Arc<Turn>),
    Future(Sitting),
}

/// Who is first of those that are awake.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    Thread,
    Future(Seat),
}

impl Waiting {
    fn is_thread(&self, turn: &Arc<Turn>) -> bool {
        matches!(self, Self::Thread(_, other) if Arc::ptr_eq(other, turn))
    }

    fn seat(&self) -> Seat {
        match self {
            Self::Thread(seat, _) => *seat,
            Self::Future(sitting) => sitting.seat,
        }
    }

    fn sitting(&mut self) -> Option<&mut Sitting> {
        match self {
            Self::Future(sitting) => Some(sitting),
            Self::Thread(..) => None,
        }
    }
}

/// See the module. Seats ascend from the front. A waker is a user's code, to clone and to drop: all of that is done
/// outside, without the lock.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    seats: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn has_future_awake(&self) -> bool {
        self.waiting.iter().any(|one| matches!(one, Waiting::Future(sitting) if !sitting.is_asleep))
    }

    /// A thread never sleeps.
    pub(super) fn first_awake(&self) -> Option<First> {
        self.waiting.iter().find_map(|one| match one {
            Waiting::Thread(..) => Some(First::Thread),
            Waiting::Future(sitting) => (!sitting.is_asleep).then_some(First::Future(sitting.seat)),
        })
    }

    /// The last of the futures that are awake and before all threads.
    pub(super) fn last_before_thread(&self) -> Option<Seat> {
        let mut last = None;
        for one in &self.waiting {
            match one {
                Waiting::Thread(..) => break,
                Waiting::Future(sitting) if sitting.is_asleep => {}
                Waiting::Future(sitting) => last = Some(sitting.seat),
            }
        }
        last
    }

    /// Futures up to this one had their turn, and were not polled.
    pub(super) fn fall_asleep(&mut self, last: Seat) {
        self.sitting_through(last).for_each(|sitting| sitting.is_asleep = true);
    }

    fn sitting_through(&mut self, last: Seat) -> impl Iterator<Item = &mut Sitting> {
        self.waiting.iter_mut().filter_map(Waiting::sitting).take_while(move |sitting| sitting.seat <= last)
    }

    fn next_seat(&mut self) -> Seat {
        self.seats += 1;
        Seat(self.seats)
    }

    /// Many futures may wait, and each looks for itself at each poll.
    fn at(&self, seat: Seat) -> Option<usize> {
        self.waiting.binary_search_by_key(&seat, Waiting::seat).ok()
    }

    pub(super) fn push_thread(&mut self, turn: Arc<Turn>) {
        let seat = self.next_seat();
        self.waiting.push_back(Waiting::Thread(seat, turn));
    }

    pub(super) fn has_thread(&self, turn: &Arc<Turn>) -> bool {
        self.waiting.iter().any(|one| one.is_thread(turn))
    }

    pub(super) fn remove_thread(&mut self, turn: &Arc<Turn>) {
        self.waiting.retain(|one| !one.is_thread(turn));
    }

    pub(super) fn first_thread(&self) -> Option<&Turn> {
        self.waiting.iter().find_map(|one| match one {
            Waiting::Thread(_, turn) => Some(&**turn),
            Waiting::Future(_) => None,
        })
    }

    /// Has the first thread look again.
    pub(super) fn notify_thread(&self) {
        if let Some(turn) = self.first_thread() {
            turn.come.notify_one();
        }
    }

    /// Removes the first thread, past futures that are before it.
    pub(super) fn take_first_thread(&mut self) -> Option<Arc<Turn>> {
        let at = self.waiting.iter().position(|one| matches!(one, Waiting::Thread(..)))?;
        match self.waiting.remove(at) {
            Some(Waiting::Thread(_, turn)) => Some(turn),
            Some(Waiting::Future(_)) | None => None,
        }
    }

    /// Keeps the place of a future, or gives it the last one, and it is awake; returns a waker to drop.
    pub(super) fn sit(&mut self, seat: Option<Seat>, waker: Waker) -> (Seat, Option<Waker>) {
        if let Some(kept) = seat
            && let Some(sitting) =
                self.at(kept).and_then(|at| self.waiting.get_mut(at)).and_then(Waiting::sitting)
        {
            sitting.is_asleep = false;
            return (kept, sitting.waker.replace(waker));
        }
        let seat = self.next_seat();
        self.waiting.push_back(Waiting::Future(Sitting { seat, waker: Some(waker), is_asleep: false }));
        (seat, None)
    }

    /// Removes a future; returns its waker, to drop.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<Waker> {
        let at = self.at(seat)?;
        match self.waiting.remove(at) {
            Some(Waiting::Future(sitting)) => sitting.waker,
            Some(Waiting::Thread(..)) | None => None,
        }
    }

    /// The wakers of the futures that are awake up to this one, to call them.
    pub(super) fn wakers_through(&mut self, last: Seat) -> Vec<Waker> {
        self.sitting_through(last)
            .filter(|sitting| !sitting.is_asleep)
            .filter_map(|sitting| sitting.waker.take())
            .collect()
    }

    /// The wakers of all futures, to call them.
    pub(super) fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.waiting.iter_mut().filter_map(Waiting::sitting).filter_map(|sitting| sitting.waker.take())
    }
}
