//! Background threads.

use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A running background task.
pub trait Task: Debug + Send {
    /// Waits for the task to end.
    fn join(self: Box<Self>);
}

/// Starts background tasks.
pub trait Spawn: Debug + Send + Sync {
    /// Runs `work` on a thread of its own, under `name`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>>;
}

/// Does a part of a background thread's work that may panic, as code of the user's is in it; `None` when it has, which
/// was reported then. Where threads are checked or simulated there is no such code: a panic is a bug, and ends the run.
pub fn survive<R>(work: impl FnOnce() -> R) -> Option<R> {
    if cfg!(any(shuttle, loom)) || is_simulated() {
        return Some(work());
    }
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(all(feature = "simulation", not(any(shuttle, loom))))]
fn is_simulated() -> bool {
    crate::simulation::current().is_some()
}

#[cfg(not(all(feature = "simulation", not(any(shuttle, loom)))))]
const fn is_simulated() -> bool {
    false
}
