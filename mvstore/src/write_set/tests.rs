use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use super::*;
use crate::testing::Rng;

mod late;

type Model = BTreeMap<(TableId, Vec<u8>), Option<Vec<u8>>>;

fn key(rng: &mut Rng, spread: u64) -> (TableId, Vec<u8>) {
    let number = rng.below(spread);
    let mut key = number.to_be_bytes().to_vec();
    match number {
        // Shorter than what a row costs beside its key.
        0 => key.clear(),
        1 => key.truncate(1),
        _ if number.is_multiple_of(3) => key.extend([1; 30]),
        _ => {}
    }
    (TableId(rng.below(3_u32)), key)
}

fn bound(rng: &mut Rng, spread: u64) -> Bound<Vec<u8>> {
    match rng.below(3) {
        0 => Unbounded,
        1 => Included(key(rng, spread).1),
        _ => Excluded(key(rng, spread).1),
    }
}

fn pair<'a>(row: &WriteRow<'a>) -> (TableId, &'a [u8], Option<&'a [u8]>) {
    (row.table, row.key, row.value.value())
}

fn contains(bound: (&Bound<Vec<u8>>, &Bound<Vec<u8>>), key: &[u8]) -> bool {
    let above = match bound.0 {
        Unbounded => true,
        Included(from) => key >= &**from,
        Excluded(from) => key > &**from,
    };
    above
        && match bound.1 {
            Unbounded => true,
            Included(to) => key <= &**to,
            Excluded(to) => key < &**to,
        }
}

#[test]
fn it_behaves_like_a_map() {
    let mut rng = Rng::new(3);
    for round in 0..300 {
        // Small sets stay arrays, large ones become trees.
        let (spread, writes) = if round % 3 == 0 { (400, 300) } else { (20, 40) };
        let mut set = WriteSet::new();
        let mut model = Model::new();
        for _ in 0..rng.below(writes) {
            let (table, key) = key(&mut rng, spread);
            let value = (rng.below(4) > 0).then(|| vec![5; rng.below(50_usize)]);
            let before = set.version();
            let expected = set.bytes_after(set.bytes(), table, &key, value.as_ref().map_or(0, Vec::len));
            assert!(
                expected <= set.bytes() + WriteSet::row_bytes(key.len(), value.as_ref().map_or(0, Vec::len))
            );
            match &value {
                Some(value) => set.put(table, &key, value),
                None => set.delete(table, &key),
            }
            assert!(set.version() > before);
            assert_eq!(set.bytes(), expected, "what a write costs is known before it");
            model.insert((table, key), value);
        }
        assert_eq!(set.written(), model.len());
        assert_eq!(set.is_empty(), model.is_empty());
        let expected: Vec<_> = model.iter().map(|((t, k), v)| (*t, &**k, v.as_deref())).collect();
        assert_eq!(set.iter().map(|row| pair(&row)).collect::<Vec<_>>(), expected);
        let bytes: usize = model.iter().map(|((_, k), v)| k.len() + v.as_ref().map_or(0, Vec::len)).sum();
        assert_eq!(set.bytes(), bytes + model.len() * ROW_OVERHEAD);
        let mut tables: Vec<_> = model.keys().map(|(table, _)| *table).collect();
        tables.dedup();
        assert_eq!(set.tables(), tables);
        let (table, from) = key(&mut rng, spread);
        let expected: Vec<_> =
            model.range((table, from.clone())..).map(|((t, k), v)| (*t, &**k, v.as_deref())).collect();
        assert_eq!(set.iter_from(table, &from).map(|row| pair(&row)).collect::<Vec<_>>(), expected);
        for _ in 0..50 {
            let (table, key) = key(&mut rng, spread);
            let expected = model.get(&(table, key.clone())).map(|value| value.as_deref());
            assert_eq!(set.get(table, &key).map(Found::value), expected);

            let (from, to) = (bound(&mut rng, spread), bound(&mut rng, spread));
            let mut expected: Vec<_> = model
                .iter()
                .filter(|((t, k), _)| *t == table && contains((&from, &to), k))
                .map(|((t, k), v)| (*t, &**k, v.as_deref()))
                .collect();
            let range = || set.range(table, from.as_ref().map(|key| &**key), to.as_ref().map(|key| &**key));
            assert_eq!(range().map(|row| pair(&row)).collect::<Vec<_>>(), expected, "{from:?}..{to:?}");
            expected.reverse();
            assert_eq!(range().rev().map(|row| pair(&row)).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn bounds_at_one_key_hold_that_key_or_nothing() {
    // An array and a tree.
    for rows in [5_u64, 500] {
        let mut set = WriteSet::new();
        for row in (0..rows).rev() {
            set.put(TableId(1), &row.to_be_bytes(), b"x");
        }
        let key = &3_u64.to_be_bytes()[..];
        let count = |from, to| set.range(TableId(1), from, to).count();
        assert_eq!(count(Included(key), Included(key)), 1);
        assert_eq!(count(Included(key), Excluded(key)), 0);
        assert_eq!(count(Excluded(key), Included(key)), 0);
        assert_eq!(count(Excluded(key), Excluded(key)), 0);
        let before = &2_u64.to_be_bytes()[..];
        assert_eq!(count(Included(key), Included(before)), 0);
        assert_eq!(count(Excluded(before), Excluded(key)), 0);
        assert_eq!(count(Included(before), Included(key)), 2);
    }
}

#[test]
fn the_last_table_has_an_end() {
    let mut set = WriteSet::new();
    let last = TableId(u32::MAX);
    set.put(last, b"\xff\xff", b"x");
    set.put(TableId(u32::MAX - 1), b"a", b"y");
    assert_eq!(set.range(last, Unbounded, Unbounded).count(), 1);
}

#[test]
fn a_cleared_set_is_empty_and_can_be_used_again() {
    for rows in [3_u64, 500] {
        let mut set = WriteSet::new();
        for row in (0..rows).rev() {
            set.put(TableId(1), &row.to_be_bytes(), b"x");
        }
        assert!(set.bytes() > 0);
        let version = set.version();
        set.clear();
        assert!(set.version() > version, "a cursor notices");
        assert!(set.is_empty() && set.bytes() == 0 && set.tables().is_empty() && set.iter().next().is_none());
        set.put(TableId(2), b"k", b"v");
        assert_eq!(set.get(TableId(2), b"k"), Some(Found::Value(b"v")));
        assert_eq!(set.get(TableId(1), &0_u64.to_be_bytes()), None);
    }
}

#[test]
fn savepoints_bring_back_what_was() {
    let mut rng = Rng::new(11);
    for round in 0..400 {
        let (spread, writes) = if round % 4 == 0 { (400, 300) } else { (15, 60) };
        let mut set = WriteSet::new();
        let mut model = Model::new();
        let mut open: Vec<(SavepointId, Model, usize)> = Vec::new();
        let mut closed: Vec<SavepointId> = Vec::new();
        for _ in 0..writes {
            match rng.below(14) {
                0 => open.push((set.savepoint(|| NonZeroU64::MIN), model.clone(), set.bytes())),
                1 | 2 if !open.is_empty() => {
                    let place = rng.below(open.len());
                    closed.extend(open.drain(place + 1..).map(|(serial, ..)| serial));
                    let (serial, then, bytes) = &open[place];
                    let version = set.version();
                    assert_eq!(set.rollback_to(*serial), Ok(()));
                    assert!(set.version() > version, "a cursor notices");
                    model.clone_from(then);
                    assert_eq!(set.bytes(), *bytes);
                }
                3 if !open.is_empty() => {
                    let place = rng.below(open.len());
                    assert_eq!(set.release(open[place].0), Ok(()));
                    closed.extend(open.drain(place..).map(|(serial, ..)| serial));
                }
                _ => {
                    let (table, key) = key(&mut rng, spread);
                    let value = (rng.below(3) > 0).then(|| vec![7; rng.below(50_usize)]);
                    let length = value.as_ref().map_or(0, Vec::len);
                    let expected = set.bytes_after(set.held_bytes(), table, &key, length);
                    assert!(expected <= set.held_bytes() + WriteSet::most_bytes(key.len(), length));
                    set.write(table, &key, value.as_deref());
                    assert_eq!(set.held_bytes(), expected, "what a write costs is known before it");
                    model.insert((table, key), value);
                }
            }
            if open.is_empty() {
                assert_eq!(set.held_bytes(), set.bytes(), "nothing is kept while none is open");
            }
            for gone in &closed {
                assert_eq!(set.rollback_to(*gone), Err(NoSuchSavepoint));
                assert_eq!(set.release(*gone), Err(NoSuchSavepoint));
            }
        }
        let expected: Vec<_> = model.iter().map(|((t, k), v)| (*t, &**k, v.as_deref())).collect();
        assert_eq!(set.iter().map(|row| pair(&row)).collect::<Vec<_>>(), expected);
        let mut tables: Vec<_> = model.keys().map(|(table, _)| *table).collect();
        tables.dedup();
        assert_eq!(set.tables(), tables, "tables without rows are not written to");
        set.clear();
        assert_eq!(set.held_bytes(), 0);
    }
}

#[test]
fn a_row_is_kept_once_for_each_open_savepoint() {
    let mut set = WriteSet::new();
    set.put(TableId(1), b"k", &[0; 1000]);
    let outer = set.savepoint(|| NonZeroU64::MIN);
    for _ in 0..100 {
        let inner = set.savepoint(|| NonZeroU64::MIN);
        for byte in 0..10 {
            set.put(TableId(1), b"k", &[byte; 1000]);
        }
        assert!(set.held_bytes() < 4 * 1200, "{}", set.held_bytes());
        assert_eq!(set.release(inner), Ok(()));
        assert!(set.held_bytes() < 3 * 1200, "{}", set.held_bytes());
    }
    assert_eq!(set.rollback_to(outer), Ok(()));
    assert_eq!(set.get(TableId(1), b"k"), Some(Found::Value(&[0; 1000])));
}

#[test]
fn a_cleared_set_keeps_little_memory() {
    let mut writes = WriteSet::new();
    for table in 0..1000 {
        writes.put(TableId(table), b"key", b"value");
    }
    assert_eq!(writes.tables().len(), 1000);
    writes.clear();
    assert!(writes.tables.capacity() <= TABLES_KEPT, "{}", writes.tables.capacity());
    for table in 0..3 {
        writes.put(TableId(table), b"key", b"value");
    }
    let kept = writes.tables.capacity();
    writes.clear();
    assert_eq!((writes.tables().len(), writes.tables.capacity()), (0, kept), "so little is kept");
}

#[test]
fn a_value_is_completed_by_one_of_its_length() {
    const T: TableId = TableId(2);
    let mut set = WriteSet::new();
    set.put(T, b"a", b"????");
    set.put(T, b"b", b"kept");
    set.delete(T, b"c");
    let (bytes, version) = (set.bytes(), set.version());
    set.complete(T, b"a", b"done");
    for (key, value) in [(&b"b"[..], &b"longer"[..]), (b"b", b""), (b"c", b"more"), (b"d", b"new.")] {
        set.complete(T, key, value);
    }
    let rows: Vec<_> = set.iter().map(|row| pair(&row)).collect();
    assert_eq!(rows, [(T, &b"a"[..], Some(&b"done"[..])), (T, b"b", Some(b"kept")), (T, b"c", None)]);
    assert_eq!((set.bytes(), set.version()), (bytes, version), "nothing was written anew");
}
