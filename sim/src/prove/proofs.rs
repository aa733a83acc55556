//! The list of proofs, and how much of each the two levels ask for.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Proof;

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// What fits beside everything else into the minutes of a CI run.
    Ci,
    /// The whole of what must be reached.
    Full,
}

/// One line of the list. In the arguments `N` stands for how many are asked for, and `LEVEL` for the level.
struct Line {
    what: &'static str,
    figure: &'static str,
    program: Option<&'static str>,
    arguments: &'static str,
    /// At [`Level::Ci`] and at [`Level::Full`]; zero means all.
    ci: u64,
    full: u64,
}

const LIST: &[Line] = &[
    Line {
        what: "simulation seeds",
        figure: "seeds",
        program: None,
        arguments: "run --seeds 0..N",
        ci: 2_000,
        full: 10_000,
    },
    Line {
        what: "seeds run twice, alike",
        figure: "seeds",
        program: None,
        arguments: "run --twice --seeds 0..N",
        ci: 300,
        full: 1_000,
    },
    Line {
        what: "crash states",
        figure: "states",
        program: None,
        arguments: "crash-states --states N",
        ci: 50_000,
        full: 500_000,
    },
    Line {
        what: "bits flipped in a log and a database at rest",
        figure: "bits",
        program: None,
        arguments: "damage",
        ci: 0,
        full: 0,
    },
    Line {
        what: "I/O failures at every call",
        figure: "runs",
        program: None,
        arguments: "io-failures",
        ci: 0,
        full: 0,
    },
    Line {
        what: "transactions judged by both checkers",
        figure: "transactions",
        program: None,
        arguments: "histories --transactions N",
        ci: 100_000,
        full: 500_000,
    },
    Line {
        what: "kill -9 cycles",
        figure: "cycles",
        program: None,
        arguments: "machine kill --cycles N",
        ci: 60,
        full: 500,
    },
    Line {
        what: "calls of a real process that fail, and limits",
        figure: "runs",
        program: None,
        arguments: "machine faults",
        ci: 0,
        full: 0,
    },
    Line {
        what: "seconds of soak",
        figure: "seconds",
        program: None,
        arguments: "machine soak --seconds N",
        ci: 15,
        full: 60,
    },
    Line {
        what: "planted bugs caught",
        figure: "caught",
        program: None,
        arguments: "planted",
        ci: 0,
        full: 0,
    },
    Line {
        what: "schedules under shuttle; loom, Miri, ThreadSanitizer",
        figure: "schedules",
        program: Some(".ci/schedules"),
        arguments: "LEVEL",
        ci: 40_000,
        full: 1_000_000,
    },
    Line {
        what: "inputs fuzzed",
        figure: "executions",
        program: Some("fuzz/run"),
        arguments: "--executions N",
        ci: 50_000,
        full: 1_000_000,
    },
];

/// All of them, in order. Programs beside this one are named from the root of the repository.
#[must_use]
pub fn proofs(level: Level) -> Vec<Proof> {
    LIST.iter().map(|line| line.at(level)).collect()
}

impl Line {
    fn at(&self, level: Level) -> Proof {
        let asked = match level {
            Level::Ci => self.ci,
            Level::Full => self.full,
        };
        let level = match level {
            Level::Ci => "ci",
            Level::Full => "full",
        };
        let argument =
            |word: &str| OsString::from(word.replace('N', &asked.to_string()).replace("LEVEL", level));
        Proof {
            what: self.what,
            figure: self.figure,
            asked,
            target: self.full,
            program: self.program.map(PathBuf::from),
            arguments: self.arguments.split_whitespace().map(argument).collect(),
        }
    }
}
