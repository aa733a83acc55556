use super::super::SnapshotKind::ReadOnly;
use super::*;
use crate::testing::{Rng, steps, ts};

fn pin(at: u64) -> Pin {
    Pin::settled(ReadOnly, ts(at))
}

fn claim(slots: &Slots<u64>) -> usize {
    slots.claim(pin(9)).expect("there is room").0
}

fn release(slots: &Slots<u64>, index: usize) {
    slots.get(index).expect("it was claimed").release();
}

/// How many slots a look passes, and how many pins it sees.
fn look(slots: &Slots<u64>) -> (usize, usize) {
    let (before, mut pins) = (steps(), 0);
    slots.each_pin(|_| pins += 1);
    (usize::try_from(steps() - before).expect("few"), pins)
}

#[test]
fn groups_hold_every_slot_up_to_the_capacity_and_no_other() {
    assert_eq!(CAPACITY, 4_194_240, "what is documented");
    let (mut chunk, mut offset) = (0, 0);
    for group in 0..1 << 10 {
        assert_eq!(place(group), (chunk, offset));
        offset += GROUP;
        if offset == GROUP << (chunk + 1) {
            (chunk, offset) = (chunk + 1, 0);
        }
    }
    let last = CAPACITY / GROUP - 2;
    assert_eq!(place(last), (CHUNKS - 2, GROUP * ((2 << (CHUNKS - 2)) - 1)));
    assert_eq!(first_of(last) + GROUP, CAPACITY);
    assert_eq!(Slots::<()>::new(usize::MAX).limit, CAPACITY);
    assert_eq!(Slots::<()>::new(7).limit, 7);
}

#[test]
fn every_limit_is_reached_and_not_passed() {
    for limit in [0, 1, 2, 63, 64, 65, 127, 128, 129, 200, 192, 500, 4100] {
        let slots = Slots::new(limit);
        for round in 0..2 {
            let mut claimed: Vec<_> = (0..limit).map(|_| claim(&slots)).collect();
            assert_eq!(slots.claim(pin(9)).err(), Some(TooManySnapshots { limit }));
            claimed.sort_unstable();
            assert!(claimed.iter().copied().eq(0..limit), "round {round} of {limit}");
            assert_eq!(look(&slots).1, limit);
            claimed.into_iter().for_each(|index| release(&slots, index));
            (0..100).for_each(|_| assert_eq!(look(&slots).1, 0));
        }
    }
}

/// A look costs what is open, whatever there was before.
#[test]
fn a_burst_leaves_nothing_to_look_at() {
    let slots = Slots::new(65_536);
    let own = claim(&slots);
    assert_eq!(look(&slots), (1, 1));
    let burst: Vec<_> = (0..60_000).map(|_| claim(&slots)).collect();
    assert_eq!(look(&slots).1, 60_001);
    burst.into_iter().for_each(|index| release(&slots, index));
    let mut passed = 0;
    for _ in 0..100 {
        passed += look(&slots).0;
    }
    assert!(passed < 60_000 * 60, "{passed} slots passed until the burst was forgotten");
    let (passed, pins) = look(&slots);
    assert_eq!(pins, 1);
    assert!(passed <= GROUP, "{passed} slots passed");
    release(&slots, own);
}

/// Those that outlive a burst are seen, and hold back nobody but their own groups.
#[test]
fn survivors_of_a_burst_are_seen() {
    let slots = Slots::new(65_536);
    let mut burst: Vec<_> = (0..30_000).map(|_| claim(&slots)).collect();
    let survivors: Vec<_> = [29_999, 20_000, 5_000, 64].map(|at| burst.swap_remove(at)).into();
    burst.into_iter().for_each(|index| release(&slots, index));
    for _ in 0..200 {
        assert_eq!(look(&slots).1, survivors.len());
    }
    let (passed, _) = look(&slots);
    let words = 2 * (30_000 / GROUP).div_ceil(WORD);
    assert!(passed <= (survivors.len() + 1) * GROUP + words, "{passed} slots passed, or words of groups");
    // Nor does one that is needed no more cost the way down to it.
    let (highest, before) = (survivors[0], steps());
    survivors.iter().filter(|index| **index != highest).for_each(|index| release(&slots, *index));
    for _ in 0..100 {
        assert_eq!(look(&slots).1, 1);
    }
    let passed = (steps() - before) / 100;
    assert!(passed <= (2 * GROUP + words) as u64, "{passed} slots passed, or words of groups");
    // A second burst takes what was closed, and sees to the same end.
    let burst: Vec<_> = (0..30_000).map(|_| claim(&slots)).collect();
    assert_eq!(look(&slots).1, 1 + burst.len());
    burst.into_iter().chain([highest]).for_each(|index| release(&slots, index));
    for _ in 0..200 {
        look(&slots);
    }
    assert_eq!(look(&slots).1, 0);
    assert!(look(&slots).0 <= GROUP);
}

/// A thread that was far out in a burst comes back to a low slot.
#[test]
fn whoever_stayed_far_out_moves() {
    let slots = Slots::new(65_536);
    let burst: Vec<_> = (0..30_000).map(|_| claim(&slots)).collect();
    burst.into_iter().for_each(|index| release(&slots, index));
    let mut last = 0;
    for _ in 0..1000 {
        last = claim(&slots);
        look(&slots);
        release(&slots, last);
        look(&slots);
    }
    assert!(last < GROUP, "slot {last}");
    assert!(look(&slots).0 <= GROUP);
}

/// The n-th of many costs what the first did.
#[test]
fn a_begin_tries_few_slots_however_many_are_open() {
    let slots = Slots::new(65_536);
    let before = steps();
    let mut claimed: Vec<_> = (0..60_000).map(|_| claim(&slots)).collect();
    let tried = (steps() - before) / 60_000;
    assert!(tried <= 8, "{tried} slots tried for a claim");
    // Not in the order in which they came either.
    let (mut rng, mut most) = (Rng::new(5), 0);
    for _ in 0..20_000 {
        let at = rng.below(claimed.len());
        release(&slots, claimed[at]);
        let before = steps();
        claimed[at] = claim(&slots);
        most = most.max(steps() - before);
    }
    assert!(most <= (3 + TRIED as u64) * GROUP as u64, "{most} slots tried for a claim");
}

/// Groups that are in use as a whole are in nobody's way.
#[test]
fn a_begin_does_not_try_the_groups_that_a_look_could_not_close() {
    let slots = Slots::new(65_536);
    let mut burst: Vec<_> = (0..GROUP + 400 * GROUP).map(|_| claim(&slots)).collect();
    burst.drain(..first_of(320)).for_each(|index| release(&slots, index));
    for _ in 0..100 {
        assert_eq!(look(&slots).1, burst.len());
    }
    let mut most = 0;
    for _ in 0..330 * GROUP {
        let before = steps();
        claim(&slots);
        most = most.max(steps() - before);
    }
    assert!(most <= (3 + TRIED as u64) * GROUP as u64, "{most} slots tried for a claim");
}

/// A closed slot keeps no view.
#[test]
fn a_sweep_finds_the_views_in_closed_groups() {
    let slots = Slots::new(1000);
    let claimed: Vec<_> = (0..1000).map(|_| claim(&slots)).collect();
    for index in claimed {
        slots.get(index).expect("it was claimed").put_view(Arc::new(1));
        release(&slots, index);
    }
    for _ in 0..10 {
        look(&slots);
    }
    let mut views = 0;
    slots.sweep(&|_| true, &mut |_| views += 1);
    assert_eq!(views, 1000);
    slots.sweep(&|_| true, &mut |_| views += 1);
    assert_eq!(views, 1000);
}

/// A group is opened while views are swept out of the slots: what it kept goes all the same.
#[test]
fn a_sweep_takes_the_views_of_a_group_that_is_opened_meanwhile() {
    let slots = Slots::new(3 * GROUP);
    let claimed: Vec<_> = (0..3 * GROUP).map(|_| claim(&slots)).collect();
    for index in claimed {
        slots.get(index).expect("it was claimed").put_view(Arc::new(1));
        if index >= GROUP {
            release(&slots, index);
        }
    }
    look(&slots);
    let open = || slots.open_groups(0).collect::<Vec<_>>();
    assert_eq!(open(), [0]);
    let mut views = 0;
    let opens = |slot: &Slot<u64>| {
        while std::ptr::eq(slot, slots.get(GROUP).expect("it was claimed")) && open().len() == 1 {
            claim(&slots);
        }
        true
    };
    slots.sweep(&opens, &mut |_| views += 1);
    assert_eq!(open(), [0, 1]);
    assert_eq!(views, 3 * GROUP);
}
