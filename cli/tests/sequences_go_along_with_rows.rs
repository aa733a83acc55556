//! A database that gets the rows of another one gives out no id of theirs, once it got the sequences too.

#![allow(clippy::unwrap_used, reason = "it is all test code")]

mod common;

use std::process::Stdio;

use braid::{Database, SequenceOptions};
use common::{Folder, braid, command, dump, finish};

/// A database whose rows of table `t` have the ids of `orders=1` for keys.
fn old(folder: &Folder) -> (String, Vec<u64>) {
    let db = Database::open(folder.path("old.braid")).unwrap();
    let table = db.table("t").unwrap();
    let ids = db.sequence_with("orders=1", SequenceOptions { block: 10, start: 100 }).unwrap();
    let given: Vec<_> = (0..15).map(|_| ids.next().unwrap()).collect();
    for id in &given {
        db.put(&table, id.to_string(), "{}").unwrap();
    }
    db.sequence("unused").unwrap();
    drop((ids, table));
    db.close().unwrap();
    (folder.arg("old.braid"), given)
}

#[test]
fn listed_here_and_raised_there() {
    let folder = Folder::new();
    let (old, given) = old(&folder);
    let listed = braid(&["sequences", &old]).code(0).stdout;
    assert_eq!(listed, "sequence  next\norders=1   120\nunused       1\n");
    assert!(braid(&["stat", &old]).code(0).stdout.contains("orders=1   120"));
    assert_eq!(braid(&["stat", &old, "--json"]).code(0).json()["sequences"]["orders=1"], 120);
    let list = braid(&["sequences", &old, "--json"]).code(0).stdout;
    assert_eq!(list, "{\"name\":\"orders=1\",\"next\":120}\n{\"name\":\"unused\",\"next\":1}\n");

    let (rows, new) = (folder.file("rows.jsonl", dump(&old, "t")), folder.arg("new.braid"));
    braid(&["load", &new, &rows, "--table", "t", "--key", "key"]).code(0);
    assert_eq!(braid(&["sequences", &new]).code(0).stdout, "sequence  next\n");
    let mut run = command(&["sequences", &new, "--raise-from", "-"]);
    let input = std::fs::File::open(folder.file("list", &list)).unwrap();
    let raised = finish(run.stdin(Stdio::from(input)).output().unwrap()).code(0).stdout;
    assert_eq!(raised, listed);
    // Once more, and lower, changes nothing.
    let again = braid(&["sequences", &new, "--raise-from", &folder.arg("list"), "--raise", "orders=1=7"]);
    assert_eq!(again.code(0).stdout, listed);
    let higher = braid(&["sequences", &new, "--raise", "orders=1=500", "--raise", "more=9", "--json"]);
    assert_eq!(
        higher.code(0).stdout,
        "{\"name\":\"more\",\"next\":9}\n{\"name\":\"orders=1\",\"next\":500}\n{\"name\":\"unused\",\"next\":1}\n"
    );

    let db = Database::open(folder.path("new.braid")).unwrap();
    assert_eq!(db.sequence("orders=1").unwrap().next().unwrap(), 500);
    let next = db.sequence("unused").unwrap().next().unwrap();
    assert!(next == 1 && !given.contains(&500));
    assert_eq!(db.snapshot().unwrap().count(&db.table("t").unwrap()).unwrap(), given.len() as u64);
}

#[test]
fn what_cannot_be_read_raises_nothing() {
    let folder = Folder::new();
    let (old, _) = old(&folder);
    let listed = braid(&["sequences", &old]).code(0).stdout;
    let good = r#"{"name":"unused","next":900}"#;
    for bad in ["x", "{}", r#"{"name":"unused"}"#, r#"{"name":"unused","next":-1}"#, r#"{"name":7,"next":7}"#]
    {
        let list = folder.file("list", format!("{good}\n\n{bad}\n"));
        braid(&["sequences", &old, "--raise-from", &list]).fails(1, "line 3 of ");
    }
    braid(&["sequences", &old, "--raise-from", &folder.arg("nothing")]).fails(3, "nothing");
    braid(&["sequences", &old, "--raise", "=5"]).fails(2, "name");
    for bad in ["unused", "unused=", "unused=-1", "unused=18446744073709551616"] {
        assert!(braid(&["sequences", &old, "--raise", bad]).code(2).stderr.contains("NEXT"));
    }
    let nowhere = folder.arg("nowhere.braid");
    braid(&["sequences", &nowhere, "--raise", "a=1"]).fails(3, "nowhere.braid");
    braid(&["sequences", &nowhere]).fails(3, "nowhere.braid");
    assert_eq!(braid(&["sequences", &old]).code(0).stdout, listed);
}
