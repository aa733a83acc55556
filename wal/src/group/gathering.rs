//! Whether a sync is worth putting off for those who are about to come.
//!
//! Threads that one sync covered are woken together, and mostly they are soon back, each with another commit. Were the first
//! of them to sync at once, it would sync its own commit alone, and the others would wait for that sync, which they do not need, and
//! then for theirs: two syncs for what one can do. So after a sync that covered several threads, and behind which nobody waits, as
//! many are *awaited*. The first one to come keeps *watch*: it sleeps as the others do, and looks around after as long as the
//! last sync took. If a quarter of those who were missing have come meanwhile, the others are likely to, and it sleeps on; if not, it
//! leads. The last one to come leads at once.
//!
//! So a commit waits in vain only where somebody did not come back. Where that happens the next turns begin at once: one of
//! them, then three, seven, up to [`LONGEST_REST`]. Writers that have something else to do between their commits pay for the watch
//! once in so many turns.

use std::time::Duration;

/// Watch is kept at least as long: a thread that is woken on another processor wants some of it.
const SHORTEST_WATCH: Duration = Duration::from_micros(50);
/// And at most, however slow the disk.
const LONGEST_WATCH: Duration = Duration::from_millis(2);
/// Turns that begin at once after many in which somebody did not come.
const LONGEST_REST: u32 = 63;

/// What is expected of the next turn.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Threads that are still to come until one leads; with 0 and 1 whoever comes leads.
    awaited: usize,
    /// How many they were when the one that keeps watch began to, or last looked.
    missing: usize,
    watch: Duration,
    /// Turns that begin at once from now on.
    rest: u32,
    /// How many it were the last time that somebody did not come.
    last_rest: u32,
}

impl Gathering {
    /// After a sync that took so long and covered so many threads, all that were there.
    pub(super) fn expect(&mut self, threads: usize, took: Duration) {
        self.awaited = 0;
        if threads < 2 {
            return;
        }
        self.watch = took.clamp(SHORTEST_WATCH, LONGEST_WATCH);
        if self.rest == 0 {
            (self.awaited, self.missing) = (threads, threads - 1);
        } else {
            self.rest -= 1;
        }
    }

    /// A thread comes. Whether it is to lead.
    pub(super) fn come(&mut self) -> bool {
        if self.awaited > 1 {
            self.awaited -= 1;
            return false;
        }
        if self.awaited == 1 {
            self.last_rest /= 2;
        }
        self.awaited = 0;
        true
    }

    /// How long the first one sleeps until it looks.
    pub(super) const fn watch(&self) -> Duration {
        self.watch
    }

    /// Somebody leads without having been waited for.
    pub(super) const fn cancel(&mut self) {
        self.awaited = 0;
    }

    /// The one that keeps watch looks. Whether to wait on for those who are missing.
    pub(super) fn goes_on(&mut self) -> bool {
        let came = self.missing - self.awaited;
        if came * 4 >= self.missing {
            self.missing = self.awaited;
            return true;
        }
        self.give_up();
        false
    }

    fn give_up(&mut self) {
        self.awaited = 0;
        self.last_rest = (2 * self.last_rest + 1).min(LONGEST_REST);
        self.rest = self.last_rest;
    }
}

#[cfg(test)]
impl Gathering {
    /// For tests of the queue: the next turn is for so many, who are awaited for so long.
    pub(super) const fn await_for(&mut self, threads: usize, watch: Duration) {
        (self.awaited, self.missing, self.watch) = (threads, threads - 1, watch);
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    /// How many come until one leads.
    fn turn(gathering: &mut Gathering) -> usize {
        (1..).find(|_| gathering.come()).unwrap_or_default()
    }

    #[test]
    fn the_last_one_that_was_covered_leads() {
        let mut gathering = Gathering::default();
        assert_eq!(turn(&mut gathering), 1, "nobody is awaited at first");
        for threads in [8, 64, 2] {
            gathering.expect(threads, TOOK);
            assert_eq!(turn(&mut gathering), threads);
        }
        gathering.expect(1, TOOK);
        assert_eq!(turn(&mut gathering), 1, "a single writer waits for nobody");
        gathering.expect(8, TOOK);
        gathering.cancel();
        assert_eq!(turn(&mut gathering), 1);
    }

    #[test]
    fn a_watch_is_as_long_as_a_sync_within_bounds() {
        let mut gathering = Gathering::default();
        for (took, watch) in
            [(TOOK, TOOK), (Duration::ZERO, SHORTEST_WATCH), (Duration::from_secs(1), LONGEST_WATCH)]
        {
            gathering.expect(2, took);
            assert_eq!(gathering.watch(), watch);
        }
    }

    #[test]
    fn a_watch_goes_on_while_they_keep_coming() {
        let mut gathering = Gathering::default();
        gathering.expect(16, TOOK);
        for came in [5, 3, 3] {
            assert!((0..came).all(|_| !gathering.come()));
            assert!(gathering.goes_on());
        }
        assert!(!gathering.come());
        assert!(!gathering.goes_on(), "one of five");
        assert!(gathering.come(), "nobody is awaited any more");
    }

    /// How many turns begin at once before threads are awaited again.
    fn rest(gathering: &mut Gathering) -> u32 {
        let mut turns = 0;
        loop {
            gathering.expect(2, TOOK);
            if !gathering.come() {
                return turns;
            }
            turns += 1;
        }
    }

    #[test]
    fn who_does_not_come_is_awaited_less_and_less_often() {
        let mut gathering = Gathering::default();
        let rests: Vec<u32> = (0..9)
            .map(|_| {
                let turns = rest(&mut gathering);
                gathering.give_up();
                turns
            })
            .collect();
        assert_eq!(rests, [0, 1, 3, 7, 15, 31, 63, 63, 63]);
    }

    #[test]
    fn who_comes_is_awaited_again() {
        let mut gathering = Gathering::default();
        for _ in 0..9 {
            rest(&mut gathering);
            gathering.give_up();
        }
        rest(&mut gathering);
        for _ in 0..6 {
            assert!(gathering.come(), "the second of two");
            assert_eq!(rest(&mut gathering), 0);
        }
        gathering.give_up();
        assert_eq!(rest(&mut gathering), 1);
    }
}
