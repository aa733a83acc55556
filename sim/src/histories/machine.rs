//! Where a history plays, and how each of its lives ends.

use std::path::PathBuf;
use std::sync::Arc;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid::vfs::{Env, FileSystem, RealFileSystem};
use braid_tests::Place;
use fastrand::Rng;

use super::Files;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All handles go, the last one with or without a checkpoint.
    Close { folded: bool },
    /// The process dies while the session 0 is at this step.
    Kill { step: u64 },
    /// The power goes after so many calls that change something.
    PowerCut { within: u64 },
    /// A sync fails, the nth; then the power goes as well, or not.
    FailedSync { nth: u64, then_cut: bool },
}

/// The disk, through all lives.
#[derive(Debug)]
pub(super) enum Disk {
    Machine(CrashFileSystem),
    Real(Place),
}

impl Disk {
    pub(super) fn new(files: Files) -> Self {
        match files {
            Files::Machine => Self::Machine(CrashFileSystem::new()),
            Files::Real => Self::Real(Place::new()),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Machine(_) => PathBuf::from("/data.braid"),
            Self::Real(place) => place.path(),
        }
    }

    /// How the next life is to end, after at most so many steps of a session.
    pub(super) fn fate(&self, steps: u64, rng: &mut Rng) -> Fate {
        let kinds = if matches!(self, Self::Machine(_)) { 10 } else { 2 };
        match rng.u8(0..kinds) {
            0 => Fate::Close { folded: true },
            1 => Fate::Close { folded: false },
            2..5 => Fate::Kill { step: rng.u64(0..steps) },
            5..9 => Fate::PowerCut { within: *rng.choice(&[30, 300, 1500, 4000]).unwrap_or(&300) },
            _ => Fate::FailedSync { nth: rng.u64(1..200), then_cut: rng.bool() },
        }
    }

    /// The files as a life sees them; what is to go wrong waits in them.
    pub(super) fn files(&self, fate: Fate, rng: &mut Rng) -> Arc<dyn FileSystem> {
        let machine = match self {
            Self::Real(_) => return Arc::new(RealFileSystem),
            Self::Machine(machine) => machine,
        };
        match fate {
            Fate::PowerCut { within } => machine.cut_power_after(rng.u64(0..within)),
            Fate::FailedSync { nth, .. } => {
                let files = machine.under_faults();
                files.faults().inject(Fault::on(Operation::SyncData).nth(nth));
                return Arc::new(files);
            }
            Fate::Close { .. } | Fate::Kill { .. } => {}
        }
        Arc::new(machine.clone())
    }

    /// The power goes.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        if let Self::Machine(machine) = self {
            let choice = match rng.u8(0..10) {
                0 => CrashChoice::KeepAll,
                1 | 2 => CrashChoice::KeepNone,
                3 => CrashChoice::Prefix {
                    changes: rng.usize(0..=machine.unsynced_changes()),
                    bytes: rng.usize(0..5000),
                },
                _ => CrashChoice::Subset {
                    seed: rng.u64(..),
                    unit: *rng.choice(&[8, 512, 4096]).unwrap_or(&512),
                },
            };
            *self = Self::Machine(machine.crash(choice));
        }
    }
}

/// What makes an environment of files.
pub type MakeEnv = dyn Fn(Arc<dyn FileSystem>) -> Env;
