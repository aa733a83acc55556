//! A failing seed made small: as long as it fails, what it does not need is taken away.

use super::children::Failure;
use super::swarm::{Limits, Plan, feature_names};

/// Takes away lives, sessions, operations and features while `fails` says that the seed still does; at most `tries`
/// times. Returns what is left to be limited, and the failure then.
pub fn shrink(
    seed: u64,
    limits: &Limits,
    failure: Failure,
    tries: u32,
    mut fails: impl FnMut(&Limits) -> Option<Failure>,
) -> (Limits, Failure) {
    let mut best = Shrinking { limits: limits.clone(), failure, tries };
    loop {
        let before = best.limits.clone();
        let plan = Plan::of(seed, &best.limits);
        best.lower(plan.lives, 1, &mut fails, |limits, value| limits.lives = Some(value));
        best.lower(plan.sessions, 1, &mut fails, |limits, value| limits.sessions = Some(value));
        best.lower(plan.operations, 1, &mut fails, |limits, value| limits.operations = Some(value));
        // Features in halves first, then one by one.
        let on: Vec<&str> = feature_names().filter(|name| plan.features.has(name)).collect();
        best.leave_out(&on, &mut fails);
        if best.limits == before || best.tries == 0 {
            return (best.limits, best.failure);
        }
    }
}

struct Shrinking {
    limits: Limits,
    failure: Failure,
    tries: u32,
}

impl Shrinking {
    fn attempt(&mut self, limits: Limits, fails: &mut impl FnMut(&Limits) -> Option<Failure>) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        match fails(&limits) {
            Some(failure) => {
                (self.limits, self.failure) = (limits, failure);
                true
            }
            None => false,
        }
    }

    /// Bisects for a smaller value that still fails.
    fn lower(
        &mut self,
        now: u32,
        least: u32,
        fails: &mut impl FnMut(&Limits) -> Option<Failure>,
        set: impl Fn(&mut Limits, u32),
    ) {
        let (mut low, mut high) = (least, now);
        while low < high {
            let middle = u32::midpoint(low, high);
            let mut limits = self.limits.clone();
            set(&mut limits, middle);
            if self.attempt(limits, fails) { high = middle } else { low = middle + 1 }
        }
    }

    fn leave_out(&mut self, names: &[&str], fails: &mut impl FnMut(&Limits) -> Option<Failure>) {
        if names.is_empty() {
            return;
        }
        let mut limits = self.limits.clone();
        limits.without.extend(names.iter().map(|name| (*name).to_owned()));
        if !self.attempt(limits, fails) && names.len() > 1 {
            let (one, two) = names.split_at(names.len() / 2);
            self.leave_out(one, fails);
            self.leave_out(two, fails);
        }
    }
}
