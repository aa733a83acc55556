//! The smallest executor that is fair to measure with: a few threads, each with tasks of its own, which sleep only when
//! none of theirs is ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::Result;

type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

struct Task {
    work: Mutex<Option<Work>>,
    worker: Arc<Worker>,
}

/// A thread's queue of tasks that are ready.
#[derive(Default)]
struct Worker {
    ready: Mutex<Vec<Arc<Task>>>,
    sleeper: Mutex<Option<Thread>>,
    is_asleep: AtomicBool,
    unfinished: AtomicUsize,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let worker = Arc::clone(&self.worker);
        lock(&worker.ready).push(self);
        if worker.is_asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = &*lock(&worker.sleeper)
        {
            thread.unpark();
        }
    }
}

impl Worker {
    fn run(&self) -> Result<()> {
        *lock(&self.sleeper) = Some(std::thread::current());
        let mut ready = Vec::new();
        while self.unfinished.load(Ordering::Relaxed) > 0 {
            // Before the look, so that a task that becomes ready after it wakes this thread.
            self.is_asleep.store(true, Ordering::SeqCst);
            std::mem::swap(&mut ready, &mut *lock(&self.ready));
            if ready.is_empty() {
                std::thread::park();
                continue;
            }
            self.is_asleep.store(false, Ordering::SeqCst);
            for task in ready.drain(..) {
                let waker = Waker::from(Arc::clone(&task));
                let mut work = lock(&task.work);
                let Some(future) = work.as_mut() else { continue };
                if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    *work = None;
                    self.unfinished.fetch_sub(1, Ordering::Relaxed);
                    outcome?;
                }
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs so many tasks on so many threads, until all are done or one fails.
pub(crate) fn run<F>(threads: usize, tasks: usize, task: impl Fn(usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let workers: Vec<_> = (0..threads).map(|_| Arc::new(Worker::default())).collect();
    for (number, worker) in (0..tasks).zip(workers.iter().cycle()) {
        let work = Mutex::new(Some(Box::pin(task(number)) as Work));
        worker.unfinished.fetch_add(1, Ordering::Relaxed);
        lock(&worker.ready).push(Arc::new(Task { work, worker: Arc::clone(worker) }));
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = workers.iter().map(|worker| scope.spawn(|| worker.run())).collect();
        running.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_to_its_end() {
        let steps = Arc::new(AtomicUsize::new(0));
        run(2, 5, |_| {
            let (steps, mut left) = (Arc::clone(&steps), 10);
            std::future::poll_fn(move |context| {
                steps.fetch_add(1, Ordering::Relaxed);
                left -= 1;
                context.waker().wake_by_ref();
                if left == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
        })
        .unwrap();
        assert_eq!(steps.load(Ordering::Relaxed), 50);
    }

    #[test]
    fn an_error_ends_it() {
        assert!(
            run(1, 2, |number| async move { if number == 1 { Err("no".into()) } else { Ok(()) } }).is_err()
        );
    }
}
