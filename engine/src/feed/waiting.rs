//! Waiting for a feed: as a thread, and as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use braid_vfs::sync::{Condvar, Mutex};

use super::change_set::ChangeSet;
use super::changes::Changes;
use crate::error::Result;

/// The next transaction of a feed, from [`Changes::next_async`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct NextChanges<'a>(pub(super) &'a mut Changes);

impl Future for NextChanges<'_> {
    type Output = Option<Result<ChangeSet>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_next(cx)
    }
}

/// A thread that sleeps until it is woken.
#[derive(Debug, Default)]
pub(super) struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// Sleeps until woken, and takes that; false when the time that is left has run out before.
    pub(super) fn park(&self, left: impl Fn() -> Option<Duration>) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            match left() {
                None => self.changed.wait(&mut woken),
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.changed.wait_for(&mut woken, left);
                }
            }
        }
        *woken = false;
        true
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}
