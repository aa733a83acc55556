//! The outside of a database whose every run is the same: no background threads, a clock that goes on when it is told
//! to, and randomness from a seed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::memory::{SeededRandom, VirtualClock};
use braid::vfs::{Env, FileSystem, Spawn, Task, ThreadSpawn};

/// Where the database is on a simulated machine.
pub const PATH: &str = "/data.braid";

/// Starts nothing. Whoever has no background does its work himself: a commit makes the segment that it needs, a
/// checkpoint runs when it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoThreads;

#[derive(Debug)]
struct Nothing;

impl Task for Nothing {
    fn join(self: Box<Self>) {}
}

impl Spawn for NoThreads {
    fn spawn(&self, _name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
        drop(work);
        Ok(Box::new(Nothing))
    }
}

/// These files; a clock that stands still, randomness of `seed`, and no threads.
#[must_use]
pub fn still(files: Arc<dyn FileSystem>, seed: u64) -> Env {
    moved(files, seed, Arc::new(VirtualClock::new(Duration::ZERO)))
}

/// The same with a clock that somebody else moves.
#[must_use]
pub fn moved(files: Arc<dyn FileSystem>, seed: u64, clock: Arc<VirtualClock>) -> Env {
    Env { files, clock, random: Arc::new(SeededRandom::new(seed)), spawn: Arc::new(NoThreads) }
}

/// The same with background threads, and the clock to move them with.
#[must_use]
pub fn threaded(files: Arc<dyn FileSystem>, seed: u64) -> (Env, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::new(Duration::ZERO));
    let env = Env {
        files,
        clock: Arc::clone(&clock) as _,
        random: Arc::new(SeededRandom::new(seed)),
        spawn: Arc::new(ThreadSpawn),
    };
    (env, clock)
}
