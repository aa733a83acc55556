//! Ctrl-C ends a run early; the report comes all the same.

#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::command;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn with_its_total() {
    let began = Instant::now();
    let mut run = command(&["bench", "bank", "--accounts", "100", "--seconds", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(run.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let mut stdout = String::new();
    run.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    stderr.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(stdout.contains("conserved: 100,000 before"), "{stdout}");
    assert!(began.elapsed() < Duration::from_secs(50), "it ended early");
}
