//! What a seed means.

use std::time::Duration;

use braid::{Durability, Isolation, Options};
use fastrand::Rng;

/// What the rows are that both checkers look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// Lists that grow at their end: who reads one knows all that was appended before.
    Lists,
    /// Values that are overwritten, each with one that was never there.
    Registers,
}

/// Where the database lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// On a machine in memory that can be killed and lose its power.
    Machine,
    /// In a temporary directory.
    Real,
}

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// One at a time.
    Wal,
    /// Many.
    Mvcc,
    /// The sessions change it.
    Switching,
}

/// At which level the transactions of a history run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// All at this one.
    All(Isolation),
    /// Each at the one that it draws, beside others at the other.
    Drawn,
}

impl Levels {
    /// The level of one transaction.
    pub(super) fn draw(self, rng: &mut Rng) -> Isolation {
        match self {
            Self::All(isolation) => isolation,
            Self::Drawn if rng.bool() => Isolation::Serializable,
            Self::Drawn => Isolation::Snapshot,
        }
    }
}

/// One history to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything but what the threads' scheduler does.
    pub seed: u64,
    /// The levels of its transactions.
    pub levels: Levels,
    /// What both checkers look at.
    pub elements: Elements,
    /// Where.
    pub files: Files,
    /// Who may write.
    pub modes: Modes,
    /// How many sessions run side by side, each on a thread of its own.
    pub sessions: usize,
    /// How often the database is opened.
    pub lives: u64,
    /// How many steps each session does in each life, if nothing ends it.
    pub steps: u64,
    /// How the database is opened.
    pub options: Options,
}

impl Plan {
    /// The history of a seed, of about so many transactions in all.
    #[must_use]
    pub fn of(seed: u64, transactions: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let sessions = rng.usize(2..=8);
        let lives = rng.u64(1..=6);
        let files = if rng.u8(0..10) == 0 { Files::Real } else { Files::Machine };
        let modes = match rng.u8(0..8) {
            0 => Modes::Wal,
            1 | 2 => Modes::Switching,
            _ => Modes::Mvcc,
        };
        Self {
            seed,
            // As much of everything that the checkers tell apart, whatever the dice say.
            levels: match seed % 4 {
                1 => Levels::All(Isolation::Serializable),
                3 => Levels::All(Isolation::Snapshot),
                _ => Levels::Drawn,
            },
            elements: if (seed / 2 + seed / 4).is_multiple_of(2) {
                Elements::Lists
            } else {
                Elements::Registers
            },
            files,
            modes,
            sessions,
            lives,
            steps: (transactions / lives / sessions as u64).max(1),
            options: options(&mut rng),
        }
    }
}

/// So little room that generations are sealed and folded all the time; sometimes plenty, so that they are not.
fn options(rng: &mut Rng) -> Options {
    let plenty = rng.u8(0..6) == 0;
    let small = 64 << 10;
    Options {
        durability: if rng.u8(0..4) == 0 { Durability::Deferred } else { Durability::Sync },
        row_store_bytes: if plenty { 4 << 20 } else { small },
        cache_bytes: if plenty { 4 << 20 } else { small },
        log_segment_bytes: 64 << 10,
        log_bytes: if rng.bool() { 128 << 10 } else { 1 << 20 },
        page_bytes: *rng.choice(&[512, 1024, 4096]).unwrap_or(&512),
        map_log: rng.bool(),
        deferred_sync_interval: Duration::from_millis(rng.u64(1..50)),
        snapshot_max_pinned_bytes: [None, None, Some(0), Some(16 << 10)][rng.usize(0..4)],
        ..Options::default()
    }
}
