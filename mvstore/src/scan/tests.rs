use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use crate::epoch::pin;

use super::*;
use crate::testing::{Rng, commit, ts};

/// A row's commits, oldest first.
type History = Vec<(u64, Option<Vec<u8>>)>;

fn collect(generation: &Generation, scan: &Scan<'_>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut batch = ScanBatch::new();
    let mut rows = Vec::new();
    generation.scan(scan, &mut batch, &pin());
    loop {
        assert!(batch.len() <= scan.limit.rows);
        assert_eq!(batch.is_empty(), batch.iter().next().is_none());
        for (index, row) in batch.iter().enumerate() {
            assert_eq!(row.table, scan.table);
            assert_eq!(batch.row(index), Some(row));
            rows.push((row.key.to_vec(), row.value.value().map(<[u8]>::to_vec)));
        }
        assert_eq!(batch.row(batch.len()), None);
        if !generation.scan_more(scan, &mut batch, &pin()) {
            return rows;
        }
    }
}

fn bound(rng: &mut Rng) -> Bound<Vec<u8>> {
    let key = rng.below(70_u64).to_be_bytes().to_vec();
    match rng.below(3) {
        0 => Unbounded,
        1 => Included(key),
        _ => Excluded(key),
    }
}

fn inside(key: &[u8], from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    (match from {
        Unbounded => true,
        Included(from) => key >= &**from,
        Excluded(from) => key > &**from,
    }) && match to {
        Unbounded => true,
        Included(to) => key <= &**to,
        Excluded(to) => key < &**to,
    }
}

#[test]
fn a_batch_tells_what_it_holds_and_what_memory_it_keeps() {
    const T: TableId = TableId(1);
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let long = |byte| [byte; 1000];
    commit(&mut rights, 1, 0, |writes| {
        writes.put(T, b"a", b"one");
        writes.delete(T, &long(b'b'));
        (b'c'..b'g').for_each(|byte| writes.put(T, &long(byte), b""));
    });
    let limit = ScanLimit { rows: 2, bytes: 1 << 20 };
    let scan =
        Scan { table: T, from: Unbounded, to: Unbounded, direction: Direction::Forward, at: ts(1), limit };
    let mut batch = ScanBatch::new();
    assert_eq!(batch.memory_bytes(), 0);
    generation.scan(&scan, &mut batch, &pin());
    assert_eq!([0, 1, 2].map(|place| batch.key(place)), [Some(&b"a"[..]), Some(&long(b'b')), None]);
    assert_eq!([0, 1, 2].map(|place| batch.has_value(place)), [true, false, false]);
    // The second row and the key to go on from.
    assert!((2000..5000).contains(&batch.memory_bytes()), "{} bytes", batch.memory_bytes());
    assert!(generation.scan_more(&scan, &mut batch, &pin()));
    assert_eq!(batch.key(1), Some(&long(b'd')[..]));
    assert!(generation.scan_more(&scan, &mut batch, &pin()));
    // Two rows, and the key to go on from.
    assert!((3000..9000).contains(&batch.memory_bytes()), "{} bytes", batch.memory_bytes());
}

/// The rows are the same with a search for each batch: only what it remembers tells that there is none.
#[test]
fn a_full_batch_remembers_where_the_next_one_begins() {
    const T: TableId = TableId(1);
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    commit(&mut rights, 1, 0, |writes| {
        (0..200_u64).for_each(|row| writes.put(T, &row.to_be_bytes(), b""));
    });
    for (direction, leads) in [(Direction::Forward, (true, false)), (Direction::Backward, (false, true))] {
        for rows in [1, 3, 8, 9, 64] {
            let limit = ScanLimit { rows, bytes: 1 << 20 };
            let scan = Scan { table: T, from: Unbounded, to: Unbounded, direction, at: ts(1), limit };
            let mut batch = ScanBatch::new();
            generation.scan(&scan, &mut batch, &pin());
            let mut batches = 0;
            while batch.resume_key().is_some() {
                let (forward, backward) =
                    (batch.rest.forward(&generation.index), batch.rest.backward(&generation.index));
                assert_eq!((forward.is_some(), backward.is_some()), leads, "{rows} rows, {direction:?}");
                assert!(generation.scan_more(&scan, &mut batch, &pin()));
                batches += 1;
            }
            assert_eq!(batches, 200 / rows);
        }
    }
}

/// A batch remembers where in the index it stopped, and may outlive the generation.
#[test]
fn a_batch_goes_on_in_another_generation_and_in_one_that_has_grown() {
    const T: TableId = TableId(1);
    let key = |row: u64| row.to_be_bytes();
    let limit = ScanLimit { rows: 2, bytes: 1 << 20 };
    for (direction, expected) in [
        (Direction::Forward, [10, 20, 30, 40, 50, 60]),
        (Direction::Backward, [1990, 1980, 1970, 1960, 1950, 1940]),
    ] {
        let scan = Scan { table: T, from: Unbounded, to: Unbounded, direction, at: ts(1), limit };
        let mut batch = ScanBatch::new();
        let filled = |from: &mut dyn Iterator<Item = u64>| {
            let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 20);
            commit(&mut rights, 1, 0, |writes| from.for_each(|row| writes.put(T, &key(row), b"")));
            (generation, rights)
        };
        let tens = || (10..2000).step_by(10).map(|row| row as u64);
        let (first, _rights) = filled(&mut tens());
        first.scan(&scan, &mut batch, &pin());
        drop((first, _rights));
        let (second, mut rights) = filled(&mut tens());
        let mut rows: Vec<u64> = Vec::new();
        let mut take = |batch: &ScanBatch| {
            rows.extend(batch.iter().filter_map(|row| row.key.try_into().ok()).map(u64::from_be_bytes));
        };
        take(&batch);
        assert!(second.scan_more(&scan, &mut batch, &pin()));
        take(&batch);
        // Splits the node that the batch has stopped at, again and again.
        commit(&mut rights, 2, 0, |writes| (41..1960).for_each(|row: u64| writes.put(T, &key(row), b"")));
        assert!(second.scan_more(&scan, &mut batch, &pin()));
        take(&batch);
        assert_eq!(rows, expected);
    }
}

#[test]
fn scans_agree_with_a_model_both_ways_and_across_batches() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut rng = Rng::new(4);
    // What every timestamp sees: table and key, then commits in order.
    let mut model: BTreeMap<(TableId, Vec<u8>), History> = BTreeMap::new();
    for commit_ts in 1..=300_u64 {
        let table = [TableId(0), TableId(7), TableId(u32::MAX)][rng.below(3_usize)];
        let key = rng.below(70_u64).to_be_bytes().to_vec();
        let value = (rng.below(4) > 0).then(|| vec![1; rng.below(40_usize)]);
        commit(&mut rights, commit_ts, 0, |writes| match &value {
            Some(value) => writes.put(table, &key, value),
            None => writes.delete(table, &key),
        });
        model.entry((table, key)).or_default().push((commit_ts, value));
    }
    for _ in 0..1500 {
        let table = [TableId(0), TableId(7), TableId(8), TableId(u32::MAX)][rng.below(4_usize)];
        let (from, to) = (bound(&mut rng), bound(&mut rng));
        let at = rng.below(310);
        let mut expected: Vec<_> = model
            .iter()
            .filter(|((t, key), _)| *t == table && inside(key, &from, &to))
            .filter_map(|((_, key), versions)| {
                let seen = versions.iter().rev().find(|(commit_ts, _)| *commit_ts <= at)?;
                Some((key.clone(), seen.1.clone()))
            })
            .collect();
        let mut scan = Scan {
            table,
            from: from.as_ref().map(|key| &**key),
            to: to.as_ref().map(|key| &**key),
            direction: Direction::Forward,
            at: ts(at),
            limit: ScanLimit { rows: 1 + rng.below(20_usize), bytes: 1 + rng.below(300_usize) },
        };
        assert_eq!(collect(&generation, &scan), expected, "{scan:?}");
        scan.direction = Direction::Backward;
        expected.reverse();
        assert_eq!(collect(&generation, &scan), expected, "{scan:?}");
    }
}

#[test]
fn one_call_passes_over_a_bounded_number_of_unseen_keys() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    commit(&mut rights, 1, 0, |writes| {
        writes.put(TableId(1), &0_u64.to_be_bytes(), b"first");
        writes.put(TableId(1), &9999_u64.to_be_bytes(), b"last");
    });
    commit(&mut rights, 2, 0, |writes| {
        for key in 1..3000_u64 {
            writes.put(TableId(1), &key.to_be_bytes(), b"later");
        }
    });
    let limit = ScanLimit { rows: 10, bytes: 1000 };
    let scan = Scan {
        table: TableId(1),
        from: Unbounded,
        to: Unbounded,
        direction: Direction::Forward,
        at: ts(1),
        limit,
    };
    let mut batch = ScanBatch::new();
    generation.scan(&scan, &mut batch, &pin());
    assert_eq!(batch.len(), 1);
    let stop = PASS_AT_LEAST.max(10 * PASS_PER_ROW) as u64;
    assert_eq!(batch.resume_key(), Some(&stop.to_be_bytes()[..]));
    assert_eq!(collect(&generation, &scan).len(), 2);
    let backward = Scan { direction: Direction::Backward, ..scan };
    assert_eq!(collect(&generation, &backward).len(), 2);
}

#[test]
fn ranges_know_their_newest_change() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let t = TableId(3);
    commit(&mut rights, 4, 0, |writes| writes.put(t, b"b", b""));
    commit(&mut rights, 6, 0, |writes| writes.delete(t, b"d"));
    let guard = pin();
    let newest = |from: &[u8], to: &[u8], since| {
        generation.newest_in_range(t, Included(from), Excluded(to), ts(since), &guard)
    };
    assert_eq!(newest(b"a", b"z", 3), Some((&b"b"[..], ts(4))));
    assert_eq!(newest(b"a", b"z", 4), Some((&b"d"[..], ts(6))));
    assert_eq!(newest(b"a", b"z", 6), None);
    assert_eq!(newest(b"a", b"d", 4), None);
    assert_eq!(newest(b"c", b"d", 0), None);
    let upto =
        |last: &'static [u8]| generation.newest_in_range(t, Included(b"c"), Included(last), ts(0), &guard);
    assert_eq!(upto(b"d"), Some((&b"d"[..], ts(6))), "an included end is looked at");
    assert_eq!(upto(b"cc"), None);
    assert_eq!(generation.newest_in_range(TableId(2), Unbounded, Unbounded, ts(0), &guard), None);
}
