//! Calls of the system that really fail, by a library that is loaded before the C library: nothing acknowledged is lost,
//! nothing that failed is there, a sync that failed is not tried again, and the reopened database goes on.

use braid_tests::machine::{FAULTS, Preload, try_fault};

use crate::actor;

/// Commits of a child.
const COMMITS: u64 = 30;

#[test]
fn whichever_fails() {
    let built = Preload::build().unwrap_or_else(|what| panic!("{what}"));
    let Some(preload) = built.or_say_so("failing calls") else { return };
    let (mut met, mut unknown, mut failed) = (0, 0, 0);
    for (index, plan) in FAULTS.iter().enumerate() {
        for nth in [plan.first(), plan.first() + 2, 17] {
            let mapped = index % 2 == 0;
            let found = try_fault(&preload, &actor(), plan, nth, mapped, COMMITS);
            let found = found.unwrap_or_else(|what| panic!("{what}"));
            met += u64::from(found.fired);
            unknown += found.steps.unknown;
            failed += found.steps.failed;
        }
    }
    assert!(met > FAULTS.len() as u64, "of all calls only {met} were met");
    assert!(unknown > 0, "a failed sync leaves the outcome of a commit open");
    assert!(failed > 0, "a failed write rolls a commit back");
}
