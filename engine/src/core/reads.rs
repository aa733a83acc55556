//! The validation of what a `Serializable` transaction has read.
//!
//! A read set may be large, and the commit section holds everybody, so the section sees as little of it as can be:
//!
//! ```text
//! outside the section                          inside it
//! ask committers to note their keys
//! horizon := installed_ts, then take the view
//! look through everything up to the horizon
//!                                              look at what was noted after the horizon
//! ```
//!
//! Invariants
//! 1. `through` is a timestamp up to which every version later than begin_ts was looked at. It rises to a horizon that was
//!    read *before* the view: a commit up to the horizon is in a generation of that view, or in one that was given up, and
//!    then the view's floor says so. (View first, then a seal and a commit into the next generation, then the horizon:
//!    that commit would pass for looked at.)
//! 2. Inside the section nothing was installed after `through`, or all of it is noted, or the look is made again. After
//!    [`ROUNDS`] looks in vain it is made inside: nobody waits for ever.
//! 3. Where versions went since, into a sealed generation or the base, makes no difference to what is noted. So a seal
//!    between the two looks costs the reads nothing.
//!
//! What it costs: for each key a look at each generation since begin_ts; for each span its rows there, which are those
//! that the transaction has met itself, and those that changed since. Inside, for each row that was installed between the
//! two looks, a search in the read set. A few keys are looked up inside at once, which is less work than the above.

use braid_mvstore::{Generation, Prepared, Timestamp, pin};
use braid_vfs::planted;
use braid_vfs::sync::atomic::Ordering;

use super::append::Left;
use super::commit::CommitRequest;
use super::shared::{Core, Section, Writer};
use super::view::View;
use crate::error::{ConflictKind, Result};
use crate::transaction::ReadSet;

/// Looks outside the section before one inside it.
const ROUNDS: u32 = 3;

/// How far the reads of a commit have been looked through.
#[derive(Debug)]
pub(super) struct ReadsLook<'a> {
    writer: &'a Writer,
    through: Timestamp,
    rounds: u32,
    /// Committers note their keys for this.
    asked: bool,
    /// What happened after `through` is not all known: look again.
    behind: bool,
}

impl<'a> ReadsLook<'a> {
    pub(super) fn new(writer: &'a Writer, begin_ts: Timestamp) -> Self {
        Self { writer, through: begin_ts, rounds: 0, asked: false, behind: true }
    }

    fn ask(&mut self) {
        if !std::mem::replace(&mut self.asked, true) {
            self.writer.validating.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for ReadsLook<'_> {
    fn drop(&mut self) {
        if self.asked {
            self.writer.validating.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Core {
    /// Before the view is taken: up to where a look in it will reach; `None` when there is nothing to look at.
    #[inline]
    pub(super) fn reads_horizon(
        &self,
        request: &CommitRequest<'_>,
        look: &mut ReadsLook<'_>,
    ) -> Option<Timestamp> {
        let reads = request.reads?;
        // The second half of the look, if there was a first.
        if !look.behind {
            return None;
        }
        if !reads.is_small() {
            look.ask();
        }
        Some(self.installed_ts())
    }

    /// Outside the section: everything up to the horizon. A small read set leaves the active generation for inside.
    pub(super) fn validate_reads_outside(
        &self,
        view: &View,
        prepared: &Prepared<'_>,
        request: &CommitRequest<'_>,
        look: &mut ReadsLook<'_>,
        horizon: Timestamp,
    ) -> Result<()> {
        let Some(reads) = request.reads else { return Ok(()) };
        self.counters.looks_through(reads);
        // A write that has lost is the nearer reason, and soon found.
        self.validate_writes(prepared, request)?;
        let horizon = if planted!(HorizonAfterView) { self.installed_ts() } else { horizon };
        for generation in view.history_after(look.through) {
            self.validate_reads(generation, reads, request)?;
        }
        if reads.is_small() {
            // Looked at anew in each view: it is little.
            return Ok(());
        }
        self.validate_reads(&view.active, reads, request)?;
        look.through = look.through.max(horizon);
        look.rounds += 1;
        look.behind = false;
        Ok(())
    }

    /// In the commit section, with `view` current: what was installed since.
    pub(super) fn validate_reads_inside(
        &self,
        section: &Section,
        view: &View,
        request: &CommitRequest<'_>,
        look: &mut ReadsLook<'_>,
    ) -> Result<(), Left> {
        let Some(reads) = request.reads else { return Ok(()) };
        if reads.is_small() {
            return Ok(self.validate_reads(&view.active, reads, request)?);
        }
        if self.installed_ts() <= look.through || planted!(NotesNotRead) {
            return Ok(());
        }
        if let Some(noted) = section.recent.later_than(look.through) {
            for row in noted {
                if let Some(kind) = reads.reads(row.table, row.key) {
                    return Err(self.conflict(kind, row.table, row.key, request, row.commit_ts).into());
                }
            }
            return Ok(());
        }
        if look.rounds < ROUNDS {
            look.behind = true;
            return Err(Left::ReadsBehind);
        }
        for generation in view.history_after(look.through).chain([&view.active]) {
            self.validate_reads(generation, reads, request)?;
        }
        Ok(())
    }

    /// The reads against one generation.
    fn validate_reads(
        &self,
        generation: &Generation,
        reads: &ReadSet,
        request: &CommitRequest<'_>,
    ) -> Result<()> {
        let since = request.begin_ts;
        if generation.last_ts() <= since {
            return Ok(());
        }
        let guard = pin();
        for (table, key) in reads.keys().filter(|_| !planted!(ReadsNotValidated)) {
            if let Some(winner_ts) = generation.newest(table, key, &guard).filter(|ts| *ts > since) {
                return Err(self.conflict(ConflictKind::ReadWrite, table, key, request, winner_ts));
            }
        }
        for span in reads.spans() {
            let (from, to) = (span.from.as_ref().map(Vec::as_slice), span.to.as_ref().map(Vec::as_slice));
            if let Some((key, winner_ts)) = generation.newest_in_range(span.table, from, to, since, &guard) {
                return Err(self.conflict(ConflictKind::Range, span.table, key, request, winner_ts));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::ops::Bound;
    use std::time::Duration;

    use braid_mvstore::{TableId, WriteSet};

    use super::*;
    use crate::Database;
    use crate::error::Error;
    use crate::options::{Durability, JournalMode};

    fn database() -> (Database, crate::Table) {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "a", "").unwrap();
        (db, table)
    }

    /// Looks outside, has `meanwhile` done, and looks inside.
    fn looks(
        db: &Database,
        table: &crate::Table,
        before: impl FnOnce(),
        meanwhile: impl FnOnce(),
    ) -> Result<(), Left> {
        let core = db.core();
        let writer = core.writer().unwrap();
        let mut reads = ReadSet::default();
        let all = Bound::Unbounded;
        reads.span(&mut crate::transaction::LastSpan::default(), TableId(table.id()), all, all);
        reads.tidy();
        let mut writes = WriteSet::new();
        writes.put(TableId(9999), b"result", b"");
        let request = CommitRequest {
            begin_ts: core.installed_ts(),
            view: None,
            exclusive: false,
            durability: Durability::Deferred,
            busy_timeout: Duration::ZERO,
            writes: &mut writes,
            reads: Some(&reads),
            looks: None,
            token: None,
            reserved: 0,
            made: crate::core::Made::default(),
            schema: None,
        };
        let mut look = ReadsLook::new(writer, request.begin_ts);
        let horizon = core.reads_horizon(&request, &mut look);
        let view = core.current_view();
        before();
        let guard = pin();
        let prepared = view.active.prepare(request.writes, &guard);
        if let Some(horizon) = horizon {
            core.validate_reads_outside(&view, &prepared, &request, &mut look, horizon)?;
        }
        meanwhile();
        let section = writer.section.lock();
        let view = core.current_view();
        core.validate_reads_inside(&section, &view, &request, &mut look)
    }

    fn is_busy(looked: Result<(), Left>) -> bool {
        matches!(looked, Err(Left::Failed(Error::Busy(conflict))) if conflict.kind == ConflictKind::Range)
    }

    #[test]
    fn what_comes_while_others_look_is_seen() {
        let (db, table) = database();
        assert!(looks(&db, &table, || {}, || {}).is_ok());
        let other = db.table("other").unwrap();
        let elsewhere = || _ = db.put(&other, "b", "").unwrap();
        let here = || _ = db.put(&table, "b", "").unwrap();
        assert!(looks(&db, &table, elsewhere, elsewhere).is_ok());
        assert!(is_busy(looks(&db, &table, here, || {})), "before the look outside");
        assert!(is_busy(looks(&db, &table, || {}, here)), "after it");
        // Into a generation that the view of the look does not have.
        let sealed_before = || {
            db.checkpoint().unwrap();
            here();
        };
        assert!(is_busy(looks(&db, &table, sealed_before, || {})), "between the view and the look");
        assert!(is_busy(looks(&db, &table, || {}, sealed_before)), "after a seal");
        assert!(looks(&db, &table, || _ = db.checkpoint().unwrap(), elsewhere).is_ok());
    }

    #[test]
    fn what_is_not_noted_is_looked_for_again() {
        let (db, table) = database();
        let other = db.table("other").unwrap();
        let many = || {
            for _ in 0..40 {
                let mut tx = db.begin_concurrent().unwrap();
                (0..500_u32).for_each(|key| tx.put(&other, key.to_be_bytes(), "").unwrap());
                tx.commit().unwrap();
            }
        };
        assert!(matches!(looks(&db, &table, || {}, many), Err(Left::ReadsBehind)));
    }
}
