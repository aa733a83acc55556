//! The registry of live snapshots: which moments of the history somebody may still read.
//!
//! A transaction is registered in a slot, which holds its *pin*: one word with its begin_ts and its kind. Slots are cache
//! lines of their own, claimed by one compare-exchange that publishes the pin at the same time; a thread comes back to
//! the slot that it used last, so begins on different cores share nothing that is written.
//!
//! # Begin pins first, reads second
//!
//! A begin takes a view and a timestamp that must fit: base_ts ≤ begin_ts ≤ last timestamp of the view. Two orders break
//! that:
//!
//! ```text
//! timestamp first                           view first
//!   begin        checkpoint, commits          begin        checkpoint, commits
//!   reads ts 5                                takes view 1
//!                commit 6                                  seals view 1's generation at 5,
//!                folds up to 6                             publishes view 2
//!                publishes view 2                          commits 6 into view 2's generation
//!   takes view 2                              reads ts 6
//!   at 5, over a base that holds 6:           at 6, over generations that end at 5:
//!   sees too much                             misses a commit
//! ```
//!
//! So a begin publishes a lower bound of its begin_ts as a *tentative* pin, then takes the view, then the timestamp,
//! then looks whether the view is still current, and if not takes both anew. A current view has not been sealed, and its
//! base is not later than what was acknowledged before it was published, so the pair fits. Last, the pin is raised to
//! begin_ts.
//!
//! # A trim against a begin
//!
//! Whoever trims reads the horizon `acked` *first* and looks at the pins *after* that ([`SnapshotRegistry::watermark`]).
//!
//! ```text
//!   begin                      trim                     if it sees the pin      if it does not
//!   B1 publishes the pin       T1 reads acked = A       the watermark is at     then T2 comes before B1, so
//!   B2 reads begin_ts          T2 looks at the pin      most the lower bound    T1 comes before B2, and
//!                              T3 trims to min(A, pin)  ≤ begin_ts              A ≤ begin_ts: it only rises
//! ```
//!
//! Either way the watermark is not later than begin_ts, so the race is harmless. All four accesses are sequentially
//! consistent, which is what "comes before" hangs on. A pin that is seen late after it was raised or given up is lower
//! than need be: versions live a little longer.
//!
//! # Pins and generations
//!
//! A pin that has settled at or before a generation's start sees nothing of it and need not be kept for there
//! ([`SnapshotRegistry::watermark_since`]), so a long reader does not stop the trimming of what came later. A tentative
//! pin may settle anywhere from its lower bound on, so it counts for every generation.
//!
//! # Cached views
//!
//! A slot keeps the `Arc` of the view that its last transaction read. While that view is current, a begin moves it out
//! of the slot and the end moves it back: nobody counts references, which would be one cache line that all cores
//! fight for. A view that has been replaced must not stay in an idle slot, for it holds generations and pages. The
//! publisher bumps the view's id and then takes stale views out of all slots; an end puts its view back and then looks at
//! the id: one of the two sees the other.

mod lease;
mod pin;
mod slot;
mod slots;
mod source;
mod view_cell;

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use braid_vfs::planted;
use braid_vfs::sync::Arc;

pub use self::lease::{HeldView, Lease, LeasedRegistration, Revoked};
use self::pin::Pin;
use self::slots::Slots;
pub use self::source::{SnapshotKind, SnapshotSource};
use crate::Timestamp;

/// Every live snapshot of a database. `V` is the engine's view.
pub struct SnapshotRegistry<V> {
    slots: Slots<V>,
}

/// A live snapshot, registered until [`SnapshotRegistry::end`] takes it back.
///
/// It holds its view but not the registry, so that beginning counts no references: whoever wraps it in a guard has the
/// registry at hand already.
#[derive(Debug)]
#[must_use = "a registration that is dropped stays registered for good"]
pub struct Registration<V> {
    slot: usize,
    kind: SnapshotKind,
    begin_ts: Timestamp,
    view: Arc<V>,
}

/// As many snapshots are open as the database allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{limit} transactions are open, which is the limit; end some of them, or raise the limit on open transactions"
)]
pub struct TooManySnapshots {
    /// The limit.
    pub limit: usize,
}

/// A live snapshot, for statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo<'a> {
    /// What it may do.
    pub kind: SnapshotKind,
    /// Its timestamp; a lower bound of it while it begins.
    pub begin_ts: Timestamp,
    /// The id of the view that it reads.
    pub view_id: u64,
    /// When it began, as its `begin` was told.
    pub started_at: u64,
    /// The name that it was given.
    pub name: Option<&'a str>,
    /// How old it may become, if there is a limit.
    pub max_age: Option<u64>,
}

impl<V> Registration<V> {
    /// What it may do.
    #[must_use]
    pub fn kind(&self) -> SnapshotKind {
        self.kind
    }

    /// The snapshot's timestamp.
    #[must_use]
    pub fn begin_ts(&self) -> Timestamp {
        self.begin_ts
    }

    /// The snapshot's view.
    #[must_use]
    pub fn view(&self) -> &Arc<V> {
        &self.view
    }
}

impl<V> SnapshotRegistry<V> {
    /// An empty registry for at most `limit` snapshots at a time (4,194,240 at most).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { slots: Slots::new(limit) }
    }

    /// Begins a snapshot. `started_at` is for [`for_each`](Self::for_each), in whatever unit the caller likes.
    ///
    /// # Errors
    /// When as many are open as may be.
    pub fn begin(
        &self,
        kind: SnapshotKind,
        source: &impl SnapshotSource<V>,
        started_at: u64,
    ) -> Result<Registration<V>, TooManySnapshots> {
        let bound = source.lower_bound(kind);
        let (index, slot) = self.slots.claim(Pin::tentative(kind, bound))?;
        let mut view_id = source.view_id();
        let cached = slot.take_view();
        let mut view = match cached {
            Some(view) if slot.view_id.load(Relaxed) == view_id => view,
            // A stale view is dropped here; the publisher's sweep leaves hardly any.
            _ => source.view(),
        };
        let begin_ts = loop {
            let begin_ts = if planted!(TimestampFirst) { bound } else { source.read_point(kind) };
            let current = source.view_id();
            if current == view_id || planted!(ViewNotLookedAtAgain) {
                break begin_ts;
            }
            view_id = current;
            view = source.view();
        };
        debug_assert!(begin_ts >= bound, "the horizons only rise");
        slot.view_id.store(view_id, Relaxed);
        slot.started_at.store(started_at, Relaxed);
        slot.settle(Pin::settled(kind, begin_ts));
        Ok(Registration { slot: index, kind, begin_ts, view })
    }

    /// Ends a snapshot. Gives back its view when that is not current any more: dropping it may free generations, so the
    /// caller chooses where.
    #[must_use = "dropping a replaced view may take long"]
    pub fn end(&self, registration: Registration<V>, source: &impl SnapshotSource<V>) -> Option<Arc<V>> {
        let slot = self.slots.get(registration.slot)?;
        let view_id = slot.view_id.load(Relaxed);
        slot.clear_name();
        if source.view_id() != view_id {
            slot.release();
            return Some(registration.view);
        }
        // The slot is still ours, so nobody but a sweep looks into it.
        slot.put_view(registration.view);
        slot.release();
        // A sweep that took out what was there before we put the view back has bumped the id before: we see that.
        if source.view_id() == view_id { None } else { slot.take_view() }
    }

    /// The watermark: no snapshot that is open, or begins from now on, reads before it.
    ///
    /// `acked` is acked_ts, and must have been read (`SeqCst`) before this call.
    #[must_use]
    pub fn watermark(&self, acked: Timestamp) -> Timestamp {
        let mut oldest = acked;
        self.slots.each_pin(|pin| oldest = oldest.min(pin.timestamp()));
        oldest
    }

    /// The watermark for a generation that starts at `start_ts`: as [`watermark`](Self::watermark), but passing over the
    /// snapshots that are too old to see anything of it.
    #[must_use]
    pub fn watermark_since(&self, start_ts: Timestamp, acked: Timestamp) -> Timestamp {
        let mut oldest = acked;
        self.slots.each_pin(|pin| match (pin.is_tentative(), pin.timestamp()) {
            // It may settle anywhere later.
            (true, bound) => oldest = oldest.min(bound.max(start_ts)),
            (false, begin_ts) if begin_ts > start_ts => oldest = oldest.min(begin_ts),
            (false, _) => {}
        });
        oldest
    }

    /// The oldest snapshot at `ts` or later; one that is beginning counts as if it were at `ts`, if its lower bound is
    /// before that.
    #[must_use]
    pub fn oldest_at_or_after(&self, ts: Timestamp) -> Option<Timestamp> {
        let mut oldest: Option<Timestamp> = None;
        self.slots.each_pin(|pin| {
            let at = if pin.is_tentative() { pin.timestamp().max(ts) } else { pin.timestamp() };
            if at >= ts {
                oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            }
        });
        oldest
    }

    /// The second watermark: no read-write snapshot that is open, or begins from now on, began before it.
    ///
    /// `installed` is installed_ts, and must have been read (`SeqCst`) before this call.
    #[must_use]
    pub fn oldest_read_write(&self, installed: Timestamp) -> Timestamp {
        let mut oldest = installed;
        self.slots.each_pin(|pin| {
            if pin.kind() == SnapshotKind::ReadWrite {
                oldest = oldest.min(pin.timestamp());
            }
        });
        oldest
    }

    /// Makes a read-write snapshot one that only reads from now on: its transaction is over, and something else still reads
    /// what it read. Nothing is kept for its validation any more.
    pub fn stop_writing(&self, registration: &Registration<V>) {
        if let Some(slot) = self.slots.get(registration.slot) {
            slot.settle(Pin::settled(SnapshotKind::ReadOnly, registration.begin_ts));
        }
    }

    /// When a snapshot began, as its `begin` was told.
    pub fn started_at(&self, registration: &Registration<V>) -> u64 {
        self.slots.get(registration.slot).map_or(0, |slot| slot.started_at.load(Relaxed))
    }

    /// The same of one with a lease.
    pub fn leased_started_at(&self, registration: &LeasedRegistration<V>) -> u64 {
        self.slots.get(registration.lease.slot).map_or(0, |slot| slot.started_at.load(Relaxed))
    }

    /// Makes a snapshot one that can be revoked, at a `max_age` or for another reason.
    pub fn lease(&self, registration: Registration<V>, max_age: Option<u64>) -> LeasedRegistration<V> {
        let Registration { slot: index, kind, begin_ts, view } = registration;
        let lease = Arc::new(Lease::new(index, view, max_age));
        if let Some(slot) = self.slots.get(index) {
            *slot.lease.lock() = Some(Arc::clone(&lease));
        }
        LeasedRegistration { kind, begin_ts, lease }
    }

    /// As [`end`](Self::end), for one with a lease, revoked or not.
    #[must_use = "dropping a replaced view may take long"]
    pub fn end_leased(
        &self,
        registration: LeasedRegistration<V>,
        source: &impl SnapshotSource<V>,
    ) -> Option<Arc<V>> {
        let slot = self.slots.get(registration.lease.slot)?;
        // From here on nobody revokes it.
        drop(slot.lease.lock().take());
        if let Some(registration) = registration.into_registration() {
            return self.end(registration, source);
        }
        slot.clear_name();
        slot.release();
        None
    }

    /// As [`stop_writing`](Self::stop_writing), for one with a lease.
    pub fn stop_writing_leased(&self, registration: &LeasedRegistration<V>) {
        if let Some(slot) = self.slots.get(registration.lease.slot) {
            let lease = slot.lease.lock();
            if lease.as_ref().is_some_and(|lease| lease.revoked().is_none()) {
                slot.settle(Pin::settled(SnapshotKind::ReadOnly, registration.begin_ts));
            }
        }
    }

    /// Every open snapshot with a lease that was not revoked.
    pub fn for_each_lease(&self, mut visit: impl FnMut(SnapshotInfo<'_>, &Arc<Lease<V>>)) {
        self.slots.each(&mut |slot| {
            let pin = slot.pin();
            if !pin.counts() {
                return;
            }
            let lease = slot.lease.lock().clone();
            if let Some(lease) = lease.filter(|lease| lease.revoked().is_none()) {
                slot.with_name(|name| visit(slot.info(pin, name, lease.max_age()), &lease));
            }
        });
    }

    /// Revokes a lease, unless its snapshot has ended. Gives back the view, if it is revoked now: dropping it may free
    /// generations.
    pub fn revoke(&self, lease: &Arc<Lease<V>>, why: Revoked) -> Option<Arc<V>> {
        let slot = self.slots.get(lease.slot)?;
        let open = slot.lease.lock();
        if !open.as_ref().is_some_and(|open| Arc::ptr_eq(open, lease)) {
            return None;
        }
        if planted!(RevokedNotTold) {
            slot.settle(Pin::REVOKED);
            return None;
        }
        let view = lease.revoke(why)?;
        // The trim that follows must not be seen without what was said before: R2 of the module `lease`.
        slot.settle(Pin::REVOKED);
        drop(open);
        Some(view)
    }

    /// How many revoked snapshots have not ended yet.
    #[must_use]
    pub fn revoked(&self) -> usize {
        let mut count = 0;
        self.slots.each(&mut |slot| count += usize::from(slot.pin() == Pin::REVOKED));
        count
    }

    /// Gives a snapshot a name for [`for_each`](Self::for_each).
    pub fn set_name(&self, registration: &Registration<V>, name: &str) {
        if let Some(slot) = self.slots.get(registration.slot) {
            slot.set_name(name);
        }
    }

    /// Lists the open snapshots, for statistics: one that begins or ends meanwhile may be missed, or described in part
    /// by the one before it in its slot.
    pub fn for_each(&self, mut visit: impl FnMut(SnapshotInfo<'_>)) {
        self.slots.each(&mut |slot| {
            let pin = slot.pin();
            if !pin.counts() {
                return;
            }
            let max_age = slot.lease.lock().as_ref().and_then(|lease| lease.max_age());
            slot.with_name(|name| visit(slot.info(pin, name, max_age)));
        });
    }

    /// Takes every cached view that is not `current_id` out of its slot. The publisher calls it after it has stored the
    /// new id; `dropped` gets the views, whose last references they may be.
    pub fn sweep_stale(&self, current_id: u64, mut dropped: impl FnMut(Arc<V>)) {
        self.slots.sweep(
            // A slot with the current id holds the current view, or none. In one with another id, a snapshot may just
            // be beginning and leave the current view there: to take that costs it a reference count.
            &|slot| slot.view_id.load(Relaxed) != current_id,
            &mut dropped,
        );
    }
}

impl<V> fmt::Debug for SnapshotRegistry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.slots.each_pin(|pin| {
            list.entry(&pin);
        });
        list.finish()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod model;
#[cfg(test)]
#[cfg(shuttle)]
mod protocol_tests;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;
