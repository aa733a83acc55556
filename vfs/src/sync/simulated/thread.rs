//! Threads. A library starts its own through [`Spawn`](crate::Spawn); `spawn` and `Builder` are for tests and for
//! that trait's implementation.

use std::io;
use std::time::Duration;

pub use std::thread::ThreadId;

use crate::simulation::{Current, Place, Start, current as current_task};

/// A thread that may be unparked.
#[derive(Clone, Debug)]
pub struct Thread {
    native: std::thread::Thread,
    task: Option<Current>,
}

impl Thread {
    /// Lets it go on from its [`park`], or pass the next one.
    pub fn unpark(&self) {
        match &self.task {
            None => self.native.unpark(),
            Some(task) => task.unpark(),
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        self.native.id()
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.native.name()
    }
}

/// The calling thread.
#[must_use]
pub fn current() -> Thread {
    Thread { native: std::thread::current(), task: current_task() }
}

/// Waits to be unparked. May return for no reason.
pub fn park() {
    match current_task() {
        None => std::thread::park(),
        Some(task) => task.wait(Place::Unpark),
    }
}

/// [`park`] that also wakes after `timeout`.
pub fn park_timeout(timeout: Duration) {
    match current_task() {
        None => std::thread::park_timeout(timeout),
        Some(task) => {
            task.wait_for(Place::Unpark, timeout);
        }
    }
}

/// Lets other threads run.
pub fn yield_now() {
    match current_task() {
        None => std::thread::yield_now(),
        Some(task) => task.give_way(),
    }
}

/// Blocks the thread for `duration`.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace sleeps")]
pub fn sleep(duration: Duration) {
    match current_task() {
        None => std::thread::sleep(duration),
        Some(task) => {
            task.wait_for(Place::Time, duration);
        }
    }
}

/// What a thread is started with.
#[derive(Debug)]
pub struct Builder {
    native: std::thread::Builder,
    name: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A thread without a name.
    #[must_use]
    pub fn new() -> Self {
        Self { native: std::thread::Builder::new(), name: String::new() }
    }

    /// Names it.
    #[must_use]
    pub fn name(self, name: String) -> Self {
        Self { native: self.native.name(name.clone()), name }
    }

    /// The size of its stack, in bytes.
    #[must_use]
    pub fn stack_size(self, bytes: usize) -> Self {
        Self { native: self.native.stack_size(bytes), ..self }
    }

    /// Starts it; in a run, as one of its tasks.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        Ok(JoinHandle(match current_task() {
            None => Kind::Native(self.native.spawn(work)?),
            Some(task) => Kind::Task(task.start(self.native, self.name, work)?),
        }))
    }
}

/// Starts a thread.
///
/// # Panics
/// When the system has none to give.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(work).unwrap_or_else(|error| panic!("the system has no thread to give: {error}"))
}

/// A thread that was started.
#[derive(Debug)]
pub struct JoinHandle<T>(Kind<T>);

#[derive(Debug)]
enum Kind<T> {
    Native(std::thread::JoinHandle<T>),
    Task(Start<T>),
}

impl<T> JoinHandle<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// What it panicked with.
    pub fn join(self) -> std::thread::Result<T> {
        match self.0 {
            Kind::Native(handle) => handle.join(),
            Kind::Task(start) => {
                if let Some(task) = current_task() {
                    task.wait_for_end(start.task.id());
                }
                start.into_result()
            }
        }
    }

    /// The thread itself.
    #[must_use]
    pub fn thread(&self) -> Thread {
        match &self.0 {
            Kind::Native(handle) => Thread { native: handle.thread().clone(), task: None },
            Kind::Task(start) => Thread { native: start.thread.clone(), task: Some(start.task.clone()) },
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Kind::Native(handle) => handle.is_finished(),
            Kind::Task(start) => start.task.has_ended(),
        }
    }
}
