//! How updates become versions: of what they are made, and when.
//!
//! ```text
//! outside any lock   resolve           finds or creates the chains; the engine fetches what older layers have of each row
//!                                      that the active generation has not
//!                    guess             makes the updates of what is newest now
//! commit section     catch_up          makes those anew whose row was changed since
//!                    refusal           the first that cannot be made
//!                    (the log append)
//!                    install           pushes the versions
//! ```
//!
//! Invariant: an update is made of the newest version there is when it is installed. What older layers hold does not
//! change as long as the view is the same, which the commit section sees to; a version in the active generation is newer
//! than all of them; and the newest of its chain is looked at inside the section.
//!
//! What the values take is summed up as they are read, and again as they are made: both end with the value that passes the
//! room there is for all of them. An older value of which its update cannot be made is not kept.

use std::cell::LazyCell;
use std::fmt;

use braid_vfs::planted;
use smallvec::SmallVec;

use crate::chain::{Pending, Version};
use crate::epoch::Guard;
use crate::generation::{InstallRights, Tally};
use crate::index::Row;
use crate::update::{Refusal, Update};
use crate::{Generation, TableId, Timestamp, WriteSet};

/// What older layers than the active generation have of a row.
#[derive(Clone, Debug, Default)]
pub struct Older {
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Whether it was changed there after the transaction began.
    pub changed: bool,
}

/// Updates on their way into a generation.
pub struct Resolved<'g> {
    generation: &'g Generation,
    /// In the order of the write set's updates. Most transactions update one.
    rows: SmallVec<[ResolvedRow<'g>; 1]>,
    max_value_bytes: usize,
    /// What the write set counts for the values.
    least_bytes: usize,
}

/// Why updates were not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved<E> {
    /// The values need more room than there is: so many bytes at least, beyond what [`WriteSet::bytes`] counts for them.
    TooLarge(usize),
    /// What the engine met.
    Fetch(E),
}

struct ResolvedRow<'g> {
    row: &'g Row,
    older: Older,
    /// The version that the value was made of, where the active generation has one.
    made_of: Option<Timestamp>,
    value: Made,
}

enum Made {
    NotYet,
    Value(Pending),
    Refused(Refusal),
}

impl Generation {
    /// Finds or creates the chains of the updated rows, and has `fetch` look up what older layers have of each; it is
    /// told whether the row is in this generation, so that older values do not matter. Nothing is held meanwhile: it
    /// may read a file. The new values may have `room` bytes beyond what the write set counts for them.
    ///
    /// # Errors
    /// What `fetch` meets; more than `room`.
    pub fn resolve<E>(
        &self,
        writes: &WriteSet,
        max_value_bytes: usize,
        room: usize,
        mut fetch: impl FnMut(TableId, &[u8], bool) -> Result<Older, E>,
    ) -> Result<Resolved<'_>, Unresolved<E>> {
        let mut resolved =
            Resolved { generation: self, rows: SmallVec::new(), max_value_bytes, least_bytes: 0 };
        let mut grown = 0_usize;
        for (key, update) in writes.late_rows() {
            let row = self.find_or_create(key);
            let mut older =
                fetch(key.table(), key.bytes(), !row.chain.is_empty()).map_err(Unresolved::Fetch)?;
            let mut made = Made::NotYet;
            if let Some(value) = &older.value {
                if let Some(refusal) = update.refuses(value.len(), max_value_bytes) {
                    made = Made::Refused(refusal);
                    older.value = None;
                } else {
                    grown = grown.saturating_add(update.growth(value.len()));
                    if grown > room {
                        return Err(Unresolved::TooLarge(grown));
                    }
                }
            }
            resolved.rows.push(ResolvedRow { row, older, made_of: None, value: made });
            resolved.least_bytes += update.least_len();
        }
        Ok(resolved)
    }
}

impl<'g> ResolvedRow<'g> {
    /// The newest version, where the value was not made of it.
    #[inline]
    fn overtaken_by<'v>(&self, guard: &'v Guard) -> Option<&'v Version>
    where
        'g: 'v,
    {
        let newest = self.row.chain.newest(guard)?;
        (self.made_of != Some(newest.commit_ts()) && !planted!(BaseNotLookedAtAgain)).then_some(newest)
    }

    #[inline]
    fn make(&mut self, update: &Update, newest: Option<&Version>, max_value_bytes: usize) {
        let is = match newest {
            Some(version) => version.found().value(),
            None => self.older.value.as_deref(),
        };
        self.made_of = newest.map(Version::commit_ts);
        if newest.is_none() && matches!(self.value, Made::Refused(_)) {
            // By the older value, which is all there is.
            return;
        }
        self.value = match update.apply(is, max_value_bytes) {
            Ok(value) => Made::Value(Pending::new(Some(value.as_ref()))),
            Err(refusal) => Made::Refused(refusal),
        };
    }

    /// The new value, if it can be made.
    #[inline]
    fn bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Made::Value(value) => value.version()?.found().value(),
            Made::NotYet | Made::Refused(_) => None,
        }
    }
}

impl Resolved<'_> {
    /// Makes the updates of what is newest now: in the generation, or else older. Only so many as there is room for;
    /// [`grown_bytes`](Self::grown_bytes) tells that it was too little.
    pub fn guess(&mut self, writes: &WriteSet, room: usize, guard: &Guard) {
        // The least that all of them have is counted already.
        let most = self.least_bytes.saturating_add(room);
        let mut bytes = 0_usize;
        for ((_, update), row) in writes.late_rows().zip(&mut self.rows) {
            let newest = row.row.chain.newest(guard);
            row.make(update, newest, self.max_value_bytes);
            bytes = bytes.saturating_add(row.bytes().map_or(0, <[u8]>::len));
            if bytes > most {
                break;
            }
        }
    }

    /// Makes those updates anew whose row was changed since; how many these were. Binding only in the commit section.
    pub fn catch_up(&mut self, writes: &WriteSet, guard: &Guard) -> usize {
        match self.rows.iter().position(|row| row.overtaken_by(guard).is_some()) {
            Some(first) => self.make_anew(first, writes, guard),
            None => 0,
        }
    }

    /// From the row at `first` on. Rows and updates are passed once, side by side: the section is no place for more.
    #[cold]
    fn make_anew(&mut self, first: usize, writes: &WriteSet, guard: &Guard) -> usize {
        let mut overtaken = 0;
        for ((_, update), row) in writes.late_rows().zip(&mut self.rows).skip(first) {
            if let Some(newest) = row.overtaken_by(guard) {
                row.make(update, Some(newest), self.max_value_bytes);
                overtaken += 1;
            }
        }
        overtaken
    }

    /// How many rows are updated.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row whose update cannot be made, and why.
    #[must_use]
    pub fn refusal(&self) -> Option<(TableId, &[u8], Refusal)> {
        self.rows.iter().find_map(|row| {
            let Made::Refused(refusal) = row.value else { return None };
            Some((row.row.key.table(), row.row.key.bytes(), refusal))
        })
    }

    /// The rows with their new values; without those that cannot be made.
    pub fn iter(&self) -> impl Iterator<Item = (TableId, &[u8], &[u8])> {
        self.rows.iter().filter_map(|row| Some((row.row.key.table(), row.row.key.bytes(), row.bytes()?)))
    }

    /// How many bytes the values have beyond what [`WriteSet::bytes`] counts for them.
    #[must_use]
    pub fn grown_bytes(&self) -> usize {
        let mut bytes = 0;
        for row in &self.rows {
            bytes += row.bytes().map_or(0, <[u8]>::len);
        }
        bytes.saturating_sub(self.least_bytes)
    }

    /// How many rows somebody has changed since `begin_ts`.
    #[must_use]
    pub fn changed_after(&self, begin_ts: Timestamp) -> usize {
        let is_later = |row: &&ResolvedRow<'_>| {
            row.older.changed || row.made_of.is_some_and(|made_of| made_of > begin_ts)
        };
        self.rows.iter().filter(is_later).count()
    }

    /// Pushes every new version with `commit_ts`, as [`Prepared::install`](crate::Prepared::install) does.
    ///
    /// # Panics
    /// When `rights` are for another generation.
    pub fn install(
        &mut self,
        rights: &mut InstallRights,
        commit_ts: Timestamp,
        guard: &Guard,
        watermark: impl FnOnce() -> Timestamp,
    ) {
        assert!(
            std::ptr::eq(&raw const **rights.generation(), self.generation),
            "rights of another generation"
        );
        let watermark = LazyCell::new(watermark);
        let mut tally = Tally::default();
        for row in &mut self.rows {
            let Made::Value(value) = &mut row.value else { continue };
            if tally.push(&row.row.chain, value, commit_ts, guard) {
                tally.freed += row.row.chain.trim(*watermark, guard).bytes;
            }
        }
        self.generation.count(&tally, commit_ts, commit_ts, guard);
    }
}

impl fmt::Debug for Resolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows.iter().map(|row| (&row.row.key, row.bytes()))).finish()
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::epoch::pin;
    use crate::testing::{commit, steps, ts};
    use crate::{Found, UpdateLimits};

    const T: TableId = TableId(4);
    const ROOM: usize = 1 << 20;
    const LIMITS: UpdateLimits = UpdateLimits { value_bytes: 100, set_bytes: 1 << 20 };

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

    fn resolve<'g>(
        generation: &'g Generation,
        writes: &WriteSet,
        mut older: impl FnMut(&[u8], bool) -> Option<Vec<u8>>,
    ) -> Resolved<'g> {
        let fetch = |_, key: &[u8], is_here| Ok(Older { value: older(key, is_here), changed: false });
        generation.resolve::<Infallible>(writes, 100, ROOM, fetch).expect("there is room")
    }

    fn appending(keys: u8) -> WriteSet {
        let mut writes = WriteSet::new();
        for key in 0..keys {
            writes.update(T, &[key], &Update::append(b"four"), LIMITS).expect("it is small");
        }
        writes
    }

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let (generation, _) = Generation::new(Timestamp::ZERO, 1 << 16);
        let writes = appending(10);
        let mut read = 0;
        let mut resolve = |room, len: usize| {
            read = 0;
            let resolved = generation.resolve::<Infallible>(&writes, 100, room, |_, _, _| {
                read += 1;
                Ok(Older { value: Some(vec![0; len]), changed: false })
            });
            (resolved.map(|resolved| resolved.len()), read)
        };
        assert_eq!(resolve(500, 50), (Ok(10), 10));
        assert_eq!(resolve(499, 50), (Err(Unresolved::TooLarge(500)), 10));
        assert_eq!(resolve(100, 50), (Err(Unresolved::TooLarge(150)), 3));
        assert_eq!(resolve(0, 0), (Ok(10), 10));
        // What cannot be made takes nothing.
        assert_eq!(resolve(100, 97), (Ok(10), 10));
        assert_eq!(resolve(100, 96), (Err(Unresolved::TooLarge(192)), 2));
    }

    #[test]
    fn no_more_is_made_than_there_is_room_for() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        commit(&mut rights, 1, 0, |writes| (0..10).for_each(|key| writes.put(T, &[key], &[0; 50])));
        let writes = appending(10);
        let guard = pin();
        for (room, made, grown) in [(500, 10, 500), (499, 10, 500), (200, 5, 230), (0, 1, 14)] {
            let nothing = |_, _: &[u8], _| Ok::<_, Infallible>(Older::default());
            let mut resolved = generation.resolve(&writes, 100, room, nothing).expect("nothing is read");
            resolved.guess(&writes, room, &guard);
            assert_eq!((resolved.iter().count(), resolved.grown_bytes()), (made, grown));
            assert_eq!(resolved.grown_bytes() > room, made < 10 || room == 499);
        }
    }

    #[test]
    fn an_older_value_that_refuses_is_told_and_not_kept() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        let mut writes = adding(&[b"a"]);
        writes.update(T, b"b", &Update::append(b"four"), LIMITS).expect("it is small");
        let mut resolved =
            resolve(&generation, &writes, |key, _| Some(vec![0; if key == b"a" { 9 } else { 97 }]));
        assert!(resolved.rows.iter().all(|row| row.older.value.is_none()));
        resolved.guess(&writes, ROOM, &guard);
        assert_eq!(resolved.refusal(), Some((T, &b"a"[..], Refusal::NotANumber { bytes: 9 })));
        commit(&mut rights, 1, 0, |writes| writes.put(T, b"a", &number(1)));
        resolved.catch_up(&writes, &guard);
        let too_long = Refusal::TooLong { bytes: 101, limit: 100 };
        assert_eq!(resolved.refusal(), Some((T, &b"b"[..], too_long)));
        commit(&mut rights, 2, 0, |writes| writes.put(T, b"b", b"x"));
        resolved.catch_up(&writes, &guard);
        assert_eq!(resolved.refusal(), None);
        assert_eq!(resolved.grown_bytes(), 1);
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
        let mut fetched = Vec::new();
        let mut resolved = resolve(&generation, &writes, |key, is_here| {
            fetched.push(is_here);
            (key == b"a").then(|| number(10).to_vec())
        });
        assert_eq!(fetched, [false, true, false]);
        resolved.guess(&writes, ROOM, &guard);
        assert_eq!(values(&resolved), [11, 21, 1]);
        assert_eq!(resolved.catch_up(&writes, &guard), 0, "nobody came in between");
        commit(&mut rights, 4, 0, |writes| writes.put(T, b"a", &number(50)));
        commit(&mut rights, 5, 0, |writes| writes.delete(T, b"b"));
        assert_eq!(resolved.catch_up(&writes, &guard), 2);
        assert_eq!(values(&resolved), [51, 1, 1]);
        assert_eq!(resolved.catch_up(&writes, &guard), 0, "it has caught up");
        assert_eq!([3, 4, 5].map(|at| resolved.changed_after(ts(at))), [2, 1, 0]);
        resolved.install(&mut rights, ts(6), &guard, || Timestamp::ZERO);
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
        let mut resolved = resolve(&generation, &writes, |_, _| None);
        resolved.guess(&writes, ROOM, &guard);
        assert_eq!(resolved.refusal(), Some((T, &b"a"[..], Refusal::NotANumber { bytes: 4 })));
        commit(&mut rights, 2, 0, |writes| writes.put(T, b"a", &number(1)));
        assert_eq!(resolved.catch_up(&writes, &guard), 1);
        assert_eq!(resolved.refusal(), None);
        commit(&mut rights, 3, 0, |writes| writes.put(T, b"b", &number(i64::MAX)));
        assert_eq!(resolved.catch_up(&writes, &guard), 1);
        assert_eq!(resolved.refusal(), Some((T, &b"b"[..], Refusal::Overflow)));
    }

    /// Whichever rows were overtaken, and whether the updates lie in an array or in a tree.
    #[test]
    fn catching_up_passes_the_updates_once() {
        const ROWS: u32 = if cfg!(miri) { 80 } else { 1000 };
        let keys: Vec<_> = (0..ROWS).map(u32::to_be_bytes).collect();
        let in_order: Vec<_> = keys.iter().map(<[u8; 4]>::as_slice).collect();
        let reversed: Vec<_> = in_order.iter().rev().copied().collect();
        for (keys, every) in [(&in_order, 1), (&in_order, 3), (&reversed, 1), (&reversed, 7)] {
            let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 20);
            let writes = adding(keys);
            let guard = pin();
            let mut resolved = resolve(&generation, &writes, |_, _| None);
            resolved.guess(&writes, ROOM, &guard);
            let is_overtaken = |row: &u32| row.is_multiple_of(every);
            commit(&mut rights, 1, 0, |writes| {
                for row in (0..ROWS).filter(is_overtaken) {
                    writes.put(T, &row.to_be_bytes(), &number(i64::from(row)));
                }
            });
            let before = steps();
            assert_eq!(resolved.catch_up(&writes, &guard), (0..ROWS).filter(is_overtaken).count());
            let passed = steps() - before;
            // The last finds the end.
            assert!(passed <= u64::from(ROWS) + 1, "{passed} steps for {ROWS} rows");
            let made = |row: u32| if is_overtaken(&row) { i64::from(row) + 1 } else { 1 };
            assert_eq!(values(&resolved), (0..ROWS).map(made).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_and_what_they_grew_by_are_counted() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        let nothing = WriteSet::new();
        let resolved = resolve(&generation, &nothing, |_, _| None);
        assert!(resolved.is_empty());
        assert_eq!((resolved.len(), resolved.grown_bytes()), (0, 0));

        let mut writes = adding(&[b"a"]);
        for (key, suffix) in [(b"b", &b"four"[..]), (b"c", b"seventy")] {
            writes.update(T, key, &Update::append(suffix), LIMITS).expect("it is small");
        }
        let mut resolved = resolve(&generation, &writes, |key, _| (key == b"b").then(|| vec![0; 10]));
        assert!(!resolved.is_empty());
        assert_eq!(resolved.len(), 3);
        resolved.guess(&writes, ROOM, &guard);
        assert_eq!(resolved.grown_bytes(), 10, "what is in front of the suffix of b");
        commit(&mut rights, 1, 0, |writes| writes.put(T, b"c", &[0; 25]));
        assert_eq!(resolved.catch_up(&writes, &guard), 1);
        assert_eq!(resolved.grown_bytes(), 35);
    }

    #[test]
    fn a_hot_row_is_trimmed() {
        let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
        let guard = pin();
        for at in 1..=200 {
            let writes = adding(&[b"hot"]);
            let mut resolved = resolve(&generation, &writes, |_, _| None);
            resolved.guess(&writes, ROOM, &guard);
            resolved.catch_up(&writes, &guard);
            resolved.install(&mut rights, ts(at), &guard, || ts(at - 1));
        }
        assert_eq!(generation.get(T, b"hot", ts(200), &guard), Some(Found::Value(&number(200))));
        assert!(generation.bytes() < 8000, "{}", generation.bytes());
    }
}
