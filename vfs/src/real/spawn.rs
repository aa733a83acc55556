//! Threads of the operating system, or of the checker that the crate is built for.

use std::io;

use crate::sync::thread::{self, JoinHandle};
use crate::{Spawn, Task};

/// One thread for each task.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSpawn;

impl Spawn for ThreadSpawn {
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
        let handle = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Box::new(ThreadTask(handle)))
    }
}

#[derive(Debug)]
struct ThreadTask(JoinHandle<()>);

impl Task for ThreadTask {
    fn join(self: Box<Self>) {
        // The last handle of a core may be dropped by the core's own task, which cannot wait for itself.
        if self.0.thread().id() == thread::current().id() {
            return;
        }
        // A panic in the task was reported by the panic hook when it happened; the task has ended all the same.
        let _ended = self.0.join();
    }
}
