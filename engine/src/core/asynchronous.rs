//! Commits that hold no thread while they wait. What the retry runner waits for beside them is in [`timers`](super::timers) and
//! [`exclusive`](super::exclusive).
//!
//! A commit may wait for four things, and a future that does so leaves a waker and nothing else: it may be polled late, or
//! never again, by a thread that waits for somebody else meanwhile. So whatever a future holds while it waits must be in
//! nobody's way.
//!
//! | waits for | and holds |
//! | --- | --- |
//! | the holder of the gate | its snapshot, as any open transaction; then a [loan](super::gate) that can be taken back |
//! | room in the row store | the same; no reservation |
//! | a reservation of the clock | the same |
//! | a sync | nothing: the commit is installed |
//!
//! One that was admitted exclusively holds the gate beside that until it is installed: it holds everybody back while it
//! waits for room or for the clock, and is not polled.
//!
//! What holds the thread after all is short or rare: the commit section, as in any commit; a log segment that the log keeper
//! did not have ready in time; and room for a transaction that is larger than the whole row store, which holds back
//! everybody else until it is in.
//!
//! Wakers are called by the [server](super::background), or by nobody: a wait for a time, `busy_timeout` say, ends by a
//! [timer](super::timers) of the future's own. Whoever waits for room looks again at intervals, as a thread does.
//!
//! `acked_ts` is raised by whoever is told that a commit stands. For a commit whose future is dropped, or not polled, that is
//! whoever comes next, or the log keeper after an interval.

use std::task::{Poll, Waker};
use std::time::Duration;

use braid_mvstore::Timestamp;
use braid_vfs::planted;
use braid_vfs::sync::{Arc, WakerPlace};
use braid_wal::Lsn;

use super::append::Left;
use super::budget::RoomWait;
use super::commit::{Commit, CommitRequest, Installed, StandsWith, tell_of_conflict, with_record};
use super::reads::ReadsLook;
use super::shared::{Core, Writer};
use super::timers::TimerPlace;
use crate::error::{Error, Result};

/// What a transaction that is not installed yet waits for.
#[derive(Debug, Default)]
pub(crate) struct CommitWait {
    gate: Option<WakerPlace>,
    /// When it has waited for the gate for long enough, while it does so; and what is left of `busy_timeout` after it has.
    gate_until: Option<Duration>,
    turn_left: Option<Duration>,
    /// Since when it is held back.
    held_since: Option<Duration>,
    /// Where it waits for that time.
    gate_timer: Option<TimerPlace>,
    room: Option<RoomWait>,
    /// What the row store has to have room for, where the updates have grown beyond the writes.
    reserved: usize,
    log: Option<WakerPlace>,
}

/// What an attempt to install came to.
#[derive(Debug)]
pub(crate) enum Attempt {
    Installed(Installed),
    /// The waker will be called.
    Waits,
}

/// What an installed commit waits for, or one without writes.
#[derive(Debug)]
pub(crate) struct StandWait {
    with: StandsWith,
    place: Option<WakerPlace>,
}

impl StandWait {
    /// For the commit to stand.
    pub(crate) fn of(installed: Installed) -> Self {
        Self { with: installed.stands_with(), place: None }
    }
}

impl Core {
    /// Has the thread that futures need, before anything is done for one.
    pub(crate) fn serve_futures(self: &Arc<Self>) -> Result<()> {
        let writer = self.writer()?;
        self.start_server(writer).map_err(|error| Error::io("starting the thread that wakes futures", error))
    }

    /// Validates and installs, unless something is to be waited for.
    pub(crate) fn attempt(
        &self,
        request: &mut CommitRequest<'_>,
        wait: &mut CommitWait,
        waker: &Waker,
    ) -> Result<Attempt> {
        let writer = self.writer()?;
        // A wait for the gate goes on, or is over and accounted for.
        let mut tried = wait.gate_until.is_some().then_some(Left::HeldBack);
        loop {
            writer.check()?;
            match tried.take() {
                Some(Left::HeldBack) if !self.gate_is_free(writer, request, wait, waker)? => {
                    return Ok(Attempt::Waits);
                }
                Some(Left::ClockNeedsSync(through))
                    if self.poll_log(writer, through, &mut wait.log, waker)?.is_pending() =>
                {
                    return Ok(Attempt::Waits);
                }
                _ => {}
            }
            request.reserved = request.writes.bytes().max(wait.reserved);
            let bytes = request.reserved;
            let Some(reservation) = self.poll_admit(writer, bytes, &mut wait.room, waker)? else {
                return Ok(Attempt::Waits);
            };
            let mut reads = ReadsLook::new(writer, request.begin_ts);
            let installed = with_record(request, |request, record| {
                loop {
                    match self.try_to_install(writer, request, record, &mut reads) {
                        Err(Left::Stale | Left::ReadsBehind) => {}
                        Err(Left::SegmentNeeded(bytes)) => self.prepare_log(writer, bytes)?,
                        other => return Ok(other),
                    }
                }
            });
            drop(reservation);
            match installed? {
                Ok(installed) => {
                    self.counters.made(request.made);
                    return Ok(Attempt::Installed(installed));
                }
                Err(Left::Failed(error)) => {
                    tell_of_conflict(&error);
                    return Err(error.with_turn_left(wait.turn_left.unwrap_or(request.busy_timeout)));
                }
                Err(Left::RoomNeeded(bytes)) => wait.reserved = self.room_for(bytes),
                Err(left) => tried = Some(left),
            }
        }
    }

    /// Gives up what a transaction waits for.
    pub(crate) fn stop_waiting(&self, mut wait: CommitWait) {
        self.stop_sleeping(&mut wait.gate_timer);
        let (Ok(writer), true) = (self.writer(), self.is_own_process()) else { return };
        if let Some(place) = wait.gate {
            writer.gate.leave(place);
        }
        self.was_held_back(&mut wait);
        if let Some(place) = wait.room.and_then(|room| room.place) {
            writer.budget.leave(place);
        }
        if let Some(place) = wait.log {
            writer.log.leave(place);
        }
    }

    /// Has the log looked after, as every commit does.
    pub(crate) fn look_after_log(&self) {
        if let Ok(writer) = self.writer() {
            writer.background.request_log_care(&writer.log);
        }
    }

    /// Whether an installed commit has what it asked for, and everything it follows too.
    pub(crate) fn poll_acknowledge(
        &self,
        installed: Installed,
        wait: &mut StandWait,
        waker: &Waker,
    ) -> Poll<Result<Commit>> {
        let writer = match self.writer() {
            Ok(writer) => writer,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let polled = if planted!(ReadyBeforeSync) {
            Poll::Ready(Ok(()))
        } else {
            writer.log.poll_commit_through(wait.with.must_be_durable(), &mut wait.place, waker)
        };
        polled.map(|waited| self.acknowledge_waited(writer, installed, waited))
    }

    /// What a commit without writes waits for; `None` when all that its snapshot could see stands.
    pub(crate) fn reads_wait(&self, begin_ts: Timestamp) -> Result<Option<StandWait>> {
        if self.acked_ts() >= begin_ts || planted!(ReadsNotAwaited) {
            return Ok(None);
        }
        Ok(Some(StandWait { with: self.writer()?.stands_with(), place: None }))
    }

    /// Whether everything stands that the snapshot at `begin_ts` could see.
    pub(crate) fn poll_acknowledge_reads(
        &self,
        begin_ts: Timestamp,
        wait: Option<&mut StandWait>,
        waker: &Waker,
    ) -> Result<Poll<Commit>> {
        if let Some(wait) = wait {
            let writer = self.writer()?;
            if self.poll_log(writer, wait.with.must_be_durable(), &mut wait.place, waker)?.is_pending() {
                return Ok(Poll::Pending);
            }
            self.acknowledge_reads_waited(writer, wait.with, begin_ts)?;
        }
        Ok(Poll::Ready(Commit { timestamp: begin_ts }))
    }

    /// Gives up what a commit waits for.
    pub(crate) fn stop_standing(&self, wait: &StandWait) {
        if let (Ok(writer), Some(place), true) = (self.writer(), wait.place, self.is_own_process()) {
            writer.log.leave(place);
        }
    }

    fn poll_log(
        &self,
        writer: &Writer,
        through: Lsn,
        place: &mut Option<WakerPlace>,
        waker: &Waker,
    ) -> Result<Poll<()>> {
        match writer.log.poll_through(through, place, waker) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(error)) => Err(Error::from_sync(error)),
        }
    }

    /// Counts a wait at the gate that is over, if there was one.
    fn was_held_back(&self, wait: &mut CommitWait) {
        if let Some(since) = wait.held_since.take() {
            self.counters.held_back.add(self.env.clock.now().saturating_sub(since));
        }
    }

    fn gate_is_free(
        &self,
        writer: &Writer,
        request: &CommitRequest<'_>,
        wait: &mut CommitWait,
        waker: &Waker,
    ) -> Result<bool> {
        wait.held_since.get_or_insert_with(|| self.env.clock.now());
        if writer.gate.poll(&mut wait.gate, waker) {
            self.stop_sleeping(&mut wait.gate_timer);
            self.was_held_back(wait);
            if let Some(until) = wait.gate_until.take() {
                wait.turn_left = Some(until.saturating_sub(self.env.clock.now()));
            }
            return Ok(true);
        }
        let until = || self.env.clock.now().saturating_add(wait.turn_left.unwrap_or(request.busy_timeout));
        let until = *wait.gate_until.get_or_insert_with(until);
        if self.poll_time(until, &mut wait.gate_timer, waker)?.is_ready() {
            writer.check()?;
            return Err(Self::locked_out(writer, request.begin_ts));
        }
        Ok(false)
    }
}
