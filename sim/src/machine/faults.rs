//! Calls of the system that fail, one by one; disks of many sizes that are full; limits of many heights.

use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use braid_tests::Program;
use braid_tests::machine::{
    FAULTS, FaultPlan, Preload, Tried, try_descriptors, try_fault, try_file_size, try_full_disk, try_memory,
};

use super::{child, could_not_begin};
use crate::jobs::run_all;
use crate::progress::bar;

/// Commits of a child under a call that fails.
const COMMITS: u64 = 40;

/// What all trials came to.
#[derive(Debug, Default)]
struct Totals {
    runs: AtomicU64,
    calls_met: AtomicU64,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    skipped: AtomicU64,
}

/// One line of the sweep.
enum Trial<'a> {
    Fault(&'a Preload, &'a FaultPlan, bool),
    Disk(u64),
    Descriptors(u64),
    Memory(u64),
    FileSize(u64, bool),
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(_, plan, mapped) => {
                let FaultPlan { call, suffix, again, effect } = plan;
                write!(f, "{call},{suffix},{again},{effect},{}", if *mapped { "mapped" } else { "plain" })
            }
            Self::Disk(kib) => write!(f, "disk,{kib}k"),
            Self::Descriptors(allowed) => write!(f, "descriptors,{allowed}"),
            Self::Memory(kib) => write!(f, "memory,{kib}k"),
            Self::FileSize(kib, heeded) => {
                write!(f, "file-size,{kib}k,{}", if *heeded { "error" } else { "signal" })
            }
        }
    }
}

/// Tries everything; of each kind of call the first `each` one by one, and later ones with growing strides.
pub fn faults(each: u64, only: Option<&str>, jobs: usize) -> ExitCode {
    let program = match child() {
        Ok(program) => program,
        Err(error) => return could_not_begin("machine faults", &error),
    };
    let totals = Totals::default();
    let preload = match Preload::build() {
        Ok(built) => built,
        Err(error) => return could_not_begin("machine faults", &error),
    };
    let mut trials = Vec::new();
    match &preload {
        Tried::Held(preload) => trials.extend(
            FAULTS.iter().flat_map(|plan| [true, false].map(|mapped| Trial::Fault(preload, plan, mapped))),
        ),
        Tried::Skipped(why) => {
            eprintln!("SKIPPED: failing calls: {why}");
            totals.skipped.fetch_add(FAULTS.len() as u64 * 2, Ordering::Relaxed);
        }
    }
    trials.extend((4..=600).step_by(8).chain((640..=2048).step_by(128)).map(Trial::Disk));
    trials.extend((24..=72).step_by(8).map(Trial::Descriptors));
    trials.extend((6..=72).step_by(2).map(|mib| Trial::Memory(mib << 10)));
    let file_sizes = (4..=400).step_by(24);
    trials.extend(file_sizes.flat_map(|kib| [true, false].map(|heeded| Trial::FileSize(kib, heeded))));
    trials.retain(|trial| only.is_none_or(|only| trial.to_string().starts_with(only)));
    let bar = bar(trials.len() as u64, "trials");
    let failures = run_all(0..trials.len() as u64, jobs, &bar, |number| {
        let trial = usize::try_from(number).ok().and_then(|number| trials.get(number));
        let Some(trial) = trial else { return Ok(()) };
        run(trial, &program, each, &totals).map_err(|what| {
            format!(
                "{trial}: {what}\n  again: braid-sim machine faults --jobs 1 --each {each} --only '{trial}'"
            )
        })
    });
    bar.finish_and_clear();
    for (_, what) in &failures {
        eprintln!("FAILED: {what}");
    }
    let figure = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "machine_faults runs={} calls_met={} acknowledged={} unknown={} refused={} skipped={} failures={}",
        figure(&totals.runs),
        figure(&totals.calls_met),
        figure(&totals.acknowledged),
        figure(&totals.unknown),
        figure(&totals.refused),
        figure(&totals.skipped),
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(trial: &Trial<'_>, program: &Program, each: u64, totals: &Totals) -> Result<(), String> {
    let add = |count: &AtomicU64, more: u64| {
        count.fetch_add(more, Ordering::Relaxed);
    };
    let skip = |what: &str, why: &str| {
        eprintln!("SKIPPED: {what}: {why}");
        add(&totals.skipped, 1);
    };
    match trial {
        Trial::Fault(preload, plan, mapped) => {
            let mut nth = plan.first();
            let mut met = 0;
            loop {
                let found = try_fault(preload, program, plan, nth, *mapped, COMMITS)?;
                add(&totals.runs, 1);
                add(&totals.acknowledged, found.steps.acknowledged);
                add(&totals.unknown, found.steps.unknown);
                add(&totals.refused, u64::from(found.steps.refused));
                if !found.fired {
                    break;
                }
                met += 1;
                nth += if nth < each { 1 } else { nth / each };
            }
            add(&totals.calls_met, met);
            let expected = *mapped || plan.call.to_string() != "map";
            if met == 0 && expected && plan.suffix != ".tmp" {
                return Err("the library met no such call".to_owned());
            }
        }
        Trial::Disk(kib) => match try_full_disk(program, *kib)? {
            Tried::Held(disk) => {
                add(&totals.runs, 1);
                add(&totals.acknowledged, disk.before);
                add(&totals.refused, u64::from(disk.refused));
            }
            Tried::Skipped(why) => skip("a full disk", &why),
        },
        Trial::Descriptors(allowed) => {
            try_descriptors(program, *allowed)?;
            add(&totals.runs, 1);
        }
        Trial::Memory(kib) => {
            match try_memory(program, *kib)? {
                Tried::Held(steps) => {
                    add(&totals.runs, 1);
                    add(&totals.acknowledged, steps.acknowledged);
                    add(&totals.refused, u64::from(steps.refused));
                }
                // Too little even to start is the lower end of the sweep.
                Tried::Skipped(_) => {}
            }
        }
        Trial::FileSize(kib, heeded) => {
            let steps = try_file_size(program, *kib, *heeded)?;
            add(&totals.runs, 1);
            add(&totals.acknowledged, steps.acknowledged);
            add(&totals.refused, u64::from(steps.refused));
        }
    }
    Ok(())
}
