//! One gate, and whoever comes to it.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::task::Wake;
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Counts how often it is called.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), Waker::from(bell))
}

#[test]
fn it_is_exclusive_and_times_out() {
    let gate = Gate::default();
    assert!(gate.acquire(Duration::ZERO));
    assert!(gate.is_held());
    assert!(!gate.acquire(Duration::from_millis(1)));
    assert!(gate.wait(Duration::from_millis(1)).is_none());
    gate.release();
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
            gate.release();
            drop(exclusive);
        });
        while gate.state.lock().queue.is_empty() {
            std::thread::yield_now();
        }
        gate.release();
    });
    drop(order);
    assert_eq!(ended.iter().collect::<Vec<_>>(), ["concurrent", "exclusive"]);
}

#[test]
fn one_that_gave_up_is_skipped() {
    let gate = Gate::default();
    assert!(gate.acquire(LONG));
    assert!(!gate.acquire(Duration::from_millis(1)));
    gate.release();
    assert!(gate.acquire(Duration::ZERO), "nobody is left in the queue");
    gate.release();
}

#[test]
fn a_future_goes_before_the_next_exclusive_unless_nobody_polls_it() {
    let (gate, noop) = (Gate::default(), Waker::noop());
    assert!(gate.poll(&mut None, noop), "nobody holds it");
    for is_polled in [true, false] {
        let (bell, waker) = bell();
        let mut place = None;
        assert!(gate.acquire(Duration::ZERO));
        assert!(!gate.poll(&mut place, &waker));
        gate.release();
        assert_eq!(bell.times(), 1);
        assert!(!gate.acquire(Duration::ZERO), "the future is first");
        if is_polled {
            assert!(gate.poll(&mut place, noop));
            gate.leave(place.unwrap());
            assert!(gate.acquire(Duration::ZERO));
            gate.release();
        } else {
            assert!(gate.acquire(LONG), "it does not wait for ever");
            assert!(!gate.poll(&mut place, &waker), "the loan was taken back");
            gate.release();
            assert_eq!(bell.times(), 2, "and given anew");
            gate.leave(place.unwrap());
        }
        assert!(gate.acquire(Duration::ZERO));
        gate.release();
    }
}

#[test]
fn short_waits_add_up_to_patience() {
    let (gate, mut place) = (Gate::default(), None);
    assert!(gate.acquire(Duration::ZERO));
    assert!(!gate.poll(&mut place, Waker::noop()));
    gate.release();
    let tries = (0..100).take_while(|_| !gate.acquire(Duration::ZERO)).count();
    assert!((1..100).contains(&tries), "{tries}");
    gate.release();
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
        gate.release();
        assert!(waits.join().unwrap());
    });
    gate.leave(place.unwrap());
    gate.release();
}

#[test]
fn many_threads_exclude_each_other() {
    let gate = Gate::default();
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(gate.acquire(LONG));
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    gate.release();
                }
            });
        }
    });
}

const NOW: Duration = Duration::from_secs(1000);
const LATER: Duration = Duration::from_secs(1000).saturating_add(PATIENCE);

#[test]
fn futures_and_threads_are_admitted_in_the_order_they_came() {
    let (gate, (first_bell, first_waker), (second_bell, second_waker)) = (Gate::default(), bell(), bell());
    assert!(gate.acquire(Duration::ZERO));
    let (mut first, mut second) = (None, None);
    assert_eq!(gate.poll_acquire(&mut first, NOW, &first_waker), Asked::Waits);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| gate.acquire(LONG));
        while gate.state.lock().queue.first_thread().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(gate.poll_acquire(&mut second, NOW, &second_waker), Asked::Waits);
        gate.release();
        assert_eq!((first_bell.times(), second_bell.times()), (1, 0));
        assert_eq!(gate.poll_acquire(&mut first, NOW, &first_waker), Asked::Taken);
        assert_eq!(first, None);
        assert!(!thread.is_finished());
        gate.release();
        assert!(thread.join().unwrap());
    });
    assert_eq!(gate.poll_acquire(&mut second, LATER, &second_waker), Asked::Waits, "the thread has it");
    gate.release();
    assert_eq!(second_bell.times(), 1);
    assert_eq!(gate.poll_acquire(&mut second, LATER, &second_waker), Asked::Taken);
    gate.release();
}

#[test]
fn a_future_that_is_not_polled_is_overtaken_and_keeps_its_place() {
    let (gate, noop) = (Gate::default(), Waker::noop());
    let (mut sleeps, mut polled) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert_eq!(gate.poll_acquire(&mut sleeps, NOW, noop), Asked::Waits);
    gate.release();
    assert!(!gate.acquire(Duration::ZERO), "its turn has come");
    assert!(gate.acquire(LONG), "a thread does not wait for ever");
    assert_eq!(gate.poll_acquire(&mut polled, NOW, noop), Asked::Waits);
    gate.release();
    assert_eq!(gate.poll_acquire(&mut polled, NOW, noop), Asked::WaitsForFutures);
    assert_eq!(gate.poll_acquire(&mut polled, LATER, noop), Asked::Taken, "nor does a future");
    gate.release();
    assert_eq!(gate.poll_acquire(&mut polled, LATER, noop), Asked::WaitsForFutures, "it is behind again");
    assert_eq!(gate.poll_acquire(&mut sleeps, LATER, noop), Asked::Taken);
    gate.release();
    gate.leave_queue(polled.unwrap());
    assert!(gate.acquire(Duration::ZERO), "nobody is left in the queue");
    gate.release();
}

#[test]
fn a_future_that_leaves_passes_its_turn_on() {
    let (gate, (bell, waker)) = (Gate::default(), bell());
    let (mut leaves, mut next) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert_eq!(gate.poll_acquire(&mut leaves, NOW, Waker::noop()), Asked::Waits);
    assert_eq!(gate.poll_acquire(&mut next, NOW, &waker), Asked::Waits);
    gate.release();
    assert_eq!(bell.times(), 0);
    gate.leave_queue(leaves.unwrap());
    assert_eq!(bell.times(), 1);
    assert_eq!(gate.poll_acquire(&mut next, NOW, &waker), Asked::Taken);
    gate.release();
}

/// A commit that was held back goes first; one that is not polled does not hold the exclusive future up for ever.
#[test]
fn loans_go_before_a_future_and_are_taken_back_for_it() {
    let (gate, noop) = (Gate::default(), Waker::noop());
    let (mut held_back, mut exclusive) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert!(!gate.poll(&mut held_back, noop));
    assert_eq!(gate.poll_acquire(&mut exclusive, NOW, noop), Asked::Waits);
    gate.release();
    assert_eq!(gate.poll_acquire(&mut exclusive, NOW, noop), Asked::WaitsForFutures);
    assert!(!gate.is_held());
    assert_eq!(gate.poll_acquire(&mut exclusive, LATER, noop), Asked::Taken);
    gate.leave(held_back.unwrap());
    gate.release();
}
