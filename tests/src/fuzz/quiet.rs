//! An outside on which one input always does the same: files in memory, time that goes on by itself, no threads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::memory::{SeededRandom, VirtualClock};
use braid::vfs::{Env, FileSystem, Spawn, Task};

/// The given files, and nothing else that could differ from run to run. Background threads are never started: who uses
/// this leaves room enough that nobody waits for a checkpoint.
#[must_use]
pub fn quiet_env(files: Arc<dyn FileSystem>) -> Env {
    Env {
        files,
        clock: Arc::new(VirtualClock::new(Duration::from_millis(1))),
        random: Arc::new(SeededRandom::new(1)),
        spawn: Arc::new(Nobody),
    }
}

#[derive(Debug)]
struct Nobody;

impl Spawn for Nobody {
    fn spawn(&self, _name: &str, _work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
        Ok(Box::new(Self))
    }
}

impl Task for Nobody {
    fn join(self: Box<Self>) {}
}
