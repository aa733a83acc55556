//! Groups that are opened and closed while others claim and look. They have two slots here.

use std::sync::Arc;

use braid_vfs::sync::atomic::AtomicBool;
use braid_vfs::sync::atomic::Ordering::{Acquire, Release};
use braid_vfs::sync::thread;

use super::super::SnapshotKind::ReadOnly;
use super::*;
use crate::testing::{check_bounded, check_index, ts};

struct Registry {
    slots: Slots<()>,
    pinned: AtomicBool,
}

fn pin(at: u64) -> Pin {
    Pin::settled(ReadOnly, ts(at))
}

/// After a burst: the near slots are held for ever, two far groups are open, and nobody needs them.
fn after_a_burst() -> Arc<Registry> {
    let registry = Registry { slots: Slots::new(3 * GROUP), pinned: AtomicBool::new(false) };
    let slots: Vec<_> = (0..3 * GROUP).map(|_| registry.slots.claim(pin(100)).unwrap()).collect();
    slots.iter().filter(|(index, _)| *index >= GROUP).for_each(|(_, slot)| slot.release());
    Arc::new(registry)
}

fn open(slots: &Slots<()>) -> usize {
    slots.open_groups(0).count()
}

/// Whether a look sees the pin at 7.
fn is_seen(slots: &Slots<()>) -> bool {
    let mut seen = false;
    slots.each_pin(|pin| seen |= pin.timestamp() == ts(7));
    seen
}

/// Whoever claims while a look closes has a slot that every other look sees.
#[test]
fn loom_a_claim_is_seen_by_every_look_after_it() {
    check_index(|| {
        let registry = after_a_burst();
        let there = Arc::clone(&registry);
        let claims = thread::spawn(move || {
            let claimed = there.slots.claim(pin(7)).is_ok();
            there.pinned.store(true, Release);
            claimed
        });
        let there = Arc::clone(&registry);
        let closes = thread::spawn(move || is_seen(&there.slots));
        let pinned = registry.pinned.load(Acquire);
        let seen = is_seen(&registry.slots);
        assert!(seen || !pinned, "it was pinned before the look");
        assert!(claims.join().unwrap(), "there is room");
        closes.join().unwrap();
        assert!(is_seen(&registry.slots));
    });
}

/// One that has been closed is opened again for a second claim; both are seen, and each has its own.
#[test]
fn loom_two_claims_and_a_look_that_closes() {
    check_index(|| {
        let registry = after_a_burst();
        is_seen(&registry.slots);
        assert_eq!(open(&registry.slots), 1);
        let claim = |at| {
            let there = Arc::clone(&registry);
            thread::spawn(move || there.slots.claim(pin(at)).map(|(index, _)| index))
        };
        let claims = [claim(7), claim(8)];
        is_seen(&registry.slots);
        let [first, second] = claims.map(|claim| claim.join().unwrap().expect("there is room"));
        assert_ne!(first, second);
        let mut pins = 0;
        registry.slots.each_pin(|pin| pins += u64::from(pin.timestamp() < ts(100)));
        assert_eq!(pins, 2);
    });
}

/// A thread comes back to the slot that it used last, whose group another one just opens.
#[test]
fn loom_a_claim_is_seen_in_a_group_that_another_opens() {
    check_bounded(Some(2), || {
        let registry = after_a_burst();
        is_seen(&registry.slots);
        (0..GROUP).for_each(|_| assert!(registry.slots.claim(pin(100)).unwrap().0 < 2 * GROUP));
        let there = Arc::clone(&registry);
        let opens = thread::spawn(move || there.slots.claim(pin(8)).is_ok());
        let there = Arc::clone(&registry);
        let comes_back = thread::spawn(move || {
            LAST.with(|last| last.set(3 * GROUP - 1));
            let claimed = there.slots.claim(pin(7)).is_ok();
            there.pinned.store(true, Release);
            claimed
        });
        let pinned = registry.pinned.load(Acquire);
        let seen = is_seen(&registry.slots);
        assert!(seen || !pinned, "it was pinned before the look");
        assert!(opens.join().unwrap() && comes_back.join().unwrap(), "there is room");
        assert!(is_seen(&registry.slots));
    });
}

/// Two looks close at the same time as a slot is given up: nothing is lost by it.
#[test]
fn loom_what_was_closed_can_be_claimed_again() {
    check_index(|| {
        let registry = after_a_burst();
        let (_, held) = registry.slots.claim(pin(7)).unwrap();
        let there = Arc::clone(&registry);
        let looks = thread::spawn(move || is_seen(&there.slots));
        held.release();
        is_seen(&registry.slots);
        looks.join().unwrap();
        is_seen(&registry.slots);
        assert!(open(&registry.slots) <= 1, "the others are not needed");
        for _ in 0..2 * GROUP {
            registry.slots.claim(pin(8)).expect("as many as before the burst");
        }
        assert!(registry.slots.claim(pin(8)).is_err());
    });
}

/// A group is opened while views are swept out of the slots: what it kept goes all the same, whoever comes first.
#[test]
fn loom_a_sweep_takes_the_views_of_a_group_that_is_opened_beside_it() {
    check_index(|| {
        let slots = Slots::new(3 * GROUP);
        let claimed: Vec<_> = (0..3 * GROUP).map(|_| slots.claim(pin(100)).unwrap()).collect();
        for (index, slot) in claimed {
            if index >= 2 * GROUP {
                slot.put_view(Arc::new(()));
            }
            if index >= GROUP {
                slot.release();
            }
        }
        slots.each_pin(|_| {});
        assert_eq!(open(&slots), 1);
        (0..GROUP).for_each(|_| assert!(slots.claim(pin(100)).unwrap().0 < 2 * GROUP));
        let slots = Arc::new(slots);
        let there = Arc::clone(&slots);
        let sweeps = thread::spawn(move || {
            let mut taken = 0;
            there.sweep(&|_| true, &mut |_| taken += 1);
            taken
        });
        slots.claim(pin(7)).unwrap();
        assert_eq!(sweeps.join().unwrap(), GROUP);
    });
}
