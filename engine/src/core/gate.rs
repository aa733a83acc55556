//! The writer gate: how one exclusive transaction holds all other commits back.
//!
//! * An exclusive transaction holds the gate from before its snapshot until its commit is installed.
//! * A concurrent commit passes while nobody holds the gate. It looks inside the commit section, so that once the gate
//!   is taken and the section was entered once, no commit is under way.
//! * Exclusive transactions are served in the order they came, each woken alone.
//! * Neither side starves the other: concurrent commits that were held back get a [`Pass`] when the holder leaves, and
//!   the next exclusive transaction waits for exactly those; commits that come later do not delay it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use braid_vfs::sync::atomic::{AtomicBool, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex, WakerPlace, Wakers};

#[derive(Debug, Default)]
struct Turn {
    come: Condvar,
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
        if !state.held && state.passes == 0 && state.queue.is_empty() {
            self.take(&mut state);
            return true;
        }
        let turn = Arc::new(Turn::default());
        state.queue.push_back(Arc::clone(&turn));
        // `admit_next` takes the gate for whom it removes from the queue.
        loop {
            let timed_out = turn.come.wait_for(&mut state, timeout);
            let Some(place) = state.queue.iter().position(|other| Arc::ptr_eq(other, &turn)) else {
                return true;
            };
            if timed_out {
                state.queue.remove(place);
                return false;
            }
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
        self.admit_next(&mut state);
        state.futures.take()
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

    /// Gives up the place of a future.
    pub(crate) fn leave(&self, place: WakerPlace) {
        let left = self.state.lock().futures.leave(place);
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
        if !state.held
            && state.passes == 0
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
