//! The background threads of a core.
//!
//! * The *checkpointer* folds when asked to, frees what only old snapshots held, and revokes those that are over a limit.
//! * The *log keeper* prepares the next segment ahead of need, bounds what a power cut can take from `Deferred` commits by
//!   a sync at intervals, and marks an idle log as durable to its end. It also looks at the time for futures: it has those
//!   called whose [timer](super::timers) is due, those that wait for room, and looks after the [gate](super::gate) while one
//!   is in its queue.
//! * The *server* leads syncs for commits that no thread waits for, and wakes their futures. It is started with the first
//!   of them. It calls code of the user's, and holds nothing while it does so.
//!
//! None of them ends by a panic of code of the user's: of a file, a page cache, a clock. What it was about has failed then, those
//! who wait for it are told, and the thread goes on after a rest.
//!
//! All sleep while there is nothing to do: an idle database wakes nobody. While a future waits for room or for its turn, the
//! log keeper wakes every 100 ms, or sooner. They hold the core, and are stopped and joined
//! before its last handle lets go. The server may be the one who drops that handle, with a future: it does not wait for
//! itself then, and ends right after.

use std::task::Waker;
use std::time::Duration;
use std::{io, mem};

use braid_mvstore::Generation;
use braid_vfs::events::{self, tell, tell_kept};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Condvar, Mutex};
use braid_vfs::{Task, survive};
use braid_wal::{Appender, Log, SyncError};

use tracing::level_filters::LevelFilter;

use super::shared::{Core, Writer};
use super::timers::Timers;

/// How soon the checkpointer looks again whether the last reader of a folded generation is gone: mostly that is who was
/// under way as it was folded, and writers have the generation's part of the budget again already. Then twice as late each
/// time.
const FIRST_REAP_IN: Duration = Duration::from_millis(1);
/// How often at least.
const REAP_INTERVAL: Duration = Duration::from_millis(500);
/// The coarse clock may be a little behind when leases are looked at.
const LEAST_REST: Duration = Duration::from_millis(1);
/// How long the checkpointer rests after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Wishes {
    checkpoint: bool,
    burial: bool,
    leases: bool,
    /// The log has been appended to.
    settle: bool,
    /// When it is to be settled for that.
    settle_at: Option<Duration>,
    segment: bool,
    /// When futures that wait for room are to look again.
    room_alarm: Option<Duration>,
    /// When the gate is to be looked after, for the futures in its queue.
    gate_alarm: Option<Duration>,
    /// Futures that wait for a time.
    timers: Timers,
    stop: bool,
}

impl Wishes {
    /// Takes out all that the log keeper is to do now: nothing has to wait until something else is not due any more.
    fn take_due(&mut self, now: Duration, settle_interval: Duration) -> Option<Due> {
        if mem::take(&mut self.settle) {
            self.settle_at.get_or_insert(now.saturating_add(settle_interval));
        }
        let is_due = |alarm: &mut Option<Duration>| alarm.take_if(|at| now >= *at).is_some();
        let due = Due {
            sleepers: self.timers.due(now),
            room: is_due(&mut self.room_alarm),
            gate: is_due(&mut self.gate_alarm),
            settle: is_due(&mut self.settle_at),
            segment: mem::take(&mut self.segment),
        };
        let any = due.room || due.gate || due.settle || due.segment || !due.sleepers.is_empty();
        any.then_some(due)
    }

    /// When something is due for the log keeper next.
    fn next_alarm(&self) -> Option<Duration> {
        [self.settle_at, self.room_alarm, self.gate_alarm, self.timers.next()].into_iter().flatten().min()
    }
}

/// What the log keeper does in one pass.
#[derive(Debug)]
struct Due {
    /// To be called.
    sleepers: Vec<Waker>,
    room: bool,
    gate: bool,
    settle: bool,
    segment: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Background {
    wishes: Mutex<Wishes>,
    checkpointer: Condvar,
    log_keeper: Condvar,
    /// Mirrors of the wishes, so that a commit asks without a lock.
    checkpoint_asked: AtomicBool,
    settle_asked: AtomicBool,
    segment_asked: AtomicBool,
    /// Folded generations, kept here so that their memory is freed by the checkpointer and not by a reader's drop.
    buried: Mutex<Vec<Arc<Generation>>>,
    /// When leases are looked at next, on the coarse clock; the greatest number: not before there is another.
    next_look: NextLook,
    tasks: Mutex<Vec<Box<dyn Task>>>,
    is_serving: AtomicBool,
}

#[derive(Debug)]
struct NextLook(AtomicU64);

impl Default for NextLook {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Background {
    /// Wakes the checkpointer, once until it begins.
    pub(super) fn request_checkpoint(&self) {
        if first_to_ask(&self.checkpoint_asked) {
            self.wishes.lock().checkpoint = true;
            self.checkpointer.notify_one();
        }
    }

    /// Has the log settled within an interval from now; for one who has just appended to it.
    pub(super) fn request_log_care(&self, log: &Log) {
        if first_to_ask(&self.settle_asked) {
            self.wishes.lock().settle = true;
            self.log_keeper.notify_one();
        }
        if log.wants_preparation() && first_to_ask(&self.segment_asked) {
            self.wishes.lock().segment = true;
            self.log_keeper.notify_one();
        }
    }

    /// Has futures that wait for room woken at a time.
    pub(super) fn look_at_room(&self, time: Duration) {
        if sooner(&mut self.wishes.lock().room_alarm, time) {
            self.log_keeper.notify_one();
        }
    }

    /// Has the gate looked after at a time.
    pub(super) fn look_at_gate(&self, time: Duration) {
        if sooner(&mut self.wishes.lock().gate_alarm, time) {
            self.log_keeper.notify_one();
        }
    }

    /// Looks after the futures that wait for a time; the log keeper is told if one of them waits for the next time there is.
    pub(super) fn with_timers<R>(&self, change: impl FnOnce(&mut Timers) -> R) -> R {
        let mut wishes = self.wishes.lock();
        let before = wishes.timers.next();
        let changed = change(&mut wishes.timers);
        if wishes.timers.next().is_some_and(|next| before.is_none_or(|before| next < before)) {
            self.log_keeper.notify_one();
        }
        changed
    }

    /// Takes folded generations, to free them when the last snapshot lets go.
    pub(super) fn bury(&self, folded: &[Arc<Generation>]) {
        self.buried.lock().extend(folded.iter().cloned());
        self.wishes.lock().burial = true;
        self.checkpointer.notify_one();
    }

    /// Has leases looked at no later than at `nanos` on the coarse clock.
    pub(super) fn look_at_leases_by(&self, nanos: u64) {
        if nanos < self.next_look.0.load(Ordering::SeqCst)
            && nanos < self.next_look.0.fetch_min(nanos, Ordering::SeqCst)
        {
            self.wishes.lock().leases = true;
            self.checkpointer.notify_one();
        }
    }

    /// The checkpointer has looked at leases, and rests until the next look, which is due at `nanos` on the coarse clock.
    pub(super) fn looked_at_leases(&self, nanos: u64) {
        self.next_look.0.fetch_min(nanos, Ordering::SeqCst);
    }

    /// Leases are being looked at: one that is begun from now on is told of anew. Before the look.
    pub(super) fn forget_look_at_leases(&self) {
        self.next_look.0.store(u64::MAX, Ordering::SeqCst);
    }

    /// Folded generations that were held when last looked at.
    pub(super) fn buried(&self) -> Vec<Arc<Generation>> {
        self.buried.lock().clone()
    }

    /// Frees what nobody holds any more; whether something is left. Who looks meanwhile finds all that is held.
    pub(super) fn reap(&self) -> bool {
        let (free, something_is_left) = {
            let mut buried = self.buried.lock();
            let (free, held): (Vec<_>, Vec<_>) =
                mem::take(&mut *buried).into_iter().partition(|one| Arc::strong_count(one) == 1);
            *buried = held;
            (free, !buried.is_empty())
        };
        // Takes a while, which nobody is to wait for.
        drop(free);
        something_is_left
    }

    /// Waits, unless it is time to stop.
    fn rest(&self, duration: Duration) {
        let mut wishes = self.wishes.lock();
        if !wishes.stop {
            self.checkpointer.wait_for(&mut wishes, duration);
        }
    }

    /// Stops the threads and waits for them.
    pub(super) fn stop(&self, log: &Log) {
        log.stop_serving();
        self.wishes.lock().stop = true;
        self.checkpointer.notify_all();
        self.log_keeper.notify_all();
        let tasks = mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.join();
        }
    }
}

impl Core {
    /// Bytes of folded generations that somebody still holds.
    pub(crate) fn buried_bytes(&self) -> u64 {
        let Some(writer) = &self.writer else { return 0 };
        writer.background.buried.lock().iter().map(|generation| generation.bytes() as u64).sum()
    }

    /// Starts the background threads of a core that writes.
    pub(super) fn start_background(self: &Arc<Self>) -> io::Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let core = Arc::clone(self);
        let checkpointer = self.env.spawn.spawn(
            "braid-checkpoint",
            Box::new(move || {
                if let Some(writer) = &core.writer {
                    core.run_checkpointer(writer);
                }
            }),
        )?;
        writer.background.tasks.lock().push(checkpointer);
        let core = Arc::clone(self);
        let log_keeper = self.env.spawn.spawn(
            "braid-log",
            Box::new(move || {
                if let Some(writer) = &core.writer {
                    core.run_log_keeper(writer);
                }
            }),
        )?;
        writer.background.tasks.lock().push(log_keeper);
        let view = self.current_view();
        if !view.sealed.is_empty() || view.active.bytes() >= writer.budget.seal_bytes() {
            // What the log had more of than one generation holds, or than could be folded on the way.
            drop(view);
            writer.background.request_checkpoint();
        }
        Ok(())
    }

    /// Starts the server, unless it runs.
    pub(super) fn start_server(self: &Arc<Self>, writer: &Writer) -> io::Result<()> {
        let background = &writer.background;
        if background.is_serving.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut tasks = background.tasks.lock();
        if background.is_serving.load(Ordering::Acquire) {
            return Ok(());
        }
        let core = Arc::clone(self);
        let server = self.env.spawn.spawn(
            "braid-server",
            Box::new(move || {
                if let Some(writer) = &core.writer {
                    core.go_on(writer, |_| {}, || writer.log.serve_futures());
                }
            }),
        )?;
        tasks.push(server);
        background.is_serving.store(true, Ordering::Release);
        Ok(())
    }

    /// Has all futures look again that wait for room or for the gate.
    fn wake_waiting(writer: &Writer) {
        writer.gate.wake_futures();
        writer.budget.look_again();
    }

    /// Does the work of a background thread until it is over, beyond panics too, each of which is followed by a `rest`.
    fn go_on(&self, writer: &Writer, rest: impl Fn(&Background), work: impl Fn()) {
        // A subscriber may wait for somebody who waits for this thread.
        events::elsewhere(|| LevelFilter::current() != LevelFilter::OFF);
        while survive(&work).is_none() {
            self.counters.background_panics.add(1);
            if planted!(PanicEndsThreads) {
                return;
            }
            rest(&writer.background);
            if writer.background.wishes.lock().stop {
                return;
            }
        }
    }

    fn run_checkpointer(&self, writer: &Writer) {
        let again = |background: &Background| {
            // It may have been this that ended, and the time of the next look is forgotten.
            background.wishes.lock().leases = true;
            background.rest(RETRY_INTERVAL);
        };
        self.go_on(writer, again, || self.fold_when_asked(writer));
    }

    fn fold_when_asked(&self, writer: &Writer) {
        let background = &writer.background;
        // It may have been left by a panic.
        let mut reap_in = (!background.buried.lock().is_empty()).then_some(REAP_INTERVAL);
        let mut look_in: Option<Duration> = None;
        loop {
            let (wanted, buried_anew) = {
                let mut wishes = background.wishes.lock();
                let rest = [reap_in, look_in.map(|rest| rest.max(LEAST_REST))].into_iter().flatten().min();
                while !wishes.checkpoint && !wishes.stop && !wishes.burial && !wishes.leases {
                    match rest {
                        None => background.checkpointer.wait(&mut wishes),
                        Some(rest) if background.checkpointer.wait_for(&mut wishes, rest) => break,
                        Some(_) => {}
                    }
                }
                if wishes.stop {
                    return;
                }
                wishes.leases = false;
                (mem::take(&mut wishes.checkpoint), mem::take(&mut wishes.burial))
            };
            if wanted {
                // Before the checkpoint, so that a wish that comes while it runs is not lost.
                background.checkpoint_asked.store(false, Ordering::SeqCst);
                if self.checkpoint().is_err() {
                    background.rest(RETRY_INTERVAL);
                }
            }
            self.let_history_go(writer);
            look_in = self.enforce_leases(writer, true);
            let next = if buried_anew { None } else { reap_in };
            let next = next.map_or(FIRST_REAP_IN, |rest| (2 * rest).min(REAP_INTERVAL));
            reap_in = background.reap().then_some(next);
        }
    }

    fn run_log_keeper(&self, writer: &Writer) {
        let again = |background: &Background| {
            let mut wishes = background.wishes.lock();
            // Whatever it was that ended.
            (wishes.settle, wishes.segment) = (true, true);
            (wishes.room_alarm, wishes.gate_alarm) = (Some(Duration::ZERO), Some(Duration::ZERO));
            if !wishes.stop {
                background.log_keeper.wait_for(&mut wishes, RETRY_INTERVAL);
            }
        };
        self.go_on(writer, again, || self.keep_log(writer));
        // Of a poisoned log: whoever waits for something else is told so, as nobody looks after them any more.
        Self::wake_waiting(writer);
        let sleepers = writer.background.with_timers(|timers| timers.due(Duration::MAX));
        writer.log.wake_soon(sleepers);
    }

    fn keep_log(&self, writer: &Writer) {
        let background = &writer.background;
        while !writer.log.is_poisoned() {
            let now = self.env.clock.now();
            let mut wishes = background.wishes.lock();
            if wishes.stop {
                return;
            }
            if let Some(due) = wishes.take_due(now, self.options.deferred_sync_interval) {
                drop(wishes);
                if self.care_for_log(writer, due).is_err() {
                    return;
                }
            } else if let Some(at) = wishes.next_alarm() {
                background.log_keeper.wait_for(&mut wishes, at.saturating_sub(now));
            } else {
                background.log_keeper.wait(&mut wishes);
            }
        }
    }

    /// Does what is due: first what takes no time.
    fn care_for_log(&self, writer: &Writer, due: Due) -> Result<(), SyncError> {
        let background = &writer.background;
        writer.log.wake_soon(due.sleepers);
        if due.room {
            writer.budget.look_again();
        }
        if due.gate
            && let Some(at) = writer.gate.look()
        {
            background.look_at_gate(at);
        }
        if due.settle {
            // Before looking, so that a wish that comes meanwhile is not lost.
            background.settle_asked.store(false, Ordering::SeqCst);
            background.segment_asked.store(false, Ordering::SeqCst);
            self.settle_log(writer)?;
        }
        if due.segment {
            match writer.log.prepare(0) {
                Ok(()) => background.segment_asked.store(false, Ordering::SeqCst),
                // Asked again after the next interval; a commit that needs the segment makes it itself.
                Err(error) => {
                    tell(move || tracing::warn!(%error, "the next log segment could not be prepared"));
                }
            }
        }
        Ok(())
    }

    /// Bounds what a power cut can take; then lets the log tell that it is durable to its end, so that damage there can be
    /// told from a torn write.
    fn settle_log(&self, writer: &Writer) -> Result<(), SyncError> {
        let log = &writer.log;
        // Looked at in the section: whoever appended before is covered, and whoever does so after sees that the wish has
        // been taken and makes another. Outside it, a processor that reorders could let a commit fall between the two.
        let (appended, last) = {
            let section = writer.section.lock();
            (log.appended(), section.clock.last())
        };
        if planted!(DeferredNeverSynced) {
            return Ok(());
        }
        log.sync_through(appended)?;
        // For commits whose futures are not polled any more.
        self.raise_acked(last);
        let watermark = {
            let mut section = writer.section.lock();
            match section.appender.as_mut().map(Appender::append_watermark) {
                Some(Ok(watermark)) => watermark,
                // A full segment is no reason to begin the next one: its first record will tell the same.
                Some(Err(_)) | None => None,
            }
        };
        tell_kept();
        watermark.map_or(Ok(()), |end| log.sync_through(end))
    }
}

/// Brings an alarm forward; whether it was later.
fn sooner(alarm: &mut Option<Duration>, time: Duration) -> bool {
    let is_sooner = alarm.is_none_or(|alarm| time < alarm);
    if is_sooner {
        *alarm = Some(time);
    }
    is_sooner
}

fn first_to_ask(asked: &AtomicBool) -> bool {
    !asked.load(Ordering::Relaxed) && !asked.swap(true, Ordering::SeqCst)
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sleep(wishes: &mut Wishes, at: Duration) {
        let _ = wishes.timers.wait(&mut None, at, Waker::noop().clone());
    }

    /// What is due, and how many timers are.
    fn due(wishes: &mut Wishes, now: Duration) -> Option<(usize, [bool; 4])> {
        let due = wishes.take_due(now, ms(5))?;
        Some((due.sleepers.len(), [due.room, due.gate, due.settle, due.segment]))
    }

    #[test]
    fn nothing_waits_for_timers_that_are_due_at_every_pass() {
        let mut wishes = Wishes { settle: true, segment: true, ..Wishes::default() };
        (wishes.room_alarm, wishes.gate_alarm) = (Some(ms(3)), Some(ms(4)));
        (1..=9).for_each(|at| sleep(&mut wishes, ms(at)));
        let passes = (1..=9).map(|now| due(&mut wishes, ms(now)).unwrap());
        let (timers, others): (Vec<_>, Vec<_>) = passes.unzip();
        assert_eq!(timers, [1; 9]);
        let mut expected = [[false; 4]; 9];
        // The segment at once, room and gate at their times, and the log settled an interval after it was asked for.
        (expected[0][3], expected[2][0], expected[3][1], expected[5][2]) = (true, true, true, true);
        assert_eq!(others, expected);
        assert_eq!(due(&mut wishes, ms(100)), None, "each was taken out");
        assert_eq!(wishes.next_alarm(), None);
    }

    #[test]
    fn it_sleeps_until_the_first_of_them() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.next_alarm(), None);
        (wishes.room_alarm, wishes.gate_alarm) = (Some(ms(30)), Some(ms(40)));
        assert_eq!(wishes.next_alarm(), Some(ms(30)));
        wishes.settle = true;
        assert_eq!(due(&mut wishes, ms(10)), None);
        assert_eq!(wishes.next_alarm(), Some(ms(15)));
        // Whoever asks again meanwhile does not put it off.
        wishes.settle = true;
        assert_eq!(due(&mut wishes, ms(14)), None);
        assert_eq!(wishes.next_alarm(), Some(ms(15)));
        sleep(&mut wishes, ms(12));
        assert_eq!(wishes.next_alarm(), Some(ms(12)));
        assert_eq!(due(&mut wishes, ms(50)), Some((1, [true, true, true, false])));
        // What it was asked for while it was due is a wish of its own.
        wishes.settle = true;
        assert_eq!(due(&mut wishes, ms(50)), None);
        assert_eq!(wishes.next_alarm(), Some(ms(55)));
        (wishes.settle_at, wishes.gate_alarm) = (None, Some(ms(60)));
        assert_eq!(wishes.next_alarm(), Some(ms(60)));
    }
}
