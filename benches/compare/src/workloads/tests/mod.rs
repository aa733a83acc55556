//! Every cell at a tiny size, with Braid and with an engine in memory; and engines that do not do their work, which the
//! cells must find out.

mod mock;

use crate::cell::{Cell, Context, Readings, Size, metrics};
use crate::engine::{Failure, Kind, Result};
use crate::rows::{KEY_BYTES, VALUE_BYTES};

use super::all;

/// All that a second process may be asked to open.
pub(super) fn engines() -> Vec<Kind> {
    crate::engines::ALL.iter().copied().chain([mock::HONEST]).collect()
}

/// A hundredth of the rows, for no longer than it takes.
const TINY: Size = Size { seconds: 0.02, percent: 1 };

/// Runs a cell with one engine in a directory of its own.
fn run(cell: &Cell, kind: Kind) -> Result<Readings> {
    let dir = tempfile::tempdir()?;
    (cell.run)(&Context { kind, dir: dir.path().to_owned(), size: TINY, settings: cell.settings() })
}

fn cell(name: &str) -> Cell {
    all().into_iter().find(|cell| cell.name == name).unwrap_or_else(|| panic!("there is no cell {name}"))
}

/// Runs all cells of the groups that begin so with Braid; there is at least one.
fn braid_runs(group: &str) {
    let cells: Vec<_> = all().into_iter().filter(|cell| cell.group.starts_with(group)).collect();
    assert!(!cells.is_empty());
    for cell in cells {
        let readings =
            run(&cell, crate::engines::ALL[0]).unwrap_or_else(|error| panic!("{}: {error:?}", cell.name));
        let primary = readings.0.iter().find(|reading| reading.metric == cell.primary);
        let primary = primary.unwrap_or_else(|| panic!("{} has no {}", cell.name, cell.primary));
        assert!(primary.value > 0.0, "{}: {primary:?}", cell.name);
        for reading in &readings.0 {
            assert!(reading.value.is_finite(), "{}: {reading:?}", cell.name);
        }
    }
}

#[test]
fn braid_runs_commits() {
    braid_runs("commits");
}

#[test]
fn braid_runs_reads() {
    braid_runs("point-reads");
    braid_runs("scans");
}

#[test]
fn braid_runs_loads() {
    braid_runs("load");
}

#[test]
fn braid_runs_banks() {
    braid_runs("bank");
}

#[test]
fn braid_runs_inserts() {
    braid_runs("inserts");
    braid_runs("counter");
}

#[test]
fn braid_runs_ycsb() {
    braid_runs("ycsb");
}

#[test]
fn braid_runs_checkpoints_and_readers_beside_writers() {
    braid_runs("checkpoint-stalls");
    braid_runs("reader-beside-writers");
}

#[test]
fn braid_runs_what_takes_two_processes() {
    braid_runs("reopen");
    braid_runs("larger-than-cache");
}

/// What a cell with Braid reads of a metric.
fn braid_reads(name: &str, metric: &str) -> f64 {
    let readings =
        run(&cell(name), crate::engines::ALL[0]).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let reading = readings.0.iter().find(|reading| reading.metric == metric);
    reading.unwrap_or_else(|| panic!("{name} has no {metric}")).value
}

#[test]
fn durable_cells_tell_how_busy_the_processor_was() {
    for name in ["commits-durable-8", "commits-durable-tasks-8", "bank-cold-durable-2", "counter-durable-16"]
    {
        let share = braid_reads(name, metrics::PROCESSOR);
        assert!(share > 0.0 && share < 2.0, "{name}: {share}");
    }
}

#[test]
fn the_programs_pages_are_a_part_of_the_memory() {
    let name = "larger-than-cache-reads-1";
    let without = braid_reads(name, metrics::MEMORY_WITHOUT_PROGRAM);
    assert!(without > 0.0 && without < braid_reads(name, "memory, peak"), "{without}");
}

#[test]
fn the_log_at_the_kill_holds_the_rows_and_no_empty_segments() {
    // So few that nothing is folded. A record has some 50 bytes beside the row, and blocks and first segments are not full.
    let log = braid_reads("reopen-1", metrics::LOG_AT_THE_KILL);
    let row = (KEY_BYTES + VALUE_BYTES) as f64;
    assert!((row..2.0 * row).contains(&log), "{log} bytes for each row");
}

#[test]
fn braid_runs_the_steps_of_redb() {
    braid_runs("lmdb-benchmark");
}

#[test]
fn names_are_different_and_say_group_and_threads() {
    let cells = all();
    let mut names: Vec<_> = cells.iter().map(|cell| &cell.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cells.len());
    for cell in &cells {
        assert!(cell.name.starts_with(cell.group), "{}", cell.name);
        assert!(cell.name.ends_with(&format!("-{}", cell.threads)), "{}", cell.name);
    }
}

/// The cell must refuse what the engine did.
fn is_refused(name: &str, kind: Kind) {
    match run(&cell(name), kind) {
        Err(Failure::Broken(_)) => {}
        other => panic!("{name} with {}: {other:?}", kind.name),
    }
}

#[test]
fn an_honest_engine_is_believed() {
    for name in READING.iter().chain(WRITING).chain(RACING) {
        run(&cell(name), mock::HONEST).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

/// Cells that must notice wrong reads.
const READING: &[&str] = &[
    "point-reads-fresh-1",
    "point-reads-shared-2",
    "scans-100-2",
    "scans-all-1",
    "load-random-1",
    "ycsb-c-2",
];

/// Cells that must notice a lost commit.
const WRITING: &[&str] = &[
    "commits-deferred-2",
    "commits-durable-8",
    "commits-durable-tasks-8",
    "commits-durable-tasks-512",
    "inserts-computing-0us-4",
    "bank-cold-durable-2",
    "ycsb-a-8",
    "ycsb-e-2",
    "lmdb-benchmark-1",
    "reader-beside-writers-2",
    "checkpoint-stalls-settling-1m-1",
];

/// Cells that must notice a lost update.
const RACING: &[&str] = &["bank-hot-deferred-8", "counter-deferred-16", "ycsb-f-8"];

#[test]
fn a_lost_commit_is_found_out() {
    for name in WRITING.iter().chain(RACING) {
        is_refused(name, mock::LOSES_COMMITS);
    }
}

#[test]
fn a_row_that_was_not_loaded_is_found_out() {
    for name in READING {
        is_refused(name, mock::LOADS_LESS);
    }
}

#[test]
fn a_wrong_value_is_found_out() {
    for name in READING {
        is_refused(name, mock::READS_WRONG);
    }
}

#[test]
fn a_lost_update_is_found_out() {
    for name in RACING {
        is_refused(name, mock::LOSES_UPDATES);
    }
}

#[test]
fn commits_that_die_with_their_process_are_found_out() {
    // In memory: nothing is left.
    is_refused("reopen-1", mock::HONEST);
}
