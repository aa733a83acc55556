//! Figures of runs, and the lines in which a child tells them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;

use super::session::Shared;

/// What one seed, or many, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Commits that were acknowledged.
    pub commits: u64,
    /// Answers that were compared.
    pub reads: u64,
    /// Power cuts and kills.
    pub crashes: u64,
    /// Calls that met a fault, writes that went astray, damages.
    pub faults: u64,
    /// Runs that ended with damage being found.
    pub refused: u64,
    /// Points of the schedule.
    pub points: u64,
    /// How often each operation ran.
    pub operations: BTreeMap<String, u64>,
}

impl Figures {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.refused += other.refused;
        self.points += other.points;
        for (name, count) in &other.operations {
            *self.operations.entry(name.clone()).or_default() += count;
        }
    }

    /// Adds the operations of a life.
    pub fn add_operations(&mut self, shared: &Shared) {
        for (name, count) in shared.ran.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *self.operations.entry((*name).to_owned()).or_default() += count;
        }
    }
}

/// A line of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A seed begins.
    Begin(u64),
    /// A seed went well.
    Done {
        /// The seed.
        seed: u64,
        /// The trace's fingerprint.
        fingerprint: u64,
        /// What it came to.
        figures: Figures,
    },
    /// A seed failed.
    Failed {
        /// The seed.
        seed: u64,
        /// Why.
        why: String,
    },
    /// A line of the trace of a seed that failed.
    Trace(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(seed) => write!(f, "begin {seed}"),
            Self::Done { seed, fingerprint, figures } => {
                let Figures { commits, reads, crashes, faults, refused, points, operations } = figures;
                write!(
                    f,
                    "done {seed} {fingerprint} {commits} {reads} {crashes} {faults} {refused} {points}"
                )?;
                operations.iter().try_for_each(|(name, count)| write!(f, " {name}={count}"))
            }
            Self::Failed { seed, why } => write!(f, "failed {seed} {}", why.replace('\n', " ")),
            Self::Trace(line) => write!(f, "trace {}", line.replace('\n', " ")),
        }
    }
}

impl Line {
    /// Reads a line; `None` for one that is something else.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "begin" => Some(Self::Begin(rest.parse().ok()?)),
            "failed" => {
                let (seed, why) = rest.split_once(' ')?;
                Some(Self::Failed { seed: seed.parse().ok()?, why: why.to_owned() })
            }
            "trace" => Some(Self::Trace(rest.to_owned())),
            "done" => {
                let mut words = rest.split(' ');
                let mut number = || words.next()?.parse::<u64>().ok();
                let (seed, fingerprint) = (number()?, number()?);
                let mut figures = Figures {
                    commits: number()?,
                    reads: number()?,
                    crashes: number()?,
                    faults: number()?,
                    refused: number()?,
                    points: number()?,
                    ..Figures::default()
                };
                for word in words {
                    let (name, count) = word.split_once('=')?;
                    figures.operations.insert(name.to_owned(), count.parse().ok()?);
                }
                Some(Self::Done { seed, fingerprint, figures })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let operations = BTreeMap::from([("put-one".to_owned(), 3)]);
        let figures = Figures { commits: 1, reads: 2, points: 9, operations, ..Figures::default() };
        let lines = [
            Line::Begin(7),
            Line::Done { seed: 7, fingerprint: 99, figures },
            Line::Failed { seed: 8, why: "it is so".to_owned() },
            Line::Trace("s1 put".to_owned()),
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
        assert_eq!(Line::parse("nothing of the kind"), None);
    }
}
