use crate::epoch::pin;

use super::*;
use crate::testing::{commit, ts};
use crate::{InstallRights, WriteSet};

const T: TableId = TableId(1);

fn put(rights: &mut InstallRights, commit_ts: u64, key: &[u8], value: Option<&[u8]>) {
    commit(rights, commit_ts, commit_ts, |writes| match value {
        Some(value) => writes.put(T, key, value),
        None => writes.delete(T, key),
    });
}

#[test]
fn snapshots_see_what_was_committed_when_they_began() {
    let (generation, mut rights) = Generation::new(ts(10), 1 << 16);
    assert!(generation.is_empty() && !generation.may_hold(Timestamp::MAX));
    assert_eq!(generation.last_ts(), ts(10));
    put(&mut rights, 11, b"a", Some(b"1"));
    put(&mut rights, 12, b"a", None);
    put(&mut rights, 13, b"a", Some(b"3"));
    put(&mut rights, 14, b"b", Some(b"4"));
    let guard = pin();
    let get = |key: &[u8], at| generation.get(T, key, ts(at), &guard);
    assert_eq!(get(b"a", 10), None);
    assert_eq!(get(b"a", 11), Some(Found::Value(b"1")));
    assert_eq!(get(b"a", 12), Some(Found::Tombstone));
    assert_eq!(get(b"a", 13), Some(Found::Value(b"3")));
    assert_eq!(get(b"b", 13), None);
    assert_eq!(get(b"b", 14), Some(Found::Value(b"4")));
    assert_eq!(get(b"c", 99), None);
    assert_eq!(generation.get(TableId(2), b"a", ts(99), &guard), None);
    assert_eq!(generation.newest(T, b"a", &guard), Some(ts(13)));
    assert_eq!(generation.newest(T, b"c", &guard), None);
    assert_eq!((generation.rows(), generation.last_ts()), (2, ts(14)));
    assert!(generation.may_hold(ts(11)) && !generation.may_hold(ts(10)));
}

#[test]
fn a_hot_row_stays_small_and_is_accounted_for() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    put(&mut rights, 1, b"hot", Some(&[0; 100]));
    let one = generation.bytes();
    assert!((100 + size_of::<RowKey>() + size_of::<Chain>()..400).contains(&one), "{one} bytes for one row");
    for commit_ts in 2..5000 {
        put(&mut rights, commit_ts, b"hot", Some(&[0; 100]));
        assert!(generation.bytes() < one * 10, "{} bytes after {commit_ts} commits", generation.bytes());
    }
    assert_eq!(generation.rows(), 1);
}

#[test]
fn all_rows_of_a_commit_are_accounted_for() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let before = generation.bytes();
    commit(&mut rights, 1, 1, |writes| {
        for key in [b"a", b"b", b"c"] {
            writes.put(T, key, &[0; 10_000]);
        }
    });
    let grown = generation.bytes() - before;
    assert!((30_000..35_000).contains(&grown), "{grown} bytes for three rows");
}

#[test]
fn a_row_that_is_here_may_be_here_and_most_others_may_not() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    for row in 0..100_u64 {
        put(&mut rights, row + 1, &row.to_be_bytes(), Some(b"v"));
    }
    let may_have = |row: u64| generation.may_have(&Wanted::new(T, &row.to_be_bytes()));
    assert!((0..100).all(may_have));
    let mistaken = (100..1100).filter(|&row| may_have(row)).count();
    assert!(mistaken < 100, "{mistaken} of 1000 rows that are not here");
}

#[test]
fn a_reader_keeps_its_version_of_a_hot_row() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    for commit_ts in 1..=500_u64 {
        commit(&mut rights, commit_ts, commit_ts.min(77), |writes| {
            writes.put(T, b"hot", &commit_ts.to_le_bytes());
        });
    }
    let guard = pin();
    for at in 77..=500_u64 {
        let value = generation.get(T, b"hot", ts(at), &guard).and_then(Found::value);
        assert_eq!(value, Some(&at.to_le_bytes()[..]));
    }
}

#[test]
fn an_unused_generation_takes_the_memory_of_its_filter() {
    for expected in [0, 1 << 16, 1 << 24] {
        assert_eq!(UnusedGeneration::bytes(expected), KeyFilter::bytes_for(expected));
    }
}

#[test]
fn long_keys_are_found_and_counted() {
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let long = [9; 1000];
    put(&mut rights, 1, &long, Some(b"v"));
    assert!((1001..1400).contains(&generation.bytes()), "{} bytes", generation.bytes());
    assert_eq!(generation.get(T, &long, ts(1), &pin()), Some(Found::Value(b"v")));
    assert_eq!(generation.get(T, &long[..999], ts(1), &pin()), None);
}

#[test]
fn readers_never_see_half_a_commit() {
    const ROWS: u64 = 20;
    let (generation, mut rights) = Generation::new(Timestamp::ZERO, 1 << 16);
    let published = AtomicU64::new(0);
    let oldest = AtomicU64::new(0);
    let seq = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                oldest.store(published.load(seq), seq);
                let at = published.load(seq);
                let guard = pin();
                for row in 0..ROWS {
                    let found = generation.get(T, &row.to_be_bytes(), ts(at), &guard);
                    assert_eq!(found, (at > 0).then_some(Found::Value(&at.to_le_bytes())));
                }
                if at == 1000 {
                    return;
                }
            }
        });
        for commit_ts in 1..=1000_u64 {
            let mut writes = WriteSet::new();
            for row in 0..ROWS {
                writes.put(T, &row.to_be_bytes(), &commit_ts.to_le_bytes());
            }
            let guard = pin();
            let prepared = generation.prepare(&writes, &guard);
            prepared.install(&mut rights, &mut writes, ts(commit_ts), || {
                let acked = published.load(seq);
                ts(acked.min(oldest.load(seq)))
            });
            published.store(commit_ts, seq);
        }
    });
}
