//! The files of a run: a row for each reading, for each failure, and for each process.

use std::collections::HashSet;
use std::path::Path;

use braid_measure::machine::DISTURBED;

use crate::cell::Cell;
use crate::engine::{Kind, Result};
use crate::runner::child::{Failure, Finished, TOO_LONG};
use crate::runner::csv::{self, Table};

const READINGS: &str = "round,engine,cell,group,threads,durability,metric,value,unit,better,primary,others,polluted,\
                        peak_memory_bytes";
const FAILURES: &str = "round,engine,cell,reason";
/// Shares of the whole machine: of processes that are not ours and other virtual machines, of the engine, of interrupts
/// and the kernel's threads, and the part of the first that other virtual machines took.
const PROCESSES: &str = "round,engine,cell,seconds,others,engine_share,kernel,stolen,tries";

/// One piece of a run: which engine does which cell in which round.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) round: u32,
    pub(crate) cell: &'a Cell,
    pub(crate) kind: Kind,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Results {
    readings: Table,
    failures: Table,
    processes: Table,
    /// Round, engine and cell of what the files held at first.
    done: HashSet<[String; 3]>,
    /// Engine and cell of what was killed at the limit.
    too_long: HashSet<[String; 2]>,
}

impl Results {
    /// Makes the files, or goes on in them if that is wanted.
    pub(crate) fn open(out: &Path, resume: bool) -> Result<Self> {
        std::fs::create_dir_all(out)?;
        let (readings, failures) = (out.join("results.csv"), out.join("failures.csv"));
        let (mut done, mut too_long) = (HashSet::new(), HashSet::new());
        for path in [&readings, &failures] {
            done.extend(keys(&std::fs::read_to_string(path).unwrap_or_default()));
        }
        for failure in std::fs::read_to_string(&failures).unwrap_or_default().lines().skip(1) {
            if let Ok([_, engine, cell, reason]) = <[String; 4]>::try_from(csv::fields(failure))
                && reason.starts_with(TOO_LONG)
            {
                too_long.insert([engine, cell]);
            }
        }
        if !resume && (readings.exists() || failures.exists()) {
            let out = out.display();
            return Err(format!(
                "{out} holds results already: --resume goes on with them, --out NEW makes others"
            )
            .into());
        }
        Ok(Self {
            readings: Table::append(&readings, READINGS)?,
            failures: Table::append(&failures, FAILURES)?,
            processes: Table::append(&out.join("processes.csv"), PROCESSES)?,
            done,
            too_long,
        })
    }

    /// Whether this was run before these results were opened, well or not.
    pub(crate) fn has(&self, turn: &Turn<'_>) -> bool {
        let key = [turn.round.to_string(), turn.kind.name.to_owned(), turn.cell.name.clone()];
        self.done.contains(&key)
    }

    pub(crate) fn add(&mut self, turn: &Turn<'_>, finished: &Finished, tries: u32) -> Result<()> {
        let Turn { round, cell, kind } = turn;
        let (round, threads) = (round.to_string(), cell.threads.to_string());
        let shares = finished.shares;
        let others = share(shares.others);
        let polluted = (shares.others > DISTURBED).to_string();
        let peak = finished.peak_memory_bytes.map_or_else(String::new, |bytes| bytes.to_string());
        let values: Vec<_> = finished.readings.iter().map(|reading| reading.value.to_string()).collect();
        self.readings.add(finished.readings.iter().zip(&values).map(|(reading, value)| {
            let primary = if reading.metric == cell.primary { "true" } else { "false" };
            vec![
                round.as_str(),
                kind.name,
                &cell.name,
                cell.group,
                &threads,
                cell.durability.name(),
                &reading.metric,
                value,
                &reading.unit,
                reading.better.name(),
                primary,
                &others,
                &polluted,
                &peak,
            ]
        }))?;
        let (seconds, tries) = (format!("{:.3}", finished.elapsed.as_secs_f64()), tries.to_string());
        let (ours, kernel, stolen) = (share(shares.ours), share(shares.kernel), share(shares.stolen));
        let process =
            vec![round.as_str(), kind.name, &cell.name, &seconds, &others, &ours, &kernel, &stolen, &tries];
        Ok(self.processes.add([process])?)
    }

    pub(crate) fn fail(&mut self, turn: &Turn<'_>, failure: &Failure) -> Result<()> {
        if let Failure::TooLong(_) = failure {
            self.too_long.insert(piece(turn));
        }
        let (round, reason) = (turn.round.to_string(), failure.to_string());
        Ok(self.failures.add([vec![round.as_str(), turn.kind.name, &turn.cell.name, &reason]])?)
    }

    /// Whether the engine was killed at the limit in this cell, which another round would only show again.
    pub(crate) fn is_too_long(&self, turn: &Turn<'_>) -> bool {
        self.too_long.contains(&piece(turn))
    }
}

/// Engine and cell.
fn piece(turn: &Turn<'_>) -> [String; 2] {
    [turn.kind.name.to_owned(), turn.cell.name.clone()]
}

fn share(part: f64) -> String {
    format!("{part:.4}")
}

/// The first three fields of every row.
fn keys(text: &str) -> impl Iterator<Item = [String; 3]> {
    text.lines()
        .skip(1)
        .filter_map(|line| csv::fields(line).into_iter().take(3).collect::<Vec<_>>().try_into().ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cell::{Better, Reading};
    use crate::{engines, workloads};
    use braid_measure::machine::Shares;

    #[test]
    fn rows_say_everything_and_are_found_again() {
        let out = std::env::temp_dir().join(format!("braid-compare-results-{}", std::process::id()));
        let cell = workloads::all().into_iter().find(|cell| cell.name == "commits-durable-8").unwrap();
        let turn = Turn { round: 2, cell: &cell, kind: engines::ALL[0] };
        let reading = |metric: &str, value| Reading {
            metric: metric.into(),
            value,
            unit: "1/s".into(),
            better: Better::More,
        };
        let finished = Finished {
            readings: vec![reading("commits", 1234.5), reading("a, b", 7.0)],
            peak_memory_bytes: Some(4096),
            shares: Shares { others: 0.2, ..Shares::default() },
            elapsed: Duration::from_secs(1),
        };
        let mut results = Results::open(&out, false).unwrap();
        assert!(!results.has(&turn));
        results.add(&turn, &finished, 1).unwrap();
        results.fail(&Turn { round: 3, ..turn }, &"no \"room\", none".into()).unwrap();
        assert!(!results.is_too_long(&turn));
        let rival = Turn { kind: Kind { name: "slow", ..turn.kind }, ..turn };
        results.fail(&rival, &Failure::TooLong(Duration::from_secs(40))).unwrap();
        assert!(results.is_too_long(&Turn { round: 3, ..rival }) && !results.is_too_long(&turn));
        let text = std::fs::read_to_string(out.join("results.csv")).unwrap();
        let failures = std::fs::read_to_string(out.join("failures.csv")).unwrap();
        let again = Results::open(&out, false).is_err();
        let resumed = Results::open(&out, true).unwrap();
        std::fs::remove_dir_all(&out).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                READINGS,
                "2,braid,commits-durable-8,commits-durable,8,durable,commits,1234.5,1/s,more,true,0.2000,true,4096",
                "2,braid,commits-durable-8,commits-durable,8,durable,\"a, b\",7,1/s,more,false,0.2000,true,4096",
            ]
        );
        let rows: Vec<_> = failures.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "3,braid,commits-durable-8,\"no \"\"room\"\", none\"",
                "2,slow,commits-durable-8,killed: not done after 40 s",
            ]
        );
        assert!(again);
        assert!(resumed.has(&turn) && resumed.has(&Turn { round: 3, ..turn }));
        assert!(!resumed.has(&Turn { round: 1, ..turn }));
        assert!(resumed.is_too_long(&Turn { round: 3, ..rival }) && !resumed.is_too_long(&turn));
    }
}
