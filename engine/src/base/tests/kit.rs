//! What the scenarios share: randomness with a seed, a model of the base, and comparison of the two.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::sync::Arc;

use super::file::TestFile;
use crate::base::error::Result;
use crate::base::open::OpenedBase;
use crate::base::*;

/// A small generator whose sequence depends on its seed alone.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n.max(1)
    }

    pub(super) fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 33) as u8).collect()
    }
}

pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
pub(super) type Model = BTreeMap<TreeId, Rows>;
pub(super) type Changes = BTreeMap<(TreeId, Vec<u8>), Option<Vec<u8>>>;

/// Changes from a map.
pub(super) struct FromMap<'a>(
    pub(super) std::collections::btree_map::Iter<'a, (TreeId, Vec<u8>), Option<Vec<u8>>>,
);

impl ChangeSource for FromMap<'_> {
    fn next(&mut self) -> Result<Option<Change<'_>>> {
        Ok(self.0.next().map(|((tree, key), value)| Change { tree: *tree, key, value: value.as_deref() }))
    }
}

pub(super) fn create(
    file: &Arc<TestFile>,
    page_bytes: u32,
    cache_bytes: usize,
) -> (Arc<BaseStore>, Arc<Base>) {
    let params = CreateParams { page_bytes, uuid: [7; 16], state: EngineState::default() };
    let cache = Arc::new(ClockCache::for_pages_of(page_bytes, cache_bytes));
    BaseStore::create(Arc::clone(file) as _, cache, &params).unwrap()
}

pub(super) fn open(image: Vec<u8>) -> Result<Opened> {
    BaseStore::open(TestFile::of(image), Arc::new(ClockCache::new(1 << 16)), false)
}

pub(super) fn open_ready(image: Vec<u8>) -> OpenedBase {
    match open(image).unwrap() {
        Opened::Ready(opened) => opened,
        Opened::Unfinished => panic!("the file has no database"),
    }
}

pub(super) fn fold(
    store: &BaseStore,
    base: &Arc<Base>,
    changes: &Changes,
    dropped: &[TreeId],
) -> Result<Arc<Base>> {
    let mut state = *base.state();
    state.checkpoint_ts += 1;
    store.fold(base, &mut FromMap(changes.iter()), dropped, state, &|| Ok(()))
}

pub(super) fn apply(model: &mut Model, changes: &Changes, dropped: &[TreeId]) {
    for tree in dropped {
        model.remove(tree);
    }
    for ((tree, key), value) in changes {
        let rows = model.entry(*tree).or_default();
        match value {
            Some(value) => drop(rows.insert(key.clone(), value.clone())),
            None => drop(rows.remove(key)),
        }
    }
    model.retain(|_, rows| !rows.is_empty());
}

/// Checks the file of a base for anything wrong.
pub(super) fn assert_sound(store: &BaseStore, base: &Base) {
    let report = store.check(base, &mut |_, _| Ok(())).unwrap();
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

pub(super) fn rows_of(store: &Arc<BaseStore>, base: &Arc<Base>, tree: TreeId) -> Result<Rows> {
    let mut cursor = BaseCursor::new(Arc::clone(store), Arc::clone(base), tree);
    let mut rows = Rows::new();
    while cursor.next()? {
        let key = cursor.key().to_vec();
        assert!(rows.last_key_value().is_none_or(|(last, _)| *last < key), "keys descend");
        rows.insert(key, cursor.value()?.to_vec());
    }
    Ok(rows)
}

/// The whole content of a base.
pub(super) fn content(store: &Arc<BaseStore>, base: &Arc<Base>) -> Result<Model> {
    base.trees().map(|tree| Ok((tree, rows_of(store, base, tree)?))).collect()
}

/// Compares a tree with its model by every way there is to read it.
pub(super) fn assert_same(
    store: &Arc<BaseStore>,
    base: &Arc<Base>,
    tree: TreeId,
    rows: &Rows,
    rng: &mut Rng,
) {
    assert_eq!(store.count(base, tree), rows.len() as u64);
    assert!(&rows_of(store, base, tree).unwrap() == rows);
    let mut cursor = BaseCursor::new(Arc::clone(store), Arc::clone(base), tree);
    assert_eq!(cursor.last().unwrap(), !rows.is_empty());
    for (key, value) in rows.iter().rev() {
        assert!(cursor.is_on_row());
        assert_eq!((cursor.key(), cursor.value().unwrap()), (key.as_slice(), value.as_slice()));
        cursor.prev().unwrap();
    }
    assert!(!cursor.is_on_row());
    assert_eq!(cursor.next().unwrap(), !rows.is_empty());
    for _ in 0..60 {
        let key = probe(rows, rng);
        let other = probe(rows, rng);
        let found = store.get(base, tree, &key, <[u8]>::to_vec).unwrap();
        assert_eq!(found.as_ref(), rows.get(&key));
        assert_eq!(store.contains(base, tree, &key).unwrap(), rows.contains_key(&key));
        let (low, high) = if key <= other { (&key, &other) } else { (&other, &key) };
        for (from, to) in [
            (Bound::Included(low.as_slice()), Bound::Excluded(high.as_slice())),
            (Bound::Excluded(low.as_slice()), Bound::Included(high.as_slice())),
            (Bound::Unbounded, Bound::Included(high.as_slice())),
        ] {
            if low == high {
                continue;
            }
            let expected = rows.range::<[u8], _>((from, to)).count() as u64;
            assert_eq!(store.count_range(base, tree, (from, to)).unwrap(), expected);
        }
        assert_seeks(&mut cursor, rows, &key);
    }
}

fn probe(rows: &Rows, rng: &mut Rng) -> Vec<u8> {
    match rows.keys().nth(rng.below(rows.len() as u64 + 1) as usize) {
        Some(key) => match rng.below(4) {
            0 => key.clone(),
            1 => [key.as_slice(), &[0]].concat(),
            2 => key[..key.len() - usize::from(!key.is_empty())].to_vec(),
            _ => key.iter().map(|b| b.wrapping_add(rng.below(2) as u8)).collect(),
        },
        None => rng.bytes(5),
    }
}

fn assert_seeks(cursor: &mut BaseCursor, rows: &Rows, key: &[u8]) {
    let unbounded = Bound::<&[u8]>::Unbounded;
    let after = |bound| rows.range::<[u8], _>((bound, unbounded)).next();
    let before = |bound| rows.range::<[u8], _>((unbounded, bound)).next_back();
    let expect = |cursor: &BaseCursor, on_row: bool, row: Option<(&Vec<u8>, &Vec<u8>)>| {
        assert_eq!((on_row, cursor.is_on_row()), (row.is_some(), row.is_some()));
        if let Some((key, value)) = row {
            assert_eq!((cursor.key(), cursor.value().unwrap()), (key.as_slice(), value.as_slice()));
        }
    };
    let on_row = cursor.seek_ge(key, || {}).unwrap();
    expect(cursor, on_row, after(Bound::Included(key)));
    let on_row = cursor.prev().unwrap();
    expect(cursor, on_row, before(Bound::Excluded(key)));
    let on_row = cursor.seek_gt(key, || {}).unwrap();
    expect(cursor, on_row, after(Bound::Excluded(key)));
    let on_row = cursor.seek_le(key, || {}).unwrap();
    expect(cursor, on_row, before(Bound::Included(key)));
    let on_row = cursor.next().unwrap();
    expect(cursor, on_row, after(Bound::Excluded(key)));
    let on_row = cursor.seek_lt(key, || {}).unwrap();
    expect(cursor, on_row, before(Bound::Excluded(key)));
}

/// How random changes look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) trees: u64,
    pub(super) key_space: u64,
    pub(super) max_key: u64,
    pub(super) max_value: u64,
    /// Of a hundred changes.
    pub(super) deletes: u64,
}

pub(super) fn random_changes(shape: &Shape, count: u64, rng: &mut Rng) -> Changes {
    let mut changes = Changes::new();
    for _ in 0..count {
        let tree = TreeId(rng.below(shape.trees) as u32 * 3 + 1);
        let number = rng.below(shape.key_space);
        // The length depends on the number, so that keys are met again.
        let mut key_rng = Rng::new(number);
        let len = 4 + key_rng.below(shape.max_key - 3);
        let mut key = vec![b'k'; len as usize];
        let at = if key_rng.below(2) == 0 { 0 } else { len as usize - 4 };
        key[at..at + 4].copy_from_slice(&(number as u32).to_be_bytes());
        let value = if rng.below(100) < shape.deletes {
            None
        } else {
            let short = rng.below(20) > 0;
            let len = rng.below(if short { shape.max_value.min(60) } else { shape.max_value });
            Some(rng.bytes(len))
        };
        changes.insert((tree, key), value);
    }
    changes
}

/// What a salvage of one tree gave.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) rows: Rows,
    /// Rows that came, those that newer ones replaced among them, and the bytes of their values.
    pub(super) given: u64,
    pub(super) bytes: u64,
    pub(super) lost: Vec<Loss>,
}

pub(super) fn salvage(
    store: &BaseStore,
    base: &Base,
    tree: TreeId,
    orphans: &Orphans,
    seen: &mut PageSet,
) -> Salvaged {
    let Salvaged { mut rows, mut given, mut bytes, mut lost } = Salvaged::default();
    let mut on_piece = |piece: Piece<'_>| {
        match piece {
            Piece::Row { key, value, .. } => {
                given += 1;
                bytes += value.len() as u64;
                rows.insert(key.to_vec(), value.to_vec());
            }
            Piece::Replaces { from, to } => {
                rows.retain(|key, _| !(Bound::Included(from), to).contains(key.as_slice()));
            }
        }
        Ok(())
    };
    store.salvage(base, tree, orphans, seen, &mut on_piece, &mut |loss| lost.push(loss)).unwrap();
    Salvaged { rows, given, bytes, lost }
}
