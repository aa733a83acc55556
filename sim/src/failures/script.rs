//! What is done while calls fail.

use std::path::PathBuf;
use std::sync::Arc;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, FaultyFileSystem};
use braid::{Database, Durability, Error, JournalMode, Options};
use braid_tests::oracle::{Action, Contents, Life, Write};

use super::effect::is_explained;
use crate::outside::{PATH, still};

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

/// A script and what it begins on.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) options: Options,
    machine: CrashFileSystem,
    life: Life,
    steps: Vec<Step>,
}

/// A run of a script.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) machine: CrashFileSystem,
    pub(super) life: Life,
    /// What was told on the way.
    pub(super) errors: u64,
    /// What must not have been.
    pub(super) failure: Option<String>,
}

fn commit(key: &str, bytes: usize, durability: Durability) -> Step {
    let value = Some((0..bytes).map(|at| at.to_le_bytes()[0]).collect());
    let write = Write { table: "rows".to_owned(), key: key.as_bytes().to_vec(), value };
    Step::Act(Action::Commit { writes: vec![write], durability })
}

fn create(name: &str) -> Step {
    Step::Act(Action::CreateTable(name.to_owned()))
}

/// From nothing to a close.
fn from_creation() -> Vec<Step> {
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
fn from_a_kill() -> Vec<Step> {
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

impl Script {
    /// Both scripts, with the log mapped or not.
    pub(super) fn all(map_log: bool) -> Result<Vec<Self>, String> {
        let options = Options {
            page_bytes: 512,
            // So small that pages are read again and again.
            cache_bytes: 4 << 10,
            log_segment_bytes: 64 << 10,
            row_store_bytes: 1 << 20,
            map_log,
            ..Options::default()
        };
        let creation = Self {
            name: if map_log { "creation" } else { "creation, not mapped" },
            options: options.clone(),
            machine: CrashFileSystem::new(),
            life: Life::default(),
            steps: from_creation(),
        };
        let mut dirty = vec![create("rows")];
        dirty.extend((0..5).map(|number| commit(&format!("row {number}"), 400, Durability::Sync)));
        dirty.push(Step::Act(Action::Checkpoint));
        dirty.extend((0..6).map(|number| commit(&format!("row {number}"), 15_000, Durability::Sync)));
        dirty.push(commit("deferred", 50, Durability::Deferred));
        let prepared = Self {
            name: "preparation",
            options: options.clone(),
            machine: CrashFileSystem::new(),
            life: Life::default(),
            steps: dirty,
        };
        let machine = prepared.machine.after_kill();
        let (killed, life) = prepared.killed_at_the_end(&machine)?;
        let recovery = Self {
            name: if map_log { "recovery" } else { "recovery, not mapped" },
            options,
            machine: killed,
            life,
            steps: from_a_kill(),
        };
        Ok(vec![creation, recovery])
    }

    /// The machine after a kill at the end of the script, and the books.
    fn killed_at_the_end(&self, machine: &CrashFileSystem) -> Result<(CrashFileSystem, Life), String> {
        let mut life = self.life.clone();
        let env = still(Arc::new(machine.clone()), 5);
        let db = Database::open_in(env, PATH, self.options.clone()).map_err(|error| error.to_string())?;
        for step in &self.steps {
            if let Step::Act(action) = step {
                life.act(&db, action).map_err(|error| error.to_string())?;
            }
        }
        let killed = machine.kill();
        drop(db);
        let marks = life.marks();
        Ok((killed, life.go_on(marks.begun, marks, false)))
    }

    /// Runs it on a copy of its machine, under the faults that `inject` adds.
    pub(super) fn play(
        &self,
        seed: u64,
        reads_nothing: bool,
        inject: impl FnOnce(&FaultyFileSystem),
    ) -> Played {
        let machine = self.machine.after_kill();
        machine.set_failed_sync(match seed % 3 {
            0 => braid::vfs::faulty::CrashChoice::KeepNone,
            1 => braid::vfs::faulty::CrashChoice::Subset { seed, unit: 8 },
            _ => braid::vfs::faulty::CrashChoice::Subset { seed, unit: 512 },
        });
        let files = machine.under_faults();
        inject(&files);
        let marks = self.life.marks();
        let mut player = Player {
            env: still(Arc::new(files), 6),
            options: &self.options,
            life: self.life.go_on(marks.begun, marks, false),
            db: None,
            errors: 0,
            failure: None,
            reads_nothing,
        };
        player.open();
        for step in &self.steps {
            player.step(step);
        }
        player.close();
        let Player { life, errors, failure, .. } = player;
        Played { machine, life, errors, failure }
    }
}

struct Player<'a> {
    env: Env,
    options: &'a Options,
    life: Life,
    db: Option<Database>,
    errors: u64,
    failure: Option<String>,
    /// Files may seem to end early.
    reads_nothing: bool,
}

impl Player<'_> {
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }

    /// Takes note of an error.
    fn note<T>(&mut self, doing: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                self.errors += 1;
                if !is_explained(&error, self.reads_nothing) {
                    self.fail(format!("{doing} says {error:?}, which a failing file does not explain"));
                }
                None
            }
        }
    }

    /// Opens the database, and tries once more where that fails. What is found was left by a kill, at the worst, and
    /// stands from now on.
    fn open(&mut self) {
        for _ in 0..2 {
            let opened = Database::open_in(self.env.clone(), PATH, self.options.clone());
            if let Some(db) = self.note("the open", opened) {
                let found = Contents::of(&db);
                // What a failed read hides is found at the end; until then the books say what was acknowledged.
                let Some(found) = self.note("a read", found) else { continue };
                let marks = self.life.marks();
                match self.life.judge(found.fingerprint(), marks, true) {
                    Ok(number) => {
                        self.life = self.life.go_on(number, marks, true);
                        self.db = Some(db);
                    }
                    Err(error) => self.fail(format!("after an open, {error}: {found:?}")),
                }
                return;
            }
        }
    }

    fn close(&mut self) {
        let Some(db) = self.db.take() else { return };
        let closed = db.close();
        if self.note("the close", closed).is_some() {
            self.life.promise_everything();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Reopen => {
                self.close();
                self.open();
                return;
            }
            Step::ReadOnly => {
                self.close();
                let opened = Database::open_read_only_in(self.env.clone(), PATH);
                let nothing_yet = self.life.marks().acknowledged == 0;
                if nothing_yet && matches!(opened, Err(Error::NotFound(_) | Error::NotABraidDatabase { .. }))
                {
                    self.errors += 1;
                } else if let Some(db) = self.note("an open for reading", opened) {
                    let read = Contents::of(&db);
                    let Some(found) = self.note("a read", read) else { return };
                    let judged = self.life.judge(found.fingerprint(), self.life.marks(), true);
                    if let Err(error) = judged {
                        self.fail(format!("opened for reading, {error}: {found:?}"));
                    }
                }
                return;
            }
            _ => {}
        }
        let Some(db) = self.db.clone() else { return };
        let was_poisoned = match step {
            Step::Act(action) => {
                if let Action::Commit { writes, .. } = action
                    && writes.iter().any(|write| !self.life.newest().tables.contains_key(&write.table))
                {
                    // Its table could not be made.
                    return;
                }
                let done = self.life.act(&db, action);
                let poisoned = matches!(done, Err(Error::Poisoned { .. } | Error::CommitUnknown { .. }));
                self.note(&format!("{action:.40?}"), done);
                poisoned
            }
            Step::Check => {
                let checked = db.check();
                if let Some(report) = self.note("the check", checked)
                    && !report.is_ok()
                {
                    // What it cannot read it reports.
                    self.errors += 1;
                }
                false
            }
            _ => {
                self.read(&db);
                false
            }
        };
        if was_poisoned {
            self.read(&db);
            drop(db);
            self.db = None;
            self.open();
        }
    }

    /// Reads go on, whatever failed, and give what was acknowledged.
    fn read(&mut self, db: &Database) {
        let read = Contents::of(db);
        let Some(found) = self.note("a read", read) else { return };
        let acknowledged = self.life.marks().acknowledged;
        if self.life.state(acknowledged) != Some(&found) {
            let expected = self.life.state(acknowledged);
            self.fail(format!("a read gives {found:?} and not {expected:?}"));
        }
    }
}
