//! What a `Serializable` transaction has read: single keys, and the key ranges that its cursors really passed.

use std::ops::Bound;

use braid_mvstore::TableId;

/// A range of keys that was read, found empty places included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) table: TableId,
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
}

/// Where a cursor's last span is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastSpan(Option<usize>);

/// Keys are looked through for repetitions when there are twice as many as the last time, and this many at least.
const FIRST_REPETITION_CHECK: usize = 1024;

/// See the module. A key that is looked up again and again is kept a few times at most.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    keys: Vec<(TableId, Box<[u8]>)>,
    spans: Vec<Span>,
    /// Of the keys and the ends of the spans.
    key_bytes: usize,
    distinct: usize,
}

impl ReadSet {
    /// One key was looked up, whether it was there or not.
    pub(crate) fn key(&mut self, table: TableId, key: &[u8]) {
        self.keys.push((table, key.into()));
        self.key_bytes += key.len();
        if self.keys.len() >= FIRST_REPETITION_CHECK.max(2 * self.distinct) {
            self.keys.sort_unstable();
            self.keys.dedup_by(|one, other| {
                let repeated = one == other;
                self.key_bytes -= if repeated { one.1.len() } else { 0 };
                repeated
            });
            self.distinct = self.keys.len();
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.key_bytes
            + self.keys.len() * size_of::<(TableId, Box<[u8]>)>()
            + self.spans.len() * size_of::<Span>()
    }

    /// The same with one more key.
    pub(crate) fn bytes_with(&self, key_len: usize) -> usize {
        self.bytes() + key_len + size_of::<(TableId, Box<[u8]>)>()
    }

    /// A cursor passed everything between two ends. A step that goes on where its last span ends makes that longer, so a
    /// scan is one span however many cursors move at the same time; `last` is for the cursor to keep.
    pub(crate) fn span(&mut self, last: &mut LastSpan, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        if let Some(span) = last.0.and_then(|index| self.spans.get_mut(index)) {
            let (end, new_end) = if meet(&span.to, from) {
                (&mut span.to, to)
            } else if meet(&span.from, to) {
                (&mut span.from, from)
            } else {
                return self.new_span(last, table, from, to);
            };
            self.key_bytes = (self.key_bytes + len(new_end)).saturating_sub(len(end.as_ref()));
            *end = new_end.map(<[u8]>::to_vec);
            return;
        }
        self.new_span(last, table, from, to);
    }

    fn new_span(&mut self, last: &mut LastSpan, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        last.0 = Some(self.spans.len());
        self.key_bytes += len(from) + len(to);
        self.spans.push(Span { table, from: from.map(<[u8]>::to_vec), to: to.map(<[u8]>::to_vec) });
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
}

fn len(end: Bound<impl AsRef<[u8]>>) -> usize {
    match end {
        Bound::Included(key) | Bound::Excluded(key) => key.as_ref().len(),
        Bound::Unbounded => 0,
    }
}

/// Whether one span's end is where the next begins: the same key, counted once.
fn meet(end: &Bound<Vec<u8>>, begin: Bound<&[u8]>) -> bool {
    match (end, begin) {
        (Bound::Included(end), Bound::Excluded(begin)) | (Bound::Excluded(end), Bound::Included(begin)) => {
            end == begin
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableId = TableId(16);

    #[test]
    fn steps_become_one_span() {
        let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
        reads.span(&mut cursor, TABLE, Bound::Included(b"a"), Bound::Included(b"b"));
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"b"), Bound::Included(b"c"));
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"c"), Bound::Unbounded);
        assert_eq!(
            reads.spans(),
            [Span { table: TABLE, from: Bound::Included(b"a".to_vec()), to: Bound::Unbounded }]
        );
    }

    #[test]
    fn steps_backward_become_one_span() {
        let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
        reads.span(&mut cursor, TABLE, Bound::Included(b"c"), Bound::Unbounded);
        reads.span(&mut cursor, TABLE, Bound::Included(b"b"), Bound::Excluded(b"c"));
        assert_eq!(reads.spans().len(), 1);
        assert_eq!(reads.spans()[0].from, Bound::Included(b"b".to_vec()));
    }

    #[test]
    fn cursors_that_move_in_turn_have_a_span_each() {
        let (mut reads, mut one, mut other) = (ReadSet::default(), LastSpan::default(), LastSpan::default());
        for step in 0..10_u8 {
            reads.span(&mut one, TABLE, Bound::Excluded(&[step]), Bound::Included(&[step + 1]));
            reads.span(&mut other, TableId(17), Bound::Excluded(&[step]), Bound::Included(&[step + 1]));
        }
        assert_eq!(reads.spans().len(), 2);
    }

    #[test]
    fn a_key_that_is_read_again_and_again_is_not_kept_as_often() {
        let mut reads = ReadSet::default();
        for step in 0..100_000_u32 {
            reads.key(TABLE, &(step % 3000).to_be_bytes());
        }
        let mut keys: Vec<_> = reads.keys().map(|(_, key)| key.to_vec()).collect();
        assert!(keys.len() <= 6000, "{}", keys.len());
        assert_eq!(reads.key_bytes, 4 * keys.len());
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 3000, "none is forgotten");
    }

    #[test]
    fn what_it_takes_is_known() {
        let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
        assert_eq!(reads.bytes(), 0);
        reads.span(&mut cursor, TABLE, Bound::Included(b"a"), Bound::Included(b"bb"));
        assert_eq!(reads.key_bytes, 3);
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"bb"), Bound::Included(b"long"));
        assert_eq!(reads.key_bytes, 5);
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"long"), Bound::Unbounded);
        assert_eq!(reads.key_bytes, 1);
        let with_one_more = reads.bytes_with(7);
        reads.key(TABLE, &[0; 7]);
        assert_eq!(reads.bytes(), with_one_more);
    }

    #[test]
    fn another_place_is_another_span() {
        let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"b"), Bound::Included(b"c"));
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"x"), Bound::Included(b"y"));
        assert_eq!(reads.spans().len(), 2);
    }
}
