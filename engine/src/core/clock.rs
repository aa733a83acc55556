//! The clock that commit timestamps come from.
//!
//! A timestamp that was ever given out is never given out again, not even when a power cut took its commit back. So the
//! clock may only issue timestamps up to a reserved end that is durable in the log, and it starts after the reserved end
//! when the database is opened. Reservations are made ahead, by a record that rides along with a commit; the sync of that
//! commit, or the next background sync, makes it durable long before the old range is used up.

use braid_mvstore::Timestamp;
use braid_wal::Lsn;

/// A timestamp that the engine stored itself.
pub(crate) fn timestamp(raw: u64) -> Timestamp {
    Timestamp::new(raw).unwrap_or(Timestamp::MAX)
}

/// How many timestamps one reservation covers.
pub(crate) const RESERVATION: u64 = 1 << 20;

/// Lives in the commit section.
#[derive(Debug)]
pub(crate) struct CommitClock {
    last: Timestamp,
    /// The last timestamp of the durable reservation.
    reserved: Timestamp,
    /// A reservation on its way: usable once the log is durable through the position.
    pending: Option<(Timestamp, Lsn)>,
}

/// What the clock answers when asked for the next timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The timestamp to commit at.
    At(Timestamp),
    /// The reservation is used up until the log is durable through this position.
    AfterSync(Lsn),
    /// The reservation is used up and no other is on its way: make one.
    Reserve,
    /// The clock's range is used up.
    Exhausted,
}

impl CommitClock {
    /// A clock that has issued everything up to `last` and may go on to `reserved`.
    pub(crate) const fn new(last: Timestamp, reserved: Timestamp) -> Self {
        Self { last, reserved, pending: None }
    }

    /// The newest timestamp that was issued.
    pub(crate) const fn last(&self) -> Timestamp {
        self.last
    }

    /// The end of everything reserved, durable or on its way.
    pub(crate) fn reserved_end(&self) -> Timestamp {
        self.pending.map_or(self.reserved, |(end, _)| end)
    }

    /// The next timestamp, which [`advance`](Self::advance) then issues.
    pub(crate) fn peek(&mut self, durable: Lsn) -> Tick {
        let Some(next) = self.last.checked_next() else { return Tick::Exhausted };
        if next <= self.reserved {
            return Tick::At(next);
        }
        match self.pending {
            Some((end, lsn)) if lsn <= durable => {
                self.reserved = end;
                self.pending = None;
                Tick::At(next)
            }
            Some((_, lsn)) => Tick::AfterSync(lsn),
            None => Tick::Reserve,
        }
    }

    /// Issues `ts`.
    pub(crate) fn advance(&mut self, ts: Timestamp) {
        debug_assert!(ts > self.last && ts <= self.reserved);
        self.last = ts;
    }

    /// The end of a reservation that should be made now: half of the current one is used and none is on its way.
    pub(crate) fn wanted_reservation(&self) -> Option<Timestamp> {
        let left = self.reserved.get() - self.last.get();
        (self.pending.is_none() && left < RESERVATION / 2)
            .then(|| timestamp(self.reserved.get().saturating_add(RESERVATION)))
            .filter(|end| *end > self.reserved)
    }

    /// A reservation up to `end` stands in the log before `lsn`.
    pub(crate) fn reserve(&mut self, end: Timestamp, lsn: Lsn) {
        self.pending = Some((end, lsn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(value: u64) -> Timestamp {
        timestamp(value)
    }

    #[test]
    fn it_stops_at_the_durable_reservation() {
        let mut clock = CommitClock::new(ts(8), ts(10));
        for expected in [9, 10] {
            assert_eq!(clock.peek(Lsn::new(0)), Tick::At(ts(expected)));
            clock.advance(ts(expected));
        }
        assert_eq!(clock.peek(Lsn::new(0)), Tick::Reserve);
        clock.reserve(ts(20), Lsn::new(100));
        assert_eq!(clock.peek(Lsn::new(99)), Tick::AfterSync(Lsn::new(100)));
        assert_eq!(clock.peek(Lsn::new(100)), Tick::At(ts(11)));
    }

    #[test]
    fn it_asks_for_a_reservation_once() {
        let mut clock = CommitClock::new(ts(0), ts(RESERVATION));
        assert_eq!(clock.wanted_reservation(), None);
        clock.advance(ts(RESERVATION / 2 + 1));
        let end = clock.wanted_reservation().unwrap();
        assert_eq!(end, ts(2 * RESERVATION));
        clock.reserve(end, Lsn::new(8));
        assert_eq!(clock.wanted_reservation(), None);
    }

    #[test]
    fn the_end_of_the_range_is_an_answer() {
        let mut clock = CommitClock::new(ts(Timestamp::MAX.get() - 1), ts(u64::MAX));
        assert_eq!(clock.peek(Lsn::new(0)), Tick::At(ts(u64::MAX)));
        clock.advance(ts(u64::MAX));
        assert_eq!(clock.peek(Lsn::new(0)), Tick::Exhausted);
        assert_eq!(clock.wanted_reservation(), None);
    }
}
