//! The smallest of executors.
#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on the calling thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Alarm(AtomicUsize);

impl Alarm {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Polls a future once, to be woken by this.
    pub(crate) fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that is kept by nobody but its wakers while it waits.
struct Task {
    work: Mutex<Option<Work>>,
    queue: mpsc::Sender<Arc<Task>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // It fails once nobody runs tasks any more: then this one goes here.
        let _ = self.queue.clone().send(self);
    }
}

/// Runs futures on so many threads until all are done.
pub(crate) fn run_all(
    threads: usize,
    futures: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>,
) {
    let (queue, tasks) = mpsc::channel::<Arc<Task>>();
    for future in futures {
        let task = Task { work: Mutex::new(Some(Box::pin(future))), queue: queue.clone() };
        queue.send(Arc::new(task)).unwrap();
    }
    drop(queue);
    // Each task has a sender, so the channel ends with the last of them.
    let tasks = Mutex::new(tasks);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Ok(task) = tasks.lock().unwrap().recv() else { return };
                    poll_task(&task);
                }
            });
        }
    });
}

/// Polls tasks as long as some are ready, then forgets those that wait.
pub(crate) fn run_once(futures: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let (queue, tasks) = mpsc::channel::<Arc<Task>>();
    for future in futures {
        let task = Task { work: Mutex::new(Some(Box::pin(future))), queue: queue.clone() };
        queue.send(Arc::new(task)).unwrap();
    }
    while let Ok(task) = tasks.try_recv() {
        poll_task(&task);
    }
}

fn poll_task(task: &Arc<Task>) {
    let mut work = task.work.lock().unwrap();
    if let Some(future) = work.as_mut()
        && future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(task)))).is_ready()
    {
        *work = None;
    }
}
