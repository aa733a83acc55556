//! Ctrl-C ends a run early: what was done until then is told, and the exit code is that of an interruption.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "it is all test code")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, Run, braid, command, dump};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn start(args: &[&str]) -> Child {
    command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(run: &Child) {
    kill_process(Pid::from_child(run), Signal::INT).unwrap();
}

/// A benchmark of a minute that is interrupted once it has told how it is doing.
fn benchmark(args: &[&str]) -> Run {
    let began = Instant::now();
    let mut run = start(&[&["bench"], args, &["--seconds", "60"]].concat());
    let mut errors = BufReader::new(run.stderr.take().unwrap());
    let (mut stdout, mut stderr) = (String::new(), String::new());
    errors.read_line(&mut stderr).unwrap();
    interrupt(&run);
    run.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    errors.read_to_string(&mut stderr).unwrap();
    let run = Run { code: run.wait().unwrap().code().unwrap_or(-1), stdout, stderr };
    assert!(began.elapsed() < Duration::from_secs(50), "it ended early: {run:?}");
    assert!(run.stderr.contains("interrupted; the report is of what was done until then"), "{run:?}");
    run.code(130)
}

#[test]
fn a_benchmark_reports_what_it_did_until_then() {
    let bank = benchmark(&["bank", "--accounts", "100"]);
    assert!(bank.stdout.contains("conserved: 100,000 before"), "{bank:?}");
    for (name, part) in [("counter", "by"), ("skew", "isolation"), ("long-reader", "beside")] {
        let report = benchmark(&[name, "--json"]).json();
        let parts: Vec<_> = report.as_array().unwrap().iter().map(|one| one[part].clone()).collect();
        assert_eq!(parts.len(), 1, "nothing else was begun: {report}");
        let rate = report[0]["commits_per_second"].as_u64();
        assert!(rate > Some(0), "{report}");
    }
}

#[test]
fn changes_end_after_a_whole_commit_and_a_consumer_goes_on_behind_it() {
    let folder = Folder::new();
    let db = braid::Database::open(folder.path("db.braid")).unwrap();
    let table = db.table("t").unwrap();
    // Far more than a pipe holds.
    for number in 0..600_u64 {
        db.put(&table, number.to_string(), [b'x'; 4096]).unwrap();
    }
    drop(db);
    let args = ["changes", &folder.arg("db.braid"), "--consumer", "index", "--from", "0"];
    let mut run = start(&args);
    let mut output = BufReader::new(run.stdout.take().unwrap());
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    interrupt(&run);
    // Nothing moves here while the pipe is full, but for the thread that takes the signal.
    std::thread::sleep(Duration::from_secs(1));
    output.read_to_string(&mut text).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));

    let stamps = |text: &str| -> Vec<_> {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["ts"].as_u64().unwrap())
            .collect()
    };
    let (first, rest) = (stamps(&text), stamps(&braid(&args[..4]).code(0).stdout));
    assert!(!first.is_empty() && first.len() < 600, "{}", first.len());
    let all = [first, rest].concat();
    assert!(all.len() == 601 && all.is_sorted_by(|one, next| one < next), "{all:?}");
}

#[test]
fn who_follows_until_then_is_done() {
    let folder = Folder::new();
    let db = braid::Database::open(folder.path("db.braid")).unwrap();
    db.put(&db.table("t").unwrap(), "key", "value").unwrap();
    drop(db);
    let mut run = start(&["changes", &folder.arg("db.braid"), "--follow"]);
    let mut output = BufReader::new(run.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    interrupt(&run);
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn who_has_nothing_to_report_dies_of_it_and_leaves_the_database_as_it_was() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 20_000);
    let mut run = start(&["dump", &db, "--table", "t"]);
    let mut output = BufReader::new(run.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    // Not the interrupt itself: a shell starts what runs in its background with that one ignored, tests too.
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert_eq!(dump(&db, "t").lines().count(), 20_000);
}
