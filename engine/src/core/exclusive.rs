//! Exclusive transactions: the gate, then everybody out of the commit section, then the snapshot.

use std::task::{Poll, Waker};
use std::time::Duration;

use braid_mvstore::Timestamp;
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::gate::{Asked, Seat};
use super::shared::{Core, Writer};
use super::timers::TimerPlace;
use crate::conflicts::Loss;
use crate::error::{Error, Result};
use crate::handle::Handle;

/// The gate, held; released when dropped.
#[derive(Debug)]
pub(crate) struct Exclusive {
    handle: Arc<Handle>,
}

/// What a future that is to be admitted exclusively waits for.
#[derive(Debug, Default)]
pub(crate) struct TurnWait {
    seat: Option<Seat>,
    /// Since when it waits, if it had to.
    since: Option<Duration>,
    /// When it has waited for long enough.
    until: Option<Duration>,
    /// Where it waits for that time.
    timer: Option<TimerPlace>,
}

impl Exclusive {
    /// The transaction goes into a closure that this thread calls, or has come out of it.
    pub(crate) fn set_in_closure(&self, inside: bool) {
        if let Ok(writer) = self.handle.core().writer() {
            writer.gate.set_in_closure(inside);
        }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Ok(writer) = self.handle.core().writer() {
            writer.gate.release();
        }
    }
}

impl Core {
    /// Waits for the turn of an exclusive transaction, up to `timeout`. When this returns no commit is under way, and none
    /// but the caller's will be.
    pub(crate) fn enter_exclusive(
        &self,
        handle: &Arc<Handle>,
        timeout: Duration,
        name: Option<&str>,
    ) -> Result<Exclusive> {
        let writer = self.writer()?;
        if !writer.gate.acquire(timeout) {
            return Err(self.not_admitted(writer, name));
        }
        Self::admitted(handle, writer)
    }

    /// The same for a future, whose waker is called when it may look again.
    pub(crate) fn poll_exclusive(
        &self,
        handle: &Arc<Handle>,
        timeout: Duration,
        name: Option<&str>,
        wait: &mut TurnWait,
        waker: &Waker,
    ) -> Result<Poll<Exclusive>> {
        let writer = self.writer()?;
        writer.check()?;
        let until = *wait.until.get_or_insert_with(|| self.env.clock.now().saturating_add(timeout));
        let (asked, left) = writer.gate.poll_acquire(&mut wait.seat, waker);
        if asked == Asked::Taken {
            self.has_waited(writer, wait);
            let exclusive = Self::admitted(handle, writer);
            // What the gate is held by is given back if this panics.
            drop(left);
            return exclusive.map(Poll::Ready);
        }
        drop(left);
        wait.since.get_or_insert_with(|| self.env.clock.now());
        if self.poll_time(until, &mut wait.timer, waker)?.is_ready() {
            writer.check()?;
            return Err(self.not_admitted(writer, name));
        }
        // Whoever is before it may never be polled, and then nobody wakes it.
        writer.background.look_at_gate(self.env.clock.now().saturating_add(asked.look_in()));
        // After the waker is in its place: the log keeper, which looks, ends with the log.
        writer.check()?;
        Ok(Poll::Pending)
    }

    /// Gives up the place of a future that waits for its turn.
    pub(crate) fn leave_queue(&self, wait: &mut TurnWait) {
        self.stop_sleeping(&mut wait.timer);
        if let (Ok(writer), Some(seat), true) = (self.writer(), wait.seat.take(), self.is_own_process()) {
            writer.gate.leave_queue(seat);
            self.has_waited(writer, wait);
        }
    }

    /// Counts a wait for a turn that is over, if there was one.
    fn has_waited(&self, writer: &Writer, wait: &mut TurnWait) {
        if let Some(since) = wait.since.take() {
            writer.gate.turns.add(self.env.clock.now().saturating_sub(since));
        }
    }

    /// Its turn has not come in time.
    fn not_admitted(&self, writer: &Writer, name: Option<&str>) -> Error {
        let error = Self::locked_out(writer, self.installed_ts());
        self.lost(&error, &Loss { name, ..Loss::default() });
        error
    }

    /// Why the gate did not open to this thread.
    #[cold]
    pub(super) fn locked_out(writer: &Writer, begin_ts: Timestamp) -> Error {
        if writer.gate.waits_for_itself() {
            return Error::WaitsForItself;
        }
        Error::locked_out(begin_ts, writer.gate.was_taken_here())
    }

    /// The gate is taken.
    fn admitted(handle: &Arc<Handle>, writer: &Writer) -> Result<Exclusive> {
        let exclusive = Exclusive { handle: Arc::clone(handle) };
        writer.gate.taken_here();
        // Whoever passed the gate before is still in the section, or through it.
        if !planted!(CommitterNotAwaited) {
            drop(writer.section.lock());
        }
        writer.check()?;
        Ok(exclusive)
    }
}
