//! The shrinker. Seeds are run in `tests/`, where a process is theirs alone.

use super::children::Failure;
use super::shrink::shrink;
use super::swarm::{Limits, Plan};

#[test]
fn what_a_failure_does_not_need_is_taken_away() {
    // It fails as long as two sessions do five operations each, with checkpoints.
    let fails = |limits: &Limits| {
        let plan = Plan::of(7, limits);
        let needed = plan.sessions >= 2 && plan.operations >= 5 && plan.features.has("checkpoint");
        needed.then(|| Failure { seed: 7, why: "it fails".to_owned(), trace: Vec::new() })
    };
    let seed_fails = fails(&Limits::default());
    let failure = seed_fails.expect("a seed whose plan has all of these");
    let (limits, _) = shrink(7, &Limits::default(), failure, 500, fails);
    let plan = Plan::of(7, &limits);
    assert_eq!((plan.sessions, plan.operations, plan.lives), (2, 5, 1));
    let left: Vec<_> = super::swarm::feature_names().filter(|name| plan.features.has(name)).collect();
    assert_eq!(left, ["checkpoint"]);
}
