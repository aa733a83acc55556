//! What a `Serializable` transaction has read: single keys, and the key ranges that its cursors really passed.
//!
//! Invariant: a key is in it if and only if some answer depended on that key, whether there was a row or not. Spans are
//! made longer and united only where they touch, so that nothing gets in between.
//!
//! It is kept small without being asked for anything: what was read again is noted once, by and by. After
//! [`tidy`](ReadSet::tidy) it is sorted, and a key is looked up by halving.

use std::cmp::Ordering;
use std::ops::Bound;

use braid_mvstore::TableId;

use crate::error::ConflictKind;

/// A range of keys that was read, found empty places included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) table: TableId,
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
}

impl Span {
    /// Takes in another span if the two touch; whether they do.
    fn unite(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
        if !reaches(as_slice(&self.to), from) || !reaches(to, as_slice(&self.from)) {
            return false;
        }
        if compare_starts(from, as_slice(&self.from)) == Ordering::Less {
            replace(&mut self.from, from);
        }
        if compare_ends(to, as_slice(&self.to)) == Ordering::Greater {
            replace(&mut self.to, to);
        }
        true
    }

    fn bytes(&self) -> usize {
        len(as_slice(&self.from)) + len(as_slice(&self.to))
    }
}

/// Where a cursor's last span is kept, until the spans are moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastSpan(Option<(u64, usize)>);

/// Repetitions are looked for when there is twice as much as there was after the last look, and this much at least.
const FIRST_LOOK: usize = 1024;

/// With no more keys than this, and no span, there is nothing to be gained by preparing for the validation.
const FEW_KEYS: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    keys: Vec<(TableId, Box<[u8]>)>,
    spans: Vec<Span>,
    /// Of the keys and the ends of the spans.
    key_bytes: usize,
    /// Keys and spans when they were last looked through.
    tidied_keys: usize,
    tidied_spans: usize,
    /// How often the spans were moved.
    moves: u64,
}

impl ReadSet {
    /// One key was looked up, whether it was there or not.
    pub(crate) fn key(&mut self, table: TableId, key: &[u8]) {
        self.keys.push((table, key.into()));
        self.key_bytes += key.len();
        if self.keys.len() >= FIRST_LOOK.max(2 * self.tidied_keys) {
            self.tidy_keys();
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.key_bytes
            + self.keys.len() * size_of::<(TableId, Box<[u8]>)>()
            + self.spans.len() * size_of::<Span>()
    }

    /// How many keys it has, and how many spans.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.spans.len())
    }

    /// The same with one more key.
    pub(crate) fn bytes_with(&self, key_len: usize) -> usize {
        self.bytes() + key_len + size_of::<(TableId, Box<[u8]>)>()
    }

    /// Whether enough has come since the last look that another may find repetitions.
    pub(crate) fn may_be_tidied(&self) -> bool {
        let (tidied, now) = (self.tidied_keys + self.tidied_spans, self.keys.len() + self.spans.len());
        now > tidied + tidied / 8
    }

    /// A cursor passed everything between two ends. A move that goes on where its last span ends makes that longer, so a
    /// scan is one span however many cursors move at the same time; `last` is for the cursor to keep.
    pub(crate) fn span(&mut self, last: &mut LastSpan, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        if is_empty(from, to) {
            return;
        }
        if let Some((moves, index)) = last.0
            && moves == self.moves
            && let Some(span) = self.spans.get_mut(index)
        {
            let before = span.bytes();
            if span.table == table && span.unite(from, to) {
                self.key_bytes = self.key_bytes + span.bytes() - before;
                return;
            }
        }
        if self.spans.len() >= FIRST_LOOK.max(2 * self.tidied_spans) {
            self.tidy_spans();
        }
        last.0 = Some((self.moves, self.spans.len()));
        self.key_bytes += len(from) + len(to);
        self.spans.push(Span { table, from: from.map(<[u8]>::to_vec), to: to.map(<[u8]>::to_vec) });
    }

    /// Sorts it, and drops what is in it twice.
    pub(crate) fn tidy(&mut self) {
        self.tidy_keys();
        self.tidy_spans();
    }

    fn tidy_keys(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup_by(|one, other| {
            let repeated = one == other;
            self.key_bytes -= if repeated { one.1.len() } else { 0 };
            repeated
        });
        self.tidied_keys = self.keys.len();
    }

    fn tidy_spans(&mut self) {
        self.moves += 1;
        self.spans.sort_unstable_by(|one, other| {
            let starts = || compare_starts(as_slice(&one.from), as_slice(&other.from));
            one.table.cmp(&other.table).then_with(starts)
        });
        let mut bytes = self.key_bytes;
        self.spans.dedup_by(|next, span| {
            let both = span.bytes() + next.bytes();
            let united = next.table == span.table && span.unite(as_slice(&next.from), as_slice(&next.to));
            if united {
                bytes = bytes - both + span.bytes();
            }
            united
        });
        self.key_bytes = bytes;
        self.tidied_spans = self.spans.len();
    }

    /// Only for a defect that is planted: what is forgotten that must not be.
    pub(crate) fn forget(&mut self, row: Option<(TableId, &[u8])>) {
        match row {
            None => *self = Self::default(),
            Some((table, key)) => {
                self.keys.retain(|(of, noted)| (*of, &**noted) != (table, key));
                self.tidied_keys = 0;
                self.key_bytes = self.keys.iter().map(|(_, key)| key.len()).sum::<usize>()
                    + self.spans.iter().map(Span::bytes).sum::<usize>();
            }
        }
    }

    /// The tables that were read, each at least once.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.keys.iter().map(|(table, _)| *table).chain(self.spans.iter().map(|span| span.table))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (TableId, &[u8])> {
        self.keys.iter().map(|(table, key)| (*table, &**key))
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether it is a few keys, and looked through in less time than it takes to prepare for it.
    pub(crate) fn is_small(&self) -> bool {
        self.spans.is_empty() && self.keys.len() <= FEW_KEYS
    }

    /// Of a tidy one: whether a key was read, and how a conflict over it is called.
    pub(crate) fn reads(&self, table: TableId, key: &[u8]) -> Option<ConflictKind> {
        let compare =
            |(other, noted): &(TableId, Box<[u8]>)| other.cmp(&table).then_with(|| (**noted).cmp(key));
        if self.keys.binary_search_by(compare).is_ok() {
            return Some(ConflictKind::ReadWrite);
        }
        let at = Bound::Included(key);
        let starts = |span: &Span| {
            let starts = || compare_starts(as_slice(&span.from), at);
            span.table.cmp(&table).then_with(starts) != Ordering::Greater
        };
        let span = self.spans.get(self.spans.partition_point(starts).checked_sub(1)?)?;
        let holds = span.table == table && compare_ends(as_slice(&span.to), at) != Ordering::Less;
        holds.then_some(ConflictKind::Range)
    }
}

pub(super) fn as_slice(end: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    end.as_ref().map(Vec::as_slice)
}

/// Bytes of an end.
pub(super) fn len(end: Bound<&[u8]>) -> usize {
    match end {
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
        Bound::Unbounded => 0,
    }
}

/// Puts another key in the place of an end's, in the memory that it has.
fn replace(end: &mut Bound<Vec<u8>>, by: Bound<&[u8]>) {
    match (&mut *end, by) {
        (Bound::Included(kept), Bound::Included(key)) | (Bound::Excluded(kept), Bound::Excluded(key)) => {
            kept.clear();
            kept.extend_from_slice(key);
        }
        _ => *end = by.map(<[u8]>::to_vec),
    }
}

/// Whether no key can lie between them.
pub(super) fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// Whether nothing lies between one span's end and the beginning of another that does not begin before it.
fn reaches(end: Bound<&[u8]>, start: Bound<&[u8]>) -> bool {
    match (end, start) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        // The key itself lies between.
        (Bound::Excluded(end), Bound::Excluded(start)) => start < end,
        (Bound::Included(end) | Bound::Excluded(end), Bound::Included(start) | Bound::Excluded(start)) => {
            start <= end
        }
    }
}

fn compare_starts(one: Bound<&[u8]>, other: Bound<&[u8]>) -> Ordering {
    match (one, other) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Less,
        (_, Bound::Unbounded) => Ordering::Greater,
        (Bound::Included(one), Bound::Excluded(other)) => one.cmp(other).then(Ordering::Less),
        (Bound::Excluded(one), Bound::Included(other)) => one.cmp(other).then(Ordering::Greater),
        (Bound::Included(one), Bound::Included(other)) | (Bound::Excluded(one), Bound::Excluded(other)) => {
            one.cmp(other)
        }
    }
}

fn compare_ends(one: Bound<&[u8]>, other: Bound<&[u8]>) -> Ordering {
    match (one, other) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => Ordering::Greater,
        (_, Bound::Unbounded) => Ordering::Less,
        (Bound::Included(one), Bound::Excluded(other)) => one.cmp(other).then(Ordering::Greater),
        (Bound::Excluded(one), Bound::Included(other)) => one.cmp(other).then(Ordering::Less),
        (Bound::Included(one), Bound::Included(other)) | (Bound::Excluded(one), Bound::Excluded(other)) => {
            one.cmp(other)
        }
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
