use crate::epoch::pin;

use super::*;
use crate::testing::{commit, ts};
use crate::{Direction, Found, Scan, ScanBatch, ScanLimit};
use std::ops::Bound::Unbounded;

const T: TableId = TableId(4);

#[test]
fn the_first_committer_wins() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    commit(&mut rights, 3, 0, |writes| writes.put(T, b"b", b"3"));
    commit(&mut rights, 5, 0, |writes| writes.delete(T, b"c"));
    let mut writes = WriteSet::new();
    for key in [b"a", b"b", b"c", b"d"] {
        writes.put(T, key, b"mine");
    }
    let guard = pin();
    let prepared = generation.prepare(&writes, &guard);
    let conflict = |begin_ts| prepared.first_conflict(ts(begin_ts));
    assert_eq!(conflict(2), Some(Conflict { table: T, key: b"b", winner_ts: ts(3) }));
    assert_eq!(conflict(3), Some(Conflict { table: T, key: b"c", winner_ts: ts(5) }));
    assert_eq!(conflict(4), Some(Conflict { table: T, key: b"c", winner_ts: ts(5) }));
    assert_eq!(conflict(5), None);
}

#[test]
fn a_commit_after_prepare_is_a_conflict_too() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut writes = WriteSet::new();
    writes.put(T, b"k", b"mine");
    let guard = pin();
    let prepared = generation.prepare(&writes, &guard);
    assert_eq!(prepared.first_conflict(Timestamp::ZERO), None);
    commit(&mut rights, 1, 0, |writes| writes.put(T, b"k", b"theirs"));
    assert_eq!(prepared.first_conflict(Timestamp::ZERO).map(|lost| lost.winner_ts), Some(ts(1)));
}

#[test]
fn what_is_only_prepared_is_seen_by_nobody() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut writes = WriteSet::new();
    writes.put(T, b"aborted", b"x");
    let guard = pin();
    drop(generation.prepare(&writes, &guard));
    assert!(generation.is_empty());
    commit(&mut rights, 1, 0, |writes| writes.put(T, b"real", b"y"));
    assert_eq!(generation.rows(), 1);
    assert_eq!(generation.get(T, b"aborted", Timestamp::MAX, &guard), None);
    assert_eq!(generation.newest(T, b"aborted", &guard), None);
    let mut batch = ScanBatch::new();
    for direction in [Direction::Forward, Direction::Backward] {
        let limit = ScanLimit { rows: 10, bytes: 1000 };
        let scan = Scan { table: T, from: Unbounded, to: Unbounded, direction, at: Timestamp::MAX, limit };
        generation.scan(&scan, &mut batch, &guard);
        assert_eq!(batch.iter().map(|row| row.key).collect::<Vec<_>>(), [b"real"]);
    }
}

#[test]
fn installing_spends_the_write_set() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut writes = WriteSet::new();
    // Enough, and out of order, for a tree.
    for row in (0..200_u64).rev() {
        writes.put(T, &row.to_be_bytes(), &row.to_le_bytes());
    }
    let guard = pin();
    generation.prepare(&writes, &guard).install(&mut rights, &mut writes, ts(1), || Timestamp::ZERO);
    assert_eq!(writes.iter().count(), 0);
    assert_eq!(writes.get(T, &5_u64.to_be_bytes()), None);
    for row in 0..200_u64 {
        let found = generation.get(T, &row.to_be_bytes(), ts(1), &guard);
        assert_eq!(found, Some(Found::Value(&row.to_le_bytes())), "each value goes to its own key");
    }
    assert_eq!(generation.rows(), 200);
    writes.clear();
    assert!(writes.is_empty());
}

#[test]
#[should_panic(expected = "rights of another generation")]
fn rights_are_for_one_generation() {
    let (generation, _rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let (_other, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut writes = WriteSet::new();
    writes.put(T, b"k", b"v");
    let guard = pin();
    generation.prepare(&writes, &guard).install(&mut rights, &mut writes, ts(1), || Timestamp::ZERO);
}

#[test]
#[should_panic(expected = "not the one that was prepared")]
fn a_write_after_prepare_is_noticed() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let mut writes = WriteSet::new();
    writes.put(T, b"k", b"v");
    let guard = pin();
    let prepared = generation.prepare(&writes, &guard);
    writes.put(T, b"k", b"w");
    prepared.install(&mut rights, &mut writes, ts(1), || Timestamp::ZERO);
}

#[test]
fn many_threads_prepare_one_key_and_find_one_chain() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 0..500_u64 {
                    let mut writes = WriteSet::new();
                    writes.put(T, &key.to_be_bytes(), b"x");
                    let guard = pin();
                    drop(generation.prepare(&writes, &guard));
                }
            });
        }
    });
    assert_eq!(generation.index.len(), 500);
    commit(&mut rights, 1, 0, |writes| writes.put(T, &7_u64.to_be_bytes(), b"x"));
    assert_eq!(generation.index.len(), 500);
}
