//! How a run can end that should not.

use std::fmt;

/// Why a run did not end well. Its threads may be left where they are, for good: end the process soon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Every thread waits, and none of them for a deadline.
    Deadlock {
        /// Each thread that has not ended, and what it does.
        threads: Vec<String>,
    },
    /// The run took more points than it was allowed.
    TooLong {
        /// How many that were.
        points: u64,
        /// Each thread that has not ended, and what it does.
        threads: Vec<String>,
    },
    /// A thread panicked.
    Panicked {
        /// The name of the first one.
        thread: String,
        /// What it said.
        message: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { threads } => write!(f, "deadlock: {}", threads.join(", ")),
            Self::TooLong { points, threads } => {
                write!(f, "no end after {points} points: {}", threads.join(", "))
            }
            Self::Panicked { thread, message } => write!(f, "thread `{thread}` panicked: {message}"),
        }
    }
}

impl std::error::Error for Failure {}
