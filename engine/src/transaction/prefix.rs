//! Ranges that are no pair of bounds to whoever asks for them: of a prefix, and of what comes after a key.

use std::ops::Bound;

use super::range::Range;
use super::snapshot::Snapshot;
use super::write::Transaction;
use crate::error::Result;
use crate::table::Table;

impl Snapshot {
    /// The rows whose keys begin with `prefix`, in key order and from either end.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// let files = db.table("files")?;
    /// for path in ["src/lib.rs", "src/main.rs", "tests/all.rs"] {
    ///     db.put(&files, path, "")?;
    /// }
    /// assert_eq!(db.snapshot()?.range_prefix(&files, "src/")?.count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub fn range_prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> Result<Range> {
        let prefix = prefix.as_ref();
        Range::new(self, table, Bound::Included(prefix.to_vec()), end_of_prefix(prefix))
    }

    /// How many rows have keys that begin with `prefix`: exact, and at the cost of [`count`](Self::count).
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn count_prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let prefix = prefix.as_ref();
        self.count_range::<Vec<u8>>(table, (Bound::Included(prefix.to_vec()), end_of_prefix(prefix)))
    }

    /// The rows after `key`, which need not be there, in key order and from either end: the next page after the last row of
    /// one, say.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// # let fruit = db.table("fruit")?;
    /// # for name in ["apple", "banana", "cherry"] { db.put(&fruit, name, "")?; }
    /// let next_page: Vec<_> = db.snapshot()?.range_after(&fruit, "apple")?.take(20).collect::<Result<_, _>>()?;
    /// assert_eq!(next_page.len(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub fn range_after(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Range> {
        Range::new(self, table, Bound::Excluded(key.as_ref().to_vec()), Bound::Unbounded)
    }
}

impl Transaction {
    /// Deletes every row that the transaction sees and whose key begins with `prefix`, and says how many: as
    /// [`delete_range`](Self::delete_range) does, all or nothing.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// let files = db.table("files")?;
    /// let mut tx = db.begin_immediate()?;
    /// for path in ["src/lib.rs", "src/main.rs", "tests/all.rs"] {
    ///     tx.put(&files, path, "")?;
    /// }
    /// assert_eq!(tx.count_prefix(&files, "src/")?, 2);
    /// assert_eq!(tx.delete_prefix(&files, "src/")?, 2);
    /// assert_eq!(tx.count(&files)?, 1);
    /// # tx.commit()?; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`delete_range`](Self::delete_range).
    pub fn delete_prefix(&mut self, table: &Table, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let prefix = prefix.as_ref();
        self.delete_range::<Vec<u8>>(table, (Bound::Included(prefix.to_vec()), end_of_prefix(prefix)))
    }

    /// Deletes every row of a table that the transaction sees, and says how many: as
    /// [`delete_range`](Self::delete_range) does with a range of all keys. To drop the table and make it anew costs
    /// less, and gives it another id.
    ///
    /// # Errors
    /// As for [`delete_range`](Self::delete_range).
    pub fn clear(&mut self, table: &Table) -> Result<u64> {
        self.delete_range::<&[u8]>(table, ..)
    }
}

/// Where the keys that begin with `prefix` end: after it comes the prefix with its last byte that can grow grown, and
/// nothing behind that.
fn end_of_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let grown = prefix.iter().rposition(|byte| *byte < u8::MAX).and_then(|last| {
        let mut end = prefix.get(..=last)?.to_vec();
        *end.last_mut()? += 1;
        Some(end)
    });
    grown.map_or(Bound::Unbounded, Bound::Excluded)
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use crate::Database;

    /// All keys of up to three bytes out of a few, the last ones among them.
    fn keys() -> Vec<Vec<u8>> {
        let mut keys = vec![vec![]];
        for len in 0..3 {
            let longest: Vec<_> = keys.iter().filter(|key: &&Vec<u8>| key.len() == len).cloned().collect();
            for key in longest {
                keys.extend([0, 1, 0xfe, 0xff].map(|byte| [&key[..], &[byte]].concat()));
            }
        }
        keys.sort();
        keys
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it_and_a_key_is_before_what_comes_after() {
        let db = Database::in_memory().unwrap();
        let table = db.table("t").unwrap();
        let mut tx = db.begin_immediate().unwrap();
        keys().iter().for_each(|key| tx.put(&table, key, "").unwrap());
        for asked in keys() {
            let found = |range: super::Range| range.map(|row| row.unwrap().0).collect::<Vec<_>>();
            let forward = found(tx.range_prefix(&table, &asked).unwrap());
            let backward: Vec<_> = tx.range_prefix(&table, &asked).unwrap().rev().collect();
            let wanted: Vec<_> = keys().into_iter().filter(|key| key.starts_with(&asked)).collect();
            assert_eq!((&forward, backward.len()), (&wanted, wanted.len()), "{asked:?}");
            assert_eq!(tx.count_prefix(&table, &asked).unwrap(), wanted.len() as u64, "{asked:?}");
            let before = tx.savepoint().unwrap();
            assert_eq!(tx.delete_prefix(&table, &asked).unwrap(), wanted.len() as u64, "{asked:?}");
            let left: Vec<_> = keys().into_iter().filter(|key| !key.starts_with(&asked)).collect();
            assert_eq!(found(tx.scan(&table).unwrap()), left, "{asked:?}");
            assert_eq!(tx.count_prefix(&table, &asked).unwrap(), 0, "{asked:?}");
            tx.rollback_to(&before).unwrap();
            tx.release(before).unwrap();
            let after: Vec<_> = keys().into_iter().filter(|key| *key > asked).collect();
            assert_eq!(found(tx.range_after(&table, &asked).unwrap()), after, "{asked:?}");
        }
        assert_eq!(tx.clear(&table).unwrap(), keys().len() as u64);
        assert_eq!((tx.clear(&table).unwrap(), tx.count(&table).unwrap()), (0, 0));
    }
}
