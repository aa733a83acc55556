//! The writer gate: how one exclusive transaction holds all other commits back.
//!
//! * An exclusive transaction holds the gate from before its snapshot until its commit is installed.
//! * A concurrent commit passes while nobody holds the gate. It looks inside the commit section, so that once the gate
//!   is taken and the section was entered once, no commit is under way.
//! * Exclusive transactions are served in the order they came, each woken alone.
//! * Neither side starves the other: concurrent commits that were held back get a [`Pass`] when the holder leaves, and
//!   the next exclusive transaction waits for exactly those; commits that come later do not delay it.
//! * A future that was held back gets its pass on loan: nobody knows when it is polled, and the thread that would do so may be
//!   the one that waits for the gate. So whoever is next takes loans back after [`PATIENCE`]. The future is held back anew then, and
//!   first again when that holder leaves; one that is polled in time never loses its turn.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex, WakerPlace, Wakers};

/// How long an exclusive transaction waits for futures that go before it.
const PATIENCE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Turn {
    come: Condvar,
}

/// Passes that futures have.
#[derive(Debug, Default)]
struct Lent {
    /// The turn of the places that the futures had.
    turn: u64,
    passes: usize,
    /// For how long exclusive transactions have waited for these.
    waited: Duration,
}

impl State {
    /// Whether an exclusive transaction may take the gate.
    fn is_free(&self) -> bool {
        !self.held && self.passes == 0 && self.lent.passes == 0
    }
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    /// Exclusive transactions that wait, first come first served.
    queue: VecDeque<Arc<Turn>>,
    /// Concurrent commits that wait for the holder to leave.
    held_back: usize,
    /// Passes given out and not yet returned.
    passes: usize,
    /// Commits that wait for the holder to leave, and hold no thread.
    futures: Wakers,
    /// Those of them that were told to go on.
    lent: Lent,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
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
        state.queue.push_back(Arc::clone(&turn));
        // `admit_next` takes the gate for whom it removes from the queue.
        let mut left = timeout;
        loop {
            let lent = state.lent.passes > 0;
            let slice = if lent { left.min(PATIENCE) } else { left };
            let timed_out = turn.come.wait_for(&mut state, slice);
            if timed_out {
                left = left.saturating_sub(slice);
                if lent {
                    self.lose_patience(&mut state, slice);
                }
            }
            let Some(place) = state.queue.iter().position(|other| Arc::ptr_eq(other, &turn)) else {
                return true;
            };
            if timed_out && left.is_zero() {
                state.queue.remove(place);
                Self::nudge(&state);
                return false;
            }
        }
    }

    /// Takes back what was lent, once somebody has waited for it for long enough.
    fn lose_patience(&self, state: &mut State, waited: Duration) {
        // Some time at least, so that those who have none and try again and again get there too.
        state.lent.waited += waited.max(PATIENCE / 10);
        if state.lent.waited >= PATIENCE && !planted!(LoanNotTakenBack) {
            state.lent.passes = 0;
            self.admit_next(state);
        }
    }

    /// Has whoever is next see that it waits for futures.
    fn nudge(state: &State) {
        if state.lent.passes > 0
            && let Some(turn) = state.queue.front()
        {
            turn.come.notify_one();
        }
    }

    /// Gives the gate back. The wakers are of futures that may look again.
    #[must_use]
    pub(crate) fn release(&self) -> Vec<Waker> {
        let mut state = self.state.lock();
        state.held = false;
        self.held.store(false, Ordering::Release);
        if state.held_back > 0 {
            state.passes += std::mem::take(&mut state.held_back);
            self.open.notify_all();
        }
        let turn = state.futures.turn();
        let woken = state.futures.take();
        state.lent = Lent { turn: turn + 1, passes: woken.len(), waited: Duration::ZERO };
        self.admit_next(&mut state);
        Self::nudge(&state);
        woken
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

    /// Takes all futures out, to have them look at the time.
    pub(crate) fn futures(&self) -> Vec<Waker> {
        self.state.lock().futures.take()
    }

    fn take(&self, state: &mut State) {
        state.held = true;
        self.held.store(true, Ordering::Release);
    }

    fn admit_next(&self, state: &mut State) {
        if state.is_free()
            && let Some(turn) = state.queue.pop_front()
        {
            self.take(state);
            turn.come.notify_one();
        }
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_exclusive_and_times_out() {
        let gate = Gate::default();
        assert!(gate.acquire(Duration::ZERO));
        assert!(gate.is_held());
        assert!(!gate.acquire(Duration::from_millis(1)));
        assert!(gate.wait(Duration::from_millis(1)).is_none());
        drop(gate.release());
        assert!(!gate.is_held());
        assert!(gate.acquire(Duration::ZERO));
    }

    #[test]
    fn a_commit_that_was_held_back_goes_before_the_next_exclusive() {
        let gate = Gate::default();
        assert!(gate.acquire(LONG));
        let (order, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            let concurrent = order.clone();
            scope.spawn(|| {
                let pass = gate.wait(LONG).unwrap();
                concurrent.send("concurrent").unwrap();
                drop(pass);
                drop(concurrent);
            });
            while gate.state.lock().held_back == 0 {
                std::thread::yield_now();
            }
            let exclusive = order.clone();
            scope.spawn(|| {
                assert!(gate.acquire(LONG));
                exclusive.send("exclusive").unwrap();
                drop(gate.release());
                drop(exclusive);
            });
            while gate.state.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            drop(gate.release());
        });
        drop(order);
        assert_eq!(ended.iter().collect::<Vec<_>>(), ["concurrent", "exclusive"]);
    }

    #[test]
    fn one_that_gave_up_is_skipped() {
        let gate = Gate::default();
        assert!(gate.acquire(LONG));
        assert!(!gate.acquire(Duration::from_millis(1)));
        drop(gate.release());
        assert!(gate.acquire(Duration::ZERO), "nobody is left in the queue");
        drop(gate.release());
    }

    #[test]
    fn a_future_goes_before_the_next_exclusive_unless_nobody_polls_it() {
        let (gate, noop) = (Gate::default(), Waker::noop());
        assert!(gate.poll(&mut None, noop), "nobody holds it");
        for is_polled in [true, false] {
            let mut place = None;
            assert!(gate.acquire(Duration::ZERO));
            assert!(!gate.poll(&mut place, noop));
            assert_eq!(gate.release().len(), 1);
            assert!(!gate.acquire(Duration::ZERO), "the future is first");
            if is_polled {
                assert!(gate.poll(&mut place, noop));
                gate.leave(place.unwrap());
                assert!(gate.acquire(Duration::ZERO));
                drop(gate.release());
            } else {
                assert!(gate.acquire(LONG), "it does not wait for ever");
                assert!(!gate.poll(&mut place, noop), "the loan was taken back");
                assert_eq!(gate.release().len(), 1, "and given anew");
                gate.leave(place.unwrap());
            }
            assert!(gate.acquire(Duration::ZERO));
            drop(gate.release());
        }
    }

    #[test]
    fn short_waits_add_up_to_patience() {
        let (gate, mut place) = (Gate::default(), None);
        assert!(gate.acquire(Duration::ZERO));
        assert!(!gate.poll(&mut place, Waker::noop()));
        drop(gate.release());
        let tries = (0..100).take_while(|_| !gate.acquire(Duration::ZERO)).count();
        assert!((1..100).contains(&tries), "{tries}");
        drop(gate.release());
    }

    /// Whoever waits for the holder learns of the loan when the holder leaves, and has little patience from then on.
    #[test]
    fn one_that_waits_already_takes_the_loan_back() {
        let (gate, mut place) = (Gate::default(), None);
        assert!(gate.acquire(Duration::ZERO));
        assert!(!gate.poll(&mut place, Waker::noop()));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| gate.acquire(LONG));
            while gate.state.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            drop(gate.release());
            assert!(waits.join().unwrap());
        });
        gate.leave(place.unwrap());
        drop(gate.release());
    }

    #[test]
    fn many_threads_exclude_each_other() {
        let gate = Gate::default();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert!(gate.acquire(LONG));
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(gate.release());
                    }
                });
            }
        });
    }
}
