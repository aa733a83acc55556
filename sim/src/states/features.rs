//! The actions of workloads that are made for one feature: leases, futures, and a row store that is always full.

use std::io;
use std::sync::Arc;

use braid::vfs::{Spawn, Task, ThreadSpawn};
use braid::{Durability, JournalMode};
use braid_tests::oracle::{Action, FutureEnd, Write};
use fastrand::Rng;

use super::workload::one_commit;
use crate::outside::NoThreads;

fn either(rng: &mut Rng) -> Durability {
    if rng.bool() { Durability::Sync } else { Durability::Deferred }
}

/// What a snapshot keeps is folded and given free, and written over by the folds after it.
pub(super) fn leases(rng: &mut Rng) -> Vec<Action> {
    let mut actions = vec![Action::CreateTable("rows".to_owned()), Action::Mode(JournalMode::Mvcc)];
    for turn in 0..5 {
        for commit in 0..rng.u64(1..4) {
            let durability = either(rng);
            actions.push(one_commit(rng, "rows", turn * 8 + commit, 0..600, durability));
        }
        actions.push(Action::Revoke { table: "rows".to_owned() });
        match turn {
            1 => actions.push(Action::Mode(JournalMode::Wal)),
            3 => actions.push(Action::Checkpoint),
            _ => {}
        }
    }
    actions
}

/// Futures that are awaited, never polled, and dropped while they wait for the disk, under both modes.
pub(super) fn futures(rng: &mut Rng) -> Vec<Action> {
    let mut actions = vec![Action::CreateTable("rows".to_owned()), Action::Mode(JournalMode::Mvcc)];
    for turn in 0..18 {
        let durability = either(rng);
        let Action::Commit { writes, .. } = one_commit(rng, "rows", turn, 0..80, durability) else {
            continue;
        };
        let end = match rng.u8(0..7) {
            0 => FutureEnd::Unpolled,
            1..=3 => FutureEnd::Unwatched,
            _ => FutureEnd::Awaited,
        };
        actions.push(Action::ByFuture { writes, durability, end });
        match turn % 6 {
            1 => actions.push(one_commit(rng, "rows", 100 + turn, 0..80, Durability::Deferred)),
            3 => actions.push(Action::Sync),
            4 => actions.push(Action::Checkpoint),
            5 => actions.push(Action::Mode(if turn == 5 { JournalMode::Wal } else { JournalMode::Mvcc })),
            _ => {}
        }
    }
    actions
}

/// Commits of half a row store each: the third at the latest waits for a fold that nobody asked for. As every commit
/// that has one begun waits for its end, every run is the same.
pub(super) fn pressure(rng: &mut Rng) -> Vec<Action> {
    let mut actions = vec![Action::CreateTable("rows".to_owned()), Action::Mode(JournalMode::Mvcc)];
    for turn in 0..8_u8 {
        let write = |row: u8, value| Write { table: "rows".to_owned(), key: vec![row], value };
        let first = rng.u8(0..8);
        let mut writes: Vec<_> = (first..first + 20)
            .map(|row| write(row, Some(vec![turn ^ row; rng.usize(1250..1300)].into())))
            .collect();
        writes.push(write(rng.u8(0..first.max(1)), None));
        writes.push(write(100, Some([turn; 8].into())));
        actions.push(Action::Commit { writes, durability: either(rng) });
    }
    actions
}

/// Starts the thread that folds, and no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyCheckpoints;

impl Spawn for OnlyCheckpoints {
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
        if name == "braid-checkpoint" { ThreadSpawn.spawn(name, work) } else { NoThreads.spawn(name, work) }
    }
}

/// How the work of a workload's background is done.
pub(super) fn spawn_of(workload: &str) -> Arc<dyn Spawn> {
    if workload == "pressure" { Arc::new(OnlyCheckpoints) } else { Arc::new(NoThreads) }
}
