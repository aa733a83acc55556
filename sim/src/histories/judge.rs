//! Both checkers, and what there was to check.

use std::ops::AddAssign;

use braid::Isolation;
use braid_tests::{Kind, Outcome, Record};

use super::{Plan, Played, adya};

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions that ended well or in doubt and touched what both checkers look at, each checked by both.
    pub transactions: u64,
    /// All that ended well or in doubt, each checked by the replay.
    pub replayed: u64,
    /// Histories.
    pub histories: u64,
    /// Those of them in which writers of both levels ran beside each other.
    pub mixed: u64,
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
        self.replayed += other.replayed;
        self.histories += other.histories;
        self.mixed += other.mixed;
        self.crashes += other.crashes;
        self.unknown += other.unknown;
        self.busy += other.busy;
    }
}

impl Figures {
    /// Counts what was played, of which so many transactions were judged by both.
    fn of(played: &Played, transactions: u64) -> Self {
        let mut figures = Self { transactions, histories: 1, crashes: played.crashes, ..Self::default() };
        let records = || played.history.lives.iter().flat_map(|life| &life.records);
        for record in records() {
            match (record.kind, &record.outcome) {
                (Kind::Snapshot, _) | (_, Outcome::Committed(_)) => figures.replayed += 1,
                (_, Outcome::Unknown(_)) => {
                    figures.replayed += 1;
                    figures.unknown += 1;
                }
                (_, Outcome::Lost(_)) => figures.busy += 1,
                (_, Outcome::Aborted) => {}
            }
        }
        let wrote = |isolation| {
            let asked = |record: &Record| record.kind == Kind::Concurrent && record.isolation == isolation;
            records().any(|record| asked(record) && record.commit_ts().is_some())
        };
        figures.mixed = u64::from(wrote(Isolation::Snapshot) && wrote(Isolation::Serializable));
        figures
    }
}

/// Asks both checkers, and says what there was to check.
///
/// # Errors
/// What the first one that is not content says.
pub fn judge(plan: &Plan, played: &Played) -> Result<Figures, String> {
    if let Some(trouble) = played.troubles.first() {
        return Err(trouble.clone());
    }
    let verdict = played.history.check().map_err(|violation| format!("replay: {}", violation.0))?;
    let judged =
        adya::check(&played.history, &verdict, plan.elements).map_err(|why| format!("adya: {why}"))?;
    Ok(Figures::of(played, judged))
}
