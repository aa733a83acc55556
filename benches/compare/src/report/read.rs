//! What the runner wrote: one directory for each run, several of which are read as one.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cell::Better;
use crate::engine::Result;

/// A line of `results.csv`, the only file that must be there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) round: usize,
    pub(super) engine: String,
    pub(super) cell: String,
    pub(super) group: String,
    pub(super) threads: usize,
    pub(super) durability: String,
    pub(super) metric: String,
    pub(super) value: f64,
    pub(super) unit: String,
    pub(super) better: Better,
    /// Whether the engines are ranked by it.
    pub(super) primary: bool,
    /// The share of the machine that others used meanwhile.
    pub(super) others: Option<f64>,
    /// Whether that was too much to rely on the value.
    pub(super) polluted: bool,
    /// Of the process that did the whole cell.
    pub(super) peak_memory_bytes: Option<u64>,
}

/// A line of `failures.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Failed {
    pub(super) round: usize,
    pub(super) engine: String,
    pub(super) cell: String,
    pub(super) reason: String,
}

/// A line of `engines.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct About {
    pub(super) engine: String,
    pub(super) version: String,
    pub(super) writers: String,
    pub(super) isolation: String,
    /// Empty: it has no setting that syncs.
    pub(super) durable: String,
    pub(super) deferred: String,
    pub(super) deferred_survives_kill: String,
    pub(super) notes: String,
}

/// A line of `syncs.csv`: how often an engine synced while it acknowledged so many commits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Syncs {
    pub(super) engine: String,
    pub(super) durability: String,
    pub(super) commits: String,
    pub(super) syncs: String,
    pub(super) verdict: String,
}

impl Syncs {
    /// Whether this shows that "durable" means nothing with the engine.
    pub(super) fn is_refuted(&self) -> bool {
        self.durability.eq_ignore_ascii_case("durable") && self.verdict.to_lowercase().contains("not sync")
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) readings: Vec<Reading>,
    pub(super) failures: Vec<Failed>,
    pub(super) engines: Vec<About>,
    pub(super) machine: Vec<String>,
    pub(super) syncs: Vec<Syncs>,
    /// Cells that more than one run measured.
    pub(super) repeated: BTreeSet<String>,
}

impl Input {
    /// Adds what is in `dir`. Its rounds are numbered on from those that are there.
    pub(super) fn add(&mut self, dir: &Path) -> Result<()> {
        let rounds = self.readings.iter().map(|reading| reading.round);
        let before = rounds.chain(self.failures.iter().map(|failed| failed.round)).max().unwrap_or(0);
        let cells: BTreeSet<_> = self.readings.iter().map(|reading| reading.cell.clone()).collect();

        let path = dir.join("results.csv");
        for mut reading in lines::<Reading>(&path)? {
            if !reading.value.is_finite() {
                let Reading { engine, cell, metric, value, .. } = &reading;
                return Err(format!("{}: {metric} of {engine} in {cell} is {value}", path.display()).into());
            }
            if cells.contains(&reading.cell) {
                self.repeated.insert(reading.cell.clone());
            }
            reading.round += before;
            self.readings.push(reading);
        }
        for mut failed in lines_if_there::<Failed>(&dir.join("failures.csv"))? {
            failed.round += before;
            self.failures.push(failed);
        }
        add_new(&mut self.engines, lines_if_there(&dir.join("engines.csv"))?);
        add_new(&mut self.syncs, lines_if_there(&dir.join("syncs.csv"))?);
        let path = dir.join("machine.txt");
        if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
            for fact in text.lines().map(|line| line.trim().trim_start_matches("- ")) {
                self.add_fact(fact);
            }
        }
        Ok(())
    }

    /// What runs do not agree on, stands together.
    fn add_fact(&mut self, fact: &str) {
        if fact.is_empty() || self.machine.iter().any(|known| known == fact) {
            return;
        }
        let name = |fact: &str| fact.split_once(':').map(|(name, _)| name.to_owned());
        let alike = self.machine.iter().rposition(|known| name(known).is_some() && name(known) == name(fact));
        self.machine.insert(alike.map_or(self.machine.len(), |place| place + 1), fact.to_owned());
    }
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| at(path, &error))?;
    let lines = reader.deserialize().collect::<std::result::Result<_, _>>();
    Ok(lines.map_err(|error| at(path, &error))?)
}

fn lines_if_there<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if path.exists() { lines(path) } else { Ok(Vec::new()) }
}

fn at(path: &Path, error: &dyn std::error::Error) -> String {
    format!("{}: {error}", path.display())
}

fn add_new<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
