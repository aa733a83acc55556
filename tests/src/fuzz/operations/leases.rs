//! Leases: what has a limit may be revoked, by a checkpoint or a compaction. Then every call that reads, writes or
//! commits says so, for good; until then everything is as it was without one.

use std::time::Duration;

use braid::{Database, Error, SnapshotOptions};

use super::{Held, Life, Lived};

/// Longer than any life.
const NEVER: Duration = Duration::from_secs(3600);

/// Limits, of which the first has run out at once.
const AGES: [Duration; 4] = [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(50), NEVER];

/// One of them.
pub(super) fn age(which: u8) -> Duration {
    AGES[usize::from(which) % AGES.len()]
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    may_go: bool,
    /// It is over its limit: the next checkpoint revokes it.
    is_over: bool,
    is_gone: bool,
}

impl Lease {
    /// One with a limit of its own, perhaps, where all may have one.
    pub(super) fn new(max_age: Option<Duration>, all: bool) -> Self {
        let is_over = max_age.is_some_and(|age| age.is_zero());
        let may_run_out = max_age.is_some_and(|age| age < NEVER);
        Self { may_go: all || may_run_out, is_over, is_gone: false }
    }

    /// A checkpoint has looked.
    pub(super) fn looked_at(&mut self) {
        self.is_gone |= self.is_over;
    }

    /// Takes the answer of a call; whether it is that the lease was revoked.
    pub(super) fn answers<T>(&mut self, answer: &Result<T, Error>) -> bool {
        assert!(answer.is_err() || !self.is_gone, "what was revoked answers again");
        let revoked = matches!(answer, Err(Error::BusySnapshot { .. }));
        assert!(self.may_go || !revoked, "it has no limit and was revoked");
        self.is_gone |= revoked;
        revoked
    }
}

impl Life<'_> {
    /// Takes the answer of a call of an open transaction. A revoked one stays, to be asked again.
    pub(super) fn excuse_open<T>(&mut self, slot: usize, what: &str, answer: Result<T, Error>) -> Lived {
        let revoked = self.open[slot].as_mut().is_some_and(|open| open.lease.answers(&answer));
        if revoked { Ok(()) } else { self.excuse(what, answer.map(drop)) }
    }

    /// Keeps a snapshot: with a name, a limit, or nothing of its own.
    pub(super) fn hold(&mut self, how: u8) -> Lived {
        self.still()?;
        let max_age = match how {
            0 | 2 => None,
            1 => Some(age(0)),
            _ => Some(age(how - 3)),
        };
        let name = (how == 2).then(|| "held".into());
        let snapshot = self.excuse("a snapshot", self.db.snapshot_with(SnapshotOptions { name, max_age }))?;
        let lease = Lease::new(max_age, self.leases_all);
        self.held = Some(Held { snapshot, at: self.model.last(), lease });
        Ok(())
    }

    /// What a snapshot sees does not change, as long as it sees anything.
    pub(super) fn still(&mut self) -> Lived {
        let Some(mut held) = self.held.take() else { return Ok(()) };
        let seen = self.seen(&held.snapshot);
        if !held.lease.answers(&seen) {
            self.same(&self.excuse("what a snapshot sees", seen)?, held.at);
        }
        self.held = Some(held);
        Ok(())
    }

    /// A checkpoint or what begins with one, which revokes what is over its limit, whatever else comes of it.
    pub(super) fn folds(&mut self, what: &str, work: impl FnOnce(&Database) -> Result<(), Error>) -> Lived {
        let done = work(&self.db);
        if let Some(held) = &mut self.held {
            held.lease.looked_at();
        }
        for open in self.open.iter_mut().flatten() {
            open.lease.looked_at();
        }
        self.excuse(what, done)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;

    #[test]
    fn what_was_revoked_must_not_answer_and_what_has_no_limit_must_not_be_revoked() {
        let db = Database::in_memory().expect("memory is there");
        let options = SnapshotOptions { name: None, max_age: Some(age(0)) };
        let snapshot = db.snapshot_with(options).expect("a snapshot can be taken");
        db.checkpoint().expect("a checkpoint can be made");
        let revoked = || snapshot.tables();
        assert!(matches!(revoked(), Err(Error::BusySnapshot { .. })));
        let accepts = |lease: Lease, answer: Result<Vec<String>, Error>| {
            let judge = AssertUnwindSafe(|| {
                let mut lease = lease;
                lease.looked_at();
                lease.answers(&answer)
            });
            std::panic::catch_unwind(judge).ok()
        };
        assert_eq!(accepts(Lease::new(Some(age(0)), false), revoked()), Some(true));
        assert_eq!(accepts(Lease::new(Some(age(1)), false), revoked()), Some(true));
        assert_eq!(accepts(Lease::new(None, true), revoked()), Some(true));
        assert_eq!(accepts(Lease::new(Some(age(3)), true), revoked()), Some(true));
        assert_eq!(accepts(Lease::new(Some(age(3)), false), revoked()), None);
        assert_eq!(accepts(Lease::new(None, true), Ok(Vec::new())), Some(false));
        assert_eq!(accepts(Lease::new(None, false), revoked()), None);
        assert_eq!(accepts(Lease::new(Some(age(0)), false), Ok(Vec::new())), None);
    }
}
