//! The rows of a write set, in order.
//!
//! Most transactions write a few rows, or many in ascending order: a sorted array serves both, and the first two rows
//! lie in the set itself. A set that has grown and then meets a key out of order becomes a tree, for good.

use std::collections::{BTreeMap, btree_map};
use std::mem;
use std::ops::Bound;
use std::slice;

use smallvec::SmallVec;

use super::WriteRow;
use crate::chain::Pending;
use crate::key::{Probe, RowKey};
use crate::{Found, TableId};

/// Up to this many rows a key out of order is put into the array by moving the ones after it.
const ARRAY_MAX: usize = 128;

/// Values by row: versions to be, or updates.
#[derive(Debug)]
pub(super) enum Rows<V> {
    /// Sorted by key.
    Array(SmallVec<[(RowKey, V); 2]>),
    Tree(BTreeMap<RowKey, V>),
}

/// One row as it is stored.
#[derive(Debug)]
pub(crate) struct Row<'a, V = Pending> {
    pub(crate) key: &'a RowKey,
    pub(crate) value: &'a V,
}

impl<'a> Row<'a> {
    #[inline]
    pub(super) fn public(self) -> Option<WriteRow<'a>> {
        let value = self.value.version()?.found();
        Some(WriteRow { table: self.key.table(), key: self.key.bytes(), value })
    }

    pub(super) fn found(self) -> Option<Found<'a>> {
        Some(self.value.version()?.found())
    }
}

impl<V> Default for Rows<V> {
    fn default() -> Self {
        Self::Array(SmallVec::new())
    }
}

impl<V> Rows<V> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Array(rows) => rows.len(),
            Self::Tree(rows) => rows.len(),
        }
    }

    pub(super) fn get(&self, key: &Probe<'_>) -> Option<Row<'_, V>> {
        match self {
            Self::Array(rows) => {
                let (key, value) = &rows[search(rows, key).ok()?];
                Some(Row { key, value })
            }
            Self::Tree(rows) => rows.get_key_value(key).map(|(key, value)| Row { key, value }),
        }
    }

    /// Sets a row's value and gives back the one that it had.
    pub(super) fn replace(&mut self, table: TableId, key: &[u8], value: V) -> Option<V> {
        let probe = Probe::new(table, key);
        if let Self::Array(rows) = self {
            let place = match search(rows, &probe) {
                Ok(found) => return Some(mem::replace(&mut rows[found].1, value)),
                Err(place) => place,
            };
            if place == rows.len() || rows.len() < ARRAY_MAX {
                rows.insert(place, (probe.into(), value));
                return None;
            }
            *self = Self::Tree(mem::take(rows).into_iter().collect());
        }
        let Self::Tree(rows) = self else { return None };
        if let Some(old) = rows.get_mut(&probe) {
            return Some(mem::replace(old, value));
        }
        rows.insert(probe.into(), value)
    }

    /// Takes a row out, and gives back its value.
    pub(super) fn remove(&mut self, key: &Probe<'_>) -> Option<V> {
        match self {
            Self::Array(rows) => search(rows, key).ok().map(|place| rows.remove(place).1),
            Self::Tree(rows) => rows.remove(key),
        }
    }

    /// All of them.
    #[inline]
    pub(super) fn iter(&self) -> Iter<'_, V> {
        match self {
            Self::Array(rows) => Iter::Array(rows.iter()),
            Self::Tree(_) => self.range(Bound::Unbounded, Bound::Unbounded),
        }
    }

    pub(super) fn range(&self, from: Bound<Probe<'_>>, to: Bound<Probe<'_>>) -> Iter<'_, V> {
        match self {
            Self::Array(rows) => {
                let start = match &from {
                    Bound::Unbounded => 0,
                    Bound::Included(key) => rows.partition_point(|row| probe(row) < key),
                    Bound::Excluded(key) => rows.partition_point(|row| probe(row) <= key),
                };
                let end = match &to {
                    Bound::Unbounded => rows.len(),
                    Bound::Included(key) => rows.partition_point(|row| probe(row) <= key),
                    Bound::Excluded(key) => rows.partition_point(|row| probe(row) < key),
                };
                Iter::Array(rows.get(start..end).unwrap_or_default().iter())
            }
            Self::Tree(_) if cross(&from, &to) => Iter::Array([].iter()),
            Self::Tree(rows) => Iter::Tree(rows.range::<Probe<'_>, _>((from, to))),
        }
    }

    #[inline]
    pub(super) fn for_each_value(&mut self, mut take: impl FnMut(&mut V)) {
        match self {
            Self::Array(rows) => rows.iter_mut().for_each(|(_, value)| take(value)),
            Self::Tree(rows) => rows.values_mut().for_each(take),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Array(rows) if rows.capacity() <= ARRAY_MAX => rows.clear(),
            Self::Array(_) | Self::Tree(_) => *self = Self::default(),
        }
    }
}

fn probe<'a, V>(row: &'a (RowKey, V)) -> &'a Probe<'a> {
    std::borrow::Borrow::borrow(&row.0)
}

/// Where the key is, or where it belongs. Looks at the end first: most keys come in order.
fn search<V>(rows: &[(RowKey, V)], key: &Probe<'_>) -> Result<usize, usize> {
    match rows.last() {
        Some(last) if probe(last) >= key => rows.binary_search_by(|row| probe(row).cmp(key)),
        _ => Err(rows.len()),
    }
}

/// Whether a tree would refuse these bounds.
fn cross(from: &Bound<Probe<'_>>, to: &Bound<Probe<'_>>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from > to
        }
    }
}

pub(super) enum Iter<'a, V> {
    Array(slice::Iter<'a, (RowKey, V)>),
    Tree(btree_map::Range<'a, RowKey, V>),
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = Row<'a, V>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a, V>> {
        #[cfg(all(test, not(any(shuttle, loom))))]
        crate::testing::count_step();
        match self {
            Self::Array(rows) => rows.next().map(|(key, value)| Row { key, value }),
            Self::Tree(rows) => rows.next().map(|(key, value)| Row { key, value }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Array(rows) => rows.size_hint(),
            Self::Tree(_) => (0, None),
        }
    }
}

impl<V> DoubleEndedIterator for Iter<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Array(rows) => rows.next_back().map(|(key, value)| Row { key, value }),
            Self::Tree(rows) => rows.next_back().map(|(key, value)| Row { key, value }),
        }
    }
}
