//! The one [`Inner`] of a snapshot, its clones and its cursors.
//!
//! It is counted, and whoever lets go of it last ends it. Where that is a snapshot, and not a cursor, its memory is kept for
//! what the thread begins next: a snapshot lives for a few hundred instructions, a third of which the allocator had.

use std::cell::Cell;
use std::ops::Deref;

use braid_vfs::sync::{Arc, thread_local};

use super::inner::{Hold, Inner, Tracking};
use crate::handle::Handle;

thread_local! {
    /// One that is over, and that nobody else has.
    static SPARE: Cell<Option<Arc<Inner>>> = const { Cell::new(None) };
}

/// See the module. Invariant: it is there until this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Shared(Option<Arc<Inner>>);

impl Shared {
    /// Begins a snapshot.
    #[inline]
    pub(super) fn begin(handle: &Arc<Handle>, hold: Hold, tracking: Tracking) -> Self {
        // A thread that ends has none left.
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut inner = spare.unwrap_or_else(|| Arc::new(Inner::over()));
        match Arc::get_mut(&mut inner) {
            Some(inner) => inner.begin(handle, hold, tracking),
            None => unreachable!("nobody else has one that is over"),
        }
        Self(Some(inner))
    }

    /// For a cursor, whose steps are too short to ask whether it is there.
    pub(super) fn for_cursor(&self) -> Arc<Inner> {
        match &self.0 {
            Some(inner) => Arc::clone(inner),
            None => unreachable!("it is taken out by the drop alone"),
        }
    }

    /// Whether somebody else has it too, who may let go of it at any time. Without this one nobody gets it anew.
    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| Arc::strong_count(inner) > 1)
    }

    /// Where nobody else has it.
    #[inline]
    pub(super) fn get_mut(&mut self) -> Option<&mut Inner> {
        Arc::get_mut(self.0.as_mut()?)
    }
}

impl Deref for Shared {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        match &self.0 {
            Some(inner) => inner,
            None => unreachable!("it is taken out by the drop alone"),
        }
    }
}

impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        let Some(mut inner) = self.0.take() else { return };
        // Two that let go at the same time may both find the other one still there: then the count says who is the last.
        if let Some(last) = Arc::get_mut(&mut inner) {
            last.leave();
            let _ = SPARE.try_with(|spare| spare.set(Some(inner)));
        }
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use crate::Database;

    #[test]
    fn what_is_kept_of_a_snapshot_keeps_no_database_open() {
        let db = Database::in_memory().unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "1").unwrap();
        let core = braid_vfs::sync::Arc::downgrade(db.core());
        for _ in 0..2 {
            let snapshot = db.snapshot().unwrap();
            let clone = snapshot.clone();
            let mut cursor = clone.cursor(&table).unwrap();
            drop((snapshot, clone));
            assert_eq!(db.stats().open_snapshots, 1, "the cursor has it");
            assert!(cursor.next().unwrap());
            drop(cursor);
            assert_eq!(db.stats().open_snapshots, 0);
        }
        drop((db, table));
        assert!(core.upgrade().is_none());
    }

    #[test]
    fn the_next_one_begins_anew_where_the_last_one_was() {
        let db = Database::in_memory().unwrap();
        let table = db.table("t").unwrap();
        let mut tx = db.begin_immediate().unwrap();
        let place = std::ptr::from_ref(tx.inner()).addr();
        tx.put(&table, "key", "lost").unwrap();
        drop(tx);
        let tx = db.begin_immediate().unwrap();
        assert_eq!(std::ptr::from_ref(tx.inner()).addr(), place);
        assert!(!tx.contains(&table, "key").unwrap());
    }
}
