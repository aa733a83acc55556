//! A whole history: life after life on one disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use braid::{Database, Error};
use braid_tests::{End, History, Ids, Life};
use braid_vfs::memory::SeededRandom;
use braid_vfs::simulation::{self, Failure, Settings, SimulatedClock};
use braid_vfs::{Env, Random, ThreadSpawn};
use fastrand::Rng;

use super::life::{Killing, Stage, lock};
use super::machine::{Disk, Fate, MakeEnv};
use super::session::SEQUENCE;
use super::{Files, Plan};

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Played {
    /// Everything that was written down.
    pub history: History,
    /// How often a process died or the power went.
    pub crashes: u64,
    /// Errors that no fault explains.
    pub troubles: Vec<String>,
}

/// Lets a plan happen, on threads of the calling thread's kind: of the system, or of a simulation.
#[must_use]
pub fn play(plan: &Plan, env: &MakeEnv) -> Played {
    let mut play = Play {
        disk: Disk::new(plan.files),
        rng: Rng::with_seed(!plan.seed),
        ticks: Arc::new(AtomicU64::new(1)),
        elements: Arc::default(),
        numbers: Arc::default(),
        tokens: Arc::default(),
        newest_id: Arc::default(),
        played: Played::default(),
    };
    for life in 0..plan.lives {
        let fate = play.disk.fate(plan.steps, &mut play.rng);
        play.life(plan, life, fate, env);
        if !play.played.troubles.is_empty() {
            return play.played;
        }
    }
    // The last open only looks.
    let looks = Plan { sessions: 0, ..plan.clone() };
    play.life(&looks, plan.lives, Fate::Close { folded: false }, env);
    play.played
}

/// Lets a plan happen in a simulation, where one seed decides everything, on a machine in memory. One at a time in a
/// process, and no other database beside it.
///
/// # Errors
/// A deadlock, or a run without end.
pub fn play_simulated(plan: &Plan) -> Result<Played, Failure> {
    let seed = plan.seed;
    let plan = Plan { files: Files::Machine, ..plan.clone() };
    // Few switches let transactions run through, many let none.
    let settings = Settings { seed, switch_in: 1 << (seed % 5), ..Settings::default() };
    simulation::run(settings, move || {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        play(&plan, &move |files| Env {
            files,
            clock: Arc::new(SimulatedClock),
            random: Arc::clone(&random),
            spawn: Arc::new(ThreadSpawn),
        })
    })
}

struct Play {
    disk: Disk,
    rng: Rng,
    ticks: Arc<AtomicU64>,
    elements: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
    tokens: Arc<Mutex<BTreeMap<Vec<u8>, Option<u64>>>>,
    newest_id: Arc<AtomicU64>,
    played: Played,
}

impl Play {
    fn life(&mut self, plan: &Plan, life: u64, fate: Fate, env: &MakeEnv) {
        let killing = match (&self.disk, fate) {
            (Disk::Machine(machine), Fate::Kill { step }) => {
                Some(Killing { step, machine: machine.clone(), died: Mutex::default() })
            }
            _ => None,
        };
        let stage = Arc::new(Stage {
            plan: plan.clone(),
            life,
            env: env(self.disk.files(fate, &mut self.rng)),
            path: self.disk.path(),
            ticks: Arc::clone(&self.ticks),
            elements: Arc::clone(&self.elements),
            numbers: Arc::clone(&self.numbers),
            tokens: Arc::clone(&self.tokens),
            newest_id: Arc::clone(&self.newest_id),
            handles: AtomicU64::new(0),
            ids: Mutex::default(),
            working: AtomicUsize::new(0),
            answers: Mutex::default(),
            answered: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            killing,
            files_fail: matches!(fate, Fate::PowerCut { .. } | Fate::FailedSync { .. }),
            troubles: Mutex::default(),
        });
        let opened = self.open(&stage);
        let is_open = opened.is_some();
        if let Some(db) = opened {
            let (records, told) = stage.run();
            self.close(&stage, db, fate, plan.sessions == 0);
            if let Some(life) = self.played.history.lives.last_mut() {
                life.records.extend(records);
                life.told = told;
                life.answers.append(&mut lock(&stage.answers));
                life.ids.append(&mut lock(&stage.ids));
                life.synced = life.synced.max(stage.synced.load(Ordering::SeqCst));
            }
        }
        self.end(&stage, fate, is_open);
        let mut troubles = stage.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        self.played.troubles.extend(troubles.drain(..).map(|what| format!("life {life}: {what}")));
    }

    /// Opens the database, and writes down what it holds: as the end of the life before, and as the first read of this.
    fn open(&mut self, stage: &Stage) -> Option<Database> {
        let opened = stage.open().and_then(|db| {
            let tables = stage.tables(&db)?;
            let (rows, record) = stage.read_everything(&db, &tables)?;
            stage.tell_ids(None, || db.unreserved_id(SEQUENCE), |next| Ids::Unreserved(*next))?;
            Ok((db, rows, record))
        });
        let (db, rows, record) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.fail(stage, "the open", &error);
                return None;
            }
        };
        let lives = &mut self.played.history.lives;
        if let Some(last) = lives.last_mut() {
            last.found = Some(rows);
        }
        lives.push(Life::of(vec![record]));
        if let Err(error) = stage.set_mode(&db) {
            self.fail(stage, "the journal mode", &error);
            return None;
        }
        Some(db)
    }

    fn fail(&self, stage: &Stage, what: &str, error: &Error) {
        let failed = matches!(error, Error::Io { .. } | Error::Poisoned { .. } | Error::CommitUnknown { .. });
        if !stage.may_fail() || !failed {
            stage.trouble(format!("{what} failed: {error}"));
        }
    }

    fn close(&self, stage: &Stage, db: Database, fate: Fate, is_last: bool) {
        if is_last {
            match db.check() {
                Ok(report) if report.is_ok() => {}
                Ok(report) => stage.trouble(format!("the integrity check found {:?}", report.findings)),
                Err(error) => self.fail(stage, "the integrity check", &error),
            }
        }
        if fate == (Fate::Close { folded: true })
            && let Err(error) = db.close()
        {
            self.fail(stage, "the close", &error);
        }
    }

    /// Ends a life as fate has it, and says so in the history: of the last life that there is, if this one never began.
    fn end(&mut self, stage: &Stage, fate: Fate, is_open: bool) {
        stage.kill();
        let end = match fate {
            Fate::Close { .. } => End::Killed(stage.tick()),
            Fate::Kill { .. } => {
                self.played.crashes += 1;
                let died = stage
                    .killing
                    .as_ref()
                    .and_then(|killing| killing.died.lock().unwrap_or_else(PoisonError::into_inner).take());
                match died {
                    Some((at, machine)) => {
                        self.disk = Disk::Machine(machine);
                        End::Killed(at)
                    }
                    None => End::Killed(stage.tick()),
                }
            }
            Fate::PowerCut { .. } => {
                self.played.crashes += 1;
                self.disk.cut(&mut self.rng);
                End::PowerCut
            }
            Fate::FailedSync { then_cut, .. } => {
                if then_cut {
                    self.played.crashes += 1;
                    self.disk.cut(&mut self.rng);
                }
                End::PowerCut
            }
        };
        if let Some(life) = self.played.history.lives.last_mut()
            && (is_open || end == End::PowerCut)
        {
            life.end = end;
        }
    }
}
