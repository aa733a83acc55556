//! A cell: one piece of work with its settings, which one engine does in a process of its own.

use std::path::PathBuf;

use crate::engine::{Durability, Engine, Kind, Result, Session, Settings};
use crate::rows::{FIRST_KEY, KEY_BYTES};

/// What is measured.
pub(crate) struct Cell {
    /// `group`, and what sets it apart from others of the group: `commits-durable-8`.
    pub(crate) name: String,
    /// Cells of a group are one plot, with the threads along the bottom, and a table of their own.
    pub(crate) group: &'static str,
    pub(crate) about: &'static str,
    pub(crate) threads: usize,
    pub(crate) durability: Durability,
    /// Bytes of memory that the engine may keep pages or blocks in.
    pub(crate) cache_bytes: usize,
    /// The metric that the engines are ranked by.
    pub(crate) primary: &'static str,
    /// Whether the short form runs it.
    pub(crate) short: bool,
    pub(crate) run: Box<dyn Fn(&Context) -> Result<Readings>>,
}

impl Cell {
    /// What an engine is opened with to do it.
    pub(crate) fn settings(&self) -> Settings {
        let Self { durability, cache_bytes, threads, .. } = *self;
        Settings { durability, cache_bytes, threads }
    }
}

/// A cache that holds all rows of most cells.
pub(crate) const AMPLE_CACHE: usize = 1 << 30;

/// A usual one: engines that keep recent rows in memory bound what they replay by it.
pub(crate) const MODEST_CACHE: usize = 256 << 20;

/// Names of metrics that targets are judged by.
pub(crate) mod metrics {
    /// What there is to replay at most, for each row that was committed.
    pub(crate) const LOG_AT_THE_KILL: &str = "log at the kill";
    /// What the process used while it was measured; 1 where every core was busy.
    pub(crate) const PROCESSOR: &str = "processor, share of all cores";
    /// The most that was resident, but for pages of the executable and of shared libraries.
    pub(crate) const MEMORY_WITHOUT_PROGRAM: &str = "memory without the program's own pages, peak";
}

/// How much a cell does.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Size {
    /// How long a measurement that runs for a time does so, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// A hundred is the size that the cells are described with; 10 makes tables of a tenth of the rows.
    #[arg(long, default_value_t = 100)]
    pub(crate) percent: u64,
}

/// What a cell runs with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) kind: Kind,
    /// Empty; the engine's files and nothing else go there.
    pub(crate) dir: PathBuf,
    pub(crate) size: Size,
    pub(crate) settings: Settings,
}

/// Whether more or less of it is better, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    More,
    Less,
    Neither,
}

impl Better {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::Neither => "neither",
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) metric: String,
    pub(crate) value: f64,
    /// `1/s`, `rows/s`, `µs`, `bytes`, `bytes/row`, `×`, `MiB`.
    pub(crate) unit: String,
    pub(crate) better: Better,
}

/// What a cell measured, in the order in which it is shown.
#[derive(Debug, Default)]
pub(crate) struct Readings(pub(crate) Vec<Reading>);

impl Readings {
    pub(crate) fn add(&mut self, metric: impl Into<String>, value: f64, unit: &str, better: Better) {
        self.0.push(Reading { metric: metric.into(), value, unit: unit.to_owned(), better });
    }
}

impl Reading {
    /// A line of a cell's standard output.
    pub(crate) fn to_line(&self) -> String {
        format!("{}\t{}\t{}\t{}", self.metric, self.value, self.unit, self.better.name())
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (metric, value, unit) = (fields.next()?, fields.next()?, fields.next()?);
        let better = match fields.next()? {
            "more" => Better::More,
            "less" => Better::Less,
            "neither" => Better::Neither,
            _ => return None,
        };
        Some(Self { metric: metric.to_owned(), value: value.parse().ok()?, unit: unit.to_owned(), better })
    }
}

impl Context {
    /// Opens the engine at the directory of this cell, again too.
    pub(crate) fn open(&self) -> Result<Box<dyn Engine>> {
        (self.kind.open)(&self.dir, self.settings)
    }

    /// So many rows, in proportion to the size that was asked for; never none.
    pub(crate) fn rows(&self, at_full_size: u64) -> u64 {
        (at_full_size * self.size.percent / 100).max(1)
    }
}

/// Refuses a figure of work that was not done.
pub(crate) fn verify(what: &str, actual: u64, expected: u64) -> Result<()> {
    if actual == expected { Ok(()) } else { Err(format!("{what}: {actual} instead of {expected}").into()) }
}

/// Sees all rows of the table in one snapshot, which must be so many and in order.
pub(crate) fn verify_rows(engine: &dyn Engine, expected: u64) -> Result<()> {
    see_rows(&mut *engine.session()?, expected, &mut |_, _| {})
}

/// Shows all rows of the table in one snapshot, which must be so many and in order.
pub(crate) fn see_rows(
    session: &mut dyn Session,
    expected: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<()> {
    let (mut seen, mut told, mut last, mut disorder) = (0, 0, [0; KEY_BYTES], 0);
    session.read(&mut |snapshot| {
        told = snapshot.scan(&FIRST_KEY, u64::MAX, &mut |key, value| {
            // No key is all zeros: those of the first id end with other bytes.
            disorder += u64::from(key <= &last[..] || key.len() != KEY_BYTES);
            seen += 1;
            if let Some(key) = key.first_chunk() {
                last = *key;
            }
            see(key, value);
        })?;
        Ok(())
    })?;
    verify("rows", seen, expected)?;
    verify("rows that a scan said it showed", told, seen)?;
    verify("rows not after the one before", disorder, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_survives_its_line() {
        let reading =
            Reading { metric: "a rate".into(), value: 0.1, unit: "1/s".into(), better: Better::More };
        assert_eq!(Reading::from_line(&reading.to_line()), Some(reading));
        assert_eq!(Reading::from_line("no reading"), None);
    }

    #[test]
    fn wrong_work_is_refused() {
        assert!(verify("rows", 1, 1).is_ok());
        assert!(verify("rows", 1, 2).is_err());
    }
}
