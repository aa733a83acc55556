//! Threads: many that do the same, and sessions that do what they are told, one step at a time.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle, scope};

/// Runs `work(0)` to `work(count - 1)` at the same time, each on a thread of its own that starts with the others.
/// A panic in one is a panic here.
///
/// # Errors
/// The first error that any of them returns.
pub fn together<T: Send, E: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let start = Barrier::new(count);
    scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

type Step<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread with a state of its own, which runs the steps that it is sent, in order.
#[derive(Debug)]
pub struct Session<S> {
    steps: Option<Sender<Step<S>>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: 'static> Session<S> {
    /// Starts a thread that makes its state by `open`.
    ///
    /// # Panics
    /// When the system has no thread to give.
    #[must_use]
    pub fn start(open: impl FnOnce() -> S + Send + 'static) -> Self {
        let (sender, receiver) = channel::<Step<S>>();
        let thread = Builder::new().name("session".into()).spawn(move || {
            let mut state = open();
            for step in receiver {
                step(&mut state);
            }
        });
        Self { steps: Some(sender), thread: Some(thread.expect("a thread can be started")) }
    }

    /// Runs `step` on the session's thread and waits for its answer.
    ///
    /// # Panics
    /// When the step panics.
    pub fn run<R: Send + 'static>(&self, step: impl FnOnce(&mut S) -> R + Send + 'static) -> R {
        self.begin(step).wait()
    }

    /// Lets `step` run on the session's thread while the caller goes on.
    ///
    /// # Panics
    /// When the session's thread is gone.
    pub fn begin<R: Send + 'static>(&self, step: impl FnOnce(&mut S) -> R + Send + 'static) -> Answer<R> {
        let (sender, receiver) = channel();
        let step: Step<S> = Box::new(move |state| {
            // The caller may have stopped waiting, as a failing test does.
            let _ = sender.send(step(state));
        });
        let steps = self.steps.as_ref().expect("a session takes steps until it ends");
        assert!(steps.send(step).is_ok(), "the session ended in a panic");
        Answer(receiver)
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        drop(self.steps.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// What a step that runs on a session's thread will return.
#[derive(Debug)]
pub struct Answer<R>(std::sync::mpsc::Receiver<R>);

impl<R> Answer<R> {
    /// Waits for it.
    ///
    /// # Panics
    /// When the step panicked.
    #[must_use]
    pub fn wait(self) -> R {
        self.0.recv().expect("a step of the session panicked")
    }
}
