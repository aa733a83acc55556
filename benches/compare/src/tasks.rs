//! Writers that are tasks: each commits one row after the other, and holds no thread while it waits for a commit.
//!
//! An engine with an asynchronous interface runs them on an executor of two threads, the same one for all. For one
//! without, who wants to use it from tasks has to give a thread to each waiting commit: it runs the cell with a thread
//! for each writer, and the readings say so.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Result};
use crate::measure::{Crew, Repeated, Tally, at_once, for_a_time};
use crate::processor::Since;
use crate::rows::{KEY_BYTES, VALUE_BYTES};

/// Threads of the executor.
pub(crate) const THREADS: usize = 2;

/// What one commit writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) value: [u8; VALUE_BYTES],
}

/// The row of a writer's repetition.
pub(crate) type RowOf = fn(writer: u64, repetition: u64) -> Result<Row>;

/// One writer: what it is to commit, and how long that took. It goes into its task and comes back out of it.
#[derive(Debug)]
pub(crate) struct Writer {
    row: RowOf,
    stop: Arc<AtomicBool>,
    tally: Tally,
    repeated: Repeated,
    /// When it began, and when it last had a row.
    span: Option<(Instant, Instant)>,
    ended: bool,
}

impl Writer {
    /// The next row to commit: the one before is. `None` at the end, after one row at least.
    pub(crate) fn next(&mut self) -> Result<Option<Row>> {
        if self.ended {
            return Ok(None);
        }
        let now = Instant::now();
        let began = match self.span {
            None => now,
            Some((began, last)) => {
                self.repeated.record(now - last)?;
                self.repeated.elapsed = now - began;
                self.ended = self.stop.load(Ordering::Relaxed);
                if self.ended {
                    return Ok(None);
                }
                began
            }
        };
        self.span = Some((began, now));
        (self.row)(self.tally.thread, self.repeated.operations).map(Some)
    }

    /// Counts an attempt at the row's transaction.
    pub(crate) fn attempt(&mut self) {
        self.tally.attempts += 1;
    }
}

/// Runs each writer's task to its end.
pub(crate) fn run<F>(writers: Vec<Writer>, task: impl Fn(Writer) -> F) -> Result<Vec<Writer>>
where
    F: Future<Output = Result<Writer>> + Send + 'static,
{
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).build()?;
    let tasks: Vec<_> = writers.into_iter().map(|writer| executor.spawn(task(writer))).collect();
    // Every task is awaited before the first error is told, so that none is left when the engine is closed.
    let ended: Vec<Result<Writer>> = executor.block_on(async {
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(task.await.unwrap_or_else(|_| Err("a task panicked".into())));
        }
        ended
    });
    ended.into_iter().collect()
}

/// Runs so many writers for so many seconds, and tells on how many threads.
pub(crate) fn write_for_a_time(
    engine: &dyn Engine,
    writers: usize,
    seconds: f64,
    row: RowOf,
) -> Result<(Crew, usize)> {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..writers).map(|task| Writer::new(task as u64, row, &stop)).collect::<Result<_>>()?;
    let since = Since::now()?;
    let ended = std::thread::scope(|scope| {
        // Parked, so that it ends with the tasks where those end early.
        let timer = scope.spawn(|| {
            let began = Instant::now();
            let time = Duration::from_secs_f64(seconds);
            while !stop.load(Ordering::Relaxed) && began.elapsed() < time {
                std::thread::park_timeout(time.saturating_sub(began.elapsed()));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let ended = engine.write_in_tasks(tasks);
        stop.store(true, Ordering::Relaxed);
        timer.thread().unpark();
        ended
    });
    if let Some(ended) = ended {
        let hands = ended?.into_iter().filter_map(|writer| {
            let (began, _) = writer.span?;
            Some((writer.tally, writer.repeated, began))
        });
        return Ok((Crew::of(hands, &since)?, THREADS));
    }
    let crew = for_a_time(engine, writers, seconds, at_once, |session, tally, repetition| {
        let Row { key, value } = row(tally.thread, repetition)?;
        tally.attempts += session.transact(&mut |tx| tx.put(&key, &value))?;
        Ok(())
    })?;
    Ok((crew, writers))
}

impl Writer {
    fn new(task: u64, row: RowOf, stop: &Arc<AtomicBool>) -> Result<Self> {
        let tally = Tally { thread: task, attempts: 0, rows: 0 };
        Ok(Self { row, stop: Arc::clone(stop), tally, repeated: Repeated::none()?, span: None, ended: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Order, value};

    fn row(writer: u64, repetition: u64) -> Result<Row> {
        if repetition > 5 {
            return Err("no more".into());
        }
        Ok(Row { key: Order::Sequential.key(writer), value: value(writer, repetition) })
    }

    fn writers(stopped: bool) -> Vec<Writer> {
        let stop = Arc::new(AtomicBool::new(stopped));
        (0..3).map(|task| Writer::new(task, row, &stop).unwrap()).collect()
    }

    async fn write(mut writer: Writer) -> Result<Writer> {
        while writer.next()?.is_some() {
            writer.attempt();
            tokio::task::yield_now().await;
        }
        Ok(writer)
    }

    #[test]
    fn every_task_writes_a_row_at_least_and_all_are_counted() {
        for writer in run(writers(true), write).unwrap() {
            assert_eq!((writer.repeated.operations, writer.tally.attempts), (1, 1));
        }
    }

    #[test]
    fn one_failure_is_the_failure_of_all() {
        assert!(run(writers(false), write).is_err());
    }
}
