//! Whether a sync is worth putting off for those who are about to come.
//!
//! Committers that one sync covered are woken together, and mostly they are soon back, each with another commit. Were
//! the first of them to sync at once, it would sync its own commit alone, and the others would wait for that sync,
//! which they do not need, and then for theirs: two syncs for what one can do. So after a sync that covered several
//! committers, or one behind which another waits, as many are *awaited*. The first one to come, or the first of those
//! who wait already, *holds* the next sync: it sleeps as the others do, and looks around after as long as the last sync
//! took. If a quarter of those who were missing have come meanwhile, the others are likely to, and it sleeps on; if not,
//! it leads. The last one to come leads at once. Threads are awaited by threads, and futures by futures, for which the
//! server sleeps.
//!
//! # Invariants
//!
//! 1. Nobody waits for others later than [`PATIENCE`] times as long as a sync takes after the end of the last one: who is to come
//!    back comes by then, and whoever comes after it leads at once. So an expectation that nobody has met costs nothing later.
//! 2. Nobody waits for others where a sync costs no more than to be woken. There, who slept for others would have them sleep
//!    for it in turn, and so on for ever, all of them slower than if each had synced alone.
//! 3. After every wait that was in vain more turns begin at once: one, then three, seven, up to [`LONGEST_REST`]. Writers
//!    that have something else to do between their commits pay once in so many turns.

use std::ops::Range;
use std::time::Duration;

/// A sync that takes less is not put off: to sleep and to be woken take as long.
const CHEAP_SYNC: Duration = Duration::from_micros(50);
/// A sync is not put off for longer than for this many of it.
const PATIENCE: u32 = 3;
/// The longest sleep until the next look, however slow the disk.
const LONGEST_HOLD: Duration = Duration::from_millis(2);
/// Turns that begin at once after many in which somebody did not come.
const LONGEST_REST: u32 = 63;

/// What is expected of the next turn.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Committers that are still to come until one leads; with 0 and 1 whoever comes leads.
    awaited: usize,
    /// How many they were when the one that holds the sync began to, or last looked.
    missing: usize,
    /// From one look to the next.
    step: Duration,
    /// When nobody is awaited any longer.
    until: Duration,
    /// How long the last sync took that was looked at: each one, but where they are cheap only those that covered several. One by
    /// itself may have taken long because its thread was not running, and covered several for that.
    took: Duration,
    /// Turns that begin at once from now on.
    rest: u32,
    /// How many it were the last time that somebody did not come.
    last_rest: u32,
}

impl Gathering {
    /// After a sync that covered so many committers, and behind which so many wait; `sync` says from when till when it went.
    /// Whether somebody is awaited.
    pub(super) fn expect(
        &mut self,
        covered: usize,
        behind: usize,
        sync: impl FnOnce() -> Range<Duration>,
    ) -> bool {
        self.awaited = 0;
        let several = covered > 0 && covered + behind > 1;
        if !several && self.took < CHEAP_SYNC {
            // The clock is not looked at for nothing.
            return false;
        }
        let sync = sync();
        let took = sync.end.saturating_sub(sync.start);
        let before = std::mem::replace(&mut self.took, took);
        if !several || took.min(before) < CHEAP_SYNC {
            return false;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        // Where nobody waits, the first one to come has not been waited for.
        (self.awaited, self.missing) = (covered, covered - usize::from(behind == 0));
        self.step = took.min(LONGEST_HOLD);
        self.until = sync.end.saturating_add(self.step * PATIENCE);
        true
    }

    /// A committer comes. Whether it is to lead.
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

    /// How long the first one to come, which is not to lead, sleeps until it looks; `None` where it comes too late to
    /// wait for others.
    pub(super) fn hold(&mut self, now: Duration) -> Option<Duration> {
        let left = self.until.saturating_sub(now);
        if left.is_zero() {
            self.cancel();
            return None;
        }
        Some(self.at_most_a_step(left))
    }

    /// After what time to look whether anybody has come, where several are awaited.
    pub(super) fn first_look(&self) -> Option<Duration> {
        (self.awaited > 1 && !self.step.is_zero()).then_some(self.step)
    }

    /// Nobody sleeps for longer than that until the next look.
    pub(super) fn at_most_a_step(&self, time: Duration) -> Duration {
        time.min(self.step)
    }

    /// When to look for the first time who has come.
    pub(super) fn look_at(&self) -> Duration {
        self.until.saturating_sub(self.step * (PATIENCE - 1))
    }

    /// Somebody leads without having been waited for.
    pub(super) const fn cancel(&mut self) {
        self.awaited = 0;
    }

    /// The one that holds the sync looks: how long to sleep on for those who are missing, if at all.
    pub(super) fn hold_on(&mut self, now: Duration) -> Option<Duration> {
        let came = self.missing - self.awaited;
        let left = self.until.saturating_sub(now);
        if came * 4 >= self.missing && !left.is_zero() {
            self.missing = self.awaited;
            return Some(self.at_most_a_step(left));
        }
        self.give_up();
        None
    }

    fn give_up(&mut self) {
        self.awaited = 0;
        self.last_rest = (2 * self.last_rest + 1).min(LONGEST_REST);
        self.rest = self.last_rest;
    }
}

#[cfg(test)]
impl Gathering {
    /// For tests of the queue: the next turn is for so many, who are awaited for so long; syncs are known to be worth it.
    pub(super) fn await_for(&mut self, committers: usize, time: Duration) {
        (self.awaited, self.missing) = (committers, committers - 1);
        self.took = time.max(CHEAP_SYNC);
        (self.step, self.until) = (time, time.saturating_add(Duration::from_nanos(1)) * PATIENCE);
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);
    /// Where the clock stands at the end of every sync.
    const END: Duration = Duration::from_secs(1);

    /// One whose last sync took as long as the next.
    fn at_rest(took: Duration) -> Gathering {
        Gathering { took, ..Gathering::default() }
    }

    fn expect(gathering: &mut Gathering, committers: usize) {
        gathering.expect(committers, 0, || END - TOOK..END);
    }

    /// How many come until one leads.
    fn turn(gathering: &mut Gathering) -> usize {
        (1..).find(|_| gathering.come()).unwrap_or_default()
    }

    #[test]
    fn the_last_one_that_was_covered_leads() {
        let mut gathering = at_rest(TOOK);
        assert_eq!(turn(&mut gathering), 1, "nobody is awaited at first");
        for committers in [8, 64, 2] {
            expect(&mut gathering, committers);
            assert_eq!(turn(&mut gathering), committers);
        }
        expect(&mut gathering, 1);
        assert_eq!(turn(&mut gathering), 1, "a single writer waits for nobody");
        expect(&mut gathering, 8);
        gathering.cancel();
        assert_eq!(turn(&mut gathering), 1);
    }

    #[test]
    fn nobody_waits_for_others_where_a_sync_is_cheap() {
        let cheap = CHEAP_SYNC - Duration::from_nanos(1);
        for (before, took, awaited) in [
            (Duration::ZERO, Duration::ZERO, 1),
            (cheap, cheap, 1),
            (cheap, TOOK, 1),
            (TOOK, cheap, 1),
            (CHEAP_SYNC, CHEAP_SYNC, 8),
        ] {
            let mut gathering = at_rest(before);
            gathering.expect(8, 0, || END..END + took);
            assert_eq!(turn(&mut gathering), awaited, "{took:?} after {before:?}");
        }
    }

    /// A thread that loses its processor while it syncs is the likeliest to have others wait for it.
    #[test]
    fn slow_ones_among_cheap_ones_have_nobody_wait() {
        let mut gathering = Gathering::default();
        for _ in 0..9 {
            expect(&mut gathering, 8);
            assert_eq!(turn(&mut gathering), 1);
            gathering.expect(1, 0, || END..END);
        }
        gathering.expect(1, 0, || unreachable!("one more look at the clock"));
    }

    #[test]
    fn it_learns_that_a_sync_is_worth_it() {
        let mut gathering = Gathering::default();
        expect(&mut gathering, 2);
        assert_eq!(turn(&mut gathering), 1, "one slow sync may be chance");
        expect(&mut gathering, 2);
        assert_eq!(turn(&mut gathering), 2);
        let mut gathering = at_rest(CHEAP_SYNC);
        gathering.expect(1, 0, || END..END);
        assert_eq!(gathering.took, Duration::ZERO, "and that it is not");
    }

    #[test]
    fn who_came_first_has_not_been_waited_for() {
        let mut gathering = at_rest(TOOK);
        expect(&mut gathering, 4);
        assert!(!gathering.come());
        assert_eq!(gathering.hold_on(END), None, "none of the three who were missing has come");
    }

    #[test]
    fn where_others_wait_behind_a_sync_all_whom_it_covered_are_awaited() {
        for (covered, behind) in [(1, 1), (8, 1), (3, 5)] {
            let mut gathering = at_rest(TOOK);
            assert!(gathering.expect(covered, behind, || END - TOOK..END));
            assert_eq!(gathering.hold(END), Some(TOOK), "the first of those behind holds");
            assert_eq!(turn(&mut gathering), covered);
        }
        for (covered, behind) in [(0, 1), (0, 8), (1, 0)] {
            let mut gathering = at_rest(TOOK);
            assert!(!gathering.expect(covered, behind, || END - TOOK..END), "{covered} and {behind}");
        }
        let mut gathering = at_rest(TOOK);
        gathering.expect(4, 3, || END - TOOK..END);
        assert!(!gathering.come());
        assert!(gathering.hold_on(END).is_some(), "one of the four who were missing has come");
        assert_eq!(gathering.hold_on(END), None, "none of three");
    }

    #[test]
    fn who_holds_a_sync_looks_after_as_long_as_one_takes() {
        for (took, step) in [(TOOK, TOOK), (Duration::from_secs(1), LONGEST_HOLD)] {
            let mut gathering = at_rest(took);
            gathering.expect(2, 0, || Duration::ZERO..took);
            assert_eq!(gathering.hold(took), Some(step));
        }
    }

    #[test]
    fn who_comes_too_late_waits_for_nobody() {
        let mut gathering = at_rest(TOOK);
        expect(&mut gathering, 8);
        assert!(!gathering.come());
        let short = Duration::from_nanos(1);
        assert_eq!(gathering.hold(END + TOOK * PATIENCE - short), Some(short));
        assert_eq!(gathering.hold(END + TOOK * PATIENCE), None);
        assert_eq!(turn(&mut gathering), 1, "nobody is awaited any more");
        assert_eq!(rest(&mut gathering), 0, "nobody has waited in vain");
    }

    #[test]
    fn a_sync_is_held_while_they_keep_coming() {
        let mut gathering = at_rest(TOOK);
        expect(&mut gathering, 16);
        let mut now = END;
        assert!((0..5).all(|_| !gathering.come()));
        for came in [0, 3, 2] {
            assert!((0..came).all(|_| !gathering.come()));
            assert!(gathering.hold_on(now).is_some());
            now += TOOK / 4;
        }
        assert!(!gathering.come());
        assert_eq!(gathering.hold_on(now), None, "one of six");
        assert!(gathering.come(), "nobody is awaited any more");
    }

    #[test]
    fn a_sync_is_held_for_a_time_however_they_come() {
        let mut gathering = at_rest(TOOK);
        expect(&mut gathering, 64);
        assert!(!gathering.come());
        let (mut now, mut looks) = (END, 0);
        let mut time = gathering.hold(now);
        while let Some(step) = time {
            assert!((0..gathering.missing.div_ceil(4)).all(|_| !gathering.come()));
            now += step;
            looks += 1;
            time = gathering.hold_on(now);
        }
        assert_eq!((now - END, looks), (TOOK * PATIENCE, PATIENCE));
        assert_eq!(
            rest(&mut gathering),
            1,
            "those who are slow are no more awaited than those who do not come"
        );
    }

    /// How many turns begin at once before committers are awaited again.
    fn rest(gathering: &mut Gathering) -> u32 {
        let mut turns = 0;
        loop {
            expect(gathering, 2);
            if !gathering.come() {
                return turns;
            }
            turns += 1;
        }
    }

    #[test]
    fn who_does_not_come_is_awaited_less_and_less_often() {
        let mut gathering = at_rest(TOOK);
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
        let mut gathering = at_rest(TOOK);
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
