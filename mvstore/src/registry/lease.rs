//! Leases: snapshots whose view can be taken away from them, whether their owner looks or not.
//!
//! A plain snapshot holds its view itself, and what it pins stays until it ends. A leased one holds its view through a
//! lease that its slot knows too; to revoke it is to take the view out of there and to stop counting its pin. Plain
//! snapshots pay nothing for it.
//!
//! # A revocation against a read
//!
//! ```text
//!   read                                   revocation, and what it lets others do
//!   G1 holds the view that is in the lease R1 says why, and takes the view out
//!   G2 reads                               R2 the pin counts no more
//!   G3 looks whether R1 has come           T  a chain is trimmed, a page used again, history let go
//! ```
//!
//! 1. *What is read stays in memory.* G1 holds the view by a count of its own until the read is over, and with it its
//!    generations and its base. So no page that the base reaches is free for writing: the read of a page needs no look.
//! 2. *A chain may be trimmed under it*: the watermark passes over the pin after R2. A read that met such a chain comes
//!    after T, which comes after R2, which comes after R1; so G3 sees R1, and the answer is not given. What G3 lets
//!    through was read before any trim that R2 allowed.
//! 3. *History* that a revoked writer would have to be validated against may go after R2. Whoever lets it go raises the
//!    floor below which nothing is validated, so its commit fails even where it looked at the lease before R1.
//! 4. *Nobody else is revoked.* The lease is in its slot, under the slot's lock, exactly while its snapshot is open: the
//!    slot's next snapshot has another lease, or none.

use std::fmt;

use arc_swap::{ArcSwapOption, Guard};
use braid_vfs::sync::{Arc, OnceLock, schedule_point};

use super::{Registration, SnapshotKind};
use crate::Timestamp;

/// Why a lease was revoked, in whatever units the caller likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It was open for too long.
    TooOld {
        /// For so long.
        age: u64,
        /// It might be.
        limit: u64,
    },
    /// It was the oldest of those that together kept too much from being freed.
    PinsTooMuch {
        /// For so long it was open.
        age: u64,
        /// So much was kept.
        pinned: u64,
        /// It might be.
        limit: u64,
    },
}

/// See the module.
pub struct Lease<V> {
    pub(super) slot: usize,
    view: ArcSwapOption<V>,
    max_age: Option<u64>,
    revoked: OnceLock<Revoked>,
}

/// A view that stays, whatever becomes of the lease, until this is dropped.
pub struct HeldView<V>(Guard<Option<Arc<V>>>);

impl<V> std::ops::Deref for HeldView<V> {
    type Target = Option<Arc<V>>;

    fn deref(&self) -> &Option<Arc<V>> {
        &self.0
    }
}

impl<V> Lease<V> {
    pub(super) fn new(slot: usize, view: Arc<V>, max_age: Option<u64>) -> Self {
        Self { slot, view: ArcSwapOption::new(Some(view)), max_age, revoked: OnceLock::new() }
    }

    /// How old its snapshot may become, if there is a limit.
    #[must_use]
    pub fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// Why it was revoked, if it was: to be asked before a read, and after it.
    #[must_use]
    pub fn revoked(&self) -> Option<Revoked> {
        schedule_point();
        self.revoked.get().copied()
    }

    /// Holds the view; there is none in a lease that was revoked.
    #[must_use]
    pub fn hold(&self) -> HeldView<V> {
        schedule_point();
        HeldView(self.view.load())
    }

    /// R1 of the module's picture.
    pub(super) fn revoke(&self, why: Revoked) -> Option<Arc<V>> {
        // First why, so that whoever finds no view finds that.
        let first = self.revoked.set(why).is_ok();
        schedule_point();
        self.view.swap(None).filter(|_| first)
    }

    pub(super) fn take_view(&self) -> Option<Arc<V>> {
        self.view.swap(None)
    }
}

impl<V> fmt::Debug for Lease<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("max_age", &self.max_age)
            .field("revoked", &self.revoked.get())
            .finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for HeldView<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldView").field(&self.0.is_some()).finish()
    }
}

/// A live snapshot with a lease, registered until [`SnapshotRegistry::end_leased`](super::SnapshotRegistry::end_leased)
/// takes it back.
#[derive(Debug)]
#[must_use = "a registration that is dropped stays registered for good"]
pub struct LeasedRegistration<V> {
    pub(super) kind: SnapshotKind,
    pub(super) begin_ts: Timestamp,
    pub(super) lease: Arc<Lease<V>>,
}

impl<V> LeasedRegistration<V> {
    /// The snapshot's timestamp.
    #[must_use]
    pub fn begin_ts(&self) -> Timestamp {
        self.begin_ts
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &Arc<Lease<V>> {
        &self.lease
    }

    /// What [`SnapshotRegistry::end`](super::SnapshotRegistry::end) wants, if the view is still there.
    pub(super) fn into_registration(self) -> Option<Registration<V>> {
        let view = self.lease.take_view()?;
        Some(Registration { slot: self.lease.slot, kind: self.kind, begin_ts: self.begin_ts, view })
    }
}
