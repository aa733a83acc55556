//! A database that gets the rows of another one gives out no id of theirs, once it got the sequences too.

#![allow(clippy::unwrap_used, reason = "it is all test code")]

mod common;

use std::process::Stdio;

use braid::{Database, SequenceOptions};
use common::{Folder, Run, braid, command, dump, finish};

/// What ends a list of two.
const END: &str = "{\"sequences\":2}";

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
    assert_eq!(
        list,
        "{\"name\":\"orders=1\",\"next\":120}\n{\"name\":\"unused\",\"next\":1}\n{\"sequences\":2}\n"
    );

    let (rows, new) = (folder.file("rows.jsonl", dump(&old, "t")), folder.arg("new.braid"));
    braid(&["load", &new, &rows, "--table", "t", "--format", "dump"]).code(0);
    assert_eq!(braid(&["sequences", &new]).code(0).stdout, "sequence  next\n");
    let input = std::fs::File::open(folder.file("list", &list)).unwrap();
    let raised = raise_from_input(&new, input).code(0).stdout;
    assert_eq!(raised, listed);
    // Once more, and lower, changes nothing.
    let again = braid(&["sequences", &new, "--raise-from", &folder.arg("list"), "--raise", "orders=1=7"]);
    assert_eq!(again.code(0).stdout, listed);
    let higher = braid(&["sequences", &new, "--raise", "orders=1=500", "--raise", "more=9", "--json"]);
    assert_eq!(
        higher.code(0).stdout,
        "{\"name\":\"more\",\"next\":9}\n{\"name\":\"orders=1\",\"next\":500}\n{\"name\":\"unused\",\"next\":1}\n{\"sequences\":3}\n"
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
        let list = folder.file("list", format!("{good}\n\n{bad}\n{END}\n"));
        braid(&["sequences", &old, "--raise-from", &list]).fails(1, "line 3 of ");
    }
    braid(&["sequences", &old, "--raise-from", &folder.arg("nothing")]).fails(3, "nothing");
    let (fits, long) = ("x".repeat(120), "x".repeat(121));
    for name in ["", &long] {
        let list = folder.file("list", format!("{good}\n\n{{\"name\":\"{name}\",\"next\":9}}\n{END}\n"));
        let told = format!("list names no sequence: a name has 1 to 120 bytes, and this one {}", name.len());
        braid(&["sequences", &old, "--raise-from", &list]).fails(1, "line 3 of ").fails(1, &told);
        let run =
            braid(&["sequences", &old, "--raise", "unused=900", "--raise", &format!("{name}=5")]).code(2);
        assert!(run.stderr.contains("a name has 1 to 120 bytes"), "{run:?}");
    }
    for bad in ["unused", "unused=", "unused=-1", "unused=+5", "unused=18446744073709551616"] {
        assert!(braid(&["sequences", &old, "--raise", bad]).code(2).stderr.contains("NEXT"));
    }
    let nowhere = folder.arg("nowhere.braid");
    braid(&["sequences", &nowhere, "--raise", "a=1"]).fails(3, "nowhere.braid");
    braid(&["sequences", &nowhere]).fails(3, "nowhere.braid");
    let bytes = folder.path("bytes");
    std::fs::write(&bytes, b"{\"name\":\"unused\",\"next\":900}\n\xff\n").unwrap();
    braid(&["sequences", &old, "--raise-from", &folder.arg("bytes")]).fails(1, "bytes is not UTF-8");
    let not_utf8 = std::fs::File::open(bytes).unwrap();
    raise_from_input(&old, not_utf8).fails(1, "standard input is not UTF-8");
    let not_a_list = std::fs::File::open(folder.file("list", "x")).unwrap();
    raise_from_input(&old, not_a_list).fails(1, "line 1 of standard input does not");
    assert_eq!(braid(&["sequences", &old]).code(0).stdout, listed);

    let list = folder.file("list", format!("\u{feff}{good}\n{{\"name\":\"{fits}\",\"next\":9}}\n{END}\n"));
    let raised = braid(&["sequences", &old, "--raise-from", &list]).code(0).stdout;
    assert!(raised.contains("unused") && raised.contains(" 900\n") && raised.contains(&fits), "{raised}");
}

#[test]
fn the_list_of_a_run_that_failed_is_not_the_list_of_none() {
    let folder = Folder::new();
    let (filled, _) = old(&folder);
    let listed = braid(&["sequences", &filled]).code(0).stdout;
    braid(&["sequences", &folder.arg("missing.braid"), "--json"]).fails(3, "missing.braid");
    for empty in ["", "\n\n"] {
        let list = folder.file("list", empty);
        braid(&["sequences", &filled, "--raise-from", &list]).fails(1, "list is empty");
        let list = std::fs::File::open(list).unwrap();
        raise_from_input(&filled, list).fails(1, "the list of standard input is empty");
    }
    Database::open(folder.path("none.braid")).unwrap().close().unwrap();
    let none = braid(&["sequences", &folder.arg("none.braid"), "--json"]).code(0).stdout;
    assert_eq!(none, "{\"sequences\":0}\n");
    let list = std::fs::File::open(folder.file("list", none)).unwrap();
    assert_eq!(raise_from_input(&filled, list).code(0).stdout, listed);
}

#[test]
fn a_list_that_was_cut_raises_nothing() {
    let folder = Folder::new();
    let (old, _) = old(&folder);
    let list = braid(&["sequences", &old, "--json"]).code(0).stdout;
    let new = folder.arg("new.braid");
    Database::open(&new).unwrap().close().unwrap();
    for end in 0..list.trim_end().len() {
        let input = std::fs::File::open(folder.file("list", &list[..end])).unwrap();
        let told = match list[..end].trim_end().split('\n').next_back() {
            Some("") => "is empty",
            Some(line) if line.ends_with('}') => "is cut: it has no last line",
            _ => "does not name a sequence",
        };
        raise_from_input(&new, input).fails(1, told);
    }
    assert_eq!(braid(&["sequences", &new]).code(0).stdout, "sequence  next\n");
}

fn raise_from_input(path: &str, input: std::fs::File) -> Run {
    let mut run = command(&["sequences", path, "--raise-from", "-"]);
    finish(run.stdin(Stdio::from(input)).output().unwrap())
}
