//! Where a transaction's writes are, and what it looked at: a place that is empty until it writes, or notes a look.
//!
//! Most snapshots do neither, so that beginning one makes nothing of a write set but a null pointer. Whoever does takes the
//! set that the thread's last transaction left, with its memory.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use braid_mvstore::{Rare, WriteSet};
use braid_vfs::sync::{Mutex, MutexGuard, thread_local};

use super::looks::Looks;

thread_local! {
    /// One without writes and looks, kept for the thread's next transaction so that a hot one does not allocate.
    static SPARE: Cell<Option<Box<Own>>> = const { Cell::new(None) };
}

/// See the module.
pub(super) struct OwnWrites(Mutex<Rare<Own>>);

/// What a transaction has of its own.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) writes: WriteSet,
    pub(super) looks: Looks,
}

/// The writes, locked. Invariant: there is a set.
pub(super) struct WritesGuard<'a>(MutexGuard<'a, Rare<Own>>);

impl OwnWrites {
    #[inline]
    pub(super) fn new() -> Self {
        Self(Mutex::new(Rare::default()))
    }

    #[inline]
    pub(super) fn lock(&self) -> WritesGuard<'_> {
        WritesGuard::of(self.0.lock())
    }

    /// The same for as long as `is_open`, which is asked under the lock: behind the end there is no set any more, and an empty
    /// one would be believed.
    #[inline]
    pub(super) fn lock_while(&self, is_open: impl FnOnce() -> bool) -> Option<WritesGuard<'_>> {
        let writes = self.0.lock();
        if is_open() { Some(WritesGuard::of(writes)) } else { None }
    }

    /// The same, unless somebody has it locked: for a moment, or an attempt of a future to commit.
    pub(super) fn try_lock(&self) -> Option<WritesGuard<'_>> {
        let writes = self.0.try_lock()?;
        writes.is_some().then_some(WritesGuard(writes))
    }

    /// Takes everything out, to be [kept](keep) for another one. From then on nobody may ask for it.
    #[inline]
    pub(super) fn take(&self) -> Box<Own> {
        self.0.lock().take().unwrap_or_else(take_spare)
    }

    /// Forgets everything, at the end.
    #[inline]
    pub(super) fn leave(&mut self) {
        if let Some(set) = self.0.get_mut().take() {
            keep(set);
        }
    }
}

impl<'a> WritesGuard<'a> {
    #[inline]
    fn of(mut writes: MutexGuard<'a, Rare<Own>>) -> Self {
        if writes.is_none() {
            **writes = Some(take_spare());
        }
        Self(writes)
    }

    #[inline]
    pub(super) fn own(&mut self) -> &mut Own {
        match &mut **self.0 {
            Some(own) => own,
            None => unreachable!("a set was put here when the place was locked"),
        }
    }

    /// What the transaction looked at.
    #[inline]
    pub(super) fn looks(&mut self) -> &mut Looks {
        &mut self.own().looks
    }
}

impl Deref for WritesGuard<'_> {
    type Target = WriteSet;

    #[inline]
    fn deref(&self) -> &WriteSet {
        match &**self.0 {
            Some(own) => &own.writes,
            None => unreachable!("a set was put here when the place was locked"),
        }
    }
}

impl DerefMut for WritesGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut WriteSet {
        &mut self.own().writes
    }
}

fn take_spare() -> Box<Own> {
    // A thread that ends has none left.
    SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

/// Forgets everything, and keeps its memory.
pub(super) fn keep(mut own: Box<Own>) {
    own.writes.clear();
    own.looks.clear();
    let _ = SPARE.try_with(|spare| spare.set(Some(own)));
}

#[cfg(all(test, not(any(shuttle, loom))))]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::cell::RefCell;

    use braid_vfs::sync::thread;

    use crate::{Database, JournalMode, Table};

    /// Commits when its thread ends.
    struct AtTheEnd(Database, Table);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.transact(|tx| tx.put(&self.1, "end", "")).unwrap();
        }
    }

    thread_local! {
        static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    /// Whatever of what the thread kept for its next transaction is gone by then.
    #[test]
    fn a_thread_may_commit_as_it_ends() {
        for begins_with_a_commit in [false, true] {
            let db = Database::in_memory().unwrap();
            db.set_journal_mode(JournalMode::Mvcc).unwrap();
            let table = db.table("t").unwrap();
            let at_the_end = AtTheEnd(db.clone(), table.clone());
            let (of_thread, rows) = (db.clone(), table.clone());
            let commit = move || of_thread.put(&rows, "begin", "").map(drop).unwrap();
            let ended = thread::spawn(move || {
                if begins_with_a_commit {
                    commit();
                    AT_THE_END.set(Some(at_the_end));
                } else {
                    AT_THE_END.set(Some(at_the_end));
                    commit();
                }
            });
            ended.join().unwrap();
            assert!(db.get(&table, "begin").unwrap().is_some());
            assert!(db.get(&table, "end").unwrap().is_some());
        }
    }
}
