//! One gate, and whoever comes to it.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::task::Wake;
use std::time::Duration;

use braid_vfs::memory::VirtualClock;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A gate, and its clock, which stands still.
fn gate() -> (Gate, Shared<VirtualClock>) {
    let clock = Shared::new(VirtualClock::new(Duration::ZERO));
    (Gate::alone(Shared::clone(&clock) as Shared<dyn Clock>), clock)
}

fn ask(gate: &Gate, seat: &mut Option<Seat>, waker: &Waker) -> Asked {
    let (asked, left) = gate.poll_acquire(seat, waker);
    drop(left);
    asked
}

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
    let (gate, _) = gate();
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
    let (gate, _) = gate();
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
    let (gate, _) = gate();
    assert!(gate.acquire(LONG));
    assert!(!gate.acquire(Duration::from_millis(1)));
    gate.release();
    assert!(gate.acquire(Duration::ZERO), "nobody is left in the queue");
    gate.release();
}

#[test]
fn a_future_goes_before_the_next_exclusive_unless_nobody_polls_it() {
    let ((gate, _), noop) = (gate(), Waker::noop());
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

/// Those who have no time and try again and again get there too, and no sooner than others.
#[test]
fn patience_is_of_time_and_not_of_tries() {
    let ((gate, clock), mut place) = (gate(), None);
    assert!(gate.acquire(Duration::ZERO));
    assert!(!gate.poll(&mut place, Waker::noop()));
    gate.release();
    let try_often = || (0..100).any(|_| gate.acquire(Duration::ZERO));
    assert!(!try_often());
    clock.advance(PATIENCE - Duration::from_nanos(1));
    assert!(!try_often());
    clock.advance(Duration::from_nanos(1));
    assert!(try_often());
    gate.release();
}

/// Whoever waits for the holder learns of the loan when the holder leaves, and has little patience from then on.
#[test]
fn one_that_waits_already_takes_the_loan_back() {
    let ((gate, _), mut place) = (gate(), None);
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
    let (gate, _) = gate();
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

#[test]
fn futures_and_threads_are_admitted_in_the_order_they_came() {
    let ((gate, _), (first_bell, first_waker), (second_bell, second_waker)) = (gate(), bell(), bell());
    assert!(gate.acquire(Duration::ZERO));
    let (mut first, mut second) = (None, None);
    assert_eq!(ask(&gate, &mut first, &first_waker), Asked::Waits);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| gate.acquire(LONG));
        while gate.state.lock().queue.first_thread().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(ask(&gate, &mut second, &second_waker), Asked::Waits);
        gate.release();
        assert_eq!((first_bell.times(), second_bell.times()), (1, 0));
        assert_eq!(ask(&gate, &mut first, &first_waker), Asked::Taken);
        assert_eq!(first, None);
        assert!(!thread.is_finished());
        gate.release();
        assert!(thread.join().unwrap());
    });
    assert_eq!(ask(&gate, &mut second, &second_waker), Asked::Waits, "the thread has it");
    gate.release();
    assert_eq!(second_bell.times(), 1);
    assert_eq!(ask(&gate, &mut second, &second_waker), Asked::Taken);
    gate.release();
}

#[test]
fn a_future_that_is_not_polled_is_overtaken_and_keeps_its_place() {
    let ((gate, clock), noop) = (gate(), Waker::noop());
    let (mut sleeps, mut polled) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert_eq!(ask(&gate, &mut sleeps, noop), Asked::Waits);
    gate.release();
    assert!(!gate.acquire(Duration::ZERO), "its turn has come");
    assert!(gate.acquire(LONG), "a thread does not wait for ever");
    gate.release();
    assert!(gate.acquire(Duration::ZERO), "nor again for one that is asleep");
    assert_eq!(ask(&gate, &mut sleeps, noop), Asked::Waits);
    assert_eq!(ask(&gate, &mut polled, noop), Asked::Waits);
    gate.release();
    assert_eq!(ask(&gate, &mut polled, noop), Asked::WaitsForFutures, "the other one is awake, and first");
    clock.advance(PATIENCE);
    assert_eq!(ask(&gate, &mut polled, noop), Asked::Taken, "nor does a future");
    gate.release();
    assert_eq!(ask(&gate, &mut polled, noop), Asked::Taken);
    assert_eq!(ask(&gate, &mut polled, noop), Asked::Waits);
    assert_eq!(ask(&gate, &mut sleeps, noop), Asked::Waits);
    gate.release();
    assert_eq!(ask(&gate, &mut polled, noop), Asked::WaitsForFutures, "it is behind again");
    assert_eq!(ask(&gate, &mut sleeps, noop), Asked::Taken);
    gate.release();
    gate.leave_queue(polled.unwrap());
    assert!(gate.acquire(Duration::ZERO), "nobody is left in the queue");
    gate.release();
}

/// A thread waits for one of them, and for all the others at once.
#[test]
fn a_thread_waits_twice_for_a_crowd_that_nobody_polls() {
    let ((gate, clock), bells) = (gate(), [(); 16].map(|()| bell()));
    let times = || bells.iter().map(|(bell, _)| bell.times()).sum::<usize>();
    assert!(gate.acquire(Duration::ZERO));
    let mut seats = [None; 16];
    for (seat, (_, waker)) in seats.iter_mut().zip(&bells) {
        assert_eq!(ask(&gate, seat, waker), Asked::Waits);
    }
    gate.release();
    assert_eq!(times(), 1);
    clock.advance(PATIENCE);
    assert!(!gate.acquire(Duration::ZERO));
    assert_eq!(times(), 16, "all the others may come");
    clock.advance(PATIENCE);
    assert!(gate.acquire(Duration::ZERO));
    let mut behind = None;
    assert_eq!(ask(&gate, &mut behind, Waker::noop()), Asked::Waits);
    gate.release();
    assert_eq!(ask(&gate, &mut behind, Waker::noop()), Asked::Taken, "all of them are asleep");
    assert_eq!(ask(&gate, &mut seats[9], &bells[9].1), Asked::Waits);
    gate.release();
    assert_eq!(times(), 17);
    assert!(!gate.acquire(Duration::ZERO), "one of them is awake");
    assert_eq!(ask(&gate, &mut seats[9], &bells[9].1), Asked::Taken);
    gate.release();
}

/// Of those who may come at once the first that is polled goes, and the others lose nothing.
#[test]
fn one_of_the_others_comes_in_place_of_the_first() {
    let ((gate, clock), noop) = (gate(), Waker::noop());
    let (mut first, mut second, mut third) = (None, None, None);
    assert!(gate.acquire(Duration::ZERO));
    for seat in [&mut first, &mut second, &mut third] {
        assert_eq!(ask(&gate, seat, noop), Asked::Waits);
    }
    gate.release();
    clock.advance(PATIENCE);
    assert_eq!(ask(&gate, &mut third, noop), Asked::Taken);
    gate.release();
    clock.advance(PATIENCE - Duration::from_nanos(1));
    assert!(!gate.acquire(Duration::ZERO), "it is the turn of the second");
    assert_eq!(ask(&gate, &mut first, noop), Asked::Taken, "whoever was asleep and comes is first");
    gate.release();
    assert_eq!(ask(&gate, &mut second, noop), Asked::Taken);
    gate.release();
}

/// However the turn of a future comes, it has all the time that there is to take it.
#[test]
fn nobody_loses_patience_with_a_future_whose_turn_has_just_come() {
    enum By {
        LoanTakenBack,
        LoanReturned,
        FirstGone,
    }
    for by in [By::LoanTakenBack, By::LoanReturned, By::FirstGone] {
        let ((gate, clock), noop) = (gate(), Waker::noop());
        let (mut lent, mut gone, mut first, mut second) = (None, None, None, None);
        assert!(gate.acquire(Duration::ZERO));
        match by {
            By::FirstGone => assert_eq!(ask(&gate, &mut gone, noop), Asked::Waits),
            By::LoanTakenBack | By::LoanReturned => assert!(!gate.poll(&mut lent, noop)),
        }
        for seat in [&mut first, &mut second] {
            assert_eq!(ask(&gate, seat, noop), Asked::Waits);
        }
        gate.release();
        assert_eq!(ask(&gate, &mut first, noop), Asked::WaitsForFutures);
        clock.advance(PATIENCE - Duration::from_nanos(1));
        match by {
            By::FirstGone => gate.leave_queue(gone.unwrap()),
            By::LoanReturned => gate.leave(lent.unwrap()),
            By::LoanTakenBack => {}
        }
        clock.advance(Duration::from_nanos(1));
        assert_eq!(ask(&gate, &mut second, noop), Asked::WaitsForFutures);
        clock.advance(PATIENCE - Duration::from_nanos(2));
        assert_eq!(ask(&gate, &mut second, noop), Asked::WaitsForFutures);
        assert_eq!(ask(&gate, &mut first, noop), Asked::Taken);
        gate.release();
    }
}

/// Each release has a thread look again, and its own time goes on.
#[test]
fn a_thread_gives_up_in_time_while_others_are_admitted() {
    let ((gate, clock), noop) = (gate(), Waker::noop());
    assert!(gate.acquire(Duration::ZERO));
    let mut seats = [None; 40];
    for seat in &mut seats {
        assert_eq!(ask(&gate, seat, noop), Asked::Waits);
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| gate.acquire(LONG));
        while gate.state.lock().queue.first_thread().is_none() {
            std::thread::yield_now();
        }
        // The holder keeps it for as long as the thread has.
        clock.advance(LONG);
        gate.release();
        assert!(!thread.join().unwrap());
    });
    assert_eq!(ask(&gate, &mut seats[0], noop), Asked::Taken);
}

/// The caller drops them, who sees to it first that somebody gives the gate back.
#[test]
fn it_drops_no_waker() {
    let ((gate, clock), (bell, waker)) = (gate(), bell());
    let (mut place, mut seat) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert!(!gate.poll(&mut place, Waker::noop()));
    gate.release();
    assert_eq!(ask(&gate, &mut seat, &waker), Asked::WaitsForFutures);
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 2, "the gate has the last one");
    clock.advance(PATIENCE);
    let (asked, left) = gate.poll_acquire(&mut seat, Waker::noop());
    assert_eq!((asked, Arc::strong_count(&bell)), (Asked::Taken, 2));
    drop(left);
    assert_eq!(Arc::strong_count(&bell), 1);
    gate.release();
}

#[test]
fn a_future_that_leaves_passes_its_turn_on() {
    let ((gate, _), (bell, waker)) = (gate(), bell());
    let (mut leaves, mut next) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert_eq!(ask(&gate, &mut leaves, Waker::noop()), Asked::Waits);
    assert_eq!(ask(&gate, &mut next, &waker), Asked::Waits);
    gate.release();
    assert_eq!(bell.times(), 0);
    gate.leave_queue(leaves.unwrap());
    assert_eq!(bell.times(), 1);
    assert_eq!(ask(&gate, &mut next, &waker), Asked::Taken);
    gate.release();
}

/// A commit that was held back goes first; one that is not polled does not hold the exclusive future up for ever.
#[test]
fn loans_go_before_a_future_and_are_taken_back_for_it() {
    let ((gate, clock), noop) = (gate(), Waker::noop());
    let (mut held_back, mut exclusive) = (None, None);
    assert!(gate.acquire(Duration::ZERO));
    assert!(!gate.poll(&mut held_back, noop));
    assert_eq!(ask(&gate, &mut exclusive, noop), Asked::Waits);
    gate.release();
    assert_eq!(ask(&gate, &mut exclusive, noop), Asked::WaitsForFutures);
    assert!(!gate.is_held());
    clock.advance(PATIENCE);
    assert_eq!(ask(&gate, &mut exclusive, noop), Asked::Taken);
    gate.leave(held_back.unwrap());
    gate.release();
}

/// Whoever waits behind those whom nobody polls is called when its turn has come, by somebody who looks for all of them.
#[test]
fn one_who_looks_is_enough_for_all_who_wait() {
    let ((gate, clock), bells) = (gate(), [(); 4].map(|()| bell()));
    let times = || bells.each_ref().map(|(bell, _)| bell.times());
    assert_eq!(gate.look(), None, "nobody waits");
    assert!(gate.acquire(Duration::ZERO));
    let mut seats = [None; 4];
    for (seat, (_, waker)) in seats.iter_mut().zip(&bells) {
        assert_eq!(ask(&gate, seat, waker), Asked::Waits);
    }
    for _ in 0..9 {
        let again = gate.look().unwrap();
        assert_eq!(again, clock.now() + LOOK_AGAIN);
        clock.advance(LOOK_AGAIN);
    }
    assert_eq!(times(), [0; 4], "nothing is offered to anybody");
    gate.release();
    let offered = clock.now();
    clock.advance(PATIENCE / 2);
    assert_eq!(gate.look(), Some(offered + PATIENCE));
    assert_eq!(times(), [1, 0, 0, 0]);
    clock.advance(PATIENCE / 2);
    assert_eq!(gate.look(), Some(clock.now() + PATIENCE));
    assert_eq!(times(), [1; 4], "the first did not come");
    clock.advance(PATIENCE);
    assert_eq!(gate.look(), None, "all are asleep");
    assert_eq!(ask(&gate, &mut seats[2], &bells[2].1), Asked::Taken, "and may come");
    gate.release();
    assert_eq!(times(), [1; 4]);
    assert!(gate.acquire(Duration::ZERO));
    gate.release();
}

/// A commit looked while somebody held the gate, and waits for it only when that has left: it passes, and the future to which the
/// gate was offered meanwhile is told again.
#[test]
fn a_commit_that_passes_takes_the_gate_from_nobody_for_good() {
    let ((gate, clock), (bell, waker)) = (gate(), bell());
    let mut seat = None;
    assert!(gate.acquire(Duration::ZERO));
    assert_eq!(ask(&gate, &mut seat, &waker), Asked::Waits);
    gate.release();
    assert_eq!(bell.times(), 1);
    let pass = gate.wait(LONG).unwrap();
    assert_eq!(ask(&gate, &mut seat, &waker), Asked::Waits);
    clock.advance(PATIENCE);
    assert!(gate.look().is_some(), "it has not slept, the gate was not to be had");
    drop(pass);
    assert_eq!(bell.times(), 2);
    assert_eq!(ask(&gate, &mut seat, &waker), Asked::Taken);
    gate.release();
}
