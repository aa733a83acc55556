//! Being told of progress, without waiting for any position in particular.

use std::sync::Arc;
use std::task::Waker;

use braid_vfs::sync::atomic::Ordering;

use super::Log;
use crate::Lsn;

/// Somebody who wants to know when more of a log is durable. It costs the log nothing but a wake-up after a sync.
#[derive(Debug)]
pub struct Watcher {
    log: Arc<Log>,
    number: u64,
}

impl Watcher {
    /// Has `waker` woken once, in place of the one given before: when more than `known` is durable, the log has failed, or
    /// [`Log::wake_watchers`] is called. False where one of the first two is so already; then it is not kept.
    #[must_use]
    pub fn watch(&self, known: Lsn, waker: &Waker) -> bool {
        self.log.group.watch(self.number, known, waker)
    }

    /// Forgets the waker.
    pub fn unwatch(&self) {
        self.log.group.unwatch(self.number);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.unwatch();
    }
}

impl Log {
    /// Somebody to be told of progress.
    #[must_use]
    pub fn watcher(self: &Arc<Self>) -> Watcher {
        let number = self.watchers.fetch_add(1, Ordering::Relaxed);
        Watcher { log: Arc::clone(self), number }
    }

    /// Wakes all watchers, as its owner closes the log.
    pub fn wake_watchers(&self) {
        self.group.wake_watchers();
    }
}
