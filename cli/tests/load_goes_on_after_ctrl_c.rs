//! A load that is interrupted keeps what it has loaded, says so by its exit code, and goes on when it is run again.

#![cfg(unix)]

mod common;

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use common::{Folder, braid, command, dump, finish};
use rustix::process::{Pid, Signal, kill_process};

/// Starts a command whose standard input is written here.
fn start(command: &mut Command) -> (Child, ChildStdin) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command is there");
    let stdin = child.stdin.take().expect("it is piped");
    (child, stdin)
}

#[test]
fn on_standard_input() {
    let folder = Folder::new();
    let rows: String = (0..5_000).map(|id| format!("{id},{id}\n")).collect();
    let db = folder.arg("db.braid");
    let options = ["--table", "t", "--key", "id", "--format", "csv"];
    let (load, mut stdin) = start(command(&["load", &db, "-"]).args(options));
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

/// While the tables of a dump are read that are not wanted.
#[test]
fn where_tables_are_passed_over() {
    let folder = Folder::new();
    let (load, mut stdin) = start(&mut command(&["load", &folder.arg("db.braid"), "-", "--table", "small"]));
    let head = r#"{"braid_dump":1,"journal_mode":"mvcc","page_bytes":4096}"#;
    let row = r#"{"key":"a","value":"1"}"#;
    write!(stdin, "{head}\n{{\"table\":\"small\"}}\n{row}\n{{\"table\":\"huge\"}}\n").unwrap();
    // More than fits between it and us: it has come to the table that it passes over.
    let rows = format!("{row}\n").repeat(40_000);
    for _ in 0..4 {
        stdin.write_all(rows.as_bytes()).unwrap();
    }
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    // As long as it reads.
    let _ends = (0..10).try_for_each(|_| stdin.write_all(rows.as_bytes()));
    drop(stdin);
    let run = finish(load.wait_with_output().unwrap()).code(130);
    assert!(run.stderr.contains("interrupted"), "{run:?}");
    assert_eq!(run.fact("added"), "1");
}
