//! Sequences: unique, increasing ids without contention.
//!
//! A handle gives out the ids of a block that it has reserved; `core/sequences.rs` says how that is made to last.
//!
//! Invariant: a block is replaced only when each of its ids is given out or left out. So an id that a handle gives out
//! is greater than every id that it gave out before, on whatever threads.

use arc_swap::ArcSwap;
use braid_vfs::events::later;
use braid_vfs::sync::atomic::{AtomicU64, Ordering};
use braid_vfs::sync::{Arc, Mutex};
use crossbeam_utils::CachePadded;

use crate::core::SequenceInfo;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::limits::MAX_SEQUENCE_BLOCK;
use crate::schema::check_sequence_name;

/// How a handle of a sequence works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceOptions {
    /// How many ids it reserves at once: each time with a commit that waits for the disk. What is left of a block when the
    /// handle goes, or the process dies, is a gap. 1 to 2³². Default: 1024.
    pub block: u64,
    /// The first id of all, where the sequence does not exist yet. Default: 1.
    pub start: u64,
}

impl Default for SequenceOptions {
    fn default() -> Self {
        Self { block: 1024, start: 1 }
    }
}

/// Gives out ids that nobody else gets: no other handle, no other thread, and nobody after a crash, a power cut
/// included, whatever the [`Durability`](crate::Durability).
///
/// Each id is greater than all that this handle gave out before. Between two handles there is no order: each has a block
/// of its own. Ids are left out where a block was not used up; a transaction that is rolled back does not give them
/// back. Clones are the same handle.
///
/// An id costs a few nanoseconds, and every [`SequenceOptions::block`] of them a small commit of the engine's own. That waits for
/// nobody's turn: `next` may be called with any transaction open, an exclusive one of the same thread too.
///
/// It keeps the database open.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let (orders, ids) = (db.table("orders")?, db.sequence("order ids")?);
/// let mut tx = db.begin_immediate()?;
/// let (first, second) = (ids.next()?, ids.next()?);
/// tx.insert(&orders, first.to_be_bytes(), "an apple")?;
/// tx.insert(&orders, second.to_be_bytes(), "a plum")?;
/// tx.commit()?;
/// assert!(first < second);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Sequence(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    handle: Arc<Handle>,
    info: Arc<SequenceInfo>,
    block: ArcSwap<Block>,
    block_size: u64,
    /// Held by the one who reserves: the others of this handle have to wait for the same block anyway.
    refill: Mutex<()>,
}

/// Ids from `first` on.
#[derive(Debug)]
struct Block {
    first: u64,
    count: u64,
    /// How many of its ids are given out or left out. More than it has, where somebody asked for more.
    asked: CachePadded<AtomicU64>,
}

impl Block {
    fn new((first, count): (u64, u64)) -> Self {
        Self { first, count, asked: CachePadded::new(AtomicU64::new(0)) }
    }

    /// `None` is no answer: it is used up, or has left out what is below the floor.
    fn next(&self, floor: u64) -> Option<u64> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        if before >= self.count {
            return None;
        }
        let id = self.first + before;
        if id < floor { self.leave_out(floor) } else { Some(id) }
    }

    /// Gives out no more of what is below the floor, which is above `first`.
    #[cold]
    fn leave_out(&self, floor: u64) -> Option<u64> {
        self.asked.fetch_max(self.count.min(floor - self.first), Ordering::Relaxed);
        None
    }

    fn is_used_up(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= self.count
    }
}

impl Sequence {
    pub(crate) fn open(handle: &Arc<Handle>, name: &str, options: &SequenceOptions) -> Result<Self> {
        check_sequence_name(name)?;
        let SequenceOptions { block, start } = *options;
        if !(1..=MAX_SEQUENCE_BLOCK).contains(&block) {
            let limit = if block == 0 { 1 } else { MAX_SEQUENCE_BLOCK };
            return Err(Error::Limit { what: "the block of a sequence", actual: block, limit });
        }
        Ok(Self(Arc::new(Shared {
            info: handle.core().sequence(name, start)?,
            handle: Arc::clone(handle),
            block: ArcSwap::from_pointee(Block::new((0, 0))),
            block_size: block,
            refill: Mutex::default(),
        })))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// The next id.
    ///
    /// # Errors
    /// [`Error::NoSuchSequence`] once it was dropped, even if one of the same name was made since;
    /// [`Error::SequenceExhausted`] after `u64::MAX - 1`, or once it was raised beyond; and when a block is to be
    /// reserved, as for a commit, save that it is never [`Error::Busy`]. A call that failed may have cost a block of
    /// ids.
    pub fn next(&self) -> Result<u64> {
        let Shared { handle, info, block, .. } = &*self.0;
        handle.core().check_process()?;
        loop {
            let floor = info.floor()?;
            if let Some(id) = block.load().next(floor) {
                return Ok(id);
            }
            self.refill()?;
        }
    }

    /// Has no id below `first` given out any more, by any handle: neither by a call of [`next`](Self::next) that begins after
    /// this one, nor after a crash. It never lowers a sequence: where all such ids were given out, nothing changes.
    ///
    /// It is for rows that come from elsewhere with their ids. What [`Database::unreserved_id`](crate::Database::unreserved_id)
    /// says there is what to raise the sequence to here.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let (old, db) = (braid::Database::in_memory()?, braid::Database::in_memory()?);
    /// # old.sequence("order ids")?.next()?;
    /// if let Some(first) = old.unreserved_id("order ids")? {
    ///     let ids = db.sequence("order ids")?;
    ///     ids.raise_to(first)?;
    ///     assert!(ids.next()? >= first);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchSequence`]; and as for a commit that waits for nobody's turn. After [`Error::CommitUnknown`] it may be
    /// raised or not.
    pub fn raise_to(&self, first: u64) -> Result<()> {
        let Shared { handle, info, .. } = &*self.0;
        handle.core().check_process()?;
        handle.core().raise_sequence(info, first)
    }

    #[cold]
    fn refill(&self) -> Result<()> {
        let Shared { handle, info, block, block_size, refill } = &*self.0;
        later(|| {
            let _one_at_a_time = refill.lock();
            if block.load().is_used_up() {
                block.store(Arc::new(Block::new(handle.core().reserve_ids(info, *block_size)?)));
            }
            Ok(())
        })
    }
}
