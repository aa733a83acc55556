//! The row-store budget: writers are slowed down to the speed of the checkpoint before memory runs out.
//!
//! What counts is what the checkpoint can free: rows of the current view that are not in the base yet. A generation that
//! only an old snapshot still holds is reported with that snapshot and does not hold writers back, since waiting would
//! not free it.
//!
//! A transaction larger than the whole budget is admitted alone: it waits until nothing is unfolded, and holds back
//! whoever comes meanwhile.

use std::time::Duration;

use braid_vfs::sync::atomic::{AtomicUsize, Ordering};
use braid_vfs::sync::{Condvar, Mutex};

use super::shared::{Core, Writer};
use super::view::View;
use crate::error::{Error, Result};

/// How long a stalled writer sleeps before it looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The active generation is sealed at this size, so that the rest of the budget takes the writes made meanwhile.
pub(super) const fn seal_bytes(row_store_bytes: usize) -> usize {
    row_store_bytes / 2
}

#[derive(Debug, Default)]
struct Checkpoints {
    ended: u64,
    /// Why the last one failed, and which it was.
    failure: Option<(u64, Error)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    /// Transactions that wait to be admitted alone.
    large_waiting: AtomicUsize,
    checkpoints: Mutex<Checkpoints>,
    ended: Condvar,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            large_waiting: AtomicUsize::new(0),
            checkpoints: Mutex::new(Checkpoints::default()),
            ended: Condvar::new(),
        }
    }

    pub(super) const fn seal_bytes(&self) -> usize {
        seal_bytes(self.bytes)
    }

    /// A checkpoint ended: whoever is stalled looks again.
    pub(super) fn checkpoint_ended(&self, result: Result<()>) {
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.ended += 1;
        checkpoints.failure = result.err().map(|error| (checkpoints.ended, error));
        drop(checkpoints);
        self.ended.notify_all();
    }

    fn has_room(&self, used: usize, bytes: usize) -> bool {
        used.saturating_add(bytes) <= self.bytes
    }
}

impl Core {
    /// Lets a commit of `bytes` through when there is room for it; starts a checkpoint before there is none.
    pub(super) fn admit(&self, writer: &Writer, bytes: usize) -> Result<()> {
        if bytes > self.options.max_transaction_bytes {
            return Err(Error::TransactionTooLarge {
                bytes: bytes as u64,
                limit: self.options.max_transaction_bytes as u64,
            });
        }
        let view = self.view.load();
        let used = view.unfolded_bytes();
        if view.active.bytes() >= writer.budget.seal_bytes()
            || unfolded_log(writer, &view) > self.options.log_bytes
        {
            writer.background.request_checkpoint();
        }
        if writer.budget.has_room(used, bytes) && writer.budget.large_waiting.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        drop(view);
        self.stall(writer, bytes)
    }

    fn stall(&self, writer: &Writer, bytes: usize) -> Result<()> {
        let budget = &writer.budget;
        let large = bytes > budget.bytes;
        self.counters.stalls.add(1);
        tracing::debug!(bytes, "a writer waits for the checkpoint");
        if large {
            budget.large_waiting.fetch_add(1, Ordering::Relaxed);
        }
        let mut checkpoints = budget.checkpoints.lock();
        let began = checkpoints.ended;
        let admitted = loop {
            if let Some((when, error)) = &checkpoints.failure
                && *when > began
            {
                break Err(error.clone());
            }
            if let Err(error) = writer.check() {
                break Err(error);
            }
            let used = self.view.load().unfolded_bytes();
            let alone = budget.large_waiting.load(Ordering::Relaxed) == 0;
            if (large && used == 0) || (!large && alone && budget.has_room(used, bytes)) {
                break Ok(());
            }
            writer.background.request_checkpoint();
            budget.ended.wait_for(&mut checkpoints, LOOK_AGAIN);
        };
        drop(checkpoints);
        if large {
            budget.large_waiting.fetch_sub(1, Ordering::Relaxed);
            budget.ended.notify_all();
        }
        admitted
    }
}

/// Bytes of log that the next checkpoint lets go.
fn unfolded_log(writer: &Writer, view: &View) -> u64 {
    writer.log.appended().get().saturating_sub(view.base.state().checkpoint_lsn)
}
