//! The keys of the newest commits, noted while somebody validates a large read set.
//!
//! A committer notes its keys inside the commit section, so the notes are in the order of the timestamps and without a
//! gap: every commit later than `complete_after` is in them. Nobody asks: nothing is noted, and that costs a commit the
//! look at one flag. They are bounded: when they are full the older half is dropped, and `complete_after` rises.

use braid_mvstore::{TableId, Timestamp, WriteSet};
use braid_vfs::planted;

/// What half of the notes may take, rows counted with [`ROW_BYTES`].
const HALF_BYTES: usize = 128 << 10;
/// What a row takes beside its key.
const ROW_BYTES: usize = size_of::<Row>();

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Every commit later than this is noted; `None` when none is.
    complete_after: Option<Timestamp>,
    older: Half,
    newer: Half,
}

#[derive(Debug, Default)]
struct Half {
    rows: Vec<Row>,
    keys: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    commit_ts: Timestamp,
    table: TableId,
    /// Where its key ends; it begins where the one before ends.
    key_end: usize,
}

/// A row that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted<'a> {
    pub(super) commit_ts: Timestamp,
    pub(super) table: TableId,
    pub(super) key: &'a [u8],
}

impl Half {
    fn bytes(&self) -> usize {
        self.keys.len() + self.rows.len() * ROW_BYTES
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.keys.clear();
    }

    fn later_than(&self, ts: Timestamp) -> impl Iterator<Item = Noted<'_>> {
        let first = self.rows.partition_point(|row| row.commit_ts <= ts);
        let mut begin =
            first.checked_sub(1).and_then(|before| self.rows.get(before)).map_or(0, |row| row.key_end);
        self.rows.iter().skip(first).map(move |row| {
            let key = self.keys.get(begin..row.key_end).unwrap_or_default();
            begin = row.key_end;
            Noted { commit_ts: row.commit_ts, table: row.table, key }
        })
    }
}

impl Recent {
    /// Whether something is noted, or was until now.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.complete_after.is_some()
    }

    /// Nobody asks any more.
    #[cold]
    pub(super) fn stop(&mut self) {
        self.complete_after = None;
        self.older.clear();
        self.newer.clear();
    }

    /// Notes the commit that follows the one at `before`.
    #[cold]
    pub(super) fn note(&mut self, before: Timestamp, commit_ts: Timestamp, writes: &WriteSet) {
        self.complete_after.get_or_insert(before);
        let rows = || writes.iter().map(|row| (row.table, row.key)).chain(writes.updated());
        let bytes: usize = rows().map(|(_, key)| key.len() + ROW_BYTES).sum();
        if self.newer.bytes() + bytes > HALF_BYTES {
            self.drop_older_half();
        }
        if bytes > HALF_BYTES {
            self.stop();
            self.complete_after = Some(commit_ts);
            return;
        }
        for (table, key) in rows() {
            self.newer.keys.extend_from_slice(key);
            let key_end = self.newer.keys.len();
            self.newer.rows.push(Row { commit_ts, table, key_end });
        }
    }

    fn drop_older_half(&mut self) {
        if let Some(last) = self.older.rows.last().filter(|_| !planted!(NotesForgotten)) {
            self.complete_after = Some(last.commit_ts);
        }
        self.older.clear();
        std::mem::swap(&mut self.older, &mut self.newer);
    }

    /// Every row committed later than `ts`, if all of them are noted.
    pub(super) fn later_than(&self, ts: Timestamp) -> Option<impl Iterator<Item = Noted<'_>>> {
        self.complete_after.filter(|after| *after <= ts)?;
        Some(self.older.later_than(ts).chain(self.newer.later_than(ts)))
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    const TABLE: TableId = TableId(16);

    fn ts(number: u64) -> Timestamp {
        crate::core::timestamp(number)
    }

    fn writes(keys: impl IntoIterator<Item = Vec<u8>>) -> WriteSet {
        let mut writes = WriteSet::new();
        keys.into_iter().for_each(|key| writes.put(TABLE, &key, b""));
        writes
    }

    fn later_than(recent: &Recent, at: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        let rows = recent.later_than(ts(at))?;
        Some(rows.map(|row| (row.commit_ts.get(), row.key.to_vec())).collect())
    }

    #[test]
    fn it_tells_what_it_knows_all_of() {
        let mut recent = Recent::default();
        assert_eq!(later_than(&recent, 100), None, "nothing is noted");
        recent.note(ts(4), ts(5), &writes([b"a".to_vec(), b"bb".to_vec()]));
        recent.note(ts(5), ts(8), &writes([Vec::new()]));
        assert_eq!(later_than(&recent, 3), None, "there was one before");
        let all = [(5, b"a".to_vec()), (5, b"bb".to_vec()), (8, Vec::new())];
        assert_eq!(later_than(&recent, 4).unwrap(), all);
        assert_eq!(later_than(&recent, 5).unwrap(), all[2..]);
        assert_eq!(later_than(&recent, 8).unwrap(), []);
        recent.stop();
        assert!(!recent.is_on());
        assert_eq!(later_than(&recent, 8), None);
        recent.note(ts(9), ts(10), &writes([b"c".to_vec()]));
        assert_eq!(later_than(&recent, 8), None, "it does not know of 9");
        assert_eq!(later_than(&recent, 9).unwrap(), [(10, b"c".to_vec())]);
    }

    #[test]
    fn it_is_bounded_and_says_what_it_has_dropped() {
        let mut recent = Recent::default();
        for commit in 1..20_000 {
            recent.note(ts(commit - 1), ts(commit), &writes([commit.to_be_bytes().to_vec()]));
            assert!(recent.older.bytes() + recent.newer.bytes() <= 2 * HALF_BYTES);
        }
        assert_eq!(later_than(&recent, 0), None);
        let known = (0..20_000).find(|at| later_than(&recent, *at).is_some()).unwrap();
        assert!((10_000..19_000).contains(&known), "{known}");
        let rows = later_than(&recent, known).unwrap();
        let expected: Vec<_> = (known + 1..20_000).map(|at| (at, at.to_be_bytes().to_vec())).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_commit_that_is_too_large_leaves_a_gap() {
        let mut recent = Recent::default();
        recent.note(ts(0), ts(1), &writes([b"a".to_vec()]));
        recent.note(ts(1), ts(2), &writes((0..10_000_u32).map(|key| key.to_be_bytes().to_vec())));
        recent.note(ts(2), ts(3), &writes([b"b".to_vec()]));
        assert_eq!(later_than(&recent, 1), None);
        assert_eq!(later_than(&recent, 2).unwrap(), [(3, b"b".to_vec())]);
    }
}
