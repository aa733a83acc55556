//! `kill -9` in a loop: each job has a database of its own, which goes on from kill to kill.

use std::process::ExitCode;

use braid_tests::Place;
use braid_tests::machine::{KillFigures, KillLoop};

use super::{child, could_not_begin};
use crate::jobs::run_all;
use crate::progress::bar;

/// Runs so many cycles, shared by `jobs` databases.
pub fn kill(cycles: u64, threads: usize, seed: u64, jobs: usize) -> ExitCode {
    let program = match child() {
        Ok(program) => program,
        Err(error) => return could_not_begin("machine kill", &error),
    };
    let jobs_wide = u64::try_from(jobs.max(1)).unwrap_or(1);
    let bar = bar(cycles, "kills");
    let totals = std::sync::Mutex::new(KillFigures::default());
    let failures = run_all(0..jobs_wide, jobs, &bar, |job| {
        let place = Place::new();
        let mut kills = KillLoop::new(program.clone(), place.path(), threads, seed.wrapping_add(job));
        let share = cycles / jobs_wide + u64::from(job < cycles % jobs_wide);
        let mut outcome = Ok(());
        for _ in 0..share {
            outcome = kills.cycle();
            if outcome.is_err() {
                break;
            }
            bar.inc(1);
        }
        if outcome.is_err() {
            let kept = place.keep();
            bar.println(format!("the database is kept in {}", kept.display()));
        }
        let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *totals = sum(*totals, kills.figures());
        outcome
    });
    bar.finish_and_clear();
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (job, what) in &failures {
        eprintln!(
            "FAILED: {what}\n  again: braid-sim machine kill --jobs 1 --threads {threads} --cycles {cycles} --seed {}",
            seed.wrapping_add(*job)
        );
    }
    println!(
        "cycles={} commits={} unknown={} told={} in_open={} in_checkpoint={} in_compaction={} in_close={} failures={}",
        totals.cycles,
        totals.commits,
        totals.unknown,
        totals.told,
        totals.in_open,
        totals.in_checkpoint,
        totals.in_compaction,
        totals.in_close,
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sum(a: KillFigures, b: KillFigures) -> KillFigures {
    let mut all = a;
    all.cycles += b.cycles;
    all.commits += b.commits;
    all.unknown += b.unknown;
    all.told += b.told;
    all.in_open += b.in_open;
    all.in_checkpoint += b.in_checkpoint;
    all.in_compaction += b.in_compaction;
    all.in_close += b.in_close;
    all
}
