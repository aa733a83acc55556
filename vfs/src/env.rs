//! The whole outside, in one cloneable value.

use std::sync::Arc;

use crate::{Clock, FileSystem, OsRandom, Random, RealClock, Spawn, ThreadSpawn};

/// Files, time, randomness and threads: what a database is given at its open.
#[derive(Clone, Debug)]
pub struct Env {
    /// Where files are.
    pub files: Arc<dyn FileSystem>,
    /// What timeouts are measured with.
    pub clock: Arc<dyn Clock>,
    /// Where identities, salts and jitter come from.
    pub random: Arc<dyn Random>,
    /// What runs background work.
    pub spawn: Arc<dyn Spawn>,
}

impl Env {
    /// The given files; the operating system's time, randomness and threads.
    #[must_use]
    pub fn with_files(files: Arc<dyn FileSystem>) -> Self {
        Self {
            files,
            clock: Arc::new(RealClock::new()),
            random: Arc::new(OsRandom::new()),
            spawn: Arc::new(ThreadSpawn),
        }
    }
}
