//! Goes over all calls and effects.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use braid::vfs::faulty::{Counters, CrashChoice, CrashFileSystem, Fault, Operation};
use indicatif::ProgressBar;

use super::effect::{Effect, Lasts, Met};
use super::script::{Played, Script};
use crate::jobs::run_all;
use crate::states::{examine, examine_beside};

/// Many times the calls of a script: whoever comes here tries for ever.
const ENDLESS: u64 = 100_000;

/// A run over all calls.
#[derive(Debug)]
pub struct Run {
    /// One of so many cases is tried; all, where it is 1.
    pub share: u64,
    /// Threads.
    pub jobs: usize,
    /// One case instead of all.
    pub only: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls of the undisturbed scripts.
    pub calls: u64,
    /// Scripts run under a fault that met a call.
    pub runs: u64,
    /// Errors that were told.
    pub errors: u64,
    /// What must not be, each with the command that shows it again.
    pub failures: Vec<String>,
}

/// One script under one fault.
struct Case<'a> {
    script: &'a Script,
    met: Met,
}

impl Run {
    /// Tries everything.
    #[must_use]
    pub fn run(&self, bar: &ProgressBar) -> Figures {
        let mut figures = Figures::default();
        let mut scripts = Vec::new();
        for map_log in [true, false] {
            match Script::all(map_log) {
                Ok(both) => scripts.extend(both),
                Err(error) => figures.failures.push(error),
            }
        }
        let mut cases = Vec::new();
        for script in &scripts {
            match undisturbed(script) {
                Ok(counters) => {
                    figures.calls += Operation::FALLIBLE.iter().map(|one| counters.calls(*one)).sum::<u64>();
                    cases.extend(cases_of(script, &counters));
                }
                Err(error) => figures.failures.push(format!("{}, undisturbed: {error}", script.name)),
            }
        }
        let share = self.share.max(1);
        let numbers = match self.only {
            Some(number) => number..number + 1,
            None => 0..(cases.len() as u64).div_ceil(share),
        };
        let step = if self.only.is_some() { 1 } else { share };
        bar.inc_length(numbers.end - numbers.start);
        let (runs, errors) = (AtomicU64::new(0), AtomicU64::new(0));
        let failures = run_all(numbers, self.jobs, bar, |turn| {
            // Not always the same effect of a call.
            let number = turn * step + turn % step;
            let Some(case) = usize::try_from(number).ok().and_then(|at| cases.get(at)) else { return Ok(()) };
            let played = catch_unwind(AssertUnwindSafe(|| case.play(number)))
                .unwrap_or_else(|_| Err("it panics, or tries for ever".to_owned()));
            let told = |error| {
                format!(
                    "{}, {:?}: {error}; again: braid-sim io-failures --case {number}",
                    case.script.name, case.met
                )
            };
            let played = played.map_err(told)?;
            runs.fetch_add(1, Ordering::Relaxed);
            errors.fetch_add(played.errors, Ordering::Relaxed);
            Ok(())
        });
        figures.failures.extend(failures.into_iter().map(|(_, failure)| failure));
        figures.runs = runs.into_inner();
        figures.errors = errors.into_inner();
        figures
    }
}

/// What a script calls when nothing fails.
fn undisturbed(script: &Script) -> Result<Counters, String> {
    let mut counters = None;
    let played = script.play(0, false, |files| counters = Some(files.faults()));
    judge(&played, script, 0)?;
    if played.errors > 0 {
        return Err(format!("{} errors of nothing", played.errors));
    }
    counters.map(|faults| faults.counters()).ok_or_else(|| "nothing was counted".to_owned())
}

fn cases_of<'a>(script: &'a Script, counters: &Counters) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for operation in Operation::FALLIBLE {
        for nth in 1..=counters.calls(operation) {
            for (effect, lasts) in Effect::ALL {
                if effect.applies_to(operation) {
                    cases.push(Case { script, met: Met { operation, nth, effect, lasts } });
                }
            }
        }
    }
    cases
}

impl Case<'_> {
    fn play(&self, seed: u64) -> Result<Played, String> {
        let mut faults = None;
        let reads_nothing = self.met.effect == Effect::Nothing && self.met.operation == Operation::Read;
        let played = self.script.play(seed, reads_nothing, |files| {
            let endless = || panic!("somebody tries for ever");
            // The first fault decides, so it is this one.
            files.faults().inject(Fault::on_any(&Operation::FALLIBLE).nth(ENDLESS).call(endless));
            files.faults().inject(self.met.fault());
            faults = Some(files.faults());
        });
        if faults.is_none_or(|faults| faults.fired() == 0) {
            return Err("the call is not made".to_owned());
        }
        let Met { effect, lasts, .. } = self.met;
        if effect.is_normal() && played.errors > 0 {
            return Err(format!("{} errors, and what happened is no error", played.errors));
        }
        if effect == Effect::Nothing && lasts == Lasts::FromThenOn && played.errors == 0 {
            return Err("nothing is read or written any more, and nobody says so".to_owned());
        }
        judge(&played, self.script, seed)?;
        Ok(played)
    }
}

/// Judges what is left after a kill and after power cuts.
fn judge(played: &Played, script: &Script, seed: u64) -> Result<(), String> {
    if let Some(failure) = &played.failure {
        return Err(failure.clone());
    }
    let machine = &played.machine;
    let cut = CrashChoice::Subset { seed, unit: if seed.is_multiple_of(2) { 8 } else { 512 } };
    let left: [(&str, bool, CrashFileSystem); 3] = [
        ("a kill", true, machine.after_kill()),
        ("a power cut", false, machine.after_crash(CrashChoice::KeepNone)),
        ("a power cut that kept some", false, machine.after_crash(cut)),
    ];
    for (how, killed, left) in left {
        let told = |error| format!("after {how}: {error}");
        let copy = left.after_kill();
        let contents = examine(&left, &script.options, true).map_err(told)?;
        let (life, marks) = (&played.life, played.life.marks());
        let found = life.judge(contents.fingerprint(), marks, killed).map_err(told)?;
        examine_beside(|| copy.after_kill(), life, (found, marks), &script.options).map_err(told)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failing_call_loses_what_was_told() {
        let figures = Run { share: 101, jobs: 2, only: None }.run(&ProgressBar::hidden());
        assert_eq!(figures.failures, Vec::<String>::new());
        assert!(figures.calls > 500 && figures.runs > 60 && figures.errors > 100, "{figures:?}");
    }

    #[test]
    fn the_scripts_use_every_call() {
        for map_log in [true, false] {
            let mut unused = Operation::FALLIBLE.to_vec();
            for script in Script::all(map_log).unwrap() {
                let counters = undisturbed(&script).unwrap_or_else(|why| panic!("{}: {why}", script.name));
                unused.retain(|one| counters.calls(*one) == 0);
            }
            let allowed = [Operation::CreateDir, Operation::SetLen, Operation::Map];
            unused.retain(|one| !allowed.contains(one));
            assert!(unused.is_empty(), "mapped: {map_log}: {unused:?}");
        }
    }

    #[test]
    fn a_promise_that_is_not_kept_is_found() {
        // Syncs that do nothing and say that they did: the books promise what a power cut takes.
        let script = &Script::all(true).unwrap()[0];
        let mut found = 0;
        for nth in 1..20 {
            let played = script.play(nth, false, |files| {
                let machine_loses = Fault::on_any(&[Operation::SyncData]).nth(nth).sticky();
                files.faults().inject(machine_loses.kind(std::io::ErrorKind::Other));
            });
            let mut life = played.life.clone();
            life.promise_everything();
            found += u64::from(judge(&Played { life, ..played }, script, nth).is_err());
        }
        assert!(found > 5, "{found}");
    }
}
