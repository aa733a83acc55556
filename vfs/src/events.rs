//! When subscribers of traces are told: never while a lock is held.
//!
//! A subscriber is the user's code, and may call the database that tells it something. So all crates have their events told by
//! [`tell`]: at once where the thread holds nothing; where it does, at the end of the outermost [`later`] that it is in. Whoever takes
//! a lock that a call of the database's may wait for does inside of `later` whatever may tell something. In the commit section,
//! which is too hot for that, events are [kept](keep), and told by whoever has left it and what stands around it ([`tell_kept`]).
//!
//! An event that was kept is told by its thread, with the fields that it had, in order, and however the work ended. One that panics
//! leaves those after it for the next time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::planted;
use crate::sync::thread_local;

thread_local! {
    /// How many `later` the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

thread_local! {
    /// Whether something is kept.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    static KEPT: RefCell<VecDeque<Box<dyn FnOnce()>>> = const { RefCell::new(VecDeque::new()) };
}

/// One `later`.
struct Held;

impl Held {
    fn new() -> Self {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
        tell_kept();
    }
}

/// Tells an event: `event` is the call of a macro of `tracing`'s. See the module.
pub fn tell(event: impl FnOnce() + 'static) {
    if DEPTH.with(Cell::get) == 0 || planted!(ToldUnderLocks) { event() } else { keep(event) }
}

/// Keeps an event until the thread holds nothing that a subscriber may need: until its outermost [`later`] ends, or it calls
/// [`tell_kept`].
#[cold]
pub fn keep(event: impl FnOnce() + 'static) {
    if planted!(ToldUnderLocks) {
        return event();
    }
    KEPT.with(|kept| kept.borrow_mut().push_back(Box::new(event)));
    ANY.with(|any| any.set(true));
}

/// Does what may take locks; what is told meanwhile is told when it is done.
pub fn later<R>(work: impl FnOnce() -> R) -> R {
    let held = Held::new();
    let done = work();
    // While `done` is still ours: if a subscriber panics, it is dropped as anything else is.
    drop(held);
    done
}

/// Tells what was kept, unless the thread is in a [`later`]. Costs next to nothing where nothing was.
#[inline]
pub fn tell_kept() {
    if ANY.with(Cell::get) {
        tell_all();
    }
}

#[cold]
fn tell_all() {
    while DEPTH.with(Cell::get) == 0
        && let Some(event) = take_first()
    {
        if std::thread::panicking() {
            // Another panic would end the process.
            let _told = catch_unwind(AssertUnwindSafe(event));
        } else {
            event();
        }
    }
}

fn take_first() -> Option<Box<dyn FnOnce()>> {
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        let first = kept.pop_front();
        ANY.with(|any| any.set(!kept.is_empty()));
        first
    })
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Rc<RefCell<Vec<u32>>>);

    impl Told {
        fn event(&self, number: u32) -> impl FnOnce() + use<> {
            let told = Rc::clone(&self.0);
            move || told.borrow_mut().push(number)
        }

        fn take(&self) -> Vec<u32> {
            std::mem::take(&mut *self.0.borrow_mut())
        }
    }

    #[test]
    fn an_event_waits_for_the_end_of_the_outermost() {
        let told = Told::default();
        tell(told.event(0));
        assert_eq!(told.take(), [0]);
        later(|| {
            tell(told.event(1));
            later(|| tell(told.event(2)));
            keep(told.event(3));
            tell_kept();
            assert_eq!(told.take(), []);
        });
        assert_eq!(told.take(), [1, 2, 3]);
        keep(told.event(4));
        assert_eq!(told.take(), []);
        tell_kept();
        tell_kept();
        assert_eq!(told.take(), [4]);
    }

    #[test]
    fn what_a_subscriber_does_may_tell_something_itself() {
        let told = Told::default();
        let nested = told.clone();
        later(|| {
            tell(move || {
                later(|| tell(nested.event(1)));
                nested.event(2)();
            });
            tell(told.event(3));
        });
        // Its own comes with what was kept before it.
        assert_eq!(told.take(), [3, 1, 2]);
    }

    #[test]
    fn one_that_panics_is_no_reason_to_keep_the_others() {
        let told = Told::default();
        let work = AssertUnwindSafe(|| {
            later(|| {
                tell(told.event(1));
                tell(|| std::panic::resume_unwind(Box::new("a subscriber")));
                tell(told.event(2));
            });
        });
        assert!(catch_unwind(work).is_err());
        assert_eq!(told.take(), [1]);
        tell_kept();
        assert_eq!(told.take(), [2]);
        let work = AssertUnwindSafe(|| {
            later(|| {
                tell(|| std::panic::resume_unwind(Box::new("a subscriber")));
                tell(told.event(3));
                std::panic::resume_unwind(Box::new("the work"));
            });
        });
        assert_eq!(catch_unwind(work).unwrap_err().downcast_ref(), Some(&"the work"));
        assert_eq!(told.take(), [3], "the panic of the work is the one that is told");
    }
}
