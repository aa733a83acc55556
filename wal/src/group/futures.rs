//! Those who wait without a thread, and the thread that serves them. See [`group`](super).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use braid_vfs::planted;
use braid_vfs::sync::{WakerPlace, Wakers, wake_all};

use super::waiting::{Crowd, Who};
use super::{GroupCommit, Lead, Queue, SyncTarget};
use crate::{Lsn, SyncError};

/// What the server is told.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Futures that need not wait any longer, whose wakers are to be called.
    pub(super) ready: Vec<Waker>,
    stop: bool,
}

impl Queue {
    /// The crowd in which a future has its place.
    fn futures_at(&mut self, place: WakerPlace) -> Option<&mut Wakers> {
        let crowds = [&mut self.waiting.present, &mut self.waiting.next];
        crowds.into_iter().map(|crowd| &mut crowd.futures).find(|futures| futures.has(place))
    }

    /// Keeps the place of a future that waits for `lsn`, or finds it one; returns a waker to drop.
    fn wait(&mut self, lsn: Lsn, place: &mut Option<WakerPlace>, waker: Waker) -> Option<Waker> {
        if let Some(kept) = *place
            && let Some(futures) = self.futures_at(kept)
        {
            return futures.replace(kept, waker);
        }
        let present = self.through.is_none_or(|through| lsn <= through);
        let crowd = if present { &mut self.waiting.present } else { &mut self.waiting.next };
        *place = Some(crowd.futures.join(waker));
        None
    }
}

impl GroupCommit {
    /// Whether everything before `lsn` is durable. If it is not yet, `waker` is called when it is, or never will be;
    /// `place` is where it waits, `None` at first.
    ///
    /// There must be a server by then, or futures wait until some thread syncs.
    pub(crate) fn poll_through(
        &self,
        target: &impl SyncTarget,
        lsn: Lsn,
        place: &mut Option<WakerPlace>,
        waker: &Waker,
    ) -> Poll<Result<(), SyncError>> {
        if self.durable() >= lsn {
            return Poll::Ready(Ok(()));
        }
        if lsn > target.appended() {
            return Poll::Ready(Err(SyncError::BeyondEnd { lsn }));
        }
        let waker = waker.clone();
        let replaced = {
            let mut queue = self.queue.lock();
            if self.durable() >= lsn {
                return Poll::Ready(Ok(()));
            }
            if self.is_poisoned() {
                return Poll::Ready(Err(if place.is_some() { queue.failed() } else { queue.poisoned() }));
            }
            let replaced = queue.wait(lsn, place, waker);
            if queue.lead == Lead::Free {
                queue.lead = Lead::Called;
                queue.gathering.cancel();
                self.server.notify_one();
            }
            replaced
        };
        drop(replaced);
        Poll::Pending
    }

    /// Gives up the place of a future that waits no longer.
    pub(crate) fn leave(&self, place: WakerPlace) {
        let left = {
            let mut queue = self.queue.lock();
            queue.futures_at(place).and_then(|futures| futures.leave(place))
        };
        drop(left);
    }

    /// Has the server call the wakers of a crowd, and lead where it was called to. Under the lock.
    pub(super) fn hand_to_server(&self, queue: &mut Queue, crowd: &mut Crowd) {
        if !planted!(WakerLost) {
            queue.served.ready.extend(crowd.futures.take());
        }
        if !queue.served.ready.is_empty() || queue.lead == Lead::Called {
            self.server.notify_one();
        }
    }

    /// Has the server call wakers that wait for something else.
    pub(crate) fn wake_soon(&self, wakers: Vec<Waker>) {
        if !wakers.is_empty() {
            self.queue.lock().served.ready.extend(wakers);
            self.server.notify_one();
        }
    }

    /// Serves futures on the calling thread until [`stop_serving`](Self::stop_serving).
    pub(crate) fn serve(&self, target: &impl SyncTarget) {
        loop {
            let ready = {
                let mut queue = self.queue.lock();
                loop {
                    if !queue.served.ready.is_empty() {
                        break std::mem::take(&mut queue.served.ready);
                    }
                    if queue.served.stop {
                        return;
                    }
                    if queue.lead == Lead::Called && !self.is_poisoned() {
                        // Left by all who waited, it is nobody's.
                        if queue.waiting.present.futures.is_empty() {
                            queue.lead = Lead::Free;
                            continue;
                        }
                        queue.take_lead();
                        break Vec::new();
                    }
                    self.server.wait(&mut queue);
                }
            };
            if ready.is_empty() {
                // One that panics has poisoned the log on its way, and told those who wait: the server has to stay for them.
                let _told = catch_unwind(AssertUnwindSafe(|| self.lead(target, Who::Visitor)));
            } else {
                wake_all(ready);
            }
        }
    }

    /// Has the server return, once it has called the wakers that are ready.
    pub(crate) fn stop_serving(&self) {
        self.queue.lock().served.stop = true;
        self.server.notify_one();
    }
}
