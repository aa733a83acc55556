//! The whole outside, in one cloneable value.

use std::sync::Arc;

use crate::{Clock, FileSystem, Random, Spawn};

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
