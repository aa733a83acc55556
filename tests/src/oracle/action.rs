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
    /// One transaction that adds to numbers and appends to texts, without a look at them. What it writes beside them behind a
    /// savepoint is taken back.
    Update {
        /// The table, which exists.
        table: String,
        /// Keys, and what is added.
        add: Vec<(Vec<u8>, i64)>,
        /// Keys, and what is appended.
        append: Vec<(Vec<u8>, Vec<u8>)>,
        /// What it asks for.
        durability: Durability,
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
    /// Lets time pass: whoever acts has moved the clock.
    Wait(Duration),
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
            Self::Commit { writes, .. } | Self::Tokened { writes, .. } => {
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
            Self::Update { table, add, append, .. } => {
                let rows = after.tables.entry(table.clone()).or_default();
                for (key, operand) in add {
                    let is = rows.get(key).and_then(|value| <[u8; 8]>::try_from(&**value).ok());
                    let number = is.map_or(0, i64::from_le_bytes).wrapping_add(*operand);
                    rows.insert(key.clone(), number.to_le_bytes().into());
                }
                for (key, bytes) in append {
                    let is = rows.get(key).map(|value| value.to_vec()).unwrap_or_default();
                    rows.insert(key.clone(), [&*is, bytes].concat().into());
                }
            }
            Self::CreateTable(name) => drop(after.tables.entry(name.clone()).or_default()),
            Self::Load { table, rows } => {
                after.tables.insert(table.clone(), rows.iter().cloned().collect());
            }
            Self::DropTable(name) => drop(after.tables.remove(name)),
            Self::Mode(mode) => after.mode = *mode,
            Self::Sync
            | Self::Checkpoint
            | Self::Compact
            | Self::KeepUp
            | Self::Backup(_)
            | Self::Draw { .. }
            | Self::Raise { .. }
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
