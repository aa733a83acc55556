//! The shrinker. Seeds are run in `tests/`, where a process is theirs alone.

use super::children::Failure;
use super::shrink::shrink;
use super::swarm::{Limits, Plan};

#[test]
fn what_a_failure_does_not_need_is_taken_away() {
    // It fails as long as two sessions do five operations each, with checkpoints.
    let fails = |seed: u64, limits: &Limits| {
        let plan = Plan::of(seed, limits);
        let needed = plan.sessions >= 2 && plan.operations >= 5 && plan.features.has("checkpoint");
        needed.then(|| Failure { seed, why: "it fails".to_owned(), trace: Vec::new() })
    };
    let failure = (0..1_000).find_map(|seed| fails(seed, &Limits::default()));
    let failure = failure.expect("a seed whose plan has all of these");
    let seed = failure.seed;
    let (limits, _) = shrink(seed, &Limits::default(), failure, 500, |limits| fails(seed, limits));
    let plan = Plan::of(seed, &limits);
    assert_eq!((plan.sessions, plan.operations, plan.lives), (2, 5, 1));
    let left: Vec<_> = super::swarm::feature_names().filter(|name| plan.features.has(name)).collect();
    assert_eq!(left, ["checkpoint"]);
}
