//! Savepoints: places in a transaction to come back to.
//!
//! What was written since one can be taken back ([`Transaction::rollback_to`]) or kept ([`Transaction::release`]), as
//! often as one likes and nested at will. What they mean is what they mean in SQLite, where `SAVEPOINT`, `ROLLBACK TO`
//! and `RELEASE` are the words. The write set keeps the journal (see its own savepoints); here they get their owner, so
//! that a savepoint of another transaction is told from one of this.
//!
//! Only writes are taken back. What the transaction read stays read: the program saw it, and may have acted on it. A
//! cursor stays where it is, and finds the rows as they are now from its next move on.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use braid_mvstore::{SavepointId, WriteSet};
use braid_vfs::planted;

use super::write::Transaction;
use crate::error::{Error, Result};

/// The next transaction that makes a savepoint.
static NEXT_OWNER: AtomicU64 = AtomicU64::new(1);

/// A place in a transaction; see [`Transaction::savepoint`].
///
/// It is a number and borrows nothing. It is good until it is released, or an earlier one is released or rolled back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Savepoint(SavepointId);

fn next_owner() -> NonZeroU64 {
    // At a billion a second the numbers last for centuries.
    NonZeroU64::new(NEXT_OWNER.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MAX)
}

impl Transaction {
    /// Makes a savepoint: [`rollback_to`](Self::rollback_to) takes back what is written after it. It copies nothing, and
    /// costs some ten nanoseconds; what is changed while it is open is kept until it is released, counted towards
    /// `max_transaction_bytes`. A commit keeps everything and a rollback nothing, whatever savepoints are open.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// let stock = db.table("stock")?;
    /// let mut tx = db.begin_immediate()?;
    /// tx.put(&stock, "apple", "3")?;
    /// let before_pears = tx.savepoint()?;
    /// tx.put(&stock, "pear", "5")?;
    /// tx.delete(&stock, "apple")?;
    /// tx.rollback_to(&before_pears)?;
    /// assert_eq!(tx.get(&stock, "apple")?.as_deref(), Some(&b"3"[..]));
    /// assert_eq!(tx.get(&stock, "pear")?, None);
    /// tx.release(before_pears)?;
    /// tx.commit()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::TransactionTooLarge`] when too many are open.
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        let inner = self.inner();
        inner.core().check_process()?;
        let mut writes = inner.writes()?;
        inner.check_size(writes.held_bytes().saturating_add(WriteSet::SAVEPOINT_BYTES))?;
        let first = || {
            inner.core().counters.savepoints.add(1);
            next_owner()
        };
        Ok(Savepoint(writes.savepoint(first)))
    }

    /// Takes back everything that was written after a savepoint, and costs as much. The savepoint itself stays open, those
    /// made after it are gone. What was read stays read: a `Serializable` transaction is validated for it, and an
    /// [update](Self::add) of it is a write.
    ///
    /// # Errors
    /// [`Error::NoSuchSavepoint`]; then nothing has changed.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        let inner = self.inner();
        inner.core().check_process()?;
        if planted!(ReadsTakenBack) {
            inner.forget_reads();
        }
        inner.change(|writes| writes.rollback_to(savepoint.0))?.map_err(|_| Error::NoSuchSavepoint)?;
        inner.core().counters.savepoint_rollbacks.add(1);
        self.end_lost_creations();
        Ok(())
    }

    /// Closes a savepoint and those made after it. What was written since stays, and becomes part of what the savepoint
    /// around them, if there is one, takes back.
    ///
    /// # Errors
    /// [`Error::NoSuchSavepoint`]; then nothing has changed.
    pub fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        let inner = self.inner();
        inner.core().check_process()?;
        inner.writes()?.release(savepoint.0).map_err(|_| Error::NoSuchSavepoint)
    }
}
