//! How updates become versions: of what they are made, and when.
//!
//! ```text
//! outside any lock   (the engine)      fetches what older layers have of each row that the active generation has not
//!                    guess             finds or creates the chains, makes the updates of what is newest now
//! commit section     catch_up          makes those anew whose row was changed since
//!                    refusal           the first that cannot be made
//!                    (the log append)
//!                    install           pushes the versions
//! ```
//!
//! Invariant: an update is made of the newest version there is when it is installed. What older layers hold does not
//! change as long as the view is the same, which the commit section sees to; a version in the active generation is newer
//! than all of them; and the newest of its chain is looked at inside the section.

use std::cell::LazyCell;
use std::fmt;

use braid_vfs::planted;
use smallvec::SmallVec;

use crate::chain::{Pending, Version};
use crate::epoch::Guard;
use crate::generation::{InstallRights, Tally};
use crate::index::Row;
use crate::update::{Refusal, Update, Value};
use crate::{Generation, TableId, Timestamp, WriteSet};

/// Updates on their way into a generation.
pub struct Resolved<'g> {
    generation: &'g Generation,
    guard: &'g Guard,
    /// In the order of the write set's updates.
    rows: SmallVec<[ResolvedRow<'g>; 1]>,
    max_value_bytes: usize,
    /// What the write set counts for the values.
    least_bytes: usize,
}

struct ResolvedRow<'g> {
    row: &'g Row,
    /// The version that the value was made of, where the active generation has one.
    made_of: Option<Timestamp>,
    value: Result<Pending, Refusal>,
}

impl Generation {
    /// Makes the updates of a write set of what is newest now: in this generation, or else `older`, which has one answer
    /// for each of them in their order.
    pub fn guess<'g, 'o>(
        &'g self,
        writes: &WriteSet,
        older: impl IntoIterator<Item = Option<&'o [u8]>>,
        max_value_bytes: usize,
        guard: &'g Guard,
    ) -> Resolved<'g> {
        let make = |((key, update), older): ((_, &Update), Option<&[u8]>)| {
            let row = self.find_or_create(key);
            let newest = row.chain.newest(guard);
            let is = match newest {
                Some(version) => version.found().value(),
                None => older,
            };
            let value = pending(update.apply(is, max_value_bytes));
            ResolvedRow { row, made_of: newest.map(Version::commit_ts), value }
        };
        let rows = writes.late_rows().zip(older).map(make).collect();
        let least_bytes = writes.late_rows().map(|(_, update)| update.least_len()).sum();
        Resolved { generation: self, guard, rows, max_value_bytes, least_bytes }
    }
}

fn pending(value: Result<Value, Refusal>) -> Result<Pending, Refusal> {
    value.map(|value| Pending::new(Some(value.as_ref())))
}

impl Resolved<'_> {
    /// Makes those updates anew whose row was changed since; whether there were any. Binding only in the commit section.
    pub fn catch_up(&mut self, writes: &WriteSet) -> bool {
        let mut overtaken = false;
        for ((_, update), row) in writes.late_rows().zip(&mut self.rows) {
            let Some(newest) = row.row.chain.newest(self.guard) else { continue };
            if row.made_of != Some(newest.commit_ts()) && !planted!(BaseNotLookedAtAgain) {
                row.value = pending(update.apply(newest.found().value(), self.max_value_bytes));
                row.made_of = Some(newest.commit_ts());
                overtaken = true;
            }
        }
        overtaken
    }

    /// The first row whose update cannot be made, and why.
    #[must_use]
    pub fn refusal(&self) -> Option<(TableId, &[u8], Refusal)> {
        self.rows.iter().find_map(|row| {
            let refusal = *row.value.as_ref().err()?;
            Some((row.row.key.table(), row.row.key.bytes(), refusal))
        })
    }

    /// The rows with their new values; without those that cannot be made.
    pub fn iter(&self) -> impl Iterator<Item = (TableId, &[u8], &[u8])> {
        self.rows.iter().filter_map(|row| {
            let value = row.value.as_ref().ok()?.version()?.found().value()?;
            Some((row.row.key.table(), row.row.key.bytes(), value))
        })
    }

    /// How many bytes the values have beyond what [`WriteSet::bytes`] counts for them.
    #[must_use]
    pub fn grown_bytes(&self) -> usize {
        self.iter().map(|(.., value)| value.len()).sum::<usize>().saturating_sub(self.least_bytes)
    }

    /// For each row, whether a version later than `begin_ts` is in the generation.
    pub fn changed_after(&self, begin_ts: Timestamp) -> impl Iterator<Item = bool> {
        self.rows.iter().map(move |row| row.made_of.is_some_and(|made_of| made_of > begin_ts))
    }

    /// Pushes every new version with `commit_ts`, as [`Prepared::install`](crate::Prepared::install) does.
    ///
    /// # Panics
    /// When `rights` are for another generation.
    pub fn install(
        self,
        rights: &mut InstallRights,
        commit_ts: Timestamp,
        watermark: impl FnOnce() -> Timestamp,
    ) {
        assert!(
            std::ptr::eq(&raw const **rights.generation(), self.generation),
            "rights of another generation"
        );
        let watermark = LazyCell::new(watermark);
        let mut tally = Tally::default();
        for row in self.rows {
            let Ok(mut value) = row.value else { continue };
            if tally.push(&row.row.chain, &mut value, commit_ts, self.guard) {
                tally.freed += row.row.chain.trim(*watermark, self.guard).bytes;
            }
        }
        self.generation.count(&tally, commit_ts, commit_ts, self.guard);
    }
}

impl fmt::Debug for Resolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows.iter().map(|row| (&row.row.key, &row.value))).finish()
    }
}
