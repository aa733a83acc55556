//! What became of a trial.

use std::io::Write;

/// What became of a trial that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried<T> {
    /// It was made, and what must hold held.
    Held(T),
    /// The system did not allow it, for this reason. Nothing is known.
    Skipped(String),
}

impl<T> Tried<T> {
    /// What was found; `None`, and a line on the standard error that no test harness keeps back, if it was skipped.
    pub fn or_say_so(self, what: &str) -> Option<T> {
        match self {
            Self::Held(found) => Some(found),
            Self::Skipped(why) => {
                // Nobody listens: then nobody misses it.
                let _ = std::io::stderr().write_all(format!("SKIPPED: {what}: {why}\n").as_bytes());
                None
            }
        }
    }

    /// The same of what was found.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Tried<U> {
        match self {
            Self::Held(found) => Tried::Held(change(found)),
            Self::Skipped(why) => Tried::Skipped(why),
        }
    }
}
