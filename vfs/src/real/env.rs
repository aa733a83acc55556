//! The real outside in one value.

use std::sync::Arc;

use crate::{Env, RealFileSystem};

impl Env {
    /// The operating system's files, time, randomness and threads.
    #[must_use]
    pub fn real() -> Self {
        Self::with_files(Arc::new(RealFileSystem))
    }
}
