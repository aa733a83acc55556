//! Publication, reading and trimming of versions, in every schedule and every order in which memory shows them.

use std::sync::Arc;

use braid_vfs::sync::Mutex;
use braid_vfs::sync::atomic::AtomicU64;
use braid_vfs::sync::thread::{self, JoinHandle};

use super::*;
use crate::epoch::pin;
use crate::testing::{check_schedules, ts};

/// A chain of versions up to a published timestamp; each holds its own commit_ts.
struct Row {
    chain: Chain,
    published: AtomicU64,
}

impl Row {
    /// One with that many versions.
    fn with(versions: u64) -> Arc<Self> {
        let row = Arc::new(Self { chain: Chain::new(), published: AtomicU64::new(0) });
        (1..=versions).for_each(|commit_ts| row.commit(commit_ts));
        row
    }

    fn commit(&self, commit_ts: u64) {
        let value = commit_ts.to_le_bytes();
        self.chain.push(&mut Pending::new(Some(&value)), ts(commit_ts), &pin());
        self.published.store(commit_ts, Release);
    }

    fn trim(&self, watermark: u64) -> Trimmed {
        self.chain.trim(ts(watermark), &pin())
    }

    /// The commit_ts that a snapshot finds, after a look at the value.
    fn read(&self, at: u64) -> Option<u64> {
        let guard = pin();
        self.chain.read(ts(at), &guard).map(|version| {
            let commit_ts = version.commit_ts().get();
            assert_eq!(version.found(), Found::Value(&commit_ts.to_le_bytes()));
            commit_ts
        })
    }

    /// Every version from the newest on.
    fn all(&self) -> Vec<u64> {
        let newest = |at: u64| self.read(at);
        std::iter::successors(newest(u64::from(u32::MAX)), |found| newest(found - 1)).collect()
    }
}

fn spawn<T: Send + 'static>(row: &Arc<Row>, work: impl FnOnce(&Row) -> T + Send + 'static) -> JoinHandle<T> {
    let row = Arc::clone(row);
    thread::spawn(move || work(&row))
}

#[test]
fn loom_a_published_commit_is_found_whole() {
    check_schedules(|| {
        let row = Row::with(0);
        let reader = spawn(&row, |row| {
            let at = row.published.load(Acquire);
            assert_eq!(row.read(at), (at > 0).then_some(at));
        });
        row.commit(1);
        row.commit(2);
        reader.join().unwrap();
        assert_eq!(row.all(), [2, 1]);
    });
}

/// Nobody told it of the commit: it finds it whole, or not at all.
#[test]
fn loom_a_commit_that_is_not_published_is_whole_too() {
    check_schedules(|| {
        let row = Row::with(1);
        let reader = spawn(&row, |row| {
            assert!(matches!(row.read(5), Some(1 | 2)));
            assert_eq!(row.read(1), Some(1), "and what is beneath it is there");
        });
        row.commit(2);
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_trim_leaves_what_a_reader_is_registered_for() {
    check_schedules(|| {
        let row = Row::with(2);
        let readers = [2, 3].map(|at| spawn(&row, move |row| (row.read(at), row.read(at))));
        row.commit(3);
        row.trim(2);
        let [at_2, at_3] = readers.map(|reader| reader.join().unwrap());
        assert_eq!(at_2, (Some(2), Some(2)));
        assert!(matches!(at_3, (Some(2), Some(2 | 3)) | (Some(3), Some(3))), "{at_3:?}");
        assert_eq!(row.all(), [3, 2]);
    });
}

/// Who reads below the watermark, as nobody does, finds its version or the end of the chain.
#[test]
fn loom_a_reader_may_stand_on_what_is_cut() {
    check_schedules(|| {
        let row = Row::with(3);
        let reader = spawn(&row, |row| row.all());
        assert_eq!(row.trim(3).versions, 2);
        let seen = reader.join().unwrap();
        assert!([&[3, 2, 1][..], &[3, 2], &[3]].contains(&&*seen), "{seen:?}");
        assert_eq!(row.all(), [3]);
    });
}

/// The commit section keeps trims apart; memory does not hang on that.
#[test]
fn loom_whoever_trims_nothing_is_freed_twice() {
    check_schedules(|| {
        let row = Row::with(4);
        let other = spawn(&row, |row| row.trim(2));
        let cut = row.trim(4).versions + other.join().unwrap().versions;
        assert_eq!(cut, 3);
        assert_eq!(row.all(), [4]);
    });
}

#[test]
fn loom_a_trim_beside_a_commit_cuts_below_it() {
    check_schedules(|| {
        let row = Row::with(3);
        let other = spawn(&row, |row| row.trim(2));
        row.commit(4);
        assert_eq!(other.join().unwrap().versions, 1);
        assert_eq!(row.all(), [4, 3, 2]);
    });
}

#[test]
fn loom_commits_come_in_the_order_of_the_section() {
    check_schedules(|| {
        let section = Arc::new((Row::with(0), Mutex::new(0)));
        let commit = |section: &(Arc<Row>, Mutex<u64>)| {
            let mut last = section.1.lock();
            *last += 1;
            section.0.commit(*last);
        };
        let other = Arc::clone(&section);
        let other = thread::spawn(move || commit(&other));
        let reader = spawn(&section.0, |row| {
            let at = row.published.load(Acquire);
            assert_eq!(row.read(at), (at > 0).then_some(at));
        });
        commit(&section);
        other.join().unwrap();
        reader.join().unwrap();
        assert_eq!(section.0.all(), [2, 1]);
    });
}
