//! The databases of the crash tests: small, on a machine that may lose its power.

use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{Env, FileSystem};
use braid::{Database, JournalMode, Options, Result};
use braid_tests::oracle::{Action, Life, random_action};
use fastrand::Rng;

pub(crate) const PATH: &str = "/data.braid";

pub(crate) fn options(rng: &mut Rng) -> Options {
    Options {
        row_store_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        page_bytes: 512,
        log_segment_bytes: 64 << 10,
        log_bytes: 128 << 10,
        map_log: rng.bool(),
        ..Options::default()
    }
}

pub(crate) fn open(files: Arc<dyn FileSystem>, options: &Options) -> Result<Database> {
    Database::open_in(Env::with_files(files), Path::new(PATH), options.clone())
}

/// Commits, checkpoints and syncs at random until `steps` are done or something fails.
pub(crate) fn live(life: &mut Life, db: &Database, steps: usize, rng: &mut Rng) -> Result<()> {
    if rng.bool() {
        let mode = if rng.bool() { JournalMode::Mvcc } else { JournalMode::Wal };
        life.act(db, &Action::Mode(mode))?;
    }
    life.act(db, &Action::CreateTable("rows".to_owned()))?;
    for _ in 0..steps {
        life.act(db, &random_action("rows", rng.u64(..), rng))?;
    }
    Ok(())
}

/// A machine whose power fails after a random number of steps, if `within` is given.
pub(crate) fn cut_within(machine: &CrashFileSystem, within: Option<u64>, rng: &mut Rng) {
    if let Some(within) = within {
        machine.cut_power_after(rng.u64(0..within));
    }
}
