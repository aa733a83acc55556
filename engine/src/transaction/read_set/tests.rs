use std::ops::RangeBounds;

use super::*;

const TABLE: TableId = TableId(16);

fn included(key: &[u8]) -> Bound<&[u8]> {
    Bound::Included(key)
}

fn excluded(key: &[u8]) -> Bound<&[u8]> {
    Bound::Excluded(key)
}

#[test]
fn steps_become_one_span() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    reads.span(&mut cursor, TABLE, included(b"a"), included(b"b"));
    reads.span(&mut cursor, TABLE, excluded(b"b"), included(b"c"));
    reads.span(&mut cursor, TABLE, excluded(b"c"), Bound::Unbounded);
    assert_eq!(
        reads.spans(),
        [Span { table: TABLE, from: Bound::Included(b"a".to_vec()), to: Bound::Unbounded }]
    );
}

#[test]
fn steps_backward_become_one_span() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    reads.span(&mut cursor, TABLE, included(b"c"), Bound::Unbounded);
    reads.span(&mut cursor, TABLE, included(b"b"), excluded(b"c"));
    assert_eq!(reads.spans().len(), 1);
    assert_eq!(reads.spans()[0].from, Bound::Included(b"b".to_vec()));
}

#[test]
fn a_cursor_that_turns_again_and_again_notes_nothing_twice() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    reads.span(&mut cursor, TABLE, included(b"a"), included(b"c"));
    for _ in 0..100 {
        reads.span(&mut cursor, TABLE, included(b"b"), excluded(b"c"));
        reads.span(&mut cursor, TABLE, excluded(b"b"), included(b"c"));
    }
    assert_eq!(
        reads.spans(),
        [Span { table: TABLE, from: Bound::Included(b"a".to_vec()), to: Bound::Included(b"c".to_vec()) }]
    );
}

#[test]
fn cursors_that_move_in_turn_have_a_span_each() {
    let (mut reads, mut one, mut other) = (ReadSet::default(), LastSpan::default(), LastSpan::default());
    for step in 0..10_u8 {
        reads.span(&mut one, TABLE, excluded(&[step]), included(&[step + 1]));
        reads.span(&mut other, TableId(17), excluded(&[step]), included(&[step + 1]));
    }
    assert_eq!(reads.spans().len(), 2);
}

#[test]
fn a_key_that_is_read_again_and_again_is_not_kept_as_often() {
    let mut reads = ReadSet::default();
    for step in 0..100_000_u32 {
        reads.key(TABLE, &(step % 3000).to_be_bytes());
    }
    assert!(reads.keys().count() <= 6000, "{}", reads.keys().count());
    assert_eq!(reads.key_bytes, 4 * reads.keys().count());
    reads.tidy();
    assert_eq!(reads.keys().count(), 3000, "none is forgotten");
}

#[test]
fn a_range_that_is_read_again_and_again_is_not_kept_as_often() {
    let mut reads = ReadSet::default();
    for step in 0..100_000_u32 {
        let from = (step % 500 * 3).to_be_bytes();
        let to = (step % 500 * 3 + 1).to_be_bytes();
        reads.span(&mut LastSpan::default(), TABLE, included(&from), excluded(&to));
    }
    assert!(reads.spans().len() <= 1024, "{}", reads.spans().len());
    reads.tidy();
    assert_eq!(reads.spans().len(), 500, "none is forgotten, none united with its neighbour");
    assert_eq!(reads.key_bytes, 500 * 8);
}

#[test]
fn a_cursor_goes_on_after_the_spans_were_moved() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    reads.span(&mut cursor, TABLE, included(b"m"), included(b"n"));
    reads.span(&mut LastSpan::default(), TABLE, included(b"a"), included(b"b"));
    reads.tidy();
    reads.span(&mut cursor, TABLE, excluded(b"n"), included(b"o"));
    reads.tidy();
    let ends: Vec<_> = reads.spans().iter().map(|span| (span.from.clone(), span.to.clone())).collect();
    let span = |from: &str, to: &str| (Bound::Included(from.into()), Bound::Included(to.into()));
    assert_eq!(ends, [span("a", "b"), span("m", "o")]);
}

#[test]
fn what_it_takes_is_known() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    assert_eq!(reads.bytes(), 0);
    reads.span(&mut cursor, TABLE, included(b"a"), included(b"bb"));
    assert_eq!(reads.key_bytes, 3);
    reads.span(&mut cursor, TABLE, excluded(b"bb"), included(b"long"));
    assert_eq!(reads.key_bytes, 5);
    reads.span(&mut cursor, TABLE, excluded(b"long"), Bound::Unbounded);
    assert_eq!(reads.key_bytes, 1);
    let with_one_more = reads.bytes_with(7);
    reads.key(TABLE, &[0; 7]);
    assert_eq!(reads.bytes(), with_one_more);
}

#[test]
fn another_place_is_another_span_and_no_place_is_none() {
    let (mut reads, mut cursor) = (ReadSet::default(), LastSpan::default());
    reads.span(&mut cursor, TABLE, excluded(b"b"), included(b"c"));
    reads.span(&mut cursor, TABLE, excluded(b"x"), included(b"y"));
    assert_eq!(reads.spans().len(), 2);
    reads.span(&mut cursor, TABLE, included(b"z"), excluded(b"a"));
    reads.span(&mut cursor, TABLE, excluded(b"z"), excluded(b"z"));
    assert_eq!(reads.spans().len(), 2, "the wrong way round, or empty");
}

/// Whatever is noted, in whatever order: exactly the keys that were read are in it, and its size is right.
#[test]
fn it_holds_what_was_read_and_nothing_else() {
    let mut state = 1_u64;
    // Xorshift: a number below the bound.
    let mut dice = move |below: u8| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state % u64::from(below)).unwrap()
    };
    for _ in 0..300 {
        let mut reads = ReadSet::default();
        let mut cursors = [LastSpan::default(); 3];
        let mut expected = std::collections::BTreeSet::new();
        for _ in 0..dice(40) {
            let table = TableId(16 + u32::from(dice(2)));
            let key = [dice(12)];
            match dice(5) {
                0 => {
                    reads.key(table, &key);
                    expected.insert((table, key));
                }
                1 => reads.tidy(),
                _ => {
                    let other = [dice(12)];
                    let bound = |kind: u8, key| match kind {
                        0 => Bound::Unbounded,
                        1 => Bound::Included(key),
                        _ => Bound::Excluded(key),
                    };
                    let (from, to) = (bound(dice(3), &key[..]), bound(dice(3), &other[..]));
                    reads.span(&mut cursors[usize::from(dice(3))], table, from, to);
                    let inside = (0..12).map(|key| [key]).filter(|key| (from, to).contains(&key[..]));
                    expected.extend(inside.map(|key| (table, key)));
                }
            }
        }
        reads.tidy();
        for table in [TableId(16), TableId(17), TableId(18)] {
            for key in 0..12 {
                let is_in = reads.reads(table, &[key]).is_some();
                assert_eq!(is_in, expected.contains(&(table, [key])), "{table} {key} in {reads:?}");
            }
        }
        let keys: usize = reads.keys().map(|(_, key)| key.len()).sum();
        assert_eq!(reads.key_bytes, keys + reads.spans().iter().map(Span::bytes).sum::<usize>());
    }
}
