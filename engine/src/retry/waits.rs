//! What a runner without a thread waits for between its commits: its turn, and a time. Dropped, it waits no longer.

use std::task::{Poll, Waker};
use std::time::Duration;

use braid_vfs::sync::Arc;

use crate::core::{Exclusive, TimerPlace, TurnWait};
use crate::error::Result;
use crate::handle::Handle;

/// The wait for a turn to be admitted exclusively.
#[derive(Debug)]
pub(super) struct Turn {
    handle: Arc<Handle>,
    timeout: Duration,
    name: Option<Arc<str>>,
    wait: TurnWait,
}

impl Turn {
    pub(super) fn new(handle: &Arc<Handle>, timeout: Duration, name: Option<Arc<str>>) -> Self {
        Self { handle: Arc::clone(handle), timeout, name, wait: TurnWait::default() }
    }

    pub(super) fn poll(&mut self, waker: &Waker) -> Result<Poll<Exclusive>> {
        let core = self.handle.core();
        core.poll_exclusive(&self.handle, self.timeout, self.name.as_deref(), &mut self.wait, waker)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.handle.core().leave_queue(&mut self.wait);
    }
}

/// The wait for a time.
#[derive(Debug)]
pub(super) struct Rest {
    handle: Arc<Handle>,
    /// `None` to let others on the same thread go first, once.
    until: Option<Duration>,
    yielded: bool,
    place: Option<TimerPlace>,
}

impl Rest {
    pub(super) fn new(handle: &Arc<Handle>, until: Option<Duration>) -> Self {
        Self { handle: Arc::clone(handle), until, yielded: false, place: None }
    }

    pub(super) fn is_for_a_time(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn poll(&mut self, waker: &Waker) -> Result<Poll<()>> {
        if let Some(until) = self.until {
            return self.handle.core().poll_time(until, &mut self.place, waker);
        }
        if std::mem::replace(&mut self.yielded, true) {
            return Ok(Poll::Ready(()));
        }
        waker.wake_by_ref();
        Ok(Poll::Pending)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.handle.core().stop_sleeping(&mut self.place);
    }
}
