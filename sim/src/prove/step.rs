//! One proof: a program, how much is asked of it, and what came of it.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Figures;

/// A program that proves something.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What is counted, for people.
    pub what: &'static str,
    /// The name of that figure in the program's last line.
    pub figure: &'static str,
    /// How many are asked for; zero means all that there are.
    pub asked: u64,
    /// How many there must be in the full run.
    pub target: u64,
    /// The program: `None` is this one.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What came of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many were done.
    pub reached: u64,
    /// Why it does not count, if it does not.
    pub failure: Option<String>,
}

impl Proof {
    /// The command as one can type it.
    #[must_use]
    pub fn command_line(&self) -> String {
        let program = match &self.program {
            Some(program) => program.display().to_string(),
            None => "braid-sim".to_owned(),
        };
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
    }

    fn judge(&self, printed: &str, ended_well: bool) -> Outcome {
        let Some(figures) = Figures::last_in(printed) else {
            return Outcome { reached: 0, failure: Some("it printed no figures".to_owned()) };
        };
        let reached = figures.get(self.figure).unwrap_or(0);
        let failure = match figures.get("failures") {
            Some(0) if !ended_well => Some("it ended with an error".to_owned()),
            Some(0) if reached == 0 => Some(format!("it tried no {}", self.figure)),
            Some(0) if reached < self.asked => Some(format!("{} were asked for", self.asked)),
            Some(0) => None,
            Some(failures) => Some(format!("{failures} failed")),
            None => Some("it did not say how many failed".to_owned()),
        };
        Outcome { reached, failure }
    }
}

/// Runs a proof to its end. What it says on the standard error is passed through, and so is what it prints.
///
/// # Errors
/// When it cannot be started.
pub fn run(proof: &Proof) -> io::Result<Outcome> {
    let program = match &proof.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let mut child = Command::new(program).args(&proof.arguments).stdout(Stdio::piped()).spawn()?;
    let mut printed = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut printed)?;
    }
    let status = child.wait()?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    Ok(proof.judge(&printed, status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(asked: u64) -> Proof {
        Proof { what: "states", figure: "states", asked, target: 10, program: None, arguments: Vec::new() }
    }

    #[test]
    fn only_a_whole_and_clean_run_counts() {
        let clean = proof(5).judge("states=5 failures=0\n", true);
        assert_eq!(clean, Outcome { reached: 5, failure: None });
        for (printed, ended_well) in [
            ("states=5 failures=0", false),
            ("states=4 failures=0", true),
            ("states=5 failures=1", true),
            ("states=5", true),
            ("nothing", true),
        ] {
            assert!(proof(5).judge(printed, ended_well).failure.is_some(), "{printed}");
        }
        assert!(proof(0).judge("states=0 failures=0", true).failure.is_some());
    }
}
