//! What the file tells of the conflicts of earlier lives: [`Stats::past_conflicts`].
//!
//! 1. A life without conflicts leaves what it found.
//! 2. One that had some, and has folded a commit after the last, has left all of its report, as far as the lists have
//!    room.
//! 3. Of any other one the file tells what it found, or a report from the life itself: none of its figures is larger
//!    than at the end.

use std::time::Duration;

use braid::{ConflictReport, ConflictStats, NamedConflicts, PastConflicts, Stats, Timestamp, WastedWork};

use super::Verdict;

/// However long the lines of a list are, it has room for so many.
const LINES: usize = 6;

/// What a life leaves.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its figures at the end.
    pub stats: Stats,
    /// A checkpoint that folded a commit after the last conflict.
    pub folded: Option<Timestamp>,
}

/// What the file may tell.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// What it told when the last life began.
    found: Option<PastConflicts>,
    left: Option<Left>,
}

impl Memo {
    /// A life has left this.
    pub fn leave(&mut self, left: Left) {
        self.left = Some(left);
    }

    /// The next life finds this, where the last commit is at `end`. Damage may have taken it away.
    ///
    /// # Errors
    /// What is wrong.
    pub fn found(&mut self, found: Option<&PastConflicts>, end: Timestamp, damaged: bool) -> Verdict {
        let left = self.left.take();
        let before = std::mem::replace(&mut self.found, found.cloned());
        let wrong = |what: &str| {
            Err(format!("{what}: the file tells of {found:?}, and did of {before:?} before {left:?}"))
        };
        if damaged {
            return Ok(());
        }
        let Some(Left { stats, folded }) = &left else {
            return if found == before.as_ref() { Ok(()) } else { wrong("nobody had conflicts") };
        };
        if !is_contended(stats) {
            return if found == before.as_ref() {
                Ok(())
            } else {
                wrong("a life without conflicts is told of")
            };
        }
        match (found, folded) {
            (None, Some(_)) => wrong("conflicts are not told of"),
            (Some(past), Some(folded)) if past.until < *folded || past.until > end => {
                wrong("the place is wrong")
            }
            (Some(past), Some(_)) if is_all(past, stats) => Ok(()),
            (Some(_), Some(_)) => wrong("the report is another one"),
            (found, None) if found == before.as_ref() => Ok(()),
            (Some(past), None) if past.until <= end && is_earlier(past, stats) => Ok(()),
            (_, None) => wrong("the report is nobody's"),
        }
    }
}

/// Whether there is something to tell.
fn is_contended(stats: &Stats) -> bool {
    stats.conflicts.kinds.total() + stats.updates.absorbed > 0
}

/// Time as the file has it.
fn micros(wasted: WastedWork) -> (u128, u64, u64) {
    (wasted.time.as_micros(), wasted.rows, wasted.bytes)
}

fn is_all(past: &PastConflicts, stats: &Stats) -> bool {
    let (told, all) = (&past.report, &stats.conflicts);
    let same_name = |(told, all): (&NamedConflicts, &NamedConflicts)| {
        told.name == all.name && told.conflicts == all.conflicts && micros(told.wasted) == micros(all.wasted)
    };
    past.updates == stats.updates
        && (told.kinds, told.absorbed, told.escaped) == (all.kinds, all.absorbed, all.escaped)
        && micros(told.wasted) == micros(all.wasted)
        && told.attempts == all.attempts
        && all.hot_keys.starts_with(&told.hot_keys)
        && all.tables.starts_with(&told.tables)
        && told.names.len() <= all.names.len()
        && told.names.iter().zip(&all.names).all(same_name)
        && told.hot_keys.len() >= all.hot_keys.len().min(LINES)
        && told.tables.len() >= all.tables.len().min(LINES)
        && told.names.len() >= all.names.len().min(LINES)
}

/// Whether a report may have been there before the last one.
fn is_earlier(past: &PastConflicts, stats: &Stats) -> bool {
    let ConflictReport { kinds, absorbed, wasted, attempts, tables, names, .. } = &past.report;
    let end = &stats.conflicts;
    is_no_more(*kinds, end.kinds)
        && *absorbed <= end.absorbed
        && past.commits <= stats.commits
        && past.updates.made <= stats.updates.made
        && past.updates.absorbed <= stats.updates.absorbed
        && wasted.rows <= end.wasted.rows
        && wasted.time <= end.wasted.time.saturating_add(Duration::from_micros(1))
        && attempts.iter().zip(&end.attempts).all(|(past, end)| past.transactions <= end.transactions)
        && tables.iter().all(|past| {
            end.tables.iter().any(|one| one.table == past.table && is_no_more(past.kinds, one.kinds))
        })
        && names
            .iter()
            .all(|past| end.names.iter().any(|one| one.name == past.name && past.conflicts <= one.conflicts))
}

fn is_no_more(past: ConflictStats, end: ConflictStats) -> bool {
    past.write_write <= end.write_write
        && past.read_write <= end.read_write
        && past.range <= end.range
        && past.schema <= end.schema
        && past.timeout <= end.timeout
        && past.snapshot <= end.snapshot
}

#[cfg(test)]
mod tests {
    use braid::{Database, JournalMode};

    use super::*;

    /// What a life with one conflict, and so many commits after it, leaves and is told of it at its end.
    fn life(db: &Database, conflicts: u32) -> Left {
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        for _ in 0..conflicts {
            let mut tx = db.begin_concurrent().unwrap();
            tx.put(&table, "k", "1").unwrap();
            db.put(&table, "k", "2").unwrap();
            tx.commit().unwrap_err();
        }
        db.put(&table, "k", "3").unwrap();
        let stats = db.stats();
        Left { stats, folded: Some(db.checkpoint().unwrap().timestamp) }
    }

    #[test]
    fn each_life_is_told_as_it_was_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Database::open(folder.path().join("db")).unwrap();
        let db = open();
        let first = life(&db, 2);
        db.close().unwrap();
        let db = open();
        let told = db.stats().past_conflicts;
        let end = db.snapshot().unwrap().timestamp();
        let quiet = life(&db, 0);
        let judged = |before: Option<&PastConflicts>, left: &Left, found: Option<&PastConflicts>| {
            let mut memo = Memo { found: before.cloned(), left: Some(left.clone()) };
            memo.found(found, end, false)
        };
        judged(None, &first, told.as_ref()).unwrap();
        judged(None, &first, None).unwrap_err();
        judged(told.as_ref(), &quiet, told.as_ref()).unwrap();
        judged(told.as_ref(), &quiet, None).unwrap_err();
        let unfolded = Left { folded: None, ..first.clone() };
        judged(None, &unfolded, None).unwrap();
        judged(None, &unfolded, told.as_ref()).unwrap();
        let mut more = told.clone().unwrap();
        more.report.kinds.write_write += 1;
        judged(None, &unfolded, Some(&more)).unwrap_err();
        let mut less = told.clone().unwrap();
        less.report.kinds.write_write -= 1;
        judged(None, &unfolded, Some(&less)).unwrap();
        judged(None, &first, Some(&less)).unwrap_err();
        let misplaced = |until: u64| {
            let mut told = told.clone().unwrap();
            told.until = Timestamp::new(until).unwrap();
            let why = judged(None, &first, Some(&told)).unwrap_err();
            assert!(why.starts_with("the place is wrong"), "{why}");
        };
        misplaced(first.folded.unwrap().get() - 1);
        misplaced(end.get() + 1);
        let mut shorter = told.unwrap();
        shorter.report.hot_keys.clear();
        judged(None, &first, Some(&shorter)).unwrap_err();
    }
}
