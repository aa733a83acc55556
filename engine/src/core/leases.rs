//! Leases: what open snapshots keep from being freed, and an end to it.
//!
//! A snapshot keeps the rows that it reads, folded ones too, and the pages of its base. Where the options set a limit,
//! or its own do, it is begun with a lease (`braid_mvstore::Lease`), and the checkpointer revokes those that are over it:
//! by a timer for their age, and with each checkpoint for what all of them keep, as nothing else adds to that.
//!
//! Not revoked are the engine's own snapshots (of a backup or a check), which end with their work, and exclusive
//! transactions: nobody commits beside one, so it keeps nothing from being freed, and it was promised to win.
//!
//! What is kept counts for the oldest snapshot that needs it, so that the shares add up to the whole.

use std::time::Duration;

use braid_mvstore::{Lease, Revoked, SnapshotKind, Timestamp};
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::{Arc, Weak};

use super::shared::{Core, Writer};
use super::view::View;

/// What a lease is to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    max_age: Option<Duration>,
}

impl LeaseTerms {
    pub(crate) fn max_age_nanos(self) -> Option<u64> {
        self.max_age.map(nanos)
    }
}

/// An open snapshot, and what is kept for it and for no older one.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) begin_ts: Timestamp,
    pub(crate) age: Duration,
    pub(crate) name: Option<String>,
    pub(crate) writes: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) pinned_bytes: u64,
    view_id: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Core {
    /// Whether a snapshot is begun with a lease, and with what terms.
    #[inline]
    pub(crate) fn lease_terms(&self, own_max_age: Option<Duration>) -> Option<LeaseTerms> {
        if own_max_age.is_none() && !self.leases_all {
            return None;
        }
        // Where nobody folds, nothing is kept from being freed.
        self.writer.as_ref()?;
        Some(LeaseTerms { max_age: own_max_age.or(self.options.snapshot_max_age) })
    }

    /// Whether every snapshot is begun with a lease.
    #[inline]
    pub(crate) fn leases_all(&self) -> bool {
        self.leases_all
    }

    /// Has the checkpointer look in time at a lease that was begun now.
    pub(crate) fn watch_lease(&self, terms: LeaseTerms) {
        if let (Some(writer), Some(max_age)) = (&self.writer, terms.max_age_nanos()) {
            writer.background.look_at_leases_by(self.now_nanos().saturating_add(max_age));
        }
    }

    /// Every open snapshot, the one first whose share is counted first.
    pub(crate) fn held_snapshots(&self) -> Vec<Held> {
        let now = self.now_nanos();
        let mut open = Vec::new();
        self.registry.for_each(|info| {
            open.push(Held {
                begin_ts: info.begin_ts,
                age: Duration::from_nanos(now.saturating_sub(info.started_at)),
                name: info.name.map(str::to_owned),
                writes: info.kind == SnapshotKind::ReadWrite,
                max_age: info.max_age.map(Duration::from_nanos),
                pinned_bytes: 0,
                view_id: info.view_id,
            });
        });
        open.sort_by_key(|one| (one.view_id, one.begin_ts));
        self.share_out(&mut open);
        open
    }

    /// Gives each snapshot its share of what is kept.
    fn share_out(&self, open: &mut [Held]) {
        let Some(writer) = &self.writer else { return };
        let current = self.current_view();
        let views = self.views.lock().clone();
        let views: Vec<_> = views.iter().filter_map(Weak::upgrade).collect();
        let view_of = |one: &Held| views.iter().find(|view| view.id == one.view_id);
        for generation in writer.background.buried() {
            let is_history = current.retired.iter().any(|kept| Arc::ptr_eq(kept, &generation));
            let needs = |one: &&mut Held| {
                view_of(one).is_some_and(|view| view.generations().any(|read| Arc::ptr_eq(read, &generation)))
                    || (is_history && one.writes && one.begin_ts < generation.last_ts())
            };
            if let Some(holder) = open.iter_mut().find(needs) {
                holder.pinned_bytes += generation.bytes() as u64;
            }
        }
        let page_bytes = u64::from(self.base.page_bytes());
        for (base, pages) in self.base.withheld_by_base() {
            let reads = |one: &&mut Held| view_of(one).is_some_and(|view| view.base.generation() == base);
            if let Some(holder) = open.iter_mut().find(reads) {
                holder.pinned_bytes += u64::from(pages) * page_bytes;
            }
        }
    }

    /// Revokes what is over its limit; when to look again. `rests`: the caller does so by itself, and is not to be woken for it.
    pub(super) fn enforce_leases(&self, writer: &Writer, rests: bool) -> Option<Duration> {
        later(|| self.look_at_leases(writer, rests))
    }

    fn look_at_leases(&self, writer: &Writer, rests: bool) -> Option<Duration> {
        let background = &writer.background;
        // One at a time: what another look has revoked and not freed yet would count for the next oldest.
        let _alone = writer.looks_at_leases.lock();
        background.forget_look_at_leases();
        let now = self.now_nanos();
        let (mut too_old, mut next) = (Vec::new(), u64::MAX);
        self.registry.for_each_lease(|info, lease| {
            let Some(limit) = lease.max_age() else { return };
            let age = now.saturating_sub(info.started_at);
            if age >= limit {
                too_old.push((Arc::clone(lease), Revoked::TooOld { age, limit }));
            } else {
                next = next.min(info.started_at.saturating_add(limit));
            }
        });
        if !too_old.is_empty() {
            too_old.into_iter().for_each(|(lease, why)| self.revoke(&lease, why));
            self.free_what_was_kept(writer);
        }
        if let Some(limit) = self.options.snapshot_max_pinned_bytes {
            while self.revoke_oldest_above(limit) {
                if !self.free_what_was_kept(writer) {
                    // A fold is under way: what is kept is not known before its end, and then there is another look.
                    break;
                }
            }
        }
        if self.base.space_stats().withheld_pages > 0 {
            // What a read under way held when its snapshot was revoked.
            self.base.release_withheld();
        }
        if rests && !planted!(LeasesNeverRest) {
            background.looked_at_leases(next);
        } else {
            // One that was begun meanwhile may have been seen here, and leave it to this look.
            background.look_at_leases_by(next);
        }
        (next < u64::MAX).then(|| Duration::from_nanos(next.saturating_sub(now)))
    }

    /// Revokes the oldest lease that keeps something, if all snapshots together keep more than `limit`.
    fn revoke_oldest_above(&self, limit: u64) -> bool {
        let open = self.held_snapshots();
        let pinned: u64 = open.iter().map(|one| one.pinned_bytes).sum();
        if pinned <= limit {
            return false;
        }
        let mut leases = Vec::new();
        self.registry.for_each_lease(|info, lease| {
            leases.push((info.view_id, info.begin_ts, Arc::clone(lease)));
        });
        for one in open.iter().filter(|one| one.pinned_bytes > 0) {
            let its = |(view_id, begin_ts, _): &&(u64, Timestamp, Arc<Lease<View>>)| {
                (*view_id, *begin_ts) == (one.view_id, one.begin_ts)
            };
            if let Some((_, _, lease)) = leases.iter().find(its) {
                self.revoke(lease, Revoked::PinsTooMuch { age: nanos(one.age), pinned, limit });
                return true;
            }
        }
        false
    }

    fn revoke(&self, lease: &Arc<Lease<View>>, why: Revoked) {
        if let Some(view) = self.registry.revoke(lease, why) {
            self.counters.revoked.add(1);
            tell(move || tracing::info!(?why, "a snapshot is revoked"));
            if planted!(RevokedKeepsView) {
                std::mem::forget(Arc::clone(&view));
            }
        }
    }

    /// Frees what only revoked snapshots held; `false` when the pages could not be looked at.
    fn free_what_was_kept(&self, writer: &Writer) -> bool {
        self.let_history_go(writer);
        writer.background.reap();
        self.base.release_withheld()
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use crate::error::Error;
    use crate::options::{JournalMode, Options};
    use crate::{Database, SnapshotLoss};

    /// A commit may have looked at its lease right before that was revoked. Then it is told by the floor.
    #[test]
    fn history_that_goes_raises_the_floor() {
        let options =
            Options { row_store_bytes: 64 << 10, snapshot_max_pinned_bytes: Some(0), ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "old").unwrap();
        let tx = db.begin_concurrent().unwrap();
        db.put(&table, "key", "new").unwrap();
        db.checkpoint().unwrap();
        let view = db.core().current_view();
        assert!(view.retired.is_empty() && view.validation_floor > tx.timestamp());
        let refused = tx.commit();
        assert!(matches!(refused, Err(Error::BusySnapshot { why: SnapshotLoss::PinsTooMuch { .. }, .. })));
        let mut next = db.begin_concurrent().unwrap();
        next.put(&table, "key", "newer").unwrap();
        next.commit().unwrap();
    }
}
