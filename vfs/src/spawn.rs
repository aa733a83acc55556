//! Background threads.

use std::fmt::Debug;
use std::io;

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
