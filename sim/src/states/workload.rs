//! The runs that are recorded: by name, each in any number of variations by seed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::memory::VirtualClock;
use braid::{Database, Durability, JournalMode, Options};
use braid_tests::oracle::{Action, Life, SEQUENCES, Step, Update, Write, random_action};
use fastrand::Rng;

use super::features;
use super::recorder::{Moment, Recorder};
use crate::outside::{PATH, moved, threaded};

/// The names of all workloads.
pub const NAMES: [&str; 19] = [
    "log",
    "deferred",
    "checkpoints",
    "tables",
    "large",
    "segments",
    "compaction",
    "backup",
    "idle",
    "mixed",
    "loads",
    "schema",
    "consumer",
    "updates",
    "sequences",
    "tokens",
    "leases",
    "futures",
    "pressure",
];

/// A row store that nothing fills.
const ROW_STORE_BYTES: usize = 256 << 10;
/// How long tokens are kept where they are forgotten on the way.
const RETENTION: Duration = Duration::from_secs(10);

/// A run to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Which variation of it.
    pub seed: u64,
}

/// What a run was.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) life: Life,
    pub(super) moments: Vec<Moment>,
    pub(super) options: Options,
}

impl Workload {
    /// The workload of a name.
    ///
    /// # Errors
    /// A sentence that lists the names.
    pub fn named(name: &str, seed: u64) -> Result<Self, String> {
        let name = NAMES.into_iter().find(|known| *known == name);
        name.map(|name| Self { name, seed }).ok_or_else(|| format!("the workloads are {}", NAMES.join(", ")))
    }

    fn rng(&self) -> Rng {
        let place = NAMES.iter().position(|name| *name == self.name).unwrap_or(0);
        Rng::with_seed(self.seed.wrapping_mul(64).wrapping_add(place as u64))
    }

    fn options(&self, rng: &mut Rng) -> Options {
        Options {
            page_bytes: 512,
            cache_bytes: 64 << 10,
            // The least that there can be.
            row_store_bytes: if self.name == "pressure" { 64 << 10 } else { ROW_STORE_BYTES },
            log_segment_bytes: 64 << 10,
            map_log: self.name == "idle" || rng.u8(0..3) > 0,
            deferred_sync_interval: Duration::from_millis(1),
            token_retention: if self.name == "tokens" {
                RETENTION
            } else {
                Options::default().token_retention
            },
            ..Options::default()
        }
    }

    /// Runs it, from the creation of the database to its close.
    pub(super) fn record(&self) -> Result<Recording, String> {
        let mut rng = self.rng();
        let options = self.options(&mut rng);
        let actions = self.actions(&mut rng);
        let machine = CrashFileSystem::new();
        let mut life = Life::default();
        let recorder = Recorder::new(&machine, &life);
        let told = |doing: &dyn std::fmt::Debug| {
            let doing = format!("{doing:?}");
            move |error: braid::Error| format!("{doing} of the workload says: {error}")
        };
        let seed = rng.u64(..);
        machine.set_renames_new_at_once(seed.is_multiple_of(2));
        if self.name == "idle" {
            let (env, clock) = threaded(Arc::new(recorder.clone()), seed);
            let db = Database::open_in(env, PATH, options.clone()).map_err(told(&"the open"))?;
            for action in &actions {
                let before = recorder.len();
                life.act(&db, action).map_err(told(action))?;
                recorder.told();
                if matches!(action, Action::Commit { .. }) {
                    // The log keeper syncs what was deferred, says that the log is synced, and syncs that: after each
                    // commit once, so that every run is the same.
                    let deferred = matches!(action, Action::Commit { durability: Durability::Deferred, .. });
                    let expected = recorder.len() + if deferred { 3 } else { 2 };
                    let mut patience = 20_000_u32;
                    while recorder.len() < expected {
                        clock.advance(options.deferred_sync_interval);
                        std::thread::yield_now();
                        patience -= 1;
                        if patience == 0 {
                            return Err(format!(
                                "the log keeper does not come; {} moments since {before}",
                                recorder.len() - before
                            ));
                        }
                        std::thread::park_timeout(Duration::from_micros(100));
                    }
                    life.promise_everything();
                    recorder.told();
                }
            }
            db.close().map_err(told(&"the close"))?;
        } else {
            let clock = Arc::new(VirtualClock::new(Duration::ZERO));
            let env = moved(Arc::new(recorder.clone()), seed, Arc::clone(&clock));
            let env = Env { spawn: features::spawn_of(self.name), ..env };
            let db = Database::open_in(env, PATH, options.clone()).map_err(told(&"the open"))?;
            for action in &actions {
                if let Action::Wait(time) = action {
                    clock.advance(*time);
                }
                life.act(&db, action).map_err(told(action))?;
                recorder.told();
            }
            if self.name == "pressure" && db.stats().checkpoints.count < 2 {
                return Err("nothing was folded but what somebody asked for".to_owned());
            }
            db.close().map_err(told(&"the close"))?;
        }
        life.promise_everything();
        recorder.told();
        Ok(Recording { life, moments: recorder.take(), options })
    }

    fn actions(&self, rng: &mut Rng) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut number = 0;
        let mut commit = |rng: &mut Rng, table: &str, lengths: std::ops::Range<usize>, durability| {
            number += 1;
            one_commit(rng, table, number, lengths, durability)
        };
        let create = |name: &str| Action::CreateTable(name.to_owned());
        let random_mode = if rng.bool() { JournalMode::Mvcc } else { JournalMode::Wal };
        let either = |rng: &mut Rng| if rng.bool() { Durability::Sync } else { Durability::Deferred };
        match self.name {
            "log" => {
                actions.extend([Action::Mode(random_mode), create("rows")]);
                for _ in 0..14 {
                    actions.push(commit(rng, "rows", 0..60, Durability::Sync));
                }
            }
            "deferred" => {
                actions.push(create("rows"));
                for turn in 0..24 {
                    let durability = if rng.u8(0..4) == 0 { Durability::Sync } else { Durability::Deferred };
                    actions.push(commit(rng, "rows", 0..100, durability));
                    if turn % 7 == 6 {
                        actions.push(Action::Sync);
                    }
                }
            }
            "checkpoints" => {
                actions.push(create("rows"));
                for _ in 0..6 {
                    for _ in 0..rng.usize(1..5) {
                        let durability = either(rng);
                        actions.push(commit(rng, "rows", 0..150, durability));
                    }
                    actions.push(Action::Checkpoint);
                }
            }
            "tables" => {
                for round in 0..10 {
                    let name = format!("table {}", rng.u8(0..4));
                    actions.extend([create(&name), commit(rng, &name, 0..80, Durability::Deferred)]);
                    match rng.u8(0..5) {
                        0 | 1 => actions.push(Action::DropTable(name)),
                        2 => actions.push(Action::Checkpoint),
                        3 => actions.push(Action::Mode(if round % 2 == 0 {
                            JournalMode::Mvcc
                        } else {
                            JournalMode::Wal
                        })),
                        _ => {}
                    }
                }
            }
            "large" => {
                actions.push(create("rows"));
                for turn in 0..5 {
                    let durability = either(rng);
                    actions.push(commit(rng, "rows", 1000..9000, durability));
                    actions.push(commit(rng, "rows", 0..30, Durability::Sync));
                    if turn % 2 == 1 {
                        actions.push(Action::Checkpoint);
                    }
                }
            }
            "segments" => {
                actions.push(create("rows"));
                for turn in 0..12 {
                    let durability = either(rng);
                    actions.push(commit(rng, "rows", 5000..11_000, durability));
                    if turn % 4 == 3 {
                        actions.push(Action::Checkpoint);
                    }
                }
            }
            "compaction" => {
                actions.push(create("rows"));
                for _ in 0..3 {
                    for _ in 0..4 {
                        actions.push(commit(rng, "rows", 300..1500, Durability::Deferred));
                    }
                    actions.push(Action::Checkpoint);
                    let keys = rows_of_keys().map(|key| Write { table: "rows".to_owned(), key, value: None });
                    let writes = keys.filter(|_| rng.u8(0..4) > 0).collect();
                    actions.push(Action::Commit { writes, durability: Durability::Sync });
                    actions.push(Action::Compact);
                }
            }
            "backup" => {
                actions.push(create("rows"));
                for copy in 0..3 {
                    for _ in 0..3 {
                        let durability = either(rng);
                        actions.push(commit(rng, "rows", 0..300, durability));
                    }
                    if copy == 1 {
                        actions.push(Action::Checkpoint);
                    }
                    actions.push(Action::Backup(PathBuf::from(format!("/copy-{copy}.braid"))));
                }
            }
            "loads" => {
                actions.push(create("rows"));
                for turn in 0..3 {
                    let durability = either(rng);
                    actions.push(commit(rng, "rows", 0..100, durability));
                    let table = format!("load {turn}");
                    actions.push(Action::Load { table: table.clone(), rows: loaded(rng) });
                    let durability = either(rng);
                    actions.push(commit(rng, &table, 0..100, durability));
                    match rng.u8(0..3) {
                        0 => actions.push(Action::DropTable(table)),
                        1 => actions.push(Action::Checkpoint),
                        _ => {}
                    }
                }
            }
            "schema" => {
                let mut there: Vec<String> = Vec::new();
                for turn in 0..12 {
                    actions.push(Action::Schema {
                        steps: schema_steps(rng, turn, &mut there),
                        durability: either(rng),
                    });
                    match rng.u8(0..5) {
                        0 => actions.push(Action::Checkpoint),
                        1 => actions.push(Action::Mode(random_mode)),
                        _ => {}
                    }
                }
            }
            "consumer" => {
                actions.push(create("rows"));
                for turn in 0..6 {
                    for _ in 0..rng.usize(1..4) {
                        let durability = either(rng);
                        actions.push(commit(rng, "rows", 2000..20_000, durability));
                    }
                    match turn % 3 {
                        0 => actions.push(Action::KeepUp),
                        1 => actions.push(Action::Checkpoint),
                        _ => {
                            let name = format!("table {turn}");
                            actions.extend([create(&name), commit(rng, &name, 0..80, Durability::Deferred)]);
                            if rng.bool() {
                                actions.push(Action::DropTable(name));
                            }
                        }
                    }
                }
            }
            "updates" => {
                actions.push(create("rows"));
                for turn in 0..20 {
                    let durability = either(rng);
                    // The first number tells each state from those before it.
                    let number = |rng: &mut Rng| format!("number {}", rng.u8(1..4)).into_bytes();
                    let mut updates = vec![
                        (b"number 0".to_vec(), Update::Add(1)),
                        (number(rng), Update::Add(rng.i64(-9..9))),
                    ];
                    let bytes = vec![turn; rng.usize(0..40)];
                    let text = format!("text {}", rng.u8(0..2)).into_bytes();
                    updates.push((text, Update::Append(bytes)));
                    updates.push((b"highest".to_vec(), Update::Max(i64::from(turn % 7) * 3)));
                    updates.push((number(rng), Update::Min(i64::from(turn) - 9)));
                    actions.push(Action::Update { table: "rows".to_owned(), updates, durability });
                    if turn % 6 == 5 {
                        actions.push(Action::Checkpoint);
                    }
                }
            }
            "sequences" => {
                actions.push(create("rows"));
                for turn in 0..14 {
                    if rng.bool() {
                        let durability = either(rng);
                        actions.push(commit(rng, "rows", 0..100, durability));
                    }
                    let (block, ids) = (rng.u64(1..6), rng.u64(1..9));
                    actions.push(Action::Draw { sequence: rng.usize(0..SEQUENCES.len()), block, ids });
                    if turn % 3 == 2 {
                        let (sequence, by) = (rng.usize(0..SEQUENCES.len()), rng.u64(1..20));
                        actions.push(Action::Raise { sequence, by });
                    }
                    if turn % 5 == 4 {
                        actions.push(Action::Checkpoint);
                        actions.push(Action::DropSequence { sequence: rng.usize(0..SEQUENCES.len()) });
                    }
                }
            }
            "leases" => return features::leases(rng),
            "futures" => return features::futures(rng),
            "pressure" => return features::pressure(rng),
            "tokens" => {
                actions.push(create("rows"));
                for turn in 0..24 {
                    let durability = either(rng);
                    let Action::Commit { writes, .. } = commit(rng, "rows", 0..60, durability) else {
                        continue;
                    };
                    actions.push(Action::Tokened { token: format!("token {turn}"), writes, durability });
                    if rng.bool() {
                        actions.push(Action::Wait(Duration::from_millis(rng.u64(500..4000))));
                    }
                    if turn % 7 == 6 {
                        actions.push(Action::Checkpoint);
                    }
                }
            }
            "idle" => {
                actions.push(create("rows"));
                for turn in 0..10 {
                    let durability = either(rng);
                    actions.push(commit(rng, "rows", 0..100, durability));
                    if turn == 5 {
                        actions.push(Action::Checkpoint);
                    }
                }
            }
            _ => {
                actions.extend([create("rows"), Action::Mode(random_mode)]);
                for _ in 0..30 {
                    actions.push(random_action("rows", rng.u64(..), rng));
                }
            }
        }
        actions
    }
}

fn rows_of_keys() -> impl Iterator<Item = Vec<u8>> {
    (0..20).map(|row| format!("row {row}").into_bytes())
}

/// Changes of the catalog that can be made one after another, with rows between them; `there` are the tables.
fn schema_steps(rng: &mut Rng, turn: u64, there: &mut Vec<String>) -> Vec<Step> {
    let mut steps = Vec::new();
    for step in 0..rng.u64(1..8) {
        let name = format!("table {}", rng.u8(0..5));
        let place = there.iter().position(|known| *known == name);
        match (place, rng.u8(0..4)) {
            (None, 1 | 2) if !there.is_empty() => {
                let at = rng.usize(0..there.len());
                steps.push(Step::Rename(there[at].clone(), name.clone()));
                there[at] = name;
            }
            (None, _) => {
                steps.push(Step::Create(name.clone()));
                there.push(name);
            }
            (Some(at), 0) => steps.push(Step::Drop(there.swap_remove(at))),
            (Some(_), _) => {
                let value = (turn * 100 + step).to_le_bytes().repeat(rng.usize(1..20));
                let key = format!("row {}", rng.u8(0..4)).into_bytes();
                steps.push(Step::Write(Write { table: name, key, value: Some(value.into()) }));
            }
        }
    }
    steps
}

/// Rows of several times the row store's budget, in order or not.
fn loaded(rng: &mut Rng) -> Vec<(Vec<u8>, Arc<[u8]>)> {
    let mut keys: Vec<u16> = (0..rng.u16(20..60)).collect();
    if rng.bool() {
        rng.shuffle(&mut keys);
    }
    let row = |key: u16| (key.to_be_bytes().to_vec(), vec![rng.u8(..); rng.usize(0..30_000)].into());
    keys.into_iter().map(row).collect()
}

/// A commit of a few rows, one of which is its number.
pub(super) fn one_commit(
    rng: &mut Rng,
    table: &str,
    number: u64,
    lengths: std::ops::Range<usize>,
    durability: Durability,
) -> Action {
    let write = |key: Vec<u8>, value| Write { table: table.to_owned(), key, value };
    let mut writes = vec![write(b"last".to_vec(), Some(number.to_le_bytes().into()))];
    let keys: Vec<_> = rows_of_keys().collect();
    for _ in 0..rng.usize(1..4) {
        let length = rng.usize(lengths.clone());
        let value: Arc<[u8]> = (0..length).map(|at| at.to_le_bytes()[0] ^ rng.u8(0..2)).collect();
        let key = rng.choice(&keys).cloned().unwrap_or_default();
        writes.push(write(key, (rng.u8(0..5) > 0).then_some(value)));
    }
    Action::Commit { writes, durability }
}

/// What is done on a machine that starts again: the open, a commit of each kind, and the close.
pub(super) fn record_recovery(
    machine: &CrashFileSystem,
    mut life: Life,
    options: &Options,
) -> Result<Recording, String> {
    let recorder = Recorder::new(machine, &life);
    // Nobody folds but who is asked to.
    let row_store_bytes = options.row_store_bytes.max(ROW_STORE_BYTES);
    let options = &Options { row_store_bytes, ..options.clone() };
    let clock = Arc::new(VirtualClock::new(Duration::ZERO));
    clock.advance(life.marks().now);
    let env = moved(Arc::new(recorder.clone()), 3, clock);
    let db =
        Database::open_in(env, PATH, options.clone()).map_err(|error| format!("the open says: {error}"))?;
    life.promise_everything();
    recorder.told();
    let gave_out = life.gave_out();
    let mut act = |action: &Action| {
        life.act(&db, action).map_err(|error| format!("{action:?} after the recovery says: {error}"))?;
        recorder.told();
        Ok::<_, String>(())
    };
    let mut rng = Rng::with_seed(4);
    act(&Action::CreateTable("again".to_owned()))?;
    act(&one_commit(&mut rng, "again", 1, 0..20, Durability::Deferred))?;
    act(&one_commit(&mut rng, "again", 2, 0..20, Durability::Sync))?;
    // A change of segments syncs the log's directory, and with it the names that the recovery removed.
    act(&one_commit(&mut rng, "again", 3, 20_000..20_001, Durability::Sync))?;
    act(&one_commit(&mut rng, "again", 4, 20_000..20_001, Durability::Sync))?;
    act(&one_commit(&mut rng, "again", 5, 20_000..20_001, Durability::Sync))?;
    if gave_out {
        act(&Action::Draw { sequence: 0, block: 2, ids: 3 })?;
        let Action::Commit { writes, durability } =
            one_commit(&mut rng, "again", 7, 0..20, Durability::Deferred)
        else {
            return Err("a commit is none".to_owned());
        };
        act(&Action::Tokened { token: "again".to_owned(), writes, durability })?;
    }
    act(&Action::Checkpoint)?;
    act(&one_commit(&mut rng, "again", 6, 0..20, Durability::Deferred))?;
    drop(db);
    life.promise_everything();
    recorder.told();
    Ok(Recording { life, moments: recorder.take(), options: options.clone() })
}
