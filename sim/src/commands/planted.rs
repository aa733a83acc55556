//! `braid-sim planted`: one planted bug after another, and what finds it.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::Args;

use crate::planted::{Bug, Build, Caught, Hunt, Verdict, all_known};
use crate::{jobs, progress};

/// Builds the engine with planted bugs, and has the tests find each of them.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this bug; may be given more than once.
    #[arg(long = "bug", value_name = "NAME")]
    bugs: Vec<String>,
    /// Only one bug of so many, for a short run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Try only what is known to find a bug, not everything.
    #[arg(long, conflicts_with = "afresh")]
    known: bool,
    /// Try everything, not what is known first.
    #[arg(long)]
    afresh: bool,
    /// How many bugs at a time.
    #[arg(long, default_value_t = jobs::default_jobs())]
    jobs: usize,
}

/// What became of one bug.
type Outcome = (usize, Option<Caught>);

impl Arguments {
    pub(super) fn run(&self) -> ExitCode {
        if cfg!(braid_planted) {
            list();
            return ExitCode::SUCCESS;
        }
        self.hunt().unwrap_or_else(|error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        })
    }

    fn hunt(&self) -> Result<ExitCode, String> {
        let build = Build::make()?;
        let bugs = self.chosen(&build)?;
        let hunt = Hunt { build: &build, known_only: self.known, afresh: self.afresh };
        let mut failures = self.control(&build)?;
        let bar = progress::bar(bugs.len() as u64, "planted bugs");
        let outcomes = Mutex::new(Vec::<Outcome>::new());
        let errors = jobs::run_all(0..bugs.len() as u64, self.jobs, &bar, |index| {
            let index = usize::try_from(index).map_err(|error| error.to_string())?;
            let Some(bug) = bugs.get(index) else { return Ok(()) };
            let caught = hunt.catch(bug)?;
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, caught));
            Ok(())
        });
        bar.finish_and_clear();
        failures += errors.len();
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(index, _)| *index);
        let caught = outcomes.iter().filter(|(_, caught)| caught.is_some()).count();
        print_table(&bugs, &outcomes);
        let (planted, missed) = (bugs.len(), bugs.len() - caught);
        println!("planted={planted} caught={caught} missed={missed} failures={failures}");
        Ok(if missed == 0 && failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn chosen(&self, build: &Build) -> Result<Vec<Bug>, String> {
        if let Some(unknown) = self.bugs.iter().find(|name| !build.bugs.iter().any(|bug| bug.name == **name))
        {
            return Err(format!("there is no planted bug `{unknown}`; `braid-sim planted` lists them all"));
        }
        let wanted = |bug: &&Bug| self.bugs.is_empty() || self.bugs.contains(&bug.name);
        Ok(build.bugs.iter().filter(wanted).step_by(self.every.into()).cloned().collect())
    }

    /// What finds bugs must pass without one. The number of those that do not.
    fn control(&self, build: &Build) -> Result<usize, String> {
        let arms = if self.afresh {
            build.tests.iter().map(|program| build.arm(&program.name)).collect::<Result<Vec<_>, _>>()?
        } else {
            all_known().into_iter().map(|line| build.arm(line)).collect::<Result<Vec<_>, _>>()?
        };
        let bar = progress::bar(arms.len() as u64, "runs without a bug");
        let failed = jobs::run_all(0..arms.len() as u64, self.jobs, &bar, |index| {
            let arm = usize::try_from(index).ok().and_then(|index| arms.get(index));
            match arm.map(|arm| (arm, arm.run(None))) {
                None | Some((_, Ok(Verdict::Passed))) => Ok(()),
                Some((arm, verdict)) => Err(format!("`{arm}` without a bug: {verdict:?}")),
            }
        });
        bar.finish_and_clear();
        for (_, failure) in &failed {
            eprintln!("{failure}");
        }
        Ok(failed.len())
    }
}

fn print_table(bugs: &[Bug], outcomes: &[Outcome]) {
    println!("| bug | mistake | caught by | seconds |\n| --- | --- | --- | --- |");
    for (index, caught) in outcomes {
        let Some(Bug { name, mistake }) = bugs.get(*index) else { continue };
        match caught {
            Some(Caught { by, failed, took }) => {
                let (first, more) =
                    (failed.first().map_or("", String::as_str), failed.len().saturating_sub(1));
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                println!("| {name} | {mistake} | `{by}`: {first}{more} | {:.1} |", took.as_secs_f64());
            }
            None => println!("| {name} | {mistake} | **nothing** | |"),
        }
    }
}

/// In the build that holds the bugs: what they are.
#[cfg(braid_planted)]
fn list() {
    for (_, name, mistake) in braid::vfs::planted::ALL {
        println!("{name}: {}", mistake.trim());
    }
}

#[cfg(not(braid_planted))]
fn list() {}
