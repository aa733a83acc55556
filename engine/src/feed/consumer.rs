//! Named consumers: feeds whose place is kept in the database.

use std::collections::VecDeque;

use braid_mvstore::Timestamp;
use braid_vfs::sync::{Arc, Mutex, Weak};
use braid_wal::Lsn;

use super::changes::Changes;
use super::place::{decode_position, encode_position};
use crate::core::{Anchor, CONSUMERS, ConsumerInfo};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::limits::MAX_CONSUMER_NAME_BYTES;
use crate::options::{Durability, TransactionOptions};
use crate::retry::{RetryPolicy, TransactFuture, transact};
use crate::transaction::{Snapshot, Transaction, begin_own_snapshot};

/// Positions of a trail.
const TRAIL: usize = 64;

/// Who follows the changes under a name, from [`Database::consumer`](crate::Database::consumer): its position is kept in the
/// database, and the log after it too, within `Options::max_retained_log_bytes`.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// use braid::{Database, Timestamp};
///
/// let db = Database::in_memory()?;
/// let fruit = db.table("fruit")?;
/// db.put(&fruit, "apple", "red")?;
///
/// let index = db.consumer("index", Timestamp::ZERO)?;
/// let mut changes = index.changes()?;
/// while let Some(set) = changes.try_next()? {
///     let timestamp = set.timestamp();
///     for change in set {
///         println!("{timestamp} {:?}", change?);
///     }
///     index.acknowledge(timestamp)?;
///     assert_eq!(db.consumers()?[0].position, timestamp);
/// }
/// # Ok(()) }
/// ```
///
/// It does not keep the database open. What was acknowledged is never given again, except what a power cut takes back of
/// the acknowledgement itself: then it comes again, and nothing is missed.
#[derive(Clone, Debug)]
pub struct Consumer {
    handle: Weak<Handle>,
    name: Arc<str>,
    trail: Arc<Trail>,
}

/// Where the commits lie that a consumer's feed gave last.
#[derive(Debug, Default)]
pub(crate) struct Trail(Mutex<VecDeque<Anchor>>);

impl Trail {
    /// Everything up to `timestamp` lies before `lsn`.
    pub(super) fn note(&self, timestamp: Timestamp, lsn: Lsn) {
        let mut trail = self.0.lock();
        if trail.len() == TRAIL {
            // Who acknowledges seldom holds a little more of the log than it would have to.
            let mut count = 0;
            trail.retain(|_| {
                count += 1;
                count % 2 == 0
            });
        }
        trail.push_back(Anchor { timestamp, lsn });
    }

    /// The latest position before which there is nothing later than `timestamp`.
    fn before(&self, timestamp: Timestamp) -> Option<Lsn> {
        let trail = self.0.lock();
        trail.iter().filter(|anchor| anchor.timestamp <= timestamp).map(|anchor| anchor.lsn).max()
    }
}

impl Consumer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn handle(&self) -> Result<Arc<Handle>> {
        self.handle.upgrade().ok_or(Error::Closed)
    }

    fn place(&self, handle: &Handle) -> Result<(Anchor, bool)> {
        handle.core().check_process()?;
        let found = handle.core().writer()?.retention.consumer(&self.name);
        found.ok_or_else(|| Error::NoSuchConsumer(self.name.to_string()))
    }

    /// The newest commit that was acknowledged.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`] once it was removed, [`Error::Closed`], [`Error::Forked`].
    pub fn position(&self) -> Result<Timestamp> {
        Ok(self.place(&*self.handle()?)?.0.timestamp)
    }

    /// Everything after the position.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] where the log was not kept for so long; and as for [`position`](Self::position).
    pub fn changes(&self) -> Result<Changes> {
        let handle = self.handle()?;
        let (position, _) = self.place(&handle)?;
        Changes::new(handle.core(), position.timestamp, Some(Arc::clone(&self.trail)))
    }

    /// Moves the position on to `timestamp`, one that a feed gave or that it has [`passed`](Changes::passed), or that of a
    /// snapshot that was read instead: everything up to there is done with, and is not kept for this consumer any more.
    /// So one goes on whose history was given up. An earlier one than the position changes
    /// nothing.
    ///
    /// This is a transaction of its own, with the durability of the database. Seldom is enough: what was not acknowledged
    /// comes again. Not while the same thread has an exclusive transaction open, which it would wait for.
    ///
    /// # Errors
    /// [`Error::FutureTimestamp`] for one that no commit has yet; as for a commit; and as for [`position`](Self::position).
    pub fn acknowledge(&self, timestamp: Timestamp) -> Result<()> {
        let handle = self.handle()?;
        let Some(position) = self.to_acknowledge(&handle, timestamp)? else { return Ok(()) };
        let stored =
            transact(&handle, &RetryPolicy::default(), |tx| store_if_newer(tx, &self.name, position))?;
        self.acknowledged(&handle, stored.value)
    }

    /// [`acknowledge`](Self::acknowledge) as a future, which holds no thread while it waits: see
    /// [`Database::transact_async`](crate::Database::transact_async).
    ///
    /// # Errors
    /// As for [`acknowledge`](Self::acknowledge).
    pub async fn acknowledge_async(&self, timestamp: Timestamp) -> Result<()> {
        let handle = self.handle()?;
        let Some(position) = self.to_acknowledge(&handle, timestamp)? else { return Ok(()) };
        let store = |tx: &mut Transaction| store_if_newer(tx, &self.name, position);
        let stored = TransactFuture::new(Ok(Arc::clone(&handle)), RetryPolicy::default(), store).await?;
        self.acknowledged(&handle, stored.value)
    }

    /// The position to be stored; `None` where it stands there already, or later.
    fn to_acknowledge(&self, handle: &Handle, timestamp: Timestamp) -> Result<Option<Anchor>> {
        let (position, _) = self.place(handle)?;
        if timestamp <= position.timestamp {
            return Ok(None);
        }
        let core = handle.core();
        let newest = core.acked_ts();
        if timestamp > newest {
            return Err(Error::FutureTimestamp { wanted: timestamp, newest });
        }
        // Where it did not read so far itself, after a snapshot say, others may know a position.
        let retention = &core.writer()?.retention;
        let known = [self.trail.before(timestamp), retention.anchor_before(timestamp)];
        let lsn = known.into_iter().flatten().fold(position.lsn, Lsn::max);
        Ok(Some(Anchor { timestamp, lsn }))
    }

    /// The position was stored. Whoever stored it may have gone before it came to this, a future that was dropped; or come late,
    /// when the consumer was removed and registered anew, further back.
    fn acknowledged(&self, handle: &Arc<Handle>, position: Anchor) -> Result<()> {
        let writer = handle.core().writer()?;
        let log = &writer.log;
        let row = || stored(&begin_own_snapshot(handle, None)?, &self.name);
        writer.retention.advance_consumer(&self.name, position, row, log)
    }
}

/// The position that is stored then: this one, unless a newer one was.
fn store_if_newer(tx: &mut Transaction, name: &str, position: Anchor) -> Result<Anchor> {
    match stored(tx, name)? {
        Some(stored) if stored.timestamp >= position.timestamp => Ok(stored),
        Some(_) => put(tx, name, position).map(|()| position),
        None => Err(Error::NoSuchConsumer(name.to_owned())),
    }
}

/// Has the log kept as the row says: somebody else may have registered or removed it since, and been faster here.
fn stand_as_stored(handle: &Arc<Handle>, name: &str) -> Result<()> {
    let retention = &handle.core().writer()?.retention;
    // A snapshot, so that the row is not trimmed while it is looked for.
    retention.stand_as_stored(name, || stored(&begin_own_snapshot(handle, None)?, name))
}

fn stored(tx: &Snapshot, name: &str) -> Result<Option<Anchor>> {
    let Some(row) = tx.read_system_row(CONSUMERS, name.as_bytes(), <[u8]>::to_vec)? else { return Ok(None) };
    let malformed = || Error::Corrupt("a row of the consumers' table is malformed".to_owned());
    decode_position(&row).ok_or_else(malformed).map(Some)
}

fn put(tx: &mut Transaction, name: &str, position: Anchor) -> Result<()> {
    tx.put_row(CONSUMERS, name.as_bytes(), &encode_position(position))
}

/// A policy for what must not be taken back by a power cut once it was told.
fn durably() -> RetryPolicy {
    let transaction =
        TransactionOptions { durability: Some(Durability::Sync), ..TransactionOptions::default() };
    RetryPolicy { transaction, ..RetryPolicy::default() }
}

/// The consumer of that name; a new one stands at `start`.
pub(crate) fn register(handle: &Arc<Handle>, name: &str, start: Timestamp) -> Result<Consumer> {
    if name.is_empty() || name.len() > MAX_CONSUMER_NAME_BYTES {
        return Err(Error::Limit {
            what: "the consumer name's length in bytes",
            actual: name.len() as u64,
            limit: if name.is_empty() { 1 } else { MAX_CONSUMER_NAME_BYTES as u64 },
        });
    }
    let core = handle.core();
    let writer = core.writer()?;
    let consumer = Consumer { handle: Arc::downgrade(handle), name: name.into(), trail: Arc::default() };
    if writer.retention.consumer(name).is_some() {
        return Ok(consumer);
    }
    // Holds the log until the consumer does, and finds out whether it is there.
    let feed = Changes::new(core, start, None)?;
    let position = Anchor { timestamp: start, lsn: feed.begins_at() };
    transact(handle, &durably(), |tx| match stored(tx, name)? {
        Some(_) => Ok(()),
        None => put(tx, name, position),
    })?;
    stand_as_stored(handle, name)?;
    drop(feed);
    Ok(consumer)
}

/// Forgets a consumer; whether there was one.
pub(crate) fn remove(handle: &Arc<Handle>, name: &str) -> Result<bool> {
    let core = handle.core();
    let writer = core.writer()?;
    let removed = transact(handle, &durably(), |tx| {
        if tx.read_system_row(CONSUMERS, name.as_bytes(), <[u8]>::to_vec)?.is_none() {
            return Ok(false);
        }
        tx.delete_row(CONSUMERS, name.as_bytes()).map(|()| true)
    })?;
    stand_as_stored(handle, name)?;
    core.release_log(writer, None);
    Ok(removed.value)
}

/// All consumers, by name.
pub(crate) fn consumers(handle: &Handle) -> Result<Vec<ConsumerInfo>> {
    let core = handle.core();
    core.check_process()?;
    let mut consumers = core.consumers()?;
    for consumer in consumers.iter_mut().filter(|consumer| consumer.lag_timestamps > 0 && !consumer.lost) {
        // Acknowledgements are commits too, its own one after its position, say. What cannot be read is told to whoever reads.
        let feed = Changes::new(core, consumer.position, None);
        if feed.and_then(|mut feed| feed.has_nothing_left()).unwrap_or(false) {
            (consumer.lag_bytes, consumer.lag_timestamps) = (0, 0);
        }
    }
    Ok(consumers)
}
