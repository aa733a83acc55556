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

/// One line of the list.
struct Line {
    what: &'static str,
    figure: &'static str,
    program: Option<&'static str>,
    ci: Share,
    full: Share,
}

/// How many are asked for, zero being all that there are; and the arguments for it, with `N` in the place of the number.
struct Share {
    asked: u64,
    arguments: &'static str,
}

const LIST: &[Line] = &[
    Line {
        what: "simulation seeds",
        figure: "seeds",
        program: None,
        ci: Share { asked: 5_000, arguments: "run --seeds 0..N" },
        full: Share { asked: 10_000, arguments: "run --seeds 0..N" },
    },
    Line {
        what: "seeds run twice, alike",
        figure: "seeds",
        program: None,
        ci: Share { asked: 300, arguments: "run --twice --seeds 0..N" },
        full: Share { asked: 1000, arguments: "run --twice --seeds 0..N" },
    },
    Line {
        what: "crash states",
        figure: "states",
        program: None,
        ci: Share { asked: 100_000, arguments: "crash-states --states N" },
        full: Share { asked: 500_000, arguments: "crash-states --complete --states N" },
    },
    Line {
        what: "bits flipped at rest",
        figure: "bits",
        program: None,
        ci: Share { asked: 0, arguments: "damage --share 40" },
        full: Share { asked: 0, arguments: "damage" },
    },
    Line {
        what: "I/O failures at every call",
        figure: "runs",
        program: None,
        ci: Share { asked: 0, arguments: "io-failures" },
        full: Share { asked: 0, arguments: "io-failures" },
    },
    Line {
        what: "transactions judged by both checkers",
        figure: "transactions",
        program: None,
        ci: Share { asked: 300_000, arguments: "histories --transactions N" },
        full: Share { asked: 500_000, arguments: "histories --transactions N" },
    },
    Line {
        what: "kill -9 cycles",
        figure: "cycles",
        program: None,
        ci: Share { asked: 100, arguments: "machine kill --cycles N" },
        full: Share { asked: 500, arguments: "machine kill --cycles N" },
    },
    Line {
        what: "trials of a real machine",
        figure: "runs",
        program: None,
        ci: Share { asked: 0, arguments: "machine faults --each 1" },
        full: Share { asked: 0, arguments: "machine faults" },
    },
    Line {
        what: "seconds of soak",
        figure: "seconds",
        program: None,
        ci: Share { asked: 15, arguments: "machine soak --seconds N" },
        full: Share { asked: 60, arguments: "machine soak --seconds N" },
    },
    Line {
        what: "planted bugs caught",
        figure: "caught",
        program: None,
        ci: Share { asked: 0, arguments: "planted" },
        full: Share { asked: 0, arguments: "planted" },
    },
    Line {
        what: "schedules under shuttle, beside loom, Miri and ThreadSanitizer",
        figure: "schedules",
        program: Some(".ci/schedules"),
        ci: Share { asked: 40_000, arguments: "ci shuttle loom" },
        full: Share { asked: 1_000_000, arguments: "full" },
    },
    Line {
        what: "inputs fuzzed",
        figure: "executions",
        program: Some("fuzz/run"),
        ci: Share { asked: 50_000, arguments: "--seconds 10" },
        full: Share { asked: 1_000_000, arguments: "--executions N" },
    },
];

/// All of them, in order. Programs beside this one are named from the root of the repository.
#[must_use]
pub fn proofs(level: Level) -> Vec<Proof> {
    LIST.iter().map(|line| line.at(level)).collect()
}

impl Line {
    fn at(&self, level: Level) -> Proof {
        let share = match level {
            Level::Ci => &self.ci,
            Level::Full => &self.full,
        };
        let argument = |word: &str| OsString::from(word.replace('N', &share.asked.to_string()));
        Proof {
            what: self.what,
            figure: self.figure,
            asked: share.asked,
            target: self.full.asked,
            program: self.program.map(PathBuf::from),
            arguments: share.arguments.split_whitespace().map(argument).collect(),
        }
    }
}
