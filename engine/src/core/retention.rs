//! What of the log is kept beyond what a checkpoint needs: for change feeds and named consumers.
//!
//! # Invariants
//!
//! 1. Nothing at or after [`State::kept_from`] is released while it stands; it is raised before a segment goes. Who pins a
//!    position at or after it has the log from there on, unless the bound is exceeded.
//! 2. A consumer holds the log from its position on; from a position that a power cut can no longer take back. One that is
//!    acknowledged by a commit which is not durable yet counts once it is: otherwise the older one could come back, and its
//!    history be gone.
//! 3. What is kept for both is bounded by `Options::max_retained_log_bytes`. Beyond it the oldest goes, and whoever needed it
//!    is *lost*: it is told [`Error::HistoryGone`](crate::Error::HistoryGone), and holds nothing any more.
//! 4. Replay never begins before `folded`, whatever is kept. So what is kept is never replayed, and costs an open the look
//!    at the headers of its segments.
//!
//! An *anchor* says of a position that every commit before it has at most a certain timestamp. Feeds find their place by
//! them; so do consumers after an open, by what they stored.

use std::collections::BTreeMap;

use braid_mvstore::{Direction, Timestamp};
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::{Arc, Mutex};
use braid_wal::{Log, LogHistory, Lsn};

use super::clock::timestamp;
use super::shared::{Core, Writer};
use super::tables::CONSUMERS;
use crate::error::{Error, Result};
use crate::feed::decode_position;
use crate::transaction::Layers;

/// Anchors that are remembered beside those of consumers.
const ANCHORS: usize = 64;

/// Every commit before the position has at most the timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) timestamp: Timestamp,
    pub(crate) lsn: Lsn,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Retention {
    state: Mutex<State>,
    /// Held by whoever has a consumer stand as its row says, or further on, so that the last to do so has read the newest row.
    standing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// The start of the oldest segment that is promised to anybody.
    kept_from: Lsn,
    /// Where replay would start.
    folded: Lsn,
    anchors: Vec<Anchor>,
    pins: BTreeMap<u64, Lsn>,
    next_pin: u64,
    consumers: BTreeMap<String, Kept>,
}

/// What is kept for one consumer.
#[derive(Clone, Debug)]
struct Kept {
    /// Its newest position.
    newest: Anchor,
    /// The newest of which it is known that it is durable.
    durable: Anchor,
    /// Acknowledged since, each with the end of the log by which it is durable: one that was first when it came, and the
    /// newest after it.
    waiting: Option<(Anchor, Lsn)>,
    behind: Option<(Anchor, Lsn)>,
    /// Its history was given up.
    lost: bool,
}

/// A named consumer, and how far it is behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// The newest commit that it has acknowledged.
    pub position: Timestamp,
    /// Bytes of log after that commit, about; 0 where nothing in them is for a feed.
    pub lag_bytes: u64,
    /// How far its position is behind the newest commit; 0 where nothing after it is for a feed, as no acknowledgement is. Else
    /// those count too, and timestamps have gaps: not a count of commits.
    pub lag_timestamps: u64,
    /// Bytes of the log files from its position on; 0 for a lost one, as nothing is kept for it. Those that a
    /// checkpoint does not need any more count against
    /// [`Options::max_retained_log_bytes`](crate::Options::max_retained_log_bytes): when all that is kept so exceeds
    /// that, the consumer that is furthest behind is lost. Whole files, the one in use among them, and each open of the
    /// database begins one; so it grows with the opens too, until the consumer acknowledges. On a handle of a file that
    /// nobody writes: the bytes of the records alone.
    pub held_bytes: u64,
    /// The log after its position was given up: see [`Error::HistoryGone`](crate::Error::HistoryGone). Until it acknowledges
    /// a timestamp after which the log is there.
    pub lost: bool,
}

/// The right to read the log from a position on; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    core: Arc<Core>,
    number: u64,
}

impl Kept {
    fn new(position: Anchor) -> Self {
        Self { newest: position, durable: position, waiting: None, behind: None, lost: false }
    }

    /// Takes a position that is durable once the log is through `end`.
    fn acknowledge(&mut self, position: Anchor, end: Lsn, durable: Lsn) {
        self.settle(durable);
        self.newest = position;
        if self.waiting.is_none() {
            self.waiting = Some((position, end));
        } else {
            self.behind = Some((position, end));
        }
        if planted!(PositionTrustedEarly) {
            self.durable = position;
        }
    }

    fn settle(&mut self, durable: Lsn) {
        while let Some((position, end)) = self.waiting
            && end <= durable
        {
            self.durable = position;
            self.waiting = self.behind.take();
        }
    }
}

impl Retention {
    /// Of a log that was opened to be replayed from `base`, and of which everything is there from `oldest` on.
    pub(super) fn new(base: Anchor, oldest: Lsn) -> Self {
        let state = State {
            kept_from: oldest,
            folded: base.lsn,
            anchors: vec![base],
            pins: BTreeMap::new(),
            next_pin: 0,
            consumers: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), standing: Mutex::default() }
    }

    /// Where whoever wants everything after `after` may start for certain, if anywhere: the latest of the anchors.
    pub(crate) fn anchor_before(&self, after: Timestamp) -> Option<Lsn> {
        let state = self.state.lock();
        let positions = state.consumers.values().filter(|kept| !kept.lost).map(|kept| kept.durable);
        let anchors = state.anchors.iter().copied().chain(positions);
        let usable = anchors.filter(|anchor| anchor.timestamp <= after && anchor.lsn >= state.kept_from);
        usable.map(|anchor| anchor.lsn).max()
    }

    /// The oldest timestamp of an anchor that is still in the log.
    pub(crate) fn oldest_anchor(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        let usable = state.anchors.iter().filter(|anchor| anchor.lsn >= state.kept_from);
        usable.map(|anchor| anchor.timestamp).min()
    }

    /// The consumers.
    pub(crate) fn consumers(&self, log: &Log, newest: Timestamp) -> Vec<ConsumerInfo> {
        let end = log.appended().get();
        let spans = log.spans();
        let held_from = |lsn: Lsn| spans.iter().filter(|span| span.end > lsn).map(|span| span.bytes).sum();
        let info = |(name, kept): (&String, &Kept)| ConsumerInfo {
            name: name.clone(),
            position: kept.newest.timestamp,
            lag_bytes: end.saturating_sub(kept.newest.lsn.get()),
            lag_timestamps: newest.get().saturating_sub(kept.newest.timestamp.get()),
            held_bytes: if kept.lost { 0 } else { held_from(kept.durable.lsn) },
            lost: kept.lost,
        };
        self.state.lock().consumers.iter().map(info).collect()
    }

    /// The position of a consumer, and whether its history is lost.
    pub(crate) fn consumer(&self, name: &str) -> Option<(Anchor, bool)> {
        self.state.lock().consumers.get(name).map(|kept| (kept.newest, kept.lost))
    }

    /// Has a consumer stand as its row says, which is durable. Whoever changed the row calls this afterwards.
    pub(crate) fn stand_as_stored(
        &self,
        name: &str,
        stored: impl FnOnce() -> Result<Option<Anchor>>,
    ) -> Result<()> {
        let _one_at_a_time = self.standing.lock();
        match stored()? {
            Some(position) => self.insert_consumer(name, position),
            None => drop(self.state.lock().consumers.remove(name)),
        }
        Ok(())
    }

    /// A consumer stands at `position`, which is durable.
    fn insert_consumer(&self, name: &str, position: Anchor) {
        let mut state = self.state.lock();
        let kept = Kept { lost: position.lsn < state.kept_from, ..Kept::new(position) };
        state.consumers.entry(name.to_owned()).or_insert(kept);
    }

    /// A consumer has acknowledged `position`, by a commit that is in the log. Its row says whether it is the consumer still that
    /// did: one that was registered again since, further back, has not.
    pub(crate) fn advance_consumer(
        &self,
        name: &str,
        position: Anchor,
        stored: impl FnOnce() -> Result<Option<Anchor>>,
        log: &Log,
    ) -> Result<()> {
        let _one_at_a_time = self.standing.lock();
        let is_stored = stored()?.is_some_and(|stored| stored.timestamp >= position.timestamp)
            || planted!(AcknowledgedByName);
        if is_stored {
            self.advance(name, position, log.appended(), log.durable());
        }
        Ok(())
    }

    fn advance(&self, name: &str, position: Anchor, end: Lsn, durable: Lsn) {
        let mut state = self.state.lock();
        let kept_from = state.kept_from;
        if let Some(kept) = state.consumers.get_mut(name)
            && position.timestamp > kept.newest.timestamp
        {
            if kept.lost && position.lsn >= kept_from {
                // If a power cut takes this back, it is as lost as it was.
                *kept = Kept::new(position);
            } else {
                kept.acknowledge(position, end, durable);
            }
        }
    }

    /// How many feeds are open.
    pub(crate) fn pins(&self) -> usize {
        self.state.lock().pins.len()
    }

    /// A checkpoint has folded everything before the anchor, if it comes from one. The position before which the log may go.
    fn release(&self, log: &Log, folded: Option<Anchor>, bound: u64) -> Lsn {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(anchor) = folded {
            state.folded = state.folded.max(anchor.lsn);
            state.anchors.push(anchor);
        }
        let durable = log.durable();
        let mut wanted = state.pins.values().copied().min().unwrap_or(state.folded).min(state.folded);
        for kept in state.consumers.values_mut().filter(|kept| !kept.lost) {
            kept.settle(durable);
            if !planted!(ConsumerOverrun) {
                wanted = wanted.min(kept.durable.lsn);
            }
        }
        let spans = log.spans();
        let idle: Vec<_> =
            spans.iter().filter(|span| span.end > wanted && span.end <= state.folded).collect();
        let mut bytes: u64 = idle.iter().map(|span| span.bytes).sum();
        for span in idle {
            if bytes <= bound {
                break;
            }
            bytes -= span.bytes;
            wanted = span.end;
        }
        let first = spans.iter().find(|span| span.end > wanted);
        state.kept_from = state.kept_from.max(first.map_or(wanted, |span| span.base));
        let kept_from = state.kept_from;
        for (name, kept) in &mut state.consumers {
            if kept.durable.lsn < kept_from && !kept.lost && !planted!(ConsumerOverrun) {
                let consumer = name.clone();
                tell(move || tracing::warn!(consumer, "the log was not kept for it any longer"));
                kept.lost = true;
            }
        }
        state.anchors.retain(|anchor| anchor.lsn >= kept_from);
        if state.anchors.len() > ANCHORS {
            let mut count = 0;
            state.anchors.retain(|_| {
                count += 1;
                count % 2 == 1
            });
        }
        wanted
    }
}

impl Core {
    /// Keeps the log for the named consumers, and lets go of what the last open kept for others.
    pub(super) fn load_consumers(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        self.each_consumer(&mut |name, position| writer.retention.insert_consumer(name, position))?;
        self.release_log(writer, None);
        Ok(())
    }

    /// The consumers of a core that only reads, as their rows say.
    pub(super) fn stored_consumers(&self) -> Result<Vec<ConsumerInfo>> {
        let (history, newest) = (self.history.as_ref(), self.acked_ts());
        let end = history.map_or(Lsn::ZERO, LogHistory::durable);
        let oldest = history.and_then(|history| history.segments().first().copied()).unwrap_or(end);
        let mut consumers = Vec::new();
        self.each_consumer(&mut |name, position| {
            let lost = position.lsn < oldest;
            consumers.push(ConsumerInfo {
                name: name.to_owned(),
                position: position.timestamp,
                lag_bytes: end.get().saturating_sub(position.lsn.get()),
                lag_timestamps: newest.get().saturating_sub(position.timestamp.get()),
                held_bytes: if lost { 0 } else { end.get().saturating_sub(position.lsn.get()) },
                lost,
            });
        })?;
        Ok(consumers)
    }

    /// Where whoever wants everything after `after` may start for certain on a core that only reads, if anywhere: at the end of
    /// what is folded, or where a consumer stands.
    pub(crate) fn stored_anchor_before(&self, history: &LogHistory, after: Timestamp) -> Option<Lsn> {
        let state = *self.current_view().base.state();
        let mut usable = (timestamp(state.checkpoint_ts) <= after).then(|| Lsn::new(state.checkpoint_lsn));
        let oldest = history.segments().first().copied();
        // Those that cannot be read are of no use here, and told to whoever asks for them.
        self.each_consumer(&mut |_, position| {
            if position.timestamp <= after && oldest.is_some_and(|oldest| position.lsn >= oldest) {
                usable = usable.max(Some(position.lsn));
            }
        })
        .unwrap_or_default();
        usable
    }

    fn each_consumer(&self, take: &mut dyn FnMut(&str, Anchor)) -> Result<()> {
        let view = self.current_view();
        let mut rows = Layers::over(&self.base, &view, CONSUMERS, self.installed_ts());
        while rows.step(&view, None, Direction::Forward)? {
            let Some((name, position)) = rows.row()? else { break };
            let (Ok(name), Some(position)) = (std::str::from_utf8(name), decode_position(position)) else {
                return Err(Error::Corrupt("a row of the consumers' table is malformed".to_owned()));
            };
            take(name, position);
        }
        Ok(())
    }

    /// Lets go of the log that nobody needs; `folded` is told by a checkpoint that has ended.
    pub(crate) fn release_log(&self, writer: &Writer, folded: Option<Anchor>) {
        let bound = self.options.max_retained_log_bytes;
        let upto = later(|| writer.retention.release(&writer.log, folded, bound));
        if let Err(error) = writer.log.release_before(upto) {
            // The space comes back at the next open at the latest.
            tell(move || tracing::warn!(%error, "a log segment could not be recycled"));
        }
        let (folded, is_idle) = {
            let state = writer.retention.state.lock();
            // Here: whoever counts last has seen the newest.
            writer.log.count_slack_from(state.folded);
            (state.folded, state.pins.is_empty() && state.consumers.is_empty())
        };
        if !is_idle {
            writer.log.set_aside_before(folded);
        }
    }

    /// Keeps the log from the oldest position on that is promised. What lies before that may still be there, and go at any
    /// moment.
    pub(crate) fn pin_log(self: &Arc<Self>, writer: &Writer) -> (Pin, Lsn) {
        let mut state = writer.retention.state.lock();
        let number = state.next_pin;
        state.next_pin += 1;
        let from = state.kept_from;
        state.pins.insert(number, from);
        (Pin { core: Arc::clone(self), number }, from)
    }
}

impl Pin {
    /// Lets go of what comes before `lsn`.
    pub(crate) fn advance(&self, lsn: Lsn) {
        if let Some(writer) = &self.core.writer
            && let Some(pinned) = writer.retention.state.lock().pins.get_mut(&self.number)
        {
            *pinned = (*pinned).max(lsn);
        }
    }

    /// Another pin of the same position.
    pub(crate) fn another(&self) -> Option<Self> {
        let writer = self.core.writer.as_ref()?;
        let mut state = writer.retention.state.lock();
        let lsn = *state.pins.get(&self.number)?;
        let number = state.next_pin;
        state.next_pin += 1;
        state.pins.insert(number, lsn);
        Some(Self { core: Arc::clone(&self.core), number })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // In a fork somebody may have held the lock who is not there any more.
        if self.core.is_own_process()
            && let Some(writer) = &self.core.writer
        {
            writer.retention.state.lock().pins.remove(&self.number);
        }
    }
}
