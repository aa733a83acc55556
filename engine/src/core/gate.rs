//! The writer gate: how one exclusive transaction holds all other commits back.
//!
//! * An exclusive transaction holds the gate from before its snapshot until its commit is installed.
//! * A concurrent commit passes while nobody holds the gate. It looks inside the commit section, so that once the gate
//!   is taken and the section was entered once, no commit is under way.
//! * Exclusive transactions are served in the order they came, each woken alone, whether a thread waits for one or a future.
//! * Neither side starves the other: concurrent commits that were held back get a [`Pass`] when the holder leaves, and
//!   the next exclusive transaction waits for exactly those; commits that come later do not delay it.
//! * A future that was held back gets its pass on loan: nobody knows when it is polled, and the thread that would do so may be
//!   the one that waits for the gate. So whoever is next takes loans back after [`PATIENCE`]. The future is held back anew then, and
//!   first again when that holder leaves; one that is polled in time never loses its turn.
//! * A future whose turn it is to be admitted exclusively is woken, and takes the gate when it is polled: until then nobody holds
//!   it, and commits pass. After [`PATIENCE`] whoever is behind it goes first, and it keeps its place.

mod queue;

use std::task::Waker;
use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex, WakerPlace, Wakers, wake_all};
use braid_wal::Log;

pub(crate) use self::queue::Seat;
use self::queue::{Queue, Turn};

/// How long an exclusive transaction waits for futures that go before it.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Passes that futures have.
#[derive(Debug, Default)]
struct Lent {
    /// The turn of the places that the futures had.
    turn: u64,
    passes: usize,
}

/// For how long exclusive transactions have waited for nobody but futures.
#[derive(Debug, Default)]
struct Patience {
    /// Threads, in all.
    used: Duration,
    /// Since when futures have, the first of them that knows.
    since: Option<Duration>,
}

impl State {
    /// Whether an exclusive transaction may take the gate.
    fn is_free(&self) -> bool {
        !self.held && self.passes == 0 && self.lent.passes == 0
    }

    /// Whether all that the exclusive transactions wait for is that futures are polled.
    fn waits_for_futures(&self) -> bool {
        self.lent.passes > 0 || (self.is_free() && self.queue.begins_with_future())
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
    patience: Patience,
}

/// What a future that asks for the gate is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It holds the gate.
    Taken,
    /// Its waker will be called.
    Waits,
    /// The same, and some others may have to be overtaken: it is to ask again after [`PATIENCE`].
    WaitsForFutures,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whose server calls wakers; `None` for a gate on its own, in a test.
    log: Option<Arc<Log>>,
    /// `State::held`, to be read inside the commit section.
    held: AtomicBool,
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
        self.gate.admit_next(&mut state);
    }
}

impl Gate {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { log: Some(log), ..Self::default() }
    }

    /// Whether concurrent commits are held back. Exact inside the commit section.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes the gate, waiting for it up to `timeout`; `false` when that has passed. The caller must then enter the
    /// commit section once before it takes a snapshot.
    #[must_use]
    pub(crate) fn acquire(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if state.is_free() && state.queue.is_empty() {
            self.take(&mut state);
            return true;
        }
        let turn = Arc::new(Turn::default());
        state.queue.push_thread(Arc::clone(&turn));
        // Whoever takes the gate for it removes it from the queue.
        let mut left = timeout;
        loop {
            let for_futures = state.waits_for_futures();
            let slice = if for_futures { left.min(PATIENCE) } else { left };
            let timed_out = turn.come.wait_for(&mut state, slice);
            if timed_out {
                left = left.saturating_sub(slice);
                if for_futures {
                    self.lose_patience(&mut state, slice);
                }
            }
            if !state.queue.has_thread(&turn) {
                return true;
            }
            if timed_out && left.is_zero() {
                state.queue.remove_thread(&turn);
                self.nudge(&mut state);
                return false;
            }
        }
    }

    /// Goes before the futures that are first, once somebody has waited for them for long enough.
    fn lose_patience(&self, state: &mut State, waited: Duration) {
        // Some time at least, so that those who have none and try again and again get there too.
        state.patience.used += waited.max(PATIENCE / 10);
        if state.patience.used < PATIENCE {
            return;
        }
        if state.lent.passes > 0 {
            self.take_loans_back(state);
        } else if state.is_free()
            && !planted!(TurnNotTakenBack)
            && let Some(turn) = state.queue.take_first_thread()
        {
            self.take(state);
            turn.come.notify_one();
        }
    }

    fn take_loans_back(&self, state: &mut State) {
        if !planted!(LoanNotTakenBack) {
            state.patience = Patience::default();
            state.lent.passes = 0;
            self.admit_next(state);
        }
    }

    /// Takes the gate for a future that is to be admitted exclusively, or has `waker` called when its turn may have come. It
    /// keeps its place in the queue in `seat`. The caller must then enter the commit section once before it takes a snapshot.
    pub(crate) fn poll_acquire(&self, seat: &mut Option<Seat>, now: Duration, waker: &Waker) -> Asked {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let replaced = state.queue.sit(seat, waker);
        let Some(kept) = *seat else { return Asked::Waits };
        if state.waits_for_futures() {
            let since = *state.patience.since.get_or_insert(now);
            let is_over = now.saturating_sub(since) >= PATIENCE;
            if is_over && state.lent.passes > 0 {
                self.take_loans_back(&mut state);
            }
            let first = state.queue.is_first(kept)
                || (is_over && !planted!(TurnNotTakenBack) && state.queue.is_behind_futures(kept));
            if state.is_free() && first {
                let own = state.queue.leave(kept);
                *seat = None;
                self.take(&mut state);
                drop(state);
                drop((own, replaced));
                return Asked::Taken;
            }
        }
        let asked = if state.waits_for_futures() { Asked::WaitsForFutures } else { Asked::Waits };
        drop(state);
        drop(replaced);
        asked
    }

    /// Gives up the place of a future in the queue.
    pub(crate) fn leave_queue(&self, seat: Seat) {
        let left = {
            let mut state = self.state.lock();
            let left = if planted!(SeatKept) { None } else { state.queue.leave(seat) };
            self.admit_next(&mut state);
            left
        };
        drop(left);
    }

    /// Has whoever is next see that it waits for futures.
    fn nudge(&self, state: &mut State) {
        if state.waits_for_futures() {
            if let Some(turn) = state.queue.first_thread() {
                turn.come.notify_one();
            }
            self.wake(state.queue.first_waker().into_iter().collect());
        }
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
        self.held.store(false, Ordering::Release);
        if state.held_back > 0 {
            state.passes += std::mem::take(&mut state.held_back);
            self.open.notify_all();
        }
        let turn = state.futures.turn();
        let woken = state.futures.take();
        state.lent = Lent { turn: turn + 1, passes: woken.len() };
        state.patience = Patience::default();
        self.wake(woken);
        self.admit_next(&mut state);
        self.nudge(&mut state);
    }

    /// Waits until the holder leaves, up to `timeout`; `None` when that has passed.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        if !state.held {
            state.passes += 1;
            return Some(Pass { gate: self });
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
                self.admit_next(&mut state);
            }
            state.futures.leave(place)
        };
        drop(left);
    }

    /// Has all futures look at the time.
    pub(crate) fn wake_futures(&self) {
        let mut state = self.state.lock();
        let mut wakers = state.futures.take();
        wakers.extend(state.queue.wakers());
        self.wake(wakers);
    }

    fn take(&self, state: &mut State) {
        state.patience = Patience::default();
        state.held = true;
        self.held.store(true, Ordering::Release);
    }

    fn admit_next(&self, state: &mut State) {
        if !state.is_free() {
            return;
        }
        if state.queue.begins_with_future() {
            self.nudge(state);
        } else if let Some(turn) = state.queue.take_first_thread() {
            self.take(state);
            turn.come.notify_one();
        }
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests;
