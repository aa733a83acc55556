//! The writer gate: how one exclusive transaction holds all other commits back.
//!
//! * An exclusive transaction holds the gate from before its snapshot until its commit is installed.
//! * A concurrent commit passes while nobody holds the gate. It looks inside the commit section, so that once the gate
//!   is taken and the section was entered once, no commit is under way.
//! * Exclusive transactions are served in the order they came, each woken alone, whether a thread waits for one or a future.
//! * Neither side starves the other: concurrent commits that were held back get a [`Pass`] when the holder leaves, and
//!   the next exclusive transaction waits for exactly those; commits that come later do not delay it.
//! * A future that was held back gets its pass on loan: nobody knows when it is polled, and the thread that would do so
//!   may be the one that waits for the gate. So they are taken back after [`PATIENCE`] for whoever is next. The future
//!   is held back anew then, and first again when that holder leaves; one that is polled in time never loses its turn.
//! * A future whose turn it is to be admitted exclusively is woken, and takes the gate when it is polled: until then
//!   nobody holds it, and commits pass. After [`PATIENCE`] it is asleep, and its turn is offered to all the other
//!   futures before the next thread at once; those who do not come are asleep after as long again, and the thread goes.
//!   Whoever is asleep keeps its place and delays nobody, until it is polled again. So however many futures nobody
//!   polls, those behind them wait that long once, and not each. One that is always polled too late is passed by
//!   whatever threads come: it starves while they do not cease.
//! * [`PATIENCE`] is exact where a thread waits in the queue, which looks at the time. Behind futures alone it is the
//!   least: the next look is that of a future in the queue that is polled, or of the log keeper, up to [`LOOK_AGAIN`]
//!   after the offer.
//!
//! Invariants:
//!
//! 1. [`Offer`] says what is offered to futures now, and since when; [`Gate::settle`], which follows every change of
//!    who is next, makes offers and ends them. So a future loses what was offered to it, for as long as there is
//!    patience, and nothing else; and one to which the gate is offered can take it: whoever waits with a waker in its
//!    place waits for an offer that is to come.
//! 2. A future that waits is woken when something is offered to it, and by a timer of its own when it has waited for
//!    long enough; nobody wakes it to look at the time for others. Threads in the queue do that. Where a future waits
//!    there, the log keeper does, too: as long as one is awake it comes back by the time that [`Gate::look`] tells, or
//!    a sync or segment later, so an offer that nobody takes up ends without them.

mod holder;
mod queue;

use std::sync::Arc as Shared;
use std::task::Waker;
use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex, WakerPlace, Wakers, wake_all};
use braid_vfs::{Clock, Env};
use braid_wal::Log;

use self::holder::Holder;
pub(crate) use self::queue::Seat;
use self::queue::{First, Queue, Turn};
use super::budget::LOOK_AGAIN;
use super::stats::WaitCounter;

/// How long whoever is next waits for futures to which something is offered.
const PATIENCE: Duration = Duration::from_millis(10);

/// Passes that futures have.
#[derive(Debug, Default)]
struct Lent {
    /// The turn of the places that the futures had.
    turn: u64,
    passes: usize,
}

/// What nobody but futures can take up, each when it is polled.
#[derive(Clone, Copy, Debug)]
struct Offer {
    to: Offered,
    since: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    /// Passes, to commits that were held back.
    Loans,
    /// The gate, to whoever is awake up to this seat. No thread is before it.
    Gate(Seat),
}

/// Who is to go on.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Whoever holds the gate or has a pass; or nobody waits.
    Others,
    /// Futures that have passes.
    Loans,
    /// The first of those who wait to be admitted exclusively and are awake.
    First(First),
}

impl State {
    /// Whether an exclusive transaction may take the gate.
    fn is_free(&self) -> bool {
        !self.held && self.passes == 0 && self.lent.passes == 0
    }

    fn next(&self) -> Next {
        if self.lent.passes > 0 {
            return Next::Loans;
        }
        match self.queue.first_awake() {
            Some(first) if self.is_free() => Next::First(first),
            _ => Next::Others,
        }
    }

    /// Whether a future that is polled may take the gate.
    fn may_take(&self, seat: Seat) -> bool {
        match (self.next(), self.offer) {
            (Next::First(First::Future(first)), _) if first == seat => true,
            (Next::First(First::Future(_)), Some(Offer { to: Offered::Gate(last), .. })) => seat <= last,
            _ => false,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    /// Exclusive transactions that wait, first come first served.
    queue: Queue,
    /// Concurrent commits that wait for the holder to leave.
    held_back: usize,
    /// Passes given out and not yet returned.
    passes: usize,
    /// Commits that wait for the holder to leave, and hold no thread.
    futures: Wakers,
    /// Those of them that were told to go on.
    lent: Lent,
    offer: Option<Offer>,
}

/// What a future that asks for the gate is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It holds the gate.
    Taken,
    /// Its waker will be called, if the gate is [looked after](Gate::look).
    Waits,
    /// The same, and some others may have to be overtaken soon.
    WaitsForFutures,
}

impl Asked {
    /// When the gate is to be looked after, for one who has asked just now.
    pub(crate) fn look_in(self) -> Duration {
        if self == Self::WaitsForFutures { PATIENCE } else { LOOK_AGAIN }
    }
}

/// Wakers that are not needed any more. They are a user's code to drop, and may panic: whoever was told that it holds the gate
/// sees to it first that somebody gives it back.
#[must_use]
#[derive(Debug)]
pub(crate) struct LeftWakers(#[expect(dead_code, reason = "for its drop")] [Option<Waker>; 2]);

/// See the module.
#[derive(Debug)]
pub(crate) struct Gate {
    clock: Shared<dyn Clock>,
    /// Whose server calls wakers; `None` for a gate on its own, in a test.
    log: Option<Arc<Log>>,
    /// `State::held`, to be read inside the commit section.
    held: AtomicBool,
    holder: Holder,
    /// Those who have waited to be admitted exclusively.
    pub(super) turns: WaitCounter,
    state: Mutex<State>,
    open: Condvar,
}

/// The right of a concurrent commit that was held back to go before the next exclusive transaction.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.passes -= 1;
        self.gate.settle(&mut state, None);
    }
}

impl Gate {
    pub(super) fn new(env: &Env, log: Arc<Log>) -> Self {
        Self { log: Some(log), ..Self::alone(Shared::clone(&env.clock)) }
    }

    fn alone(clock: Shared<dyn Clock>) -> Self {
        Self {
            clock,
            log: None,
            held: AtomicBool::default(),
            holder: Holder::default(),
            turns: WaitCounter::default(),
            state: Mutex::default(),
            open: Condvar::default(),
        }
    }

    /// Whether concurrent commits are held back. Exact inside the commit section.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes the gate, waiting for it up to `timeout`; `false` when that has passed, or would pass in vain, as
    /// [`waits_for_itself`](Self::waits_for_itself) tells. The caller must then enter the commit section once before it takes a
    /// snapshot.
    #[must_use]
    pub(crate) fn acquire(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if state.is_free() && state.queue.is_empty() {
            self.take(&mut state);
            return true;
        }
        if self.waits_for_itself() {
            return false;
        }
        let turn = Arc::new(Turn::default());
        state.queue.push_thread(Arc::clone(&turn));
        let mut now = self.clock.now();
        let (since, until) = (now, now.saturating_add(timeout));
        self.settle(&mut state, Some(now));
        loop {
            self.lose_patience(&mut state, now);
            // Whoever takes the gate for it removes it from the queue.
            if !state.queue.has_thread(&turn) {
                self.turns.add(now.saturating_sub(since));
                return true;
            }
            if now >= until {
                state.queue.remove_thread(&turn);
                self.turns.add(now.saturating_sub(since));
                self.settle(&mut state, Some(now));
                // Another one has to look at the time.
                state.queue.notify_thread();
                return false;
            }
            let look_at = state.offer.map_or(until, |offer| until.min(offer.since.saturating_add(PATIENCE)));
            let slice = look_at.saturating_sub(now);
            let waited = if turn.come.wait_for(&mut state, slice) { slice } else { Duration::ZERO };
            // A clock may stand still while threads wait: one of a test does.
            now = now.saturating_add(waited).max(self.clock.now());
        }
    }

    /// Whoever has taken the gate says on which thread it goes on.
    pub(crate) fn taken_here(&self) {
        self.holder.begins();
    }

    /// The holder is in a closure that this thread calls: it cannot leave before that returns. Or it is in none any more.
    pub(crate) fn set_in_closure(&self, inside: bool) {
        self.holder.set_in_closure(inside);
    }

    /// Whether this thread would wait for itself.
    pub(crate) fn waits_for_itself(&self) -> bool {
        self.holder.waits_for_this_thread()
    }

    /// Whether what holds the gate was begun on this thread. It may have been sent to another one.
    pub(crate) fn was_taken_here(&self) -> bool {
        self.holder.was_begun_here()
    }

    /// Has others go on where futures have not taken up for long enough what was offered to them.
    fn lose_patience(&self, state: &mut State, now: Duration) {
        let Some(Offer { to, since }) = state.offer else { return };
        if now.saturating_sub(since) < PATIENCE {
            return;
        }
        let again = match to {
            Offered::Loans => {
                if planted!(LoanNotTakenBack) {
                    Some(to)
                } else {
                    state.lent.passes = 0;
                    None
                }
            }
            Offered::Gate(last) => {
                if planted!(TurnNotTakenBack) {
                    Some(to)
                } else {
                    state.queue.fall_asleep(last);
                    state.queue.last_before_thread().map(Offered::Gate)
                }
            }
        };
        match again {
            Some(to) => self.offer(state, Offer { to, since: now }),
            None => self.settle(state, Some(now)),
        }
    }

    /// Has whoever is next go on. After each change of who that is.
    fn settle(&self, state: &mut State, now: Option<Duration>) {
        let to = match (state.next(), state.offer.map(|offer| offer.to)) {
            (Next::Others, _) => {
                state.offer = None;
                return;
            }
            (Next::First(First::Thread), _) => {
                if let Some(turn) = state.queue.take_first_thread() {
                    self.take(state);
                    turn.come.notify_one();
                }
                return;
            }
            (Next::Loans, Some(Offered::Loans)) => return,
            (Next::Loans, _) => Offered::Loans,
            (Next::First(First::Future(first)), Some(Offered::Gate(last))) if first <= last => return,
            (Next::First(First::Future(first)), _) => Offered::Gate(first),
        };
        self.offer(state, Offer { to, since: now.unwrap_or_else(|| self.clock.now()) });
    }

    /// Offers something to futures, and has those who are behind them look at the time.
    fn offer(&self, state: &mut State, offer: Offer) {
        state.offer = Some(offer);
        state.queue.notify_thread();
        let last = match (offer.to, state.queue.first_awake()) {
            (Offered::Gate(last), _) | (Offered::Loans, Some(First::Future(last))) => last,
            (Offered::Loans, Some(First::Thread) | None) => return,
        };
        self.wake(state.queue.wakers_through(last));
    }

    /// Takes the gate for a future that is to be admitted exclusively, or has `waker` called when its turn may have come. It
    /// keeps its place in the queue in `seat`. The caller must then enter the commit section once before it takes a snapshot.
    pub(crate) fn poll_acquire(&self, seat: &mut Option<Seat>, waker: &Waker) -> (Asked, LeftWakers) {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let (kept, replaced) = state.queue.sit(*seat, waker);
        *seat = Some(kept);
        if state.offer.is_some() && !state.may_take(kept) {
            self.lose_patience(&mut state, self.clock.now());
        }
        if state.may_take(kept) {
            let own = state.queue.leave(kept);
            *seat = None;
            self.take(&mut state);
            return (Asked::Taken, LeftWakers([own, replaced]));
        }
        let asked = if state.offer.is_some() { Asked::WaitsForFutures } else { Asked::Waits };
        (asked, LeftWakers([None, replaced]))
    }

    /// Has others go on where futures have not taken up for long enough what was offered to them, for those who wait behind them
    /// without a thread; says when to look again, or that none of these is awake.
    pub(crate) fn look(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.queue.has_future_awake() && !planted!(GateNotLookedAfter) {
            self.lose_patience(&mut state, now);
        }
        let look_at = match state.offer {
            Some(offer) => offer.since.saturating_add(PATIENCE),
            None => now.saturating_add(LOOK_AGAIN),
        };
        state.queue.has_future_awake().then_some(look_at)
    }

    /// Gives up the place of a future in the queue.
    pub(crate) fn leave_queue(&self, seat: Seat) {
        let left = {
            let mut state = self.state.lock();
            let left = if planted!(SeatKept) { None } else { state.queue.leave(seat) };
            self.settle(&mut state, None);
            left
        };
        drop(left);
    }

    /// Has wakers called. Under the lock: what is passed on is only kept, and nothing of a user's runs here.
    fn wake(&self, wakers: Vec<Waker>) {
        match &self.log {
            Some(log) => log.wake_soon(wakers),
            None => wake_all(wakers),
        }
    }

    /// Gives the gate back.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        state.held = false;
        self.holder.ends();
        self.held.store(false, Ordering::Release);
        if state.held_back > 0 {
            state.passes += std::mem::take(&mut state.held_back);
            self.open.notify_all();
        }
        let turn = state.futures.turn();
        let woken = state.futures.take();
        state.lent = Lent { turn: turn + 1, passes: woken.len() };
        self.wake(woken);
        self.settle(&mut state, None);
    }

    /// Waits until the holder leaves, up to `timeout`; `None` when that has passed, or would pass in vain.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        if !state.held {
            state.passes += 1;
            // What was offered meanwhile cannot be taken up now; it is offered anew when the pass is back.
            if !planted!(OfferOutlivesPass) {
                self.settle(&mut state, None);
            }
            return Some(Pass { gate: self });
        }
        if self.waits_for_itself() {
            return None;
        }
        state.held_back += 1;
        // `release` moves everybody from `held_back` to `passes` at once, and the gate cannot be taken again before
        // the passes are back: so "not held" means "I have a pass".
        while state.held {
            if self.open.wait_for(&mut state, timeout) && state.held {
                state.held_back -= 1;
                return None;
            }
        }
        Some(Pass { gate: self })
    }

    /// Whether nobody holds the gate; else `waker` is called when that may have changed.
    pub(crate) fn poll(&self, place: &mut Option<WakerPlace>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let replaced = {
            let mut state = self.state.lock();
            if !state.held {
                return true;
            }
            state.futures.wait(place, waker)
        };
        drop(replaced);
        false
    }

    /// Gives up the place of a future, or its pass: it is through, or waits no longer.
    pub(crate) fn leave(&self, place: WakerPlace) {
        let left = {
            let mut state = self.state.lock();
            if place.turn() + 1 == state.lent.turn && state.lent.passes > 0 {
                state.lent.passes -= 1;
                self.settle(&mut state, None);
            }
            state.futures.leave(place)
        };
        drop(left);
    }

    /// Has all futures look again: the log is poisoned, and nobody looks after them any more.
    pub(crate) fn wake_futures(&self) {
        let mut state = self.state.lock();
        let mut wakers = state.futures.take();
        wakers.extend(state.queue.wakers());
        self.wake(wakers);
    }

    fn take(&self, state: &mut State) {
        state.offer = None;
        state.held = true;
        self.held.store(true, Ordering::Release);
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
impl super::Core {
    /// Commits whose threads wait for the holder to leave.
    pub(crate) fn commits_held_back(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.gate.state.lock().held_back)
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests;
