//! A load that is interrupted keeps what it has loaded, says so by its exit code, and goes on when it is run again.

#![cfg(unix)]

mod common;

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use common::{Folder, braid, command, dump, finish};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn on_standard_input() {
    let folder = Folder::new();
    let rows: String = (0..5_000).map(|id| format!("{id},{id}\n")).collect();
    let db = folder.arg("db.braid");
    let options = ["--table", "t", "--key", "id", "--format", "csv"];
    let mut load = command(&["load", &db, "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = load.stdin.take().unwrap();
    stdin.write_all(format!("id,n\n{}", &rows[..20_000]).as_bytes()).unwrap();
    stdin.flush().unwrap();
    // The database appears once the header was read, and the handler was set before that.
    while !folder.path("db.braid").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    drop(stdin);
    let run = finish(load.wait_with_output().unwrap()).code(130);
    assert!(run.stderr.contains("interrupted"), "{run:?}");
    let kept = dump(&db, "t").lines().count();
    assert!(kept < 5_000, "{kept}");

    let csv = folder.file("rows.csv", format!("id,n\n{rows}"));
    let again = braid(&["load", &db, &csv, "--table", "t", "--key", "id"]).code(0);
    assert_eq!(again.fact("records"), "5,000");
    let all = dump(&db, "t");
    assert_eq!(all.lines().count(), 5_000);
}
