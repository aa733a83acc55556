//! The cursor: a place in a table, moved at will.

use std::ops::Bound;

use braid_mvstore::Direction;
use braid_vfs::sync::Arc;
use braid_vfs::{ProcessMark, planted};

use super::inner::{Inner, Tracking};
use super::layers::{Layers, is_beyond};
use super::looks::WayId;
use super::read_set::LastSpan;
use super::snapshot::Snapshot;
use crate::core::{TableInfo, View};
use crate::error::{Error, Result};
use crate::table::Table;

/// A place among the rows of one table, as one snapshot or transaction sees them.
///
/// It owns what it needs: it borrows nothing from its transaction, can be kept and sent to another thread, and survives
/// the writes of its own transaction, which it sees as it comes by them. The row it stands on stays as it was when the
/// cursor came to it. From the transaction's commit or rollback on every move is
/// [`Error::TransactionClosed`](crate::Error::TransactionClosed). As long as it lives it holds its snapshot.
///
/// A new cursor stands nowhere: `next` goes to the first row, `prev` to the last. So does one whose seek has failed. A
/// `next` or `prev` that fails leaves the cursor right behind the row that it stood on: the same again tries once more and
/// misses nothing, the other comes back to the row.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let fruit = db.table("fruit")?;
/// for name in ["apple", "cherry", "plum"] {
///     db.put(&fruit, name, "")?;
/// }
/// let mut cursor = db.snapshot()?.cursor(&fruit)?;
/// assert!(cursor.seek_ge("b")?);
/// assert_eq!(cursor.key(), Some(&b"cherry"[..]));
/// assert!(cursor.next()?);
/// assert_eq!(cursor.key(), Some(&b"plum"[..]));
/// assert!(!cursor.next()?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Cursor {
    inner: Arc<Inner>,
    /// The process that opened the database.
    process: ProcessMark,
    table: Arc<TableInfo>,
    layers: Layers,
    /// What is noted of its moves for the commit.
    tracking: Tracking,
    /// The directions in which there is nothing to be noted of a step; see [`bit`].
    unnoted: u8,
    /// What it passes since its last seek or turn, where only looks are noted.
    way: Option<Way>,
    /// Its snapshot may be revoked.
    leased: bool,
    last_span: LastSpan,
    /// Memory for the key that a move starts from.
    start: Vec<u8>,
}

/// What a cursor passes in one direction.
#[derive(Clone, Copy, Debug)]
struct Way {
    id: WayId,
    direction: Direction,
}

/// A set of directions that has one.
const fn bit(direction: Direction) -> u8 {
    match direction {
        Direction::Forward => 1,
        Direction::Backward => 2,
    }
}

const ALL_DIRECTIONS: u8 = bit(Direction::Forward) | bit(Direction::Backward);

impl Cursor {
    pub(super) fn new(snapshot: &Snapshot, table: &Table) -> Result<Self> {
        let inner = snapshot.inner.for_cursor();
        inner.check(table.info())?;
        let (store, id) = (&inner.core().base, table.info().id);
        let layers = inner.in_view(|view| Ok(Layers::over(store, view, id, inner.begin_ts)))?;
        let leased = !inner.is_plain();
        Ok(Self {
            process: inner.core().process_mark(),
            inner,
            table: Arc::clone(table.info()),
            layers,
            tracking: snapshot.tracking,
            unnoted: if snapshot.tracking == Tracking::Nothing { ALL_DIRECTIONS } else { 0 },
            way: None,
            leased,
            last_span: LastSpan::default(),
            start: Vec::new(),
        })
    }

    /// Goes to the first row with a key ≥ `key`; whether there is one.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    pub fn seek_ge(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.seek(Bound::Included(key.as_ref()), Direction::Forward)
    }

    /// Goes to the last row with a key ≤ `key`; whether there is one.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    pub fn seek_le(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.seek(Bound::Included(key.as_ref()), Direction::Backward)
    }

    /// Goes to the first row; whether there is one.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    pub fn first(&mut self) -> Result<bool> {
        self.seek(Bound::Unbounded, Direction::Forward)
    }

    /// Goes to the last row; whether there is one.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    pub fn last(&mut self) -> Result<bool> {
        self.seek(Bound::Unbounded, Direction::Backward)
    }

    /// Goes to the next row in key order; whether there is one. Beyond the last row it stays.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    #[expect(clippy::should_implement_trait, reason = "what it stands on is borrowed from it")]
    pub fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    /// Goes to the row before in key order; whether there is one. Before the first row it stays.
    ///
    /// # Errors
    /// When the transaction is over or the file cannot be read.
    pub fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    /// The key of the row that it stands on.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.layers.key()
    }

    /// The value of the row that it stands on. A large value is read here and not before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn value(&self) -> Result<Option<&[u8]>> {
        match self.layers.base_row().filter(|_| !self.leased) {
            Some((_, value)) => Ok(Some(value)),
            None => self.value_slowly(),
        }
    }

    /// Key and value of the row that it stands on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        match self.layers.base_row().filter(|_| !self.leased) {
            Some(row) => Ok(Some(row)),
            None => self.row_slowly(),
        }
    }

    #[inline(never)]
    fn value_slowly(&self) -> Result<Option<&[u8]>> {
        if self.leased { self.held(Layers::value) } else { self.layers.value() }
    }

    #[inline(never)]
    fn row_slowly(&self) -> Result<Option<(&[u8], &[u8])>> {
        if self.leased { self.held(Layers::row) } else { self.layers.row() }
    }

    /// Looks at the row. A short value is at hand; what a long one is read from must be held meanwhile.
    #[cold]
    fn held<'a, R>(&'a self, look: impl FnOnce(&'a Layers) -> Result<R>) -> Result<R> {
        self.inner.in_view(|_| look(&self.layers))
    }

    fn seek(&mut self, from: Bound<&[u8]>, direction: Direction) -> Result<bool> {
        self.seek_within(from, direction, Bound::Unbounded)
    }

    #[inline(always)]
    fn step(&mut self, direction: Direction) -> Result<bool> {
        if self.step_quickly(direction) {
            return Ok(true);
        }
        match direction {
            Direction::Forward => self.next_slowly(),
            Direction::Backward => self.prev_slowly(),
        }
    }

    // With nothing to be passed on but the cursor, so that the quick step ends in a jump.

    #[inline(never)]
    fn next_slowly(&mut self) -> Result<bool> {
        self.step_out_of_run(Direction::Forward, Bound::Unbounded)
    }

    #[inline(never)]
    fn prev_slowly(&mut self) -> Result<bool> {
        self.step_out_of_run(Direction::Backward, Bound::Unbounded)
    }

    /// Goes one row on where nothing but the base is to be looked at, and nothing to be noted; whether it did. That the
    /// table is there was seen when the cursor came to the run, and holds for the whole snapshot.
    ///
    /// There is no call on the way, so that nothing is saved for one.
    #[inline(always)]
    fn step_quickly(&mut self, direction: Direction) -> bool {
        self.inner.is_simply_open()
            && self.process.is_surely_current()
            && self.unnoted & bit(direction) != 0
            && self.layers.step_quickly(&self.inner, direction)
    }

    /// The same where it takes more, but no look into the view.
    fn step_at_hand(&mut self, direction: Direction) -> bool {
        let (layers, inner) = (&mut self.layers, &*self.inner);
        self.unnoted & bit(direction) != 0 && inner.is_live() && layers.step_at_hand(inner, direction)
    }

    /// Goes to the first row from `from` on in `direction`, for one to whom rows beyond `limit` mean nothing: whether there
    /// is such a row, it may come to know only that it lies beyond.
    pub(super) fn seek_within(
        &mut self,
        from: Bound<&[u8]>,
        direction: Direction,
        limit: Bound<&[u8]>,
    ) -> Result<bool> {
        self.inner.check(&self.table)?;
        match self.tracking {
            Tracking::Nothing => {}
            Tracking::Looks => self.end_way()?,
            Tracking::Reads => self.inner.check_notes()?,
        }
        let found = self.moved(|layers, view, own| layers.seek_within(view, own, from, direction, limit))?;
        match self.tracking {
            Tracking::Nothing => {}
            Tracking::Looks => {
                self.way = self.begin_way(from, direction, reached(&self.layers, direction, limit))?;
            }
            Tracking::Reads => self.track(from, direction, limit)?,
        }
        Ok(found && !is_beyond(self.layers.key(), direction, limit))
    }

    /// The same, one row on.
    pub(super) fn step_within(&mut self, direction: Direction, limit: Bound<&[u8]>) -> Result<bool> {
        if self.step_quickly(direction) {
            return Ok(!is_beyond(self.layers.key(), direction, limit));
        }
        self.step_out_of_run(direction, limit)
    }

    /// Not a part of the quick steps, so that these stay small.
    #[inline(never)]
    fn step_out_of_run(&mut self, direction: Direction, limit: Bound<&[u8]>) -> Result<bool> {
        if self.step_at_hand(direction) {
            return Ok(!is_beyond(self.layers.key(), direction, limit));
        }
        self.inner.check(&self.table)?;
        if self.layers.has_ended(direction) {
            return Ok(false);
        }
        if self.tracking == Tracking::Looks {
            self.look_ahead(direction, limit)?;
        }
        if self.tracking != Tracking::Reads {
            let found = self.moved(|layers, view, own| layers.step_within(view, own, direction, limit))?;
            return Ok(found && !is_beyond(self.layers.key(), direction, limit));
        }
        // Before the move, so that the cursor stays where it is and no row is passed over by whoever tries again.
        self.inner.check_notes()?;
        let mut start = std::mem::take(&mut self.start);
        start.clear();
        let from = self.layers.start_of_step(direction).map(|key| start.extend_from_slice(key));
        let moved = self
            .moved(|layers, view, own| layers.step_within(view, own, direction, limit))
            .and_then(|found| self.track(from.map(|()| &*start), direction, limit).map(|()| found));
        self.start = start;
        Ok(moved? && !is_beyond(self.layers.key(), direction, limit))
    }

    /// Moves the layers in the view. Where the view was taken away meanwhile, they may stand on a wrong row: then nowhere.
    #[inline]
    fn moved(&mut self, go: impl FnOnce(&mut Layers, &View, Option<&Inner>) -> Result<bool>) -> Result<bool> {
        let (layers, inner) = (&mut self.layers, &*self.inner);
        let moved = inner.in_view(|view| go(layers, view, Some(inner)));
        if let Err(Error::BusySnapshot { .. }) = moved {
            layers.forget_place();
        }
        moved
    }

    /// For `Serializable`: notes everything from where a move began to where it ended as read, but nothing beyond the
    /// limit.
    fn track(&mut self, from: Bound<&[u8]>, direction: Direction, limit: Bound<&[u8]>) -> Result<()> {
        let Some(mut reads) = self.inner.reads()? else { return Ok(()) };
        if planted!(EmptyRangeNotRecorded) && self.layers.key().is_none() {
            return Ok(());
        }
        let reached = reached(&self.layers, direction, limit);
        let from = if planted!(GapNotRecorded) { reached } else { from };
        let (from, to) = match direction {
            Direction::Forward => (from, reached),
            Direction::Backward => (reached, from),
        };
        reads.span(&mut self.last_span, self.table.id, from, to);
        Ok(())
    }

    /// Notes everything between two ends as looked at.
    fn begin_way(&self, from: Bound<&[u8]>, direction: Direction, to: Bound<&[u8]>) -> Result<Option<Way>> {
        let (from, to) = match direction {
            Direction::Forward => (from, to),
            Direction::Backward => (to, from),
        };
        let id = self.inner.with_looks(|looks| looks.way(self.table.id, from, to))?;
        Ok(id.map(|id| Way { id, direction }))
    }

    /// Notes everything from here to the limit as looked at, so that nothing is to be noted of further steps in the
    /// direction: until the cursor turns, is sought, or is no more.
    fn look_ahead(&mut self, direction: Direction, limit: Bound<&[u8]>) -> Result<()> {
        if self.unnoted == bit(direction) {
            return Ok(());
        }
        let goes_on = match self.way.filter(|way| way.direction == direction) {
            Some(way) => self.inner.with_looks(|looks| looks.goes_on(way.id, direction, limit))?,
            None => false,
        };
        if !goes_on {
            self.end_way()?;
            self.way = self.begin_way(self.layers.start_of_step(direction), direction, limit)?;
        }
        self.unnoted = bit(direction);
        Ok(())
    }

    /// What it has noted ahead and not passed is not looked at.
    fn end_way(&mut self) -> Result<()> {
        if let Some(way) = self.way.take()
            && self.unnoted != 0
            && let Some(key) = self.layers.key()
        {
            self.inner.with_looks(|looks| looks.ends_at(way.id, way.direction, key))?;
        }
        self.unnoted = 0;
        Ok(())
    }
}

/// Where a move has ended.
fn reached<'a>(layers: &'a Layers, direction: Direction, limit: Bound<&'a [u8]>) -> Bound<&'a [u8]> {
    match layers.key() {
        Some(key) if !is_beyond(Some(key), direction, limit) => Bound::Included(key),
        _ => limit,
    }
}

impl Drop for Cursor {
    /// Waits for nobody: a commit has the writes for as long as it waits for its turn, and may wait for who drops this. Then
    /// more counts as looked at than was.
    #[inline]
    fn drop(&mut self) {
        if let Some(way) = self.way.take()
            && self.unnoted != 0
            && let Some(key) = self.layers.key()
        {
            self.inner.try_with_looks(|looks| looks.ends_at(way.id, way.direction, key));
        }
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::time::Duration;

    use braid_vfs::sync::thread;

    use crate::{Database, Error, Isolation, JournalMode, Options, TransactionOptions};

    /// However many ways others make between a seek and the step after it.
    #[test]
    fn a_step_is_a_look_whatever_was_looked_at_before() {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let (rows, others) = (db.table("rows").unwrap(), db.table("others").unwrap());
        for key in ["a", "b", "c"] {
            db.put(&rows, key, 1_i64.to_le_bytes()).unwrap();
        }
        for direction in 0..2 {
            let mut tx = db.begin_concurrent().unwrap();
            let mut cursor = tx.cursor(&rows).unwrap();
            if direction == 0 {
                cursor.first().unwrap()
            } else {
                cursor.last().unwrap()
            };
            for number in 0..1000_u32 {
                tx.range(&others, number.to_be_bytes()..=number.to_be_bytes()).unwrap().for_each(drop);
            }
            if direction == 0 {
                cursor.next().unwrap()
            } else {
                cursor.prev().unwrap()
            };
            assert_eq!(cursor.key(), Some(&b"b"[..]));
            drop(cursor);
            tx.add(&rows, "b", 1).unwrap();
            db.put(&rows, "b", 7_i64.to_le_bytes()).unwrap();
            assert!(matches!(tx.commit(), Err(Error::Busy(_))));
        }
    }

    /// A commit that is held back has its writes, and waits for a thread that uses or drops cursors and snapshots of that
    /// very transaction. It may be revoked meanwhile, and is committed all the same: nothing that it is validated against is gone.
    #[test]
    fn to_use_or_drop_one_waits_for_no_commit() {
        for (isolation, is_revoked) in [
            (Isolation::Snapshot, false),
            (Isolation::Serializable, false),
            (Isolation::Snapshot, true),
            (Isolation::Serializable, true),
        ] {
            let options = Options {
                busy_timeout: Duration::from_secs(60),
                snapshot_max_pinned_bytes: is_revoked.then_some(0),
                ..Options::default()
            };
            let db = Database::in_memory_with(options).unwrap();
            db.set_journal_mode(JournalMode::Mvcc).unwrap();
            let (table, other) = (db.table("t").unwrap(), db.table("other").unwrap());
            db.put(&table, "a", "1").unwrap();
            let options = TransactionOptions { isolation, ..TransactionOptions::default() };
            let mut tx = db.begin_with(options).unwrap();
            let beside = tx.untracked();
            let mut cursor = tx.cursor(&table).unwrap();
            cursor.first().unwrap();
            cursor.next().unwrap();
            tx.put(&table, "b", "2").unwrap();
            let mut holder = db.begin_immediate().unwrap();
            let held_back = thread::spawn(move || tx.commit());
            while db.core().commits_held_back() == 0 {
                thread::yield_now();
            }
            assert!(matches!(cursor.prev(), Err(Error::TransactionClosed)));
            assert!(matches!(cursor.seek_ge("b"), Err(Error::TransactionClosed)));
            assert!(matches!(beside.get(&table, "b"), Err(Error::TransactionClosed)));
            // As if they had been let in just before the commit began.
            let (inner, id) = (&*beside.inner, table.info().id);
            let read = inner.get(inner.tracking, id, b"b", |_| ());
            assert!(matches!(read, Err(Error::TransactionClosed)));
            let read = inner.get_committed(inner.tracking, id, b"a", |_| ());
            assert!(matches!(read, Err(Error::TransactionClosed)));
            db.checkpoint().unwrap();
            assert_eq!(db.stats().revoked_snapshots, u64::from(is_revoked));
            assert!(matches!(cursor.next(), Err(Error::TransactionClosed)));
            drop((cursor, beside));
            holder.put(&other, "c", "3").unwrap();
            holder.commit().unwrap();
            held_back.join().unwrap().unwrap();
            assert_eq!(db.stats().conflicts.kinds.total(), 0);
            assert_eq!(db.stats().open_snapshots, 0);
        }
    }
}
