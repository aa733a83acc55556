//! Runs of a cursor: steps within a leaf that come to every row before a fence, and to none at it or behind it.

use std::cmp::Ordering;
use std::sync::Arc;

use super::file::TestFile;
use super::kit::*;
use crate::base::*;

const ROWS: u32 = 200;
const TREE: TreeId = TreeId(1);

/// Even numbers, so that a fence can stand on a row or between two; every tenth value has pages of its own.
fn even_rows(store: &Arc<BaseStore>, base: &Arc<Base>, key: impl Fn(u32) -> Vec<u8>) -> Arc<Base> {
    let rows: Changes = (0..ROWS).map(|n| ((TREE, key(2 * n)), Some(value(2 * n)))).collect();
    fold(store, base, &rows, &[]).unwrap()
}

fn value(key: u32) -> Vec<u8> {
    vec![key as u8; if key.is_multiple_of(20) { 2000 } else { 20 }]
}

fn short_key(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

#[test]
fn a_run_ends_before_its_fence_and_at_the_edge_of_its_leaf() {
    fenced_runs(short_key);
}

/// Three rows have the first bytes that a slot has of a key in common: the slots do not tell which of them a fence is
/// at.
#[test]
fn a_run_ends_before_a_fence_that_starts_like_the_rows_before_it() {
    fenced_runs(|n| [&(n / 6).to_be_bytes()[..], b"alike", &n.to_be_bytes()].concat());
}

fn fenced_runs(key: impl Fn(u32) -> Vec<u8>) {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let base = even_rows(&store, &base, &key);
    let mut cursor = BaseCursor::new(Arc::clone(&store), base, TREE);
    let (mut most, mut fenced, mut to_fence) = (0, 0, 0);
    for start in (0..2 * ROWS).step_by(14) {
        for distance in 1..40_u32 {
            for (direction, fence) in [
                (BaseDirection::Forward, start.saturating_add(distance)),
                (BaseDirection::Backward, start.saturating_sub(distance)),
            ] {
                assert!(cursor.seek_ge(&key(start), || {}).unwrap());
                assert!(!cursor.step_in_run(direction), "no run was set");
                let forward = direction == BaseDirection::Forward;
                let behind = if forward { start.checked_sub(distance) } else { start.checked_add(distance) };
                if let Some(behind) = behind {
                    assert_eq!(cursor.meet(Some(&key(behind)), direction), Ordering::Greater);
                    assert!(!cursor.step_in_run(direction));
                    assert!(cursor.step_to_fence(&key(behind), direction).is_none());
                }
                let met = cursor.meet(Some(&key(fence)), direction);
                assert_eq!(met, if fence == start { Ordering::Equal } else { Ordering::Less });
                let (mut at, mut steps) = (start, 0);
                let mut at_fence = None;
                loop {
                    while cursor.step_in_run(direction) {
                        at = if forward { at + 2 } else { at - 2 };
                        steps += 1;
                        assert_eq!((cursor.key(), cursor.value().unwrap()), (&*key(at), &*value(at)));
                        assert!(if forward { at < fence } else { at > fence });
                    }
                    assert!(cursor.is_on_row() && cursor.key() == key(at), "it stays on the last row");
                    at_fence = at_fence.or_else(|| cursor.step_to_fence(&key(fence), direction));
                    // A look at the fence's row may find that the run goes on.
                    if at_fence.is_some() || !cursor.step_in_run(direction) {
                        break;
                    }
                    at += 2;
                    steps += 1;
                    assert!(at < fence, "{at} {fence}");
                }
                most = most.max(steps);
                fenced += u32::from(at.abs_diff(fence) <= 2);
                if let Some(at_it) = at_fence {
                    to_fence += 1;
                    at = if forward { at + 2 } else { at - 2 };
                    assert_eq!(at_it, at == fence);
                    if !at_it {
                        assert_eq!((cursor.key(), cursor.value().unwrap()), (&*key(at), &*value(at)));
                    }
                    assert!(if forward { at >= fence } else { at <= fence });
                    assert!(cursor.step_to_fence(&key(fence), direction).is_none());
                }
                // Any other move goes on from there, and ends the run.
                let next = at + 2;
                assert_eq!(cursor.next().unwrap(), next < 2 * ROWS);
                if next < 2 * ROWS {
                    assert_eq!((cursor.key(), cursor.value().unwrap()), (&*key(next), &*value(next)));
                }
                assert!(!cursor.step_in_run(direction));
            }
        }
    }
    assert!(most > 3 && fenced > 100 && to_fence > 100, "{most} {fenced} {to_fence}");
}

/// Suffixes of every length up to well beyond what is copied at once, and empty values and long ones among them.
#[test]
fn quick_steps_and_others_come_to_the_same_rows() {
    let file = TestFile::new();
    let (store, base) = create(&file, 1024, 1 << 16);
    let key = |n: u32| [&n.to_be_bytes()[..], &vec![n as u8; (n * 7 % 45) as usize]].concat();
    let value = |n: u32| vec![n as u8; if n.is_multiple_of(17) { 3000 } else { (n % 9) as usize }];
    let rows: Changes = (0..ROWS).map(|n| ((TREE, key(n)), Some(value(n)))).collect();
    let base = fold(&store, &base, &rows, &[]).unwrap();
    let mut cursor = BaseCursor::new(Arc::clone(&store), base, TREE);
    let (mut quick, mut in_run, mut others) = (0, 0, 0);
    for direction in [BaseDirection::Forward, BaseDirection::Backward] {
        let mut seen = 0..ROWS;
        let mut found = match direction {
            BaseDirection::Forward => cursor.first().unwrap(),
            BaseDirection::Backward => cursor.last().unwrap(),
        };
        while found {
            let n = match direction {
                BaseDirection::Forward => seen.next(),
                BaseDirection::Backward => seen.next_back(),
            };
            let n = n.unwrap();
            assert_eq!((cursor.key(), cursor.value().unwrap()), (&*key(n), &*value(n)));
            let short = (!n.is_multiple_of(17)).then(|| (key(n), value(n)));
            assert_eq!(cursor.short_row().map(|(key, value)| (key.to_vec(), value.to_vec())), short);
            if cursor.step_quickly(direction) {
                quick += 1;
            } else if cursor.step_in_run(direction) {
                in_run += 1;
            } else {
                others += 1;
                found = match direction {
                    BaseDirection::Forward => cursor.next().unwrap(),
                    BaseDirection::Backward => cursor.prev().unwrap(),
                };
                cursor.meet(None, direction);
            }
        }
        assert!(seen.is_empty(), "{seen:?} were passed over");
    }
    assert!(quick > 50 && in_run > 50 && others > 4, "{quick} {in_run} {others}");
}
