//! How far the run is, and how long the rest takes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Knows how long each piece took in the round before.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    took: HashMap<(String, &'static str), Duration>,
    done: u32,
    spent: Duration,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), took: HashMap::new(), done: 0, spent: Duration::ZERO }
    }

    pub(crate) fn done(&mut self, cell: &str, engine: &'static str, elapsed: Duration) {
        self.took.insert((cell.to_owned(), engine), elapsed);
        self.done += 1;
        self.spent += elapsed;
    }

    /// What these pieces will take: as long as the last time, or as the others on average.
    pub(crate) fn estimate<'a>(&self, left: impl Iterator<Item = (&'a str, &'static str)>) -> Duration {
        let average = self.spent.checked_div(self.done).unwrap_or_default();
        left.map(|(cell, engine)| self.took.get(&(cell.to_owned(), engine)).copied().unwrap_or(average)).sum()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// `1 h 02 min`, `3 min 05 s`, `12 s`.
pub(crate) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [(12, "12 s"), (185, "3 min 05 s"), (3725, "1 h 02 min")] {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn the_rest_takes_as_long_as_before() {
        let mut progress = Progress::new();
        assert_eq!(progress.estimate([("a", "x")].into_iter()), Duration::ZERO);
        progress.done("a", "x", Duration::from_secs(2));
        progress.done("b", "x", Duration::from_secs(4));
        let left = [("a", "x"), ("c", "x")];
        assert_eq!(progress.estimate(left.into_iter()), Duration::from_secs(2 + 3));
    }
}
