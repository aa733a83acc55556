//! A killed process leaves its writes in the system's cache; the next process replays them, and builds on them. A power
//! cut after that must not take what was built upon: whatever the open replayed is durable before the first commit.

use std::sync::Arc;

use braid::Result;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid_tests::oracle::Life;
use braid_tests::seeds;
use fastrand::Rng;

use crate::workload::{live, open, options};

fn one_seed(seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let options = options(&mut rng);
    let mut told = Life::default();
    let mut machine = CrashFileSystem::new();
    for _ in 0..3 {
        let db = open(Arc::new(machine.clone()), &options)?;
        told.settle(&db, false, &format!("seed {seed}, before the kill"))?;
        let steps = rng.usize(1..40);
        live(&mut told, &db, steps, &mut rng)?;
        machine = machine.kill();
        drop(db);

        let db = open(Arc::new(machine.clone()), &options)?;
        told.settle(&db, true, &format!("seed {seed}, after the kill"))?;
        told.promise_everything();
        let steps = rng.usize(0..20);
        live(&mut told, &db, steps, &mut rng)?;
        let choice = match rng.u8(0..3) {
            0 => CrashChoice::KeepNone,
            _ => CrashChoice::Subset { seed: rng.u64(..), unit: 512 },
        };
        machine = machine.crash(choice);
        drop(db);
        let judged = machine.after_crash(CrashChoice::KeepAll);
        told.settle(
            &open(Arc::new(judged), &options)?,
            false,
            &format!("seed {seed}, after the cut, {choice:?}"),
        )?;
    }
    Ok(())
}

#[test]
fn over_random_workloads() -> Result<()> {
    for seed in seeds(120) {
        one_seed(seed)?;
    }
    Ok(())
}
