//! The feed itself.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use braid_mvstore::Timestamp;
use braid_vfs::planted;
use braid_wal::{LogHistory, LogReader, LogRecord, Lsn, ReadError, Watcher};

use super::change_set::ChangeSet;
use super::consumer::Trail;
use super::names::Names;
use super::place::locate;
use super::waiting::{NextChanges, Parker};
use crate::core::{Core, Pin, timestamp};
use crate::error::{Error, Result};
use crate::record::kind;

/// Committed transactions, in commit order, from [`Database::changes`](crate::Database::changes): each once it is on the
/// disk, so that no power cut takes back what was given.
///
/// As an iterator it waits for the next one, and ends when the database is closed; after an error it ends too, and a new
/// feed may begin after the last timestamp that was seen. [`try_next`](Self::try_next) does not wait,
/// [`next_timeout`](Self::next_timeout) not for ever, and [`next_async`](Self::next_async) holds no thread.
///
/// An open feed has the log kept from where it reads on, within `Options::max_retained_log_bytes`, and does not keep the
/// database open: one that has ended holds memory, and nothing else. It holds back no commit and no checkpoint.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Change, Database, Timestamp};
///
/// let db = Database::in_memory()?;
/// let mut changes = db.changes(Timestamp::ZERO)?;
/// let fruit = db.table("fruit")?;
/// let commit = db.put(&fruit, "apple", "red")?;
///
/// let made = changes.next().expect("the database is open")?;
/// assert!(matches!(&*made.collect::<braid::Result<Vec<_>>>()?, [Change::Create(_)]));
/// let put = changes.next().expect("the database is open")?;
/// assert_eq!(put.timestamp(), commit.timestamp);
/// assert!(changes.try_next()?.is_none());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Changes {
    core: Arc<Core>,
    /// What was read so far, and what to go on with.
    source: Option<Source>,
    /// The newest commit that was passed, given or not.
    passed: Timestamp,
    names: Names,
    trail: Option<Arc<Trail>>,
    failed: bool,
}

#[derive(Debug)]
struct Source {
    history: LogHistory,
    reader: LogReader,
    /// The segment that is pinned.
    segment: Option<Lsn>,
    /// Both `None` where nobody writes.
    pin: Option<Pin>,
    watcher: Option<Watcher>,
}

impl Changes {
    /// A feed of everything after `after`; begins at `position`, if one is known.
    pub(crate) fn new(core: &Arc<Core>, after: Timestamp, trail: Option<Arc<Trail>>) -> Result<Self> {
        core.check_process()?;
        // What a transaction saw that has not ended may have to be synced first.
        if after <= core.installed_ts() {
            core.acknowledge_reads(after)?;
        }
        let acked = core.acked_ts();
        if after > acked {
            return Err(Error::FutureTimestamp { wanted: after, newest: acked });
        }
        let mut feed = Self {
            core: Arc::clone(core),
            source: None,
            passed: after,
            names: Names::of(core),
            trail,
            failed: false,
        };
        let writer = core.writer().ok();
        // Before looking: what is found then stays.
        let (pin, floor) = writer.map(|writer| core.pin_log(writer)).unzip();
        let newest = core.acked_ts();
        let Some(history) = core.history() else {
            // A database without a log: everything that it holds is older than any change.
            let gone = Error::HistoryGone { wanted: after, oldest: newest };
            return if after >= newest { Ok(feed) } else { Err(gone) };
        };
        let anchor = match writer {
            Some(writer) => writer.retention.anchor_before(after),
            None => core.stored_anchor_before(&history, after),
        };
        let (found, oldest) = locate(&history, floor.unwrap_or_default(), anchor, after)
            .map_err(|error| Error::from_history(error, after, feed.oldest(None)))?;
        let Some(lsn) = found else {
            return Err(Error::HistoryGone { wanted: after, oldest: feed.oldest(oldest) });
        };
        if let Some(pin) = &pin {
            pin.advance(lsn);
        }
        let watcher = writer.map(|writer| writer.log.watcher());
        feed.source = Some(Source { reader: history.reader(lsn), history, segment: None, pin, watcher });
        Ok(feed)
    }

    /// The oldest timestamp after which changes can be had, given that of the oldest segment.
    fn oldest(&self, in_log: Option<Timestamp>) -> Timestamp {
        let anchor = match self.core.writer() {
            Ok(writer) => writer.retention.oldest_anchor(),
            Err(_) => Some(timestamp(self.core.current_view().base.state().checkpoint_ts)),
        };
        anchor.into_iter().chain(in_log).min().unwrap_or_else(|| self.core.acked_ts())
    }

    /// The newest commit that this has passed, given or not: there are some that changed nothing of a user's, such as a
    /// consumer's acknowledgement. To begin after it is to miss nothing.
    #[must_use]
    pub fn passed(&self) -> Timestamp {
        self.passed
    }

    /// Whether nothing will ever follow: the database was closed, or nobody can write it.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        let closed_log = self.source.as_ref().is_none_or(|source| source.watcher.is_none());
        self.failed || self.core.is_shut() || closed_log
    }

    /// Whether there is nothing more to give, not even what has yet to come to the disk. On a core that only reads, that is what
    /// the log holds and does not prove to be there: the next open for writing has it given.
    pub(super) fn has_nothing_left(&mut self) -> Result<bool> {
        if self.try_next()?.is_some() {
            return Ok(false);
        }
        Ok(match self.core.writer() {
            Ok(writer) => self.begins_at() >= writer.log.appended(),
            Err(_) => planted!(UnprovenNotBehind) || self.passed >= self.core.acked_ts(),
        })
    }

    /// Where in the log it goes on.
    pub(super) fn begins_at(&self) -> Lsn {
        self.source.as_ref().map_or(Lsn::ZERO, |source| source.reader.position())
    }

    /// The next transaction, if one is durable.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] where the log was not kept for so long; [`Error::Poisoned`] after the last transaction that was
    /// durable before a sync failed; [`Error::Corrupt`]; [`Error::Forked`]; or what the system says. None of them loses
    /// anything: a new feed may begin after [`passed`](Self::passed).
    pub fn try_next(&mut self) -> Result<Option<ChangeSet>> {
        self.core.check_process()?;
        if self.core.is_shut() {
            return Ok(None);
        }
        // Before reading: what is durable by then is all that ever will be.
        let poisoned = self.core.writer().ok().and_then(|writer| writer.log.check().err());
        loop {
            let Some(source) = &mut self.source else { return Ok(None) };
            let record = match source.reader.advance() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => return Err(self.lost(error)),
            };
            source.follow();
            let ts = timestamp(record.tag);
            let first = if planted!(FeedResumesInclusive) { ts < self.passed } else { ts <= self.passed };
            if record.kind != kind::COMMIT || first {
                continue;
            }
            match self.take(record, ts) {
                Ok(Some(set)) => return Ok(Some(set)),
                Ok(None) => {}
                Err(error) => {
                    // It has not been given: it comes again.
                    if let Some(source) = &mut self.source
                        && !planted!(FeedPassesOverFailure)
                    {
                        source.reader = source.history.reader(record.lsn);
                    }
                    return Err(error);
                }
            }
        }
        poisoned.map_or(Ok(None), |error| Err(Error::from_sync(error)))
    }

    fn take(&mut self, record: LogRecord, ts: Timestamp) -> Result<Option<ChangeSet>> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let payload = match source.reader.payload() {
            Ok(payload) => payload,
            Err(error) => return Err(self.lost(error)),
        };
        let pin = payload.needs_log().then(|| source.pin.as_ref().and_then(Pin::another)).flatten();
        let set = ChangeSet::new(ts, payload, &mut self.names, pin)?;
        self.core.found_durable(ts);
        self.passed = ts;
        if let Some(trail) = &self.trail {
            trail.note(ts, record.end);
        }
        Ok(set)
    }

    fn lost(&self, error: ReadError) -> Error {
        Error::from_history(error, self.passed, self.oldest(None))
    }

    /// The next transaction, if one is durable within `timeout`.
    ///
    /// # Errors
    /// As for [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<ChangeSet>> {
        let until = self.core.env.clock.now().checked_add(timeout);
        self.wait_until(until).transpose()
    }

    /// The next transaction, as a future that any runtime may poll. It may be dropped at any time: nothing is lost by it.
    /// `None` when the database was closed.
    pub fn next_async(&mut self) -> NextChanges<'_> {
        NextChanges(self)
    }

    /// What [`next_async`](Self::next_async) polls. The waker is woken when it is worth to poll again.
    ///
    /// # Errors
    /// As for [`try_next`](Self::try_next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ChangeSet>>> {
        loop {
            if self.failed {
                return Poll::Ready(None);
            }
            match self.try_next().transpose() {
                Some(item) => {
                    self.failed = item.is_err();
                    return Poll::Ready(Some(item));
                }
                None if self.is_ended() => return Poll::Ready(None),
                None => {}
            }
            let Some(source) = &self.source else { return Poll::Ready(None) };
            let Some(watcher) = &source.watcher else { return Poll::Ready(None) };
            // Whose thread calls the waker.
            if let Err(error) = self.core.serve_futures() {
                self.failed = true;
                return Poll::Ready(Some(Err(error)));
            }
            if watcher.watch(source.reader.position(), cx.waker()) {
                // A close that came before the waker was left has not seen it.
                return if self.core.is_shut() { Poll::Ready(None) } else { Poll::Pending };
            }
        }
    }

    fn wait_until(&mut self, until: Option<Duration>) -> Option<Result<ChangeSet>> {
        let parker = Arc::new(Parker::default());
        let waker = Arc::clone(&parker).into();
        let mut cx = Context::from_waker(&waker);
        let clock = Arc::clone(&self.core.env.clock);
        loop {
            if let Poll::Ready(item) = self.poll_next(&mut cx) {
                return item;
            }
            if !parker.park(|| until.map(|until| until.saturating_sub(clock.now()))) {
                return None;
            }
        }
    }
}

impl Iterator for Changes {
    type Item = Result<ChangeSet>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait_until(None)
    }
}

impl Source {
    /// Lets go of the segments that were read.
    fn follow(&mut self) {
        let segment = self.reader.segment();
        if segment != self.segment {
            self.segment = segment;
            if let (Some(pin), Some(segment)) = (&self.pin, segment) {
                pin.advance(segment);
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if !self.core.is_own_process()
            && let Some(watcher) = self.source.as_mut().and_then(|source| source.watcher.take())
        {
            // In a fork somebody may have held the lock who is not there any more.
            std::mem::forget(watcher);
        }
    }
}
