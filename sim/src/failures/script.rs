//! What is done while calls fail.

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::Env;
use braid::vfs::faulty::{CrashFileSystem, FaultyFileSystem};
use braid::vfs::memory::VirtualClock;
use braid::{Database, Durability, Error, Options};
use braid_tests::oracle::{Action, Contents, Life};

use super::effect::is_explained;
use super::steps::{self, Step, commit, create};
use crate::outside::{PATH, moved, still};

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

impl Script {
    /// All scripts, with the log mapped or not.
    pub(super) fn all(map_log: bool) -> Result<Vec<Self>, String> {
        let options = Options {
            page_bytes: 512,
            // So small that pages are read again and again.
            cache_bytes: 4 << 10,
            log_segment_bytes: 64 << 10,
            row_store_bytes: 1 << 20,
            // Nobody else is there to wait for.
            busy_timeout: Duration::ZERO,
            map_log,
            ..Options::default()
        };
        let of_features =
            Options { row_store_bytes: 64 << 10, token_retention: steps::RETENTION, ..options.clone() };
        let mut dirty = vec![create("rows")];
        dirty.extend((0..5).map(|number| commit(&format!("row {number}"), 400, Durability::Sync)));
        dirty.push(Step::Act(Action::Checkpoint));
        dirty.extend((0..6).map(|number| commit(&format!("row {number}"), 15_000, Durability::Sync)));
        dirty.push(commit("deferred", 50, Durability::Deferred));
        let named = |mapped, not_mapped| if map_log { mapped } else { not_mapped };
        let before_features = Self::on_nothing("preparation", &of_features, steps::features_before_a_kill());
        Ok(vec![
            Self::on_nothing(named("creation", "creation, not mapped"), &options, steps::from_creation()),
            Self::on_nothing("preparation", &options, dirty)
                .then_killed(named("recovery", "recovery, not mapped"), steps::from_a_kill())?,
            Self::on_nothing(named("features", "features, not mapped"), &of_features, steps::features()),
            before_features.then_killed(
                named("features after a kill", "features after a kill, not mapped"),
                steps::features_from_a_kill(),
            )?,
            Self::on_nothing(named("loads", "loads, not mapped"), &of_features, steps::loads()),
        ])
    }

    fn on_nothing(name: &'static str, options: &Options, steps: Vec<Step>) -> Self {
        let (machine, life) = (CrashFileSystem::new(), Life::default());
        Self { name, options: options.clone(), machine, life, steps }
    }

    /// The script that begins on a machine on which the process was killed at the end of this one.
    fn then_killed(&self, name: &'static str, steps: Vec<Step>) -> Result<Self, String> {
        let (machine, life) = self.killed_at_the_end(&self.machine.after_kill())?;
        Ok(Self { name, options: self.options.clone(), machine, life, steps })
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
        let clock = Arc::new(VirtualClock::new(Duration::ZERO));
        let mut player = Player {
            env: moved(Arc::new(files), 6, Arc::clone(&clock)),
            clock,
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
    clock: Arc<VirtualClock>,
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
                        let retention = self.options.token_retention;
                        let asked = self.life.examine_tokens(&db, number, self.life.marks(), retention);
                        self.note("a question about tokens", asked);
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
                let opened = Database::open_read_only_in(self.env.clone(), PATH, Options::default());
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
                if !steps::is_possible(action, self.life.newest()) {
                    return;
                }
                if let Action::Wait(time) = action {
                    self.clock.advance(*time);
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
        if !self.life.may_be_read(&found) {
            let expected = self.life.state(self.life.marks().acknowledged);
            self.fail(format!("a read gives {found:?} and not {expected:?}"));
        }
    }
}
