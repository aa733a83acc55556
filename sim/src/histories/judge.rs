//! Both checkers, and what there was to check.

use std::ops::AddAssign;

use braid_tests::{Kind, Outcome};

use super::{Plan, Played, adya};

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions that ended well or in doubt, each checked by both.
    pub transactions: u64,
    /// Histories.
    pub histories: u64,
    /// Processes that died, and power cuts.
    pub crashes: u64,
    /// Commits in doubt.
    pub unknown: u64,
    /// Losers of conflicts.
    pub busy: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.histories += other.histories;
        self.crashes += other.crashes;
        self.unknown += other.unknown;
        self.busy += other.busy;
    }
}

impl Figures {
    /// Counts what was played.
    #[must_use]
    pub fn of(played: &Played) -> Self {
        let mut figures = Self { histories: 1, crashes: played.crashes, ..Self::default() };
        for record in played.history.lives.iter().flat_map(|life| &life.records) {
            match (record.kind, &record.outcome) {
                (Kind::Snapshot, _) | (_, Outcome::Committed(_)) => figures.transactions += 1,
                (_, Outcome::Unknown(_)) => {
                    figures.transactions += 1;
                    figures.unknown += 1;
                }
                (_, Outcome::Lost(_)) => figures.busy += 1,
                (_, Outcome::Aborted) => {}
            }
        }
        figures
    }
}

/// Asks both checkers.
///
/// # Errors
/// What the first one that is not content says.
pub fn judge(plan: &Plan, played: &Played) -> Result<(), String> {
    if let Some(trouble) = played.troubles.first() {
        return Err(trouble.clone());
    }
    let verdict = played.history.check().map_err(|violation| format!("replay: {}", violation.0))?;
    adya::check(&played.history, &verdict, plan.isolation, plan.elements)
        .map_err(|why| format!("adya: {why}"))
}
