//! What happened, line by line, and one number that stands for all of it.

use std::fmt;
use std::hash::Hasher as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept for the report of a failure.
const KEPT_LINES: usize = 400;

/// The trace of one run; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: std::collections::VecDeque<String>,
    hash: crc32fast::Hasher,
    count: u64,
    spoken: bool,
}

impl Trace {
    /// One that also prints every line as it comes.
    #[must_use]
    pub fn spoken() -> Self {
        let trace = Self::default();
        trace.with(|lines| lines.spoken = true);
        trace
    }

    /// Adds a line.
    pub fn say(&self, line: impl fmt::Display) {
        let line = line.to_string();
        self.with(|lines| {
            lines.hash.write(line.as_bytes());
            lines.count += 1;
            if lines.spoken {
                eprintln!("{line}");
            }
            if lines.kept.len() == KEPT_LINES {
                lines.kept.pop_front();
            }
            lines.kept.push_back(line);
        });
    }

    /// The same for two runs that were the same.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.with(|lines| u64::from(lines.hash.clone().finalize()) << 32 | (lines.count & 0xffff_ffff))
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        self.with(|lines| lines.kept.iter().rev().take(count).rev().cloned().collect())
    }

    /// Nothing in `work` may reach the engine: a thread that waits there would hold the others back.
    fn with<T>(&self, work: impl FnOnce(&mut Lines) -> T) -> T {
        work(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts_and_the_last_are_kept() {
        let (one, two) = (Trace::default(), Trace::default());
        for number in 0..KEPT_LINES + 5 {
            one.say(number);
            two.say(number);
        }
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.tail(2), [(KEPT_LINES + 3).to_string(), (KEPT_LINES + 4).to_string()]);
        two.say("more");
        assert_ne!(one.fingerprint(), two.fingerprint());
    }
}
