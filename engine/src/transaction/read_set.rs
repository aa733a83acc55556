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

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    keys: Vec<(TableId, Box<[u8]>)>,
    spans: Vec<Span>,
}

impl ReadSet {
    /// One key was looked up, whether it was there or not.
    pub(crate) fn key(&mut self, table: TableId, key: &[u8]) {
        self.keys.push((table, key.into()));
    }

    /// A cursor passed everything between two ends. A step that goes on where its last span ends makes that longer, so a
    /// scan is one span however many cursors move at the same time; `last` is for the cursor to keep.
    pub(crate) fn span(&mut self, last: &mut LastSpan, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        if let Some(span) = last.0.and_then(|index| self.spans.get_mut(index)) {
            if meet(&span.to, from) {
                span.to = to.map(<[u8]>::to_vec);
                return;
            }
            if meet(&span.from, to) {
                span.from = from.map(<[u8]>::to_vec);
                return;
            }
        }
        last.0 = Some(self.spans.len());
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
    fn another_place_is_another_span() {
        let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"b"), Bound::Included(b"c"));
        reads.span(&mut cursor, TABLE, Bound::Excluded(b"x"), Bound::Included(b"y"));
        assert_eq!(reads.spans().len(), 2);
    }
}
