//! Opening what an earlier life left: under crashes and faults, for reading only, and salvaged.

use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::{Fault, Faults, Operation};
use braid::vfs::{Env, FileSystem as _, ThreadSpawn};
use braid::{Database, Error, Options};
use braid_vfs::simulation::SimulatedClock;
use fastrand::Rng;

use super::{Past, World};
use crate::run::disk::{LyingDisk, Mischief};
use crate::run::faults::{befalls, log_uniform};
use crate::run::oracle::Dump;
use crate::run::salvage::{self, Opened, Salvaged};
use crate::run::session::PATH;
use crate::run::show::dump;

/// How often a recovery is cut short before one is let through.
const RECOVERIES_CUT: u32 = 2;

/// One opened machine with everything that can be done to it.
pub(super) struct Machine {
    pub(super) env: Env,
    pub(super) faults: Faults,
    pub(super) mischief: Mischief,
}

impl World {
    /// Opens under crashes and faults. An open that succeeds all the same is used.
    pub(super) fn open_through_crashes(
        &mut self,
        dice: &mut Rng,
        past: &mut Past,
    ) -> Result<Option<(Database, Machine)>, String> {
        for _ in 0..RECOVERIES_CUT {
            let cut = befalls(dice, &self.plan.features, "crash-in-recovery");
            let fails = befalls(dice, &self.plan.features, "fault-in-recovery");
            let steps = log_uniform(dice, 120);
            let fault = Fault::on(Operation::FALLIBLE[dice.usize(0..Operation::FALLIBLE.len())])
                .nth(1 + log_uniform(dice, 60));
            let mut own = dice.fork();
            if !cut && !fails {
                break;
            }
            let machine = self.machine_now();
            if cut {
                self.machine.cut_power_after(steps);
            }
            if fails {
                machine.faults.inject(fault);
            }
            let opened = self.open(&machine);
            self.figures.faults += machine.faults.fired();
            let fired = machine.faults.fired() > 0;
            machine.faults.clear();
            let off = self.machine.identity(Path::new("/")).is_err();
            match opened {
                Ok(db) if !off => {
                    self.machine.cut_power_after(u64::MAX);
                    // A sync may have failed without the open's noticing: then it is poisoned, and opened again.
                    if !fired {
                        return Ok(Some((db, machine)));
                    }
                    drop(db);
                }
                Ok(db) => drop(db),
                Err(error) => {
                    self.trace.say(format_args!("the open fails: {error}"));
                    let right = match &error {
                        Error::Corrupt(_) | Error::Mismatch(_) | Error::NotABraidDatabase { .. } => {
                            self.damaged
                        }
                        Error::Io { .. } | Error::NoSpace(_) | Error::Poisoned { .. } => off || fired,
                        _ => false,
                    };
                    if !right {
                        return Err(format!("an open under faults fails: {error} ({error:?})"));
                    }
                }
            }
            if off {
                if own.bool() {
                    self.cut(&mut own);
                    past.power_cut = Some(past.power_cut.unwrap_or_default());
                } else {
                    self.kill();
                }
            } else {
                self.machine.cut_power_after(u64::MAX);
            }
        }
        Ok(None)
    }

    pub(super) fn machine_now(&self) -> Machine {
        let faulty = self.machine.under_faults();
        let (faults, mischief) = (faulty.faults(), Mischief::default());
        let disk = LyingDisk::new(Arc::new(faulty), Path::new(PATH), mischief.clone());
        let env = Env {
            files: Arc::new(disk),
            clock: Arc::new(SimulatedClock),
            random: Arc::clone(&self.random) as _,
            spawn: Arc::new(ThreadSpawn),
        };
        Machine { env, faults, mischief }
    }

    pub(super) fn open(&self, machine: &Machine) -> braid::Result<Database> {
        Database::open_in(machine.env.clone(), PATH, self.plan.options.clone())
    }

    /// Opens what is left for reading only, now and then: all is there, and not a byte is written.
    pub(super) fn peek(&self, dice: &mut Rng) -> Result<Option<Dump>, String> {
        if !self.plan.features.has("read-only-first") || dice.bool() || self.start.ts == 0 {
            return Ok(None);
        }
        let machine = self.machine_now();
        let found = Database::open_read_only_in(machine.env.clone(), PATH, Options::default())
            .and_then(|db| dump(&db));
        if machine.faults.counters().changes() > 0 {
            return Err("an open for reading only has written".to_owned());
        }
        match found {
            Ok(found) => Ok(Some(found)),
            Err(_) if self.damaged => Ok(None),
            Err(error) => Err(format!("it cannot be opened for reading only: {error}")),
        }
    }

    /// Salvages a copy of what is left, now and then.
    pub(super) fn salvage(&mut self, dice: &mut Rng) -> Result<Option<Salvaged>, String> {
        if !self.plan.features.has("salvage") || dice.bool() || self.start.ts == 0 {
            return Ok(None);
        }
        let files = Arc::new(self.machine.after_kill());
        let env = Env { files, ..self.machine_now().env };
        match salvage::salvage(&env, &self.plan.options) {
            Ok(salvaged) => {
                let what = if salvaged.lost() { "salvage-with-losses" } else { "salvage-whole" };
                *self.figures.operations.entry(what.to_owned()).or_default() += 1;
                Ok(Some(salvaged))
            }
            Err(error) if self.damaged => {
                self.trace.say(format_args!("nothing can be salvaged: {error}"));
                Ok(None)
            }
            Err(error) => Err(format!("what is left cannot be salvaged: {error}")),
        }
    }

    pub(super) fn judge_salvaged(
        &self,
        salvaged: Option<&Salvaged>,
        db: &Database,
        past: &Past,
    ) -> Result<(), String> {
        let Some(salvaged) = salvaged else { return Ok(()) };
        let (torn, damaged) = (past.torn || past.power_cut.is_some(), self.damaged);
        salvaged.judge(&Opened { db, found: &self.start, model: &past.model, torn, damaged })
    }
}

/// A database that holds what was found before, if anything was.
pub(super) fn same_as(db: Database, peeked: Option<&Dump>) -> braid::Result<Database> {
    if let Some(peeked) = peeked {
        let found = dump(&db)?;
        if found.ts != peeked.ts || found.tables != peeked.tables || found.mode != peeked.mode {
            return Err(Error::other(format!("read-only it was {peeked:?}, and now it is {found:?}")));
        }
    }
    Ok(db)
}
