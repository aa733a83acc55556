//! What a life is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use braid::{Durability, JournalMode};
use fastrand::Rng;

use super::{Contents, Rows};

/// One thing to do to a database.
#[derive(Clone, Debug)]
pub enum Action {
    /// One transaction. Its tables exist.
    Commit {
        /// What it writes.
        writes: Vec<Write>,
        /// What it asks for.
        durability: Durability,
    },
    /// One transaction with an idempotency token that nobody used before. Its tables exist.
    Tokened {
        /// The token.
        token: String,
        /// What it writes: something that changes what is there.
        writes: Vec<Write>,
        /// What it asks for.
        durability: Durability,
    },
    /// One transaction that updates numbers and texts without a look at them. What it writes beside them behind a savepoint
    /// is taken back.
    Update {
        /// The table, which exists.
        table: String,
        /// Keys, and what becomes of their rows.
        updates: Vec<(Vec<u8>, Update)>,
        /// What it asks for.
        durability: Durability,
    },
    /// One transaction that commits by a future. Its tables exist.
    ByFuture {
        /// What it writes.
        writes: Vec<Write>,
        /// What it asks for.
        durability: Durability,
        /// What becomes of the future.
        end: FutureEnd,
    },
    /// Makes a table, which may exist.
    CreateTable(String),
    /// Loads a table, which does not exist, with rows in whatever order.
    Load {
        /// The table's name.
        table: String,
        /// Keys and values; of those with one key the last counts.
        rows: Vec<(Vec<u8>, Arc<[u8]>)>,
    },
    /// Drops a table, which may be missing.
    DropTable(String),
    /// One transaction that changes the catalog, and rows on the way.
    Schema {
        /// What it does, one after another. It can be done.
        steps: Vec<Step>,
        /// What it asks for.
        durability: Durability,
    },
    /// Changes who may write.
    Mode(JournalMode),
    /// Waits until everything is on the disk.
    Sync,
    /// Folds.
    Checkpoint,
    /// Gives space back.
    Compact,
    /// Brings a copy up to date by the changes that a consumer has missed.
    KeepUp,
    /// Copies everything to a new file.
    Backup(PathBuf),
    /// Draws ids from a sequence by a new handle, and makes the sequence if it is not there.
    Draw {
        /// Which of [`SEQUENCES`](super::SEQUENCES).
        sequence: usize,
        /// How many ids the handle reserves at once.
        block: u64,
        /// How many are drawn, one at least.
        ids: u64,
    },
    /// Raises a sequence beyond all that it gave out, and makes it if it is not there.
    Raise {
        /// Which of [`SEQUENCES`](super::SEQUENCES).
        sequence: usize,
        /// By how many ids, one at least.
        by: u64,
    },
    /// Drops a sequence, which may be missing.
    DropSequence {
        /// Which of [`SEQUENCES`](super::SEQUENCES).
        sequence: usize,
    },
    /// Begins a snapshot and, where there may be several writers, a transaction that writes; folds what they keep, which
    /// revokes them; and looks whether both are told so.
    Revoke {
        /// A table, which exists.
        table: String,
    },
    /// Lets time pass: whoever acts has moved the clock.
    Wait(Duration),
}

/// What becomes of a row in [`Action::Update`]: a number, or a text that is appended to.
#[derive(Clone, Debug)]
pub enum Update {
    /// It is added to.
    Add(i64),
    /// It is raised to at least this.
    Max(i64),
    /// It is lowered to at most this.
    Min(i64),
    /// This is appended.
    Append(Vec<u8>),
}

impl Update {
    fn apply(&self, before: Option<&Arc<[u8]>>) -> Arc<[u8]> {
        let number = before.and_then(|value| <[u8; 8]>::try_from(&**value).ok()).map(i64::from_le_bytes);
        let number = match self {
            Self::Append(bytes) => {
                return [before.map_or(&[][..], |value| value), bytes].concat().into();
            }
            Self::Add(operand) => number.unwrap_or(0).wrapping_add(*operand),
            Self::Max(operand) => number.map_or(*operand, |number| number.max(*operand)),
            Self::Min(operand) => number.map_or(*operand, |number| number.min(*operand)),
        };
        number.to_le_bytes().into()
    }
}

/// What becomes of the future of [`Action::ByFuture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutureEnd {
    /// It is polled until it is over.
    Awaited,
    /// It is dropped before it is polled: nothing is applied.
    Unpolled,
    /// It is dropped once the commit is installed: nobody is told what comes of it.
    Unwatched,
}

/// A step of [`Action::Schema`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Makes a table.
    Create(String),
    /// Drops one.
    Drop(String),
    /// Renames one.
    Rename(String, String),
    /// Writes a row.
    Write(Write),
}

/// One row written, or deleted where there is no value.
#[derive(Clone, Debug)]
pub struct Write {
    /// The table's name.
    pub table: String,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Option<Arc<[u8]>>,
}

impl Write {
    fn apply(&self, contents: &mut Contents) {
        let rows = contents.tables.entry(self.table.clone()).or_default();
        match &self.value {
            Some(value) => rows.insert(self.key.clone(), Arc::clone(value)),
            None => rows.remove(&self.key),
        };
    }
}

impl Action {
    /// What the action makes of `before`; `None` where it changes nothing that can be read.
    #[must_use]
    pub fn effect(&self, before: &Contents) -> Option<Contents> {
        let mut after = before.clone();
        match self {
            Self::Commit { writes, .. }
            | Self::Tokened { writes, .. }
            | Self::ByFuture { writes, end: FutureEnd::Awaited | FutureEnd::Unwatched, .. } => {
                for write in writes {
                    write.apply(&mut after);
                }
            }
            Self::Schema { steps, .. } => {
                for step in steps {
                    match step {
                        Step::Create(name) => drop(after.tables.insert(name.clone(), Rows::default())),
                        Step::Drop(name) => drop(after.tables.remove(name)),
                        Step::Rename(from, to) => {
                            let rows = after.tables.remove(from).unwrap_or_default();
                            after.tables.insert(to.clone(), rows);
                        }
                        Step::Write(write) => write.apply(&mut after),
                    }
                }
            }
            Self::Update { table, updates, .. } => {
                let rows = after.tables.entry(table.clone()).or_default();
                for (key, update) in updates {
                    let value = update.apply(rows.get(key));
                    rows.insert(key.clone(), value);
                }
            }
            Self::CreateTable(name) => drop(after.tables.entry(name.clone()).or_default()),
            Self::Load { table, rows } => {
                after.tables.insert(table.clone(), rows.iter().cloned().collect());
            }
            Self::DropTable(name) => drop(after.tables.remove(name)),
            Self::Mode(mode) => after.mode = *mode,
            Self::ByFuture { end: FutureEnd::Unpolled, .. }
            | Self::Sync
            | Self::Checkpoint
            | Self::Compact
            | Self::KeepUp
            | Self::Backup(_)
            | Self::Draw { .. }
            | Self::Raise { .. }
            | Self::DropSequence { .. }
            | Self::Revoke { .. }
            | Self::Wait(_) => return None,
        }
        (after != *before).then_some(after)
    }
}

/// Mostly commits of a few rows into `table`, of either durability; now and then a large value, a checkpoint, a sync, a
/// compaction. `number` is to differ from action to action: it makes every commit's contents its own.
#[must_use]
pub fn random_action(table: &str, number: u64, rng: &mut Rng) -> Action {
    match rng.u8(0..80) {
        0..4 => return Action::Checkpoint,
        4..8 => return Action::Sync,
        8 => return Action::Compact,
        _ => {}
    }
    let write = |key: Vec<u8>, value| Write { table: table.to_owned(), key, value };
    let mut writes = vec![write(b"last".to_vec(), Some(number.to_le_bytes().into()))];
    for _ in 0..rng.usize(1..6) {
        let key = format!("row {}", rng.u8(0..60)).into_bytes();
        let value = (rng.u8(0..4) > 0).then(|| {
            let length = if rng.u8(0..10) == 0 { rng.usize(0..6000) } else { rng.usize(0..200) };
            vec![rng.u8(..); length].into()
        });
        writes.push(write(key, value));
    }
    Action::Commit { writes, durability: if rng.bool() { Durability::Sync } else { Durability::Deferred } }
}
