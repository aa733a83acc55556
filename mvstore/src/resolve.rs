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
    /// Makes those updates anew whose row was changed since; how many these were. Binding only in the commit section.
    pub fn catch_up(&mut self, writes: &WriteSet) -> usize {
        let mut overtaken = 0;
        for ((_, update), row) in writes.late_rows().zip(&mut self.rows) {
            let Some(newest) = row.row.chain.newest(self.guard) else { continue };
            if row.made_of != Some(newest.commit_ts()) && !planted!(BaseNotLookedAtAgain) {
                row.value = pending(update.apply(newest.found().value(), self.max_value_bytes));
                row.made_of = Some(newest.commit_ts());
                overtaken += 1;
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

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;
    use crate::epoch::pin;
    use crate::testing::{commit, ts};
    use crate::{Found, UpdateLimits};

    const T: TableId = TableId(4);
    const LIMITS: UpdateLimits = UpdateLimits { value_bytes: 100, set_bytes: 10_000 };

    fn number(number: i64) -> [u8; 8] {
        number.to_le_bytes()
    }

    fn adding(keys: &[&[u8]]) -> WriteSet {
        let mut writes = WriteSet::new();
        for key in keys {
            writes.update(T, key, &Update::add(1), LIMITS).expect("it is small");
        }
        writes
    }

    fn values(resolved: &Resolved<'_>) -> Vec<i64> {
        let number = |value: &[u8]| i64::from_le_bytes(value.try_into().expect("a number has eight bytes"));
        resolved.iter().map(|(.., value)| number(value)).collect()
    }

    #[test]
    fn they_are_made_of_the_newest_version_there_is() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        commit(&mut rights, 3, 0, |writes| writes.put(T, b"b", &number(20)));
        let writes = adding(&[b"a", b"b", b"c"]);
        let guard = pin();
        let older = [Some(number(10)), Some(number(0)), None];
        let older = older.iter().map(|older| older.as_ref().map(<[u8; 8]>::as_slice));
        let mut resolved = generation.guess(&writes, older, 100, &guard);
        assert_eq!(values(&resolved), [11, 21, 1]);
        assert_eq!(resolved.catch_up(&writes), 0, "nobody came in between");
        commit(&mut rights, 4, 0, |writes| writes.put(T, b"a", &number(50)));
        commit(&mut rights, 5, 0, |writes| writes.delete(T, b"b"));
        assert_eq!(resolved.catch_up(&writes), 2);
        assert_eq!(values(&resolved), [51, 1, 1]);
        assert_eq!(resolved.catch_up(&writes), 0, "it has caught up");
        assert_eq!(resolved.changed_after(ts(4)).collect::<Vec<_>>(), [false, true, false]);
        resolved.install(&mut rights, ts(6), || Timestamp::ZERO);
        let get = |key: &[u8], at| generation.get(T, key, ts(at), &guard);
        assert_eq!(get(b"a", 6), Some(Found::Value(&number(51))));
        assert_eq!(get(b"b", 6), Some(Found::Value(&number(1))));
        assert_eq!(get(b"b", 5), Some(Found::Tombstone));
        assert_eq!(get(b"c", 5), None);
        assert_eq!(generation.last_ts(), ts(6));
    }

    #[test]
    fn what_cannot_be_made_is_told_as_it_is_by_then() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        commit(&mut rights, 1, 0, |writes| writes.put(T, b"a", b"text"));
        let writes = adding(&[b"a", b"b"]);
        let guard = pin();
        let mut resolved = generation.guess(&writes, [None, None], 100, &guard);
        assert_eq!(resolved.refusal(), Some((T, &b"a"[..], Refusal::NotANumber { bytes: 4 })));
        commit(&mut rights, 2, 0, |writes| writes.put(T, b"a", &number(1)));
        assert_eq!(resolved.catch_up(&writes), 1);
        assert_eq!(resolved.refusal(), None);
        commit(&mut rights, 3, 0, |writes| writes.put(T, b"b", &number(i64::MAX)));
        assert_eq!(resolved.catch_up(&writes), 1);
        assert_eq!(resolved.refusal(), Some((T, &b"b"[..], Refusal::Overflow)));
    }

    #[test]
    fn a_hot_row_is_trimmed() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        for at in 1..=200 {
            let mut resolved = generation.guess(&adding(&[b"hot"]), [None], 100, &guard);
            resolved.catch_up(&adding(&[b"hot"]));
            resolved.install(&mut rights, ts(at), || ts(at - 1));
        }
        assert_eq!(generation.get(T, b"hot", ts(200), &guard), Some(Found::Value(&number(200))));
        assert!(generation.bytes() < 8000, "{}", generation.bytes());
    }
}
