//! A cell: one thing to measure, on a database of its own.

use std::path::{Path, PathBuf};

use braid::{Database, Durability, JournalMode, Options, Table};

use crate::{Result, cells};

/// See the module.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context) -> Result<Readings>,
}

/// How much a cell does.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Size {
    /// How long a cell that runs for a time does so, in seconds.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) seconds: f64,
    /// How many rows, or commits, a cell of fixed size has.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: u64,
}

/// What a cell runs with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Empty, and removed afterwards.
    pub(crate) dir: PathBuf,
    pub(crate) size: Size,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// What a cell measured, in the order in which it is shown.
#[derive(Debug, Default)]
pub(crate) struct Readings(Vec<Reading>);

impl Readings {
    pub(crate) fn add(&mut self, metric: impl Into<String>, value: f64, unit: &str) {
        self.0.push(Reading { metric: metric.into(), value, unit: unit.to_owned() });
    }
}

impl Reading {
    /// A line of a cell's standard output.
    fn to_line(&self) -> String {
        format!("{}\t{}\t{}", self.metric, self.value, self.unit)
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (metric, value, unit) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { metric: metric.to_owned(), value: value.parse().ok()?, unit: unit.to_owned() })
    }
}

impl Context {
    pub(crate) fn database_path(&self) -> PathBuf {
        self.dir.join("figures.braid")
    }

    /// A new database in `Mvcc` mode with one table.
    pub(crate) fn create(&self, options: Options) -> Result<(Database, Table)> {
        create(&self.database_path(), options)
    }
}

/// Opens a database in `Mvcc` mode with the table of the figures.
pub(crate) fn create(path: &Path, options: Options) -> Result<(Database, Table)> {
    let db = Database::open_with(path, options)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    Ok((db, table))
}

/// The default options with this durability.
pub(crate) fn options(durability: Durability) -> Options {
    Options { durability, ..Options::default() }
}

/// Options with which nothing is folded by itself.
pub(crate) fn unfolded_options(durability: Durability) -> Options {
    Options { row_store_bytes: 4 << 30, log_bytes: 1 << 40, ..options(durability) }
}

/// Refuses a figure of work that was not done.
pub(crate) fn verify(what: &str, actual: u64, expected: u64) -> Result<()> {
    if actual == expected { Ok(()) } else { Err(format!("{what}: {actual} instead of {expected}").into()) }
}

/// Walks the file and compares the number of rows.
pub(crate) fn verify_database(db: &Database, table: &Table, rows: u64) -> Result<()> {
    verify("rows", db.snapshot()?.count(table)?, rows)?;
    let report = db.check()?;
    if report.is_ok() { Ok(()) } else { Err(format!("damage: {report:?}").into()) }
}

/// Runs one cell here.
pub(crate) fn run(name: &str, size: Size, dir: PathBuf) -> Result<()> {
    let cell = cells::ALL.iter().find(|cell| cell.name == name).ok_or("there is no such cell")?;
    let Readings(readings) = (cell.run)(&Context { dir, size })?;
    for reading in readings {
        println!("{}", reading.to_line());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_survives_its_line() {
        let reading = Reading { metric: "a rate".into(), value: 0.1, unit: "1/s".into() };
        assert_eq!(Reading::from_line(&reading.to_line()), Some(reading));
        assert_eq!(Reading::from_line("no reading"), None);
    }

    #[test]
    fn wrong_work_is_refused() {
        assert!(verify("rows", 1, 1).is_ok());
        assert!(verify("rows", 1, 2).is_err());
    }
}
