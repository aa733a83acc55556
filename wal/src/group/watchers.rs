//! Those who wait for nothing in particular: readers of the log that have read all that is durable. See [`group`](super).
//!
//! They leave a waker in the queue, under the mutex under which `durable` is stored, so that none sleeps over a sync. The
//! server calls them.

use std::task::Waker;

use braid_vfs::planted;

use super::GroupCommit;
use super::queue::Queue;
use crate::Lsn;

/// Wakers by the number of their watcher.
pub(super) type Watchers = Vec<(u64, Waker)>;

impl Queue {
    /// Has the server call all watchers.
    pub(super) fn dismiss_watchers(&mut self) {
        let dismissed = self.watchers.drain(..).map(|(_, waker)| waker);
        self.served.ready.extend(dismissed);
    }
}

impl GroupCommit {
    /// Has `waker` woken once more than `known` is durable or the log has failed, in place of the one that `watcher` left
    /// before. False where that is so already.
    pub(crate) fn watch(&self, watcher: u64, known: Lsn, waker: &Waker) -> bool {
        // Cloned and dropped outside the mutex: it is the watcher's code.
        let mut waker = waker.clone();
        let mut queue = self.queue.lock();
        if (self.durable() > known && !planted!(ProgressOverlooked)) || self.is_poisoned() {
            return false;
        }
        match queue.watchers.iter_mut().find(|(number, _)| *number == watcher) {
            Some((_, old)) => std::mem::swap(old, &mut waker),
            None => {
                queue.watchers.push((watcher, waker));
                return true;
            }
        }
        drop(queue);
        drop(waker);
        true
    }

    /// Forgets what `watcher` left.
    pub(crate) fn unwatch(&self, watcher: u64) {
        let mut queue = self.queue.lock();
        let place = queue.watchers.iter().position(|(number, _)| *number == watcher);
        let left = place.map(|place| queue.watchers.swap_remove(place));
        drop(queue);
        drop(left);
    }

    /// Wakes all watchers, whatever is durable.
    pub(crate) fn wake_watchers(&self) {
        let mut queue = self.queue.lock();
        queue.dismiss_watchers();
        self.server.notify_one();
    }
}
