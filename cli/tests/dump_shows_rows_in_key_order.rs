//! A dump is JSON lines in the order of the keys, whatever bytes they hold, and ends quietly with its reader.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use common::{Folder, braid, command, dump};

#[test]
fn of_text_and_bytes() {
    let folder = Folder::new();
    {
        let db = braid::Database::open(folder.path("db.braid")).unwrap();
        let table = db.table("odd \u{1b}[2J name").unwrap();
        for (key, value) in [
            (&b"b"[..], &b"line\nend"[..]),
            (b"a", b""),
            (b"\xff\x00", b"\xfe"),
            (b"b\xff", b"2"),
            (b"c", "Zürich".as_bytes()),
        ] {
            db.put(&table, key, value).unwrap();
        }
        db.close().unwrap();
    }
    let db = folder.arg("db.braid");
    let rows = [
        "{\"key\":\"a\",\"value\":\"\"}\n",
        "{\"key\":\"b\",\"value\":\"line\\nend\"}\n",
        "{\"key\":{\"hex\":\"62ff\"},\"value\":\"2\"}\n",
        "{\"key\":\"c\",\"value\":\"Zürich\"}\n",
        "{\"key\":{\"hex\":\"ff00\"},\"value\":{\"hex\":\"fe\"}}\n",
    ];
    let table = "odd \u{1b}[2J name";
    assert_eq!(dump(&db, table), rows.concat());
    let some = |options: &[&str]| braid(&[&["dump", &db, "--table", table], options].concat()).code(0).stdout;
    assert_eq!(some(&["--limit", "2"]), rows[..2].concat());
    assert_eq!(some(&["--limit", "0"]), "");
    assert_eq!(some(&["--key-prefix", "b"]), rows[1..3].concat());
    assert_eq!(some(&["--key-prefix", "b", "--limit", "1"]), rows[1]);
    assert_eq!(some(&["--key-prefix", "z"]), "");
    // `braid` asserts that no control character reaches an output.
    assert!(braid(&["tables", &db]).code(0).stdout.contains("odd \\u{1b}[2J name"));
    braid(&["stat", &db]).code(0);
}

#[test]
fn into_a_pipe_that_closes() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 20_000);
    let mut run = command(&["dump", &db, "--table", "t"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, run.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"key\":\"000000\""), "{first}");
    let mut stderr = String::new();
    run.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn help_and_tables_into_a_closed_pipe() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 10);
    for args in [&["--help"][..], &["load", "--help"], &["tables", &db], &["stat", &db], &["check", &db]] {
        let mut run = command(args);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run.stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}
