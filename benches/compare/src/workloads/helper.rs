//! A second process, which does something to the engine's files before this one does: our own executable again. One that is
//! to be killed is killed while it waits; one that loads leaves this process's memory as it was.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cell::Context;
use crate::engine::{Durability, Engine, Kind, Result, Settings};
use crate::rows::{Fresh, Order, value};

use super::ledger::{own_number, round};

/// Rows of a commit where only durable ones survive the death of the process.
pub(super) const BATCH: u64 = 100;
/// No more commits are begun after this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the other process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Task {
    /// Commits so many new rows, tells how many, and waits to be killed.
    Commit,
    /// Loads so many rows in the order of their keys, settles them, and closes the engine.
    Load,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Load => "load",
        }
    }
}

/// What makes commits survive the death of the process, and the rows for each: those that need a sync for it are done in
/// batches.
pub(super) fn surviving(kind: &Kind) -> Result<(Durability, u64)> {
    if kind.facts.deferred_survives_kill {
        Ok((Durability::Deferred, 1))
    } else if kind.facts.durable.is_some() {
        Ok((Durability::Durable, BATCH))
    } else {
        Err("no commit of this engine survives the death of its process".into())
    }
}

/// The other process: does its task, with the cache of the cell, as engines make their files for the memory that they have.
pub(crate) fn run(task: Task, kind: Kind, dir: &Path, rows: u64, cache_bytes: usize) -> Result<()> {
    let open = |durability| (kind.open)(dir, Settings { durability, cache_bytes, threads: 1 });
    match task {
        Task::Load => {
            let engine = open(Durability::Deferred)?;
            engine.load(&Fresh { order: Order::Sequential, count: rows })?;
            engine.settle()?;
            engine.close()
        }
        Task::Commit => {
            let (durability, of_commit) = surviving(&kind)?;
            let engine = open(durability)?;
            let committed = commit(&*engine, rows, of_commit)?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "committed {committed}")?;
            out.flush()?;
            // Ends with the process that started this one, if that does not kill it.
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
    }
}

fn commit(engine: &dyn Engine, rows: u64, of_commit: u64) -> Result<u64> {
    let mut session = engine.session()?;
    let (began, mut committed) = (Instant::now(), 0);
    while committed < rows && began.elapsed() < PATIENCE {
        let batch = committed..(committed + of_commit).min(rows);
        committed = batch.end;
        session.transact(&mut |tx| {
            for row in batch.clone() {
                let number = own_number(0, row)?;
                tx.put(&Order::Random.key(number), &value(number, round(0, row)))?;
            }
            Ok(())
        })?;
    }
    Ok(committed)
}

/// A process that does a task, and dies with this value.
pub(super) struct Helper(Child);

impl Helper {
    pub(super) fn start(cx: &Context, task: Task, rows: u64) -> Result<Self> {
        let mut command = command(cx, task, rows)?;
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
    }

    /// Waits until it has committed, kills it, and tells how many rows those were.
    pub(super) fn kill_when_committed(mut self) -> Result<u64> {
        let out = self.0.stdout.take().ok_or("the other process has no standard output")?;
        for line in BufReader::new(out).lines() {
            if let Some(committed) = line?.strip_prefix("committed ") {
                self.0.kill()?;
                self.0.wait()?;
                return Ok(committed.parse()?);
            }
        }
        Err("the process that was to be killed ended before that; its standard error says why".into())
    }

    /// Waits until it has ended well.
    pub(super) fn wait(mut self) -> Result<()> {
        let status = self.0.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the process that loads the rows: {status}").into())
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It has ended already, or what it would do is of no use any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(not(test))]
fn command(cx: &Context, task: Task, rows: u64) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["help-cell", task.name(), cx.kind.name, &rows.to_string()]);
    command.args(["--cache-bytes", &cx.settings.cache_bytes.to_string(), "--dir"]).arg(&cx.dir);
    Ok(command)
}

/// The executable of the tests has no commands of ours: one of its tests is the other process.
#[cfg(test)]
fn command(cx: &Context, task: Task, rows: u64) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "workloads::helper::tests::the_other_process", "--ignored", "--nocapture"]);
    command.env("HELPER_TASK", task.name()).env("HELPER_ENGINE", cx.kind.name);
    command.env("HELPER_ROWS", rows.to_string()).env("HELPER_DIR", &cx.dir);
    command.env("HELPER_CACHE", cx.settings.cache_bytes.to_string());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "is no test but a process: the tests of workloads that need one run it with --ignored"]
    fn the_other_process() {
        // Ends the line that the test runner began.
        println!();
        let variable = |name| std::env::var(name).unwrap();
        let task = if variable("HELPER_TASK") == Task::Load.name() { Task::Load } else { Task::Commit };
        let engine = variable("HELPER_ENGINE");
        let kind = crate::workloads::tests::engines().into_iter().find(|kind| kind.name == engine).unwrap();
        let rows = variable("HELPER_ROWS").parse().unwrap();
        let cache_bytes = variable("HELPER_CACHE").parse().unwrap();
        run(task, kind, Path::new(&variable("HELPER_DIR")), rows, cache_bytes).unwrap();
    }
}
