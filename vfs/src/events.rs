//! When subscribers of traces are told: never while a lock is held.
//!
//! A subscriber is the user's code, and may call the database that tells it something. So all crates have their events
//! told by [`tell`]: at once where the thread holds nothing; where it does, at the end of the outermost [`later`] that
//! it is in. Whoever takes a lock that a call of the database's may wait for does inside of `later` whatever may tell
//! something. In the commit section, which is too hot for that, events are [kept](keep), and told by whoever has left
//! it and what stands around it ([`tell_kept`]). What uses `later` itself, and is a part of such work, is done
//! [withheld].
//!
//! An event that was kept is told by its thread, with the fields that it had, in order among those that were kept, and however
//! the work ended. One that panics leaves those after it for the next time.
//!
//! Threads of a database's own hold no lock then, but others wait for their work, and a subscriber may wait for one of
//! those: for a writer that has its turn and no room before the next checkpoint. So such a thread has its events told
//! [elsewhere], by the *teller*: one thread of the process, for which nobody waits, not even a close. It starts with an
//! event and ends when there is none left; what it has not told when the process ends is lost.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::sync::thread_local;
use crate::{Spawn as _, ThreadSpawn, planted};

type Event = Box<dyn FnOnce() + Send>;

thread_local! {
    /// How many `later` the thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

thread_local! {
    /// Whether something is kept.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    static KEPT: RefCell<VecDeque<Event>> = const { RefCell::new(VecDeque::new()) };
}

thread_local! {
    /// Where the thread has its events told elsewhere: whether anybody wants to be told.
    static ELSEWHERE: Cell<Option<fn() -> bool>> = const { Cell::new(None) };
}

/// What the teller is to tell.
struct Untold {
    events: VecDeque<Event>,
    /// There is a teller.
    is_told: bool,
}

static UNTOLD: Mutex<Untold> = Mutex::new(Untold { events: VecDeque::new(), is_told: false });

/// One `later`, or one `withheld`.
struct Held;

impl Held {
    fn new() -> Self {
        // A thread that ends has none left, nor anything that it holds for long.
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// What a `later` has kept is told when this is dropped.
struct Tells;

impl Drop for Tells {
    fn drop(&mut self) {
        tell_kept();
    }
}

fn depth() -> u32 {
    DEPTH.try_with(Cell::get).unwrap_or_default()
}

/// Tells an event: `event` is the call of a macro of `tracing`'s. See the module.
pub fn tell(event: impl FnOnce() + Send + 'static) {
    if planted!(ToldUnderLocks) || (depth() == 0 && !is_elsewhere()) {
        event();
    } else {
        keep(event);
    }
}

/// Keeps an event until the thread holds nothing that a subscriber may need: until its outermost [`later`] ends, or it calls
/// [`tell_kept`].
#[cold]
pub fn keep(event: impl FnOnce() + Send + 'static) {
    if planted!(ToldUnderLocks) {
        return event();
    }
    if let Ok(Some(is_wanted)) = ELSEWHERE.try_with(Cell::get) {
        if is_wanted() {
            leave_to_teller(Box::new(event));
        }
        return;
    }
    let mut event: Option<Event> = Some(Box::new(event));
    let _ = KEPT.try_with(|kept| kept.borrow_mut().extend(event.take()));
    let _ = ANY.try_with(|any| any.set(true));
    if let Some(event) = event {
        leave_to_teller(event);
    }
}

/// Has the events of this thread told by the teller from now on, as long as anybody wants to be told.
pub fn elsewhere(is_wanted: fn() -> bool) {
    let _ = ELSEWHERE.try_with(|elsewhere| elsewhere.set(Some(is_wanted)));
}

fn is_elsewhere() -> bool {
    ELSEWHERE.try_with(Cell::get).is_ok_and(|elsewhere| elsewhere.is_some())
}

fn untold<R>(change: impl FnOnce(&mut Untold) -> R) -> R {
    change(&mut UNTOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

fn leave_to_teller(event: Event) {
    let starts = untold(|untold| {
        untold.events.push_back(event);
        !std::mem::replace(&mut untold.is_told, true)
    });
    if starts && ThreadSpawn.spawn("braid-events", Box::new(tell_untold)).is_err() {
        // Without a thread it has to wait for the next one.
        untold(|untold| untold.is_told = false);
    }
}

/// The teller.
fn tell_untold() {
    let next = || {
        untold(|untold| {
            let next = untold.events.pop_front();
            untold.is_told = next.is_some();
            next
        })
    };
    while let Some(event) = next() {
        // The panic hook has said what there is to say.
        let _told = catch_unwind(AssertUnwindSafe(event));
    }
}

/// Does what may take locks; what is told meanwhile is told when it is done.
pub fn later<R>(work: impl FnOnce() -> R) -> R {
    let tells = Tells;
    let done = withheld(work);
    // While `done` is still ours: if a subscriber panics, it is dropped as anything else is.
    drop(tells);
    done
}

/// Does what may tell something, as a part of work that holds what a subscriber may need: it is told when whoever has that
/// let go of it calls [`tell_kept`].
pub fn withheld<R>(work: impl FnOnce() -> R) -> R {
    let _held = Held::new();
    work()
}

/// Tells what was kept, unless the thread is in a [`later`]. Costs next to nothing where nothing was.
#[inline]
pub fn tell_kept() {
    if matches!(ANY.try_with(Cell::get), Ok(true)) {
        tell_all();
    }
}

#[cold]
fn tell_all() {
    if depth() > 0 {
        return;
    }
    // What a subscriber does tells of itself alone.
    let mut telling = Telling(KEPT.try_with(RefCell::take).unwrap_or_default());
    let _ = ANY.try_with(|any| any.set(false));
    while let Some(event) = telling.0.pop_front() {
        if std::thread::panicking() {
            // Another panic would end the process.
            let _told = catch_unwind(AssertUnwindSafe(event));
        } else {
            event();
        }
    }
}

/// Events that are being told; those that are left are kept again.
struct Telling(VecDeque<Event>);

impl Drop for Telling {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            self.0.append(&mut kept);
            std::mem::swap(&mut *kept, &mut self.0);
        });
        let _ = ANY.try_with(|any| any.set(true));
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Arc<crate::sync::Mutex<Vec<u32>>>);

    impl Told {
        fn event(&self, number: u32) -> impl FnOnce() + use<> {
            let told = Arc::clone(&self.0);
            move || told.lock().push(number)
        }

        fn take(&self) -> Vec<u32> {
            std::mem::take(&mut *self.0.lock())
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

    /// As by a commit that leads a sync while it holds the gate.
    #[test]
    fn what_is_done_withheld_tells_nothing_that_was_kept() {
        let told = Told::default();
        keep(told.event(1));
        withheld(|| later(|| tell(told.event(2))));
        assert_eq!(told.take(), []);
        later(|| withheld(|| tell(told.event(3))));
        assert_eq!(told.take(), [1, 2, 3]);
    }

    #[test]
    fn a_thread_for_which_others_wait_has_its_events_told_by_another() {
        let (said, hear) = mpsc::channel();
        let (go_on, waits) = mpsc::channel::<()>();
        let worker = crate::sync::thread::spawn(move || {
            elsewhere(|| false);
            tell(|| panic!("nobody wants to be told"));
            elsewhere(|| true);
            tell(move || waits.recv().unwrap());
            tell(|| std::panic::resume_unwind(Box::new("a subscriber")));
            later(|| keep(move || said.send(std::thread::current().name().map(str::to_owned)).unwrap()));
        });
        worker.join().unwrap();
        go_on.send(()).unwrap();
        assert_eq!(hear.recv().unwrap().as_deref(), Some("braid-events"));
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
        assert_eq!(told.take(), [1, 2, 3]);
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
