//! From a bug to what finds it.

use std::time::Duration;

use braid::vfs::Env;

use super::{Arm, Bug, Build, Verdict, known};

/// Commands of `braid-sim` that are tried where nothing that is known, and no test, finds a bug.
const MACHINES: [&str; 2] = ["sim crash-states --states 20000", "sim histories --transactions 20000"];

/// A build, and how to look.
#[derive(Debug)]
pub struct Hunt<'b> {
    /// The build.
    pub build: &'b Build,
    /// Whether to try only what is known.
    pub known_only: bool,
    /// Whether to pass over what is known, and try everything.
    pub afresh: bool,
}

/// What found a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The run: a line of [`known`].
    pub by: String,
    /// What failed in it.
    pub failed: Vec<String>,
    /// How long that run took.
    pub took: Duration,
}

impl Hunt<'_> {
    /// Runs one arm after another until one finds the bug.
    ///
    /// # Errors
    /// When an arm cannot be run.
    pub fn catch(&self, bug: &Bug) -> Result<Option<Caught>, String> {
        let clock = Env::real().clock;
        for arm in self.arms(bug)? {
            let began = clock.now();
            let failed = match arm.run(Some(&bug.name))? {
                Verdict::Passed => continue,
                Verdict::Failed(failed) => failed,
                Verdict::Hung => vec!["hangs".to_owned()],
            };
            let took = clock.now().saturating_sub(began);
            return Ok(Some(Caught { by: arm.to_string(), failed, took }));
        }
        Ok(None)
    }

    fn arms(&self, bug: &Bug) -> Result<Vec<Arm>, String> {
        let mut arms = Vec::new();
        if !self.afresh {
            arms.extend(known(&bug.name).map(|line| self.build.arm(line)));
        }
        if !self.known_only {
            arms.extend(self.build.tests.iter().map(|program| Ok(Arm::test(program, ""))));
            arms.extend(MACHINES.iter().map(|line| self.build.arm(line)));
        }
        arms.into_iter().collect()
    }
}
