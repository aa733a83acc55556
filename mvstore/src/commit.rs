//! A commit's way into a generation, cut in two so that the commit section stays short.
//!
//! ```text
//! outside any lock   prepare           finds or creates the chain of every written key
//! commit section     first_conflict    looks at the newest version of each
//!                    (the log append)
//!                    install           pushes the versions
//! outside again      WriteSet::clear   frees keys and what else is left
//! ```
//!
//! Between the two halves others may commit and trim: a chain, once found, stays. Where the generation was sealed in
//! between, the commit prepares again in the new one and asks the sealed one with [`Generation::newest`].

use std::cell::LazyCell;
use std::fmt;

use braid_vfs::planted;
use smallvec::SmallVec;

use crate::epoch::Guard;
use crate::generation::{InstallRights, Tally};
use crate::index::Row;
use crate::{Generation, TableId, Timestamp, WriteSet};

/// From so many keys on their searches take turns.
const WORTH_TURNS: usize = 4;

/// The chains of a write set's keys in one generation.
pub struct Prepared<'g> {
    generation: &'g Generation,
    guard: &'g Guard,
    /// In the order of the write set.
    rows: SmallVec<[&'g Row; 4]>,
    /// Of the write set, when it was prepared.
    version: u64,
}

/// A key that somebody else has committed since the transaction began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict<'p> {
    /// The row's table.
    pub table: TableId,
    /// The row's key.
    pub key: &'p [u8],
    /// When the winner committed.
    pub winner_ts: Timestamp,
}

impl Generation {
    /// Finds or creates the chain of every written key. Takes no lock; an empty chain is invisible to everybody, so
    /// dropping the result leaves nothing behind but memory that the next writer of the key uses.
    pub fn prepare<'g>(&'g self, writes: &WriteSet, guard: &'g Guard) -> Prepared<'g> {
        let mut rows = SmallVec::with_capacity(writes.written());
        if writes.written() < WORTH_TURNS {
            rows.extend(writes.rows().map(|row| self.find_or_create(row.key)));
        } else {
            self.find_or_create_all(writes.rows().map(|row| row.key), |row| rows.push(row));
        }
        Prepared { generation: self, guard, rows, version: writes.version() }
    }
}

impl<'g> Prepared<'g> {
    /// The generation that it is prepared in.
    #[must_use]
    pub fn generation(&self) -> &'g Generation {
        self.generation
    }

    /// The first key, in order, whose newest version in this generation is later than `begin_ts`. Binding only in the
    /// commit section; before it, a way to learn early of a commit that has lost.
    #[must_use]
    pub fn first_conflict(&self, begin_ts: Timestamp) -> Option<Conflict<'_>> {
        if self.generation.last_ts() <= begin_ts {
            return None;
        }
        let rows = if planted!(OneKeyValidated) { self.rows.get(..1)? } else { &self.rows };
        rows.iter().find_map(|row| {
            let newest = row.chain.newest(self.guard)?;
            if planted!(DeleteNoConflict) && newest.found().value().is_none() {
                return None;
            }
            let winner_ts = newest.commit_ts();
            let key = &row.key;
            (winner_ts > begin_ts).then(|| Conflict { table: key.table(), key: key.bytes(), winner_ts })
        })
    }

    /// Pushes every version of the write set with `commit_ts`, in the commit section and after validation. Readers see
    /// them once the engine publishes a timestamp that covers `commit_ts`.
    ///
    /// Takes the values out of the write set, which is spent: it is for [`WriteSet::clear`] alone, best called outside
    /// the commit section. Asks for the watermark (see [`SnapshotRegistry::watermark_since`]) only when a chain has grown
    /// enough to be trimmed.
    ///
    /// [`SnapshotRegistry::watermark_since`]: crate::SnapshotRegistry::watermark_since
    ///
    /// # Panics
    /// When `rights` are for another generation, or `writes` is not the set that was prepared, or changed since.
    pub fn install(
        self,
        rights: &mut InstallRights,
        writes: &mut WriteSet,
        commit_ts: Timestamp,
        watermark: impl FnOnce() -> Timestamp,
    ) {
        let guard = self.guard;
        assert!(
            std::ptr::eq(&raw const **rights.generation(), self.generation),
            "rights of another generation"
        );
        assert!(
            writes.version() == self.version && writes.written() == self.rows.len(),
            "the write set is not the one that was prepared"
        );
        let watermark = LazyCell::new(watermark);
        let mut tally = Tally::default();
        let mut rows = self.rows.iter();
        writes.for_each_value(|pending| {
            // The lengths are equal.
            let Some(row) = rows.next() else { return };
            if tally.push(&row.chain, pending, commit_ts, guard) {
                tally.freed += row.chain.trim(*watermark, guard).bytes;
            }
        });
        self.generation.count(&tally, commit_ts, commit_ts, guard);
    }
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows.iter().map(|row| &row.key)).finish()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
