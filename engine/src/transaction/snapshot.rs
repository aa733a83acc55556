//! Reading at one moment.

use std::ops::{Bound, RangeBounds};

use braid_mvstore::{TableId, Timestamp};
use braid_vfs::sync::Arc;

use super::cursor::Cursor;
use super::inner::Tracking;
use super::range::Range;
use super::read_set::LastSpan;
use super::shared::Shared;
use crate::core::View;
use crate::error::Result;
use crate::table::Table;

/// The database as it stood at one moment, for as long as this lives. It never waits, never blocks anybody and is never
/// `Busy`.
///
/// It sees every commit that was acknowledged before it began and no other. A [`Transaction`](crate::Transaction) reads
/// through one too, with its own writes on top. Clones are the same snapshot.
///
/// As long as it lives, or a cursor or range of it, the versions of rows that it sees stay in memory, and their pages in the
/// file: without a bound, unless there is a limit. [`Stats::snapshots`](crate::Stats::snapshots) says how much that is. It keeps
/// the database open, and can be used by any number of threads.
///
/// Where there is a limit (`Options::snapshot_max_age`, `Options::snapshot_max_pinned_bytes`, or one of its own) it may be
/// revoked: then every call says [`BusySnapshot`](crate::Error::BusySnapshot).
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let fruit = db.table("fruit")?;
/// db.put(&fruit, "apple", "green")?;
/// let before = db.snapshot()?;
/// db.put(&fruit, "apple", "red")?;
/// assert_eq!(before.get(&fruit, "apple")?.as_deref(), Some(&b"green"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) inner: Shared,
    /// What is kept for the commit of what is read through it.
    pub(super) tracking: Tracking,
}

impl Snapshot {
    pub(super) fn new(inner: Shared) -> Self {
        let tracking = inner.tracking;
        Self { inner, tracking }
    }

    pub(super) fn untracked_in(inner: Shared) -> Self {
        Self { inner, tracking: Tracking::Nothing }
    }

    /// The same reads without their being noted.
    pub(super) fn untracked(&self) -> Self {
        Self::untracked_in(self.inner.clone())
    }

    /// The view of a snapshot of the engine's own, which has no lease.
    pub(crate) fn view(&self) -> Result<&Arc<View>> {
        self.inner.plain_view()
    }

    /// Hands the value of a row of a system table to `read`.
    pub(crate) fn read_system_row<R>(
        &self,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.inner.get(Tracking::Nothing, table, key, read)
    }

    /// How many rows a table of the engine's own has.
    pub(crate) fn count_system_rows(&self, table: TableId) -> Result<u64> {
        self.inner.count(table, Bound::Unbounded, Bound::Unbounded)
    }

    /// The moment: every commit up to here is seen.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.inner.begin_ts
    }

    /// The value of a row, or `None` where there is no such row.
    ///
    /// # Errors
    /// When the table is not there, the transaction is over, or the file cannot be read.
    pub fn get(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.get_with(table, key, <[u8]>::to_vec)
    }

    /// Hands the value of a row to `read` without copying it; `None` where there is no such row. `read` should be brief:
    /// it runs while the row is pinned in memory.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_with<R>(
        &self,
        table: &Table,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.inner.check(table.info())?;
        self.inner.get(self.tracking, table.info().id, key.as_ref(), read)
    }

    /// Whether there is a row.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn contains(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get_with(table, key, |_| ())?.is_some())
    }

    /// The rows of a key range, in key order and from either end.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// # let fruit = db.table("fruit")?;
    /// # db.put(&fruit, "apple", "")?; db.put(&fruit, "plum", "")?;
    /// let to_m: Vec<_> = db.snapshot()?.range(&fruit, "a".."m")?.collect::<Result<_, _>>()?;
    /// assert_eq!(to_m.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// Where a bound does not say what the keys are, the call does: `range::<&str>(&fruit, (Excluded("apple"), Unbounded))`, and
    /// `range::<[u8; 8]>(&orders, ..=7_u64.to_be_bytes())` reads as well. For all rows there is [`scan`](Self::scan), for those
    /// after a key [`range_after`](Self::range_after), for those with a prefix [`range_prefix`](Self::range_prefix).
    ///
    /// # Errors
    /// When the table is not there or the transaction is over; what reading meets comes as an item.
    pub fn range<K: AsRef<[u8]>>(&self, table: &Table, keys: impl RangeBounds<K>) -> Result<Range> {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        Range::new(self, table, owned(keys.start_bound()), owned(keys.end_bound()))
    }

    /// All rows of a table, in key order and from either end.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub fn scan(&self, table: &Table) -> Result<Range> {
        Range::new(self, table, Bound::Unbounded, Bound::Unbounded)
    }

    /// A place in a table, to be moved at will.
    ///
    /// # Errors
    /// When the table is not there or the transaction is over.
    pub fn cursor(&self, table: &Table) -> Result<Cursor> {
        Cursor::new(self, table)
    }

    /// How many rows a table has: exact, and without reading them. What it costs grows with the changes since the last
    /// checkpoint, not with the table.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn count(&self, table: &Table) -> Result<u64> {
        self.count_between(table, Bound::Unbounded, Bound::Unbounded)
    }

    /// How many rows a key range has: exact, and at the cost of [`count`](Self::count). For the keys with a prefix there is
    /// [`count_prefix`](Self::count_prefix).
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn count_range<K: AsRef<[u8]>>(&self, table: &Table, keys: impl RangeBounds<K>) -> Result<u64> {
        self.count_between(table, keys.start_bound().map(K::as_ref), keys.end_bound().map(K::as_ref))
    }

    fn count_between(&self, table: &Table, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        self.inner.check(table.info())?;
        let id = table.info().id;
        if self.tracking == Tracking::Reads {
            self.inner.check_notes()?;
        }
        let count = self.inner.count(id, from, to)?;
        match self.tracking {
            Tracking::Nothing => {}
            Tracking::Looks => _ = self.inner.with_looks(|looks| looks.way(id, from, to))?,
            Tracking::Reads => {
                if let Some(mut reads) = self.inner.reads()? {
                    reads.span(&mut LastSpan::default(), id, from, to);
                }
            }
        }
        Ok(count)
    }
}
