//! Histories in simulations, which want a process for themselves.

use braid_sim::histories::{Figures, Plan, judge, play_simulated};

#[test]
fn they_pass_both_checkers_and_repeat() {
    let mut figures = Figures::default();
    for seed in 0..6 {
        let plan = Plan::of(seed, 100);
        let played = play_simulated(&plan).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        figures += judge(&plan, &played).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let again = play_simulated(&plan).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert!(
            format!("{:?}", again.history) == format!("{:?}", played.history),
            "seed {seed} has two histories"
        );
    }
    assert!(figures.transactions > 100 && figures.crashes > 0, "{figures:?}");
}
