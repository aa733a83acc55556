//! Those who wait without a thread, and the thread that serves them. See [`group`](super).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::{MutexGuard, WakerPlace, Wakers, wake_all};

use super::gathering::Gathering;
use super::queue::{Lead, Queue};
use super::waiting::{Crowd, Who};
use super::{GroupCommit, SyncTarget};
use crate::{Lsn, SyncError};

/// What the server is told.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Futures that need not wait any longer, whose wakers are to be called.
    pub(super) ready: Vec<Waker>,
    /// Futures that are awaited.
    pub(super) gathering: Gathering,
    /// When the server looks who has come, while it keeps the sync.
    pub(super) look_at: Duration,
    /// It is about to look by itself.
    looks_soon: bool,
    stop: bool,
}

/// What the server does when there are no wakers to call.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Leads,
    /// Until it is notified.
    Sleeps,
    /// For so long at most.
    Dozes(Duration),
}

impl Queue {
    /// The crowd in which a future has its place.
    fn futures_at(&mut self, place: WakerPlace) -> Option<&mut Wakers> {
        let crowds = [&mut self.waiting.present, &mut self.waiting.next];
        crowds.into_iter().map(|crowd| &mut crowd.futures).find(|futures| futures.has(place))
    }

    /// Finds a place for a future that waits for `lsn`; whether the server is to be notified.
    fn come_to_wait(
        &mut self,
        who: Who,
        lsn: Lsn,
        waker: Waker,
        target: &impl SyncTarget,
    ) -> (WakerPlace, bool) {
        let present = self.through.is_none_or(|through| lsn <= through);
        let crowd = if present { &mut self.waiting.present } else { &mut self.waiting.next };
        crowd.committing_futures += who.awaited();
        crowd.has_visitor |= who == Who::Visitor;
        let place = crowd.futures.join(waker);
        let is_next = matches!(self.lead, Lead::Free | Lead::Kept);
        (place, is_next && self.count_in(who, target))
    }

    /// One more future waits for a sync that the server will lead; whether it is to be notified.
    fn count_in(&mut self, who: Who, target: &impl SyncTarget) -> bool {
        let gathering = &mut self.served.gathering;
        if who == Who::Committer && !gathering.come() {
            if self.lead == Lead::Kept {
                return false;
            }
            let now = target.now();
            if let Some(time) = gathering.hold(now) {
                self.served.look_at = now.saturating_add(time);
                self.lead = Lead::Kept;
                return !self.served.looks_soon;
            }
        }
        self.lead = Lead::Called;
        self.await_nobody();
        true
    }

    fn next_of_server(&mut self, target: &impl SyncTarget) -> Next {
        if matches!(self.lead, Lead::Called | Lead::Kept) && self.waiting.present.futures.is_empty() {
            // Left by all who waited, it is nobody's.
            self.lead = Lead::Free;
        }
        match self.lead {
            Lead::Called => Next::Leads,
            Lead::Kept if planted!(KeeperNeverLooks) => Next::Sleeps,
            Lead::Kept => {
                let now = target.now();
                loop {
                    let left = self.served.look_at.saturating_sub(now);
                    if !left.is_zero() {
                        // Longer only by a clock that went back, which is the user's.
                        return Next::Dozes(self.served.gathering.at_most_a_step(left));
                    }
                    let Some(longer) = self.served.gathering.hold_on(now) else { return Next::Leads };
                    self.served.look_at = now.saturating_add(longer);
                }
            }
            // They are expected any moment: the first one need not wake it.
            Lead::Free => self.served.gathering.first_look().map_or(Next::Sleeps, Next::Dozes),
            Lead::Held | Lead::Taken => Next::Sleeps,
        }
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
        who: Who,
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
            match place.and_then(|kept| queue.futures_at(kept).map(|futures| (kept, futures))) {
                Some((kept, futures)) => futures.replace(kept, waker),
                None => {
                    let (found, notify) = queue.come_to_wait(who, lsn, waker, target);
                    *place = Some(found);
                    if notify {
                        self.server.notify_one();
                    }
                    None
                }
            }
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

    /// Has the server call the wakers of a crowd, and lead or keep the sync where that is its part. Under the lock.
    pub(super) fn hand_to_server(&self, queue: &mut Queue, crowd: &mut Crowd) {
        if !planted!(WakerLost) {
            queue.served.ready.extend(crowd.futures.take());
        }
        if !queue.served.ready.is_empty() || matches!(queue.lead, Lead::Called | Lead::Kept) {
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
                    let next = if self.is_poisoned() { Next::Sleeps } else { queue.next_of_server(target) };
                    match next {
                        Next::Leads => {
                            queue.take_lead();
                            break Vec::new();
                        }
                        Next::Sleeps => self.server.wait(&mut queue),
                        Next::Dozes(time) => self.doze(&mut queue, time),
                    }
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

    /// The server sleeps until it is notified or its time is up; who has not begun to come by then is not awaited.
    fn doze(&self, queue: &mut MutexGuard<'_, Queue>, time: Duration) {
        let kept = queue.lead == Lead::Kept;
        queue.served.looks_soon = true;
        let is_up = self.server.wait_for(queue, time);
        queue.served.looks_soon = false;
        match queue.lead {
            Lead::Free if is_up => queue.served.gathering.cancel(),
            // Whatever the clock says, which is the user's.
            Lead::Kept if is_up && kept => queue.served.look_at = Duration::ZERO,
            _ => {}
        }
    }

    /// Has the server return, once it has called the wakers that are ready.
    pub(crate) fn stop_serving(&self) {
        self.queue.lock().served.stop = true;
        self.server.notify_one();
    }
}
