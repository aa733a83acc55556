//! The threads of a run.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::Failure;
use super::scheduler::{Place, Scheduler, Settings};

/// What a thread waits for when it does not run.
#[derive(Clone, Debug, Default)]
pub(super) struct Baton(Arc<BatonState>);

#[derive(Debug, Default)]
struct BatonState {
    passed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Baton {
    /// Says which thread it is that waits.
    pub(super) fn belongs_here(&self) {
        let _known = self.0.thread.set(std::thread::current());
    }

    pub(super) fn pass(&self) {
        self.0.passed.store(true, Ordering::Release);
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn await_it(&self) {
        while !self.0.passed.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}

/// The calling thread, as a task of a run.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    scheduler: Arc<Scheduler>,
    id: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The calling thread's place in a run, if it has one.
#[inline]
pub(crate) fn current() -> Option<Current> {
    // A thread that is ending has none any more.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

impl Current {
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn point(&self) {
        self.scheduler.point(self.id, false);
    }

    pub(crate) fn give_way(&self) {
        self.scheduler.point(self.id, true);
    }

    pub(crate) fn wait(&self, place: Place) {
        self.scheduler.wait(self.id, place, None);
    }

    /// Whether it timed out.
    pub(crate) fn wait_for(&self, place: Place, timeout: Duration) -> bool {
        self.scheduler.wait(self.id, place, Some(timeout))
    }

    pub(crate) fn wait_for_end(&self, other: usize) {
        self.scheduler.wait_for_end(self.id, other);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.scheduler.has_ended(self.id)
    }

    pub(crate) fn wake_all(&self, place: Place) {
        self.scheduler.wake_all(place);
    }

    pub(crate) fn wake_one(&self, place: Place) {
        self.scheduler.wake_one(place);
    }

    pub(crate) fn unpark(&self) {
        self.scheduler.unpark(self.id);
    }

    pub(crate) fn now(&self) -> Duration {
        self.scheduler.now()
    }

    /// Starts another task of the same run.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        builder: std::thread::Builder,
        name: String,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Start<T>> {
        let started = start(&self.scheduler, builder, name, work)?;
        self.point();
        Ok(started)
    }
}

/// What a thread that ended left.
type Left<T> = Arc<Mutex<Option<std::thread::Result<T>>>>;

/// A task that was started.
#[derive(Debug)]
pub(crate) struct Start<T> {
    pub(crate) task: Current,
    pub(crate) thread: Thread,
    left: Left<T>,
}

impl<T> Start<T> {
    /// What it left, once it has ended.
    pub(crate) fn into_result(self) -> std::thread::Result<T> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).take();
        left.unwrap_or_else(|| Err(Box::new("the thread could not be started")))
    }
}

fn start<T: Send + 'static>(
    scheduler: &Arc<Scheduler>,
    builder: std::thread::Builder,
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Start<T>> {
    let baton = Baton::default();
    let id = scheduler.add(name, baton.clone());
    let task = Current { scheduler: Arc::clone(scheduler), id };
    let left: Left<T> = Arc::default();
    let (mine, leaves) = (task.clone(), Arc::clone(&left));
    let (known, is_known) = (baton.clone(), Arc::new(AtomicBool::new(false)));
    let tells = Arc::clone(&is_known);
    let starter = std::thread::current();
    let spawned = builder.spawn(move || {
        known.belongs_here();
        tells.store(true, Ordering::Release);
        starter.unpark();
        known.await_it();
        mine.scheduler.take_over();
        CURRENT.with(|current| *current.borrow_mut() = Some(mine.clone()));
        let result = catch_unwind(AssertUnwindSafe(work));
        let panic = result.as_ref().err().map(|panic| said(panic.as_ref()));
        *leaves.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        drop(leaves);
        CURRENT.with(|current| current.borrow_mut().take());
        mine.scheduler.end(mine.id, panic);
    });
    let handle = match spawned {
        Ok(handle) => handle,
        Err(error) => {
            scheduler.give_up(id);
            return Err(error);
        }
    };
    while !is_known.load(Ordering::Acquire) {
        std::thread::park();
    }
    let thread = handle.thread().clone();
    scheduler.set_thread(id, handle);
    Ok(Start { task, thread, left })
}

/// The words of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    words.unwrap_or("without words").to_owned()
}

/// Runs `body` as the first task of a run, and returns when it and all tasks that came of it have ended.
///
/// One run at a time belongs to a process: what is static in it, and is locked, cannot serve two schedulers.
///
/// # Errors
/// A deadlock, a run without end, a panic of any task.
///
/// # Panics
/// When it is called inside of a run, or the system has no thread to give.
pub fn run<T: Send + 'static>(
    settings: Settings,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    assert!(current().is_none(), "a run cannot begin inside of another one");
    let scheduler = Arc::new(Scheduler::new(settings));
    let name = "main".to_owned();
    let first = start(&scheduler, std::thread::Builder::new().name(name.clone()), name, body)
        .unwrap_or_else(|error| panic!("the system has no thread for a run: {error}"));
    scheduler.run_all()?;
    first
        .into_result()
        .map_err(|panic| Failure::Panicked { thread: "main".to_owned(), message: said(&*panic) })
}

/// How many points the run of the calling thread has passed; outside of one, zero. Two runs that are alike have
/// the same number at the same place.
#[must_use]
pub fn steps() -> u64 {
    current().map_or(0, |task| task.scheduler.points())
}
