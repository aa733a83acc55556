//! The steps of the scripts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use braid::{Durability, JournalMode};
use braid_tests::oracle::{self, Action, Contents, FutureEnd, Update, Write};

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Something that changes the database, or copies it.
    Act(Action),
    /// Everything is read.
    Read,
    /// The file is checked.
    Check,
    /// The database is closed, and opened again.
    Reopen,
    /// The database is closed, and read through a handle that only reads.
    ReadOnly,
}

/// Where tokens are forgotten on the way.
pub(super) const RETENTION: Duration = Duration::from_secs(10);

fn write(table: &str, key: &str, bytes: usize) -> Write {
    let value = Some((0..bytes).map(|at| at.to_le_bytes()[0]).collect());
    Write { table: table.to_owned(), key: key.as_bytes().to_vec(), value }
}

pub(super) fn commit(key: &str, bytes: usize, durability: Durability) -> Step {
    Step::Act(Action::Commit { writes: vec![write("rows", key, bytes)], durability })
}

pub(super) fn create(name: &str) -> Step {
    Step::Act(Action::CreateTable(name.to_owned()))
}

/// From nothing to a close.
pub(super) fn from_creation() -> Vec<Step> {
    let mut steps = vec![Step::Act(Action::Mode(JournalMode::Mvcc)), create("rows"), create("notes")];
    steps.extend((0..4).map(|number| commit(&format!("small {number}"), 40, Durability::Sync)));
    steps.extend([
        commit("on pages of its own", 3000, Durability::Sync),
        Step::Read,
        Step::Act(Action::Checkpoint),
        commit("deferred", 20, Durability::Deferred),
        Step::Act(Action::Sync),
    ]);
    // Over the ends of segments.
    steps.extend((0..7).map(|number| commit(&format!("large {}", number % 2), 20_000, Durability::Sync)));
    steps.extend([Step::Act(Action::Checkpoint), Step::Act(Action::DropTable("notes".to_owned()))]);
    steps.extend((0..4).map(|number| commit(&format!("large {}", number % 2), 17_000, Durability::Deferred)));
    let deletes = ["large 0", "on pages of its own"].map(|key| Write {
        table: "rows".to_owned(),
        key: key.as_bytes().to_vec(),
        value: None,
    });
    steps.extend([
        Step::Act(Action::Commit { writes: deletes.to_vec(), durability: Durability::Sync }),
        Step::Act(Action::Compact),
        Step::Read,
        Step::Check,
        Step::Act(Action::Backup(PathBuf::from("/copy.braid"))),
        commit("last", 30, Durability::Deferred),
        Step::ReadOnly,
        Step::Reopen,
        commit("very last", 30, Durability::Sync),
    ]);
    steps
}

/// After a kill.
pub(super) fn from_a_kill() -> Vec<Step> {
    vec![
        Step::Read,
        commit("again", 100, Durability::Sync),
        create("more"),
        commit("again, large", 20_000, Durability::Deferred),
        Step::Act(Action::Checkpoint),
        Step::Read,
        Step::Reopen,
        Step::Check,
        commit("last", 30, Durability::Deferred),
    ]
}

fn by_future(key: &str, durability: Durability, end: FutureEnd) -> Step {
    Step::Act(Action::ByFuture { writes: vec![write("rows", key, 60)], durability, end })
}

fn tokened(token: &str, durability: Durability) -> Step {
    let writes = vec![write("rows", token, 20)];
    Step::Act(Action::Tokened { token: token.to_owned(), writes, durability })
}

fn update(number: i64, durability: Durability) -> Step {
    let updates = [
        ("count", Update::Add(number)),
        ("highest", Update::Max(number)),
        ("lowest", Update::Min(-number)),
        ("text", Update::Append(vec![7; 9])),
    ];
    let updates = updates.map(|(key, update)| (key.as_bytes().to_vec(), update)).to_vec();
    Step::Act(Action::Update { table: "rows".to_owned(), updates, durability })
}

fn draw(sequence: usize) -> Step {
    Step::Act(Action::Draw { sequence, block: 2, ids: 3 })
}

/// Whatever has a call of its own: from nothing to a close.
pub(super) fn features() -> Vec<Step> {
    let made = |name: &str| oracle::Step::Create(name.to_owned());
    let schema = vec![
        made("draft"),
        oracle::Step::Write(write("draft", "row", 30)),
        oracle::Step::Rename("draft".to_owned(), "final".to_owned()),
        made("more"),
    ];
    vec![
        Step::Act(Action::Mode(JournalMode::Mvcc)),
        create("rows"),
        Step::Act(Action::KeepUp),
        draw(0),
        tokened("one", Durability::Deferred),
        update(3, Durability::Sync),
        by_future("awaited", Durability::Sync, FutureEnd::Awaited),
        by_future("unpolled", Durability::Sync, FutureEnd::Unpolled),
        by_future("unwatched", Durability::Sync, FutureEnd::Unwatched),
        Step::Read,
        Step::Act(Action::Schema { steps: schema, durability: Durability::Sync }),
        Step::Act(Action::KeepUp),
        Step::Act(Action::Revoke { table: "rows".to_owned() }),
        Step::Act(Action::Raise { sequence: 0, by: 10 }),
        Step::Act(Action::Wait(2 * RETENTION)),
        tokened("two", Durability::Sync),
        draw(1),
        Step::Act(Action::DropSequence { sequence: 1 }),
        Step::Act(Action::Checkpoint),
        Step::Act(Action::KeepUp),
        // One writer at a time from here on: who leaves its turn with somebody keeps everybody out.
        Step::Act(Action::Mode(JournalMode::Wal)),
        by_future("alone", Durability::Deferred, FutureEnd::Awaited),
        by_future("alone, unpolled", Durability::Sync, FutureEnd::Unpolled),
        by_future("alone, unwatched", Durability::Deferred, FutureEnd::Unwatched),
        commit("small", 40, Durability::Sync),
        Step::Reopen,
        Step::Act(Action::KeepUp),
        draw(0),
        tokened("three", Durability::Sync),
        update(2, Durability::Deferred),
        Step::Act(Action::Sync),
        Step::Act(Action::Backup(PathBuf::from("/copy.braid"))),
        Step::Read,
        Step::Check,
    ]
}

/// Loads, whose rows no consumer of changes is told.
pub(super) fn loads() -> Vec<Step> {
    // Out of order, and more than the row store takes.
    let row = |number: u8| (vec![number * 7 % 11], Arc::from(vec![number; 12_000]));
    let load =
        |table: &str| Step::Act(Action::Load { table: table.to_owned(), rows: (1..8).map(row).collect() });
    vec![
        create("rows"),
        commit("small", 40, Durability::Deferred),
        load("loaded"),
        commit("small again", 40, Durability::Sync),
        Step::Read,
        Step::Act(Action::DropTable("loaded".to_owned())),
        Step::Act(Action::Checkpoint),
        load("loaded again"),
        Step::Reopen,
        Step::Read,
        Step::Check,
    ]
}

/// What stands when the process is killed before [`features_from_a_kill`].
pub(super) fn features_before_a_kill() -> Vec<Step> {
    vec![
        Step::Act(Action::Mode(JournalMode::Mvcc)),
        create("rows"),
        Step::Act(Action::KeepUp),
        draw(0),
        draw(1),
        tokened("one", Durability::Sync),
        update(3, Durability::Sync),
        Step::Act(Action::Checkpoint),
        Step::Act(Action::DropSequence { sequence: 1 }),
        by_future("unwatched", Durability::Sync, FutureEnd::Unwatched),
        tokened("two", Durability::Deferred),
        update(4, Durability::Deferred),
    ]
}

/// The same after a kill.
pub(super) fn features_from_a_kill() -> Vec<Step> {
    vec![
        Step::Act(Action::KeepUp),
        draw(1),
        draw(0),
        update(1, Durability::Deferred),
        tokened("three", Durability::Deferred),
        by_future("awaited", Durability::Sync, FutureEnd::Awaited),
        Step::Act(Action::Schema {
            steps: vec![oracle::Step::Drop("rows".to_owned()), oracle::Step::Create("rows".to_owned())],
            durability: Durability::Deferred,
        }),
        Step::Act(Action::KeepUp),
        by_future("unwatched", Durability::Deferred, FutureEnd::Unwatched),
        Step::Reopen,
        Step::Act(Action::KeepUp),
        draw(0),
        Step::Read,
    ]
}

/// Whether an action finds the tables that it wants: what made them may have failed.
pub(super) fn is_possible(action: &Action, contents: &Contents) -> bool {
    let all_there = |writes: &[Write]| writes.iter().all(|write| contents.tables.contains_key(&write.table));
    match action {
        Action::Commit { writes, .. } | Action::Tokened { writes, .. } | Action::ByFuture { writes, .. } => {
            all_there(writes)
        }
        Action::Update { table, .. } | Action::Revoke { table } => contents.tables.contains_key(table),
        Action::Load { table, .. } => !contents.tables.contains_key(table),
        Action::Schema { steps, .. } => {
            let mut names: BTreeSet<&String> = contents.tables.keys().collect();
            steps.iter().all(|step| match step {
                oracle::Step::Create(name) => names.insert(name),
                oracle::Step::Drop(name) => names.remove(name),
                oracle::Step::Rename(from, to) => names.remove(from) && names.insert(to),
                oracle::Step::Write(write) => names.contains(&write.table),
            })
        }
        _ => true,
    }
}
