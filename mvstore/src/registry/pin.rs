//! The word in which a snapshot is registered.
//!
//! ```text
//! bit  63         62           61 … 0
//!      tentative  read-write   timestamp      all ones: idle; one less: closed; two less: revoked
//! ```

use std::fmt;

use super::SnapshotKind;
use crate::Timestamp;

const TENTATIVE: u64 = 1 << 63;
const READ_WRITE: u64 = 1 << 62;
const TIMESTAMP: u64 = Timestamp::MAX.get();
const IDLE: u64 = u64::MAX;

/// What a slot holds for one moment: nothing, or a snapshot's kind and timestamp.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pin(u64);

impl Pin {
    pub(super) const IDLE: Self = Self(IDLE);
    /// None, and there is to be none until the slot is opened.
    pub(super) const CLOSED: Self = Self(IDLE - 1);
    /// A snapshot that has not ended and holds nothing any more.
    pub(super) const REVOKED: Self = Self(IDLE - 2);

    /// A snapshot that is beginning, at `bound` or later.
    #[inline]
    pub(super) fn tentative(kind: SnapshotKind, bound: Timestamp) -> Self {
        // Idle, closed and revoked are no pins: no snapshot of the last three timestamps begins, and before them is enough of
        // a bound.
        let bound = bound.get().min(TIMESTAMP - 3);
        Self(TENTATIVE | flag(kind) | bound)
    }

    /// A snapshot that reads at `begin_ts`.
    #[inline]
    pub(super) fn settled(kind: SnapshotKind, begin_ts: Timestamp) -> Self {
        Self(flag(kind) | begin_ts.get())
    }

    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// Whether no snapshot has the slot.
    pub(super) const fn is_free(self) -> bool {
        self.0 >= Self::CLOSED.0
    }

    /// Whether it stands for a snapshot that holds something.
    #[inline]
    pub(super) const fn counts(self) -> bool {
        self.0 < Self::REVOKED.0
    }

    pub(super) const fn is_tentative(self) -> bool {
        self.0 & TENTATIVE != 0
    }

    pub(super) const fn kind(self) -> SnapshotKind {
        if self.0 & READ_WRITE == 0 { SnapshotKind::ReadOnly } else { SnapshotKind::ReadWrite }
    }

    /// Its timestamp, or the lower bound of it.
    pub(super) const fn timestamp(self) -> Timestamp {
        Timestamp::from_stored(self.0 & TIMESTAMP)
    }
}

const fn flag(kind: SnapshotKind) -> u64 {
    match kind {
        SnapshotKind::ReadOnly => 0,
        SnapshotKind::ReadWrite => READ_WRITE,
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.counts() {
            return f.write_str(if self.is_free() { "free" } else { "revoked" });
        }
        let from = if self.is_tentative() { " or later" } else { "" };
        write!(f, "{:?} at {}{from}", self.kind(), self.timestamp())
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pin_says_what_it_was_made_of_and_is_never_idle() {
        for kind in [SnapshotKind::ReadOnly, SnapshotKind::ReadWrite] {
            for at in [0, 1, TIMESTAMP - 1, TIMESTAMP] {
                let at = Timestamp::from_stored(at);
                let (tentative, settled) = (Pin::tentative(kind, at), Pin::settled(kind, at));
                for pin in [tentative, settled] {
                    assert!(!pin.is_free() && pin.counts(), "{kind:?} at {at}");
                    assert_eq!(pin.kind(), kind);
                    assert!(Pin::from_word(pin.word()) == pin);
                }
                assert!(tentative.is_tentative() && !settled.is_tentative());
                assert_eq!(settled.timestamp(), at);
                assert!(tentative.timestamp() <= at && tentative.timestamp().get() + 3 >= at.get());
            }
        }
        assert!(Pin::IDLE.is_free() && !Pin::IDLE.counts());
        assert!(Pin::CLOSED.is_free() && !Pin::CLOSED.counts());
        assert!(!Pin::REVOKED.is_free() && !Pin::REVOKED.counts());
    }
}
