//! The view: what one snapshot reads, and what a commit is validated against.
//!
//! A view is immutable. A new one is published when the active generation is sealed and when sealed ones have been
//! folded; both happen inside the commit section, so that a commit that finds its view still current there has been
//! validated against every version that exists.

use std::sync::Arc;

use braid_mvstore::{Generation, Timestamp};
use braid_vfs::planted;

use crate::base::Base;

/// See the module.
#[derive(Debug)]
pub(crate) struct View {
    /// Counts the views of a core.
    pub(crate) id: u64,
    /// The generation that takes new versions, until the next seal.
    pub(crate) active: Arc<Generation>,
    /// Sealed and not yet folded, newest first.
    pub(crate) sealed: Vec<Arc<Generation>>,
    /// What is on disk: everything up to `base.timestamp()`.
    pub(crate) base: Arc<Base>,
    /// Folded already, newest first: off the read path, kept because a live read-write transaction began before their
    /// last commit and will have to be validated against them.
    pub(crate) retired: Vec<Arc<Generation>>,
    /// Transactions that began before this can no longer be validated. Not later than the last commit of the newest
    /// generation that was let go, and not earlier: what is missing is never taken for not there.
    pub(crate) validation_floor: Timestamp,
}

impl View {
    /// The generations that a reader looks through before the base, newest first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    /// One of [`generations`](Self::generations), by its place among them.
    pub(crate) fn generation(&self, place: usize) -> Option<&Arc<Generation>> {
        match place.checked_sub(1) {
            None => Some(&self.active),
            Some(sealed) => self.sealed.get(sealed),
        }
    }

    /// The generations that may hold versions later than `begin_ts`, other than the active one.
    pub(crate) fn history_after(&self, begin_ts: Timestamp) -> impl Iterator<Item = &Arc<Generation>> {
        self.sealed.iter().chain(&self.retired).filter(move |generation| generation.last_ts() > begin_ts)
    }

    /// Bytes of rows that are not in the base yet: what the row-store budget bounds.
    pub(crate) fn unfolded_bytes(&self) -> usize {
        self.generations().map(|generation| generation.bytes()).sum()
    }

    /// The view after the active generation is sealed, with `active` to take what comes next.
    pub(crate) fn sealed_under(&self, active: Arc<Generation>) -> Self {
        let mut sealed = Vec::with_capacity(self.sealed.len() + 1);
        sealed.push(Arc::clone(&self.active));
        sealed.extend(self.sealed.iter().cloned());
        Self {
            id: self.id + 1,
            active,
            sealed,
            base: Arc::clone(&self.base),
            retired: self.retired.clone(),
            validation_floor: self.validation_floor,
        }
    }

    /// The view without the history that no live read-write transaction needs, if it holds any such; `oldest_writer` is
    /// the oldest snapshot of one.
    pub(crate) fn without_history_before(&self, oldest_writer: Timestamp) -> Option<Self> {
        let needed =
            self.retired.iter().take_while(|generation| generation.last_ts() > oldest_writer).count();
        let newest_unneeded = self.retired.get(needed)?.last_ts();
        Some(Self {
            id: self.id + 1,
            active: Arc::clone(&self.active),
            sealed: self.sealed.clone(),
            base: Arc::clone(&self.base),
            retired: self.retired.iter().take(needed).cloned().collect(),
            validation_floor: self.floor_without(newest_unneeded),
        })
    }

    /// The floor without a generation, whose last commit nobody needs to be validated against any more. To raise it tells
    /// those who begin later nothing, and refuses the one whom that was wrong for: a revoked transaction that does not
    /// know it yet.
    fn floor_without(&self, last_ts: Timestamp) -> Timestamp {
        if planted!(RevokedFloorNotRaised) {
            self.validation_floor
        } else {
            self.validation_floor.max(last_ts)
        }
    }

    /// The view after `folded` went into `base`. What no live read-write transaction needs any more is let go:
    /// `oldest_writer` is the oldest snapshot of one. The history kept for validation is bounded by `history_bytes`;
    /// what exceeds it is given up, oldest first, and the floor rises.
    pub(crate) fn folded_into(
        &self,
        base: Arc<Base>,
        folded: &[Arc<Generation>],
        oldest_writer: Timestamp,
        history_bytes: usize,
    ) -> Self {
        let is_folded = |generation: &Arc<Generation>| folded.iter().any(|one| Arc::ptr_eq(one, generation));
        let (folded, sealed): (Vec<_>, Vec<_>) = self.sealed.iter().cloned().partition(is_folded);
        let mut kept = Vec::new();
        let mut bytes = 0_usize;
        let mut validation_floor = self.validation_floor;
        for generation in folded.into_iter().chain(self.retired.iter().cloned()) {
            if generation.last_ts() <= oldest_writer {
                validation_floor = validation_floor.max(self.floor_without(generation.last_ts()));
                break;
            }
            if planted!(HistoryForgotten) {
                break;
            }
            bytes = bytes.saturating_add(generation.bytes());
            if bytes > history_bytes {
                if !planted!(FloorNotRaised) {
                    validation_floor = validation_floor.max(generation.last_ts());
                }
                break;
            }
            kept.push(generation);
        }
        Self {
            id: self.id + 1,
            active: Arc::clone(&self.active),
            sealed,
            base,
            retired: kept,
            validation_floor,
        }
    }
}
